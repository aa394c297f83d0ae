"""Who is built on an image: the children that a parent itself knows nothing of.

Children in the parent's folder, and in that of its undo sessions, are found by looking at every image there.
Children in other folders are found by notes, one line for each, in a file beside the parent (its name with
``.pcemu-children``). A note is only a hint: whether the child is there and is one is looked at every time,
and no note is ever removed.

**Not implemented**: children in other folders that other programs made, or that were moved without
`pcemu disk relink`, and those of a parent beside which nothing can be written: nobody knows of them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pcemu.drives import parents
from pcemu.drives.fingerprint import Fingerprint
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.newfile import is_temporary
from pcemu.drives.probe import Ends
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sidecar import CHILDREN, SESSIONS, append_line, read_sidecar
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import TYPE_DIFFERENCING
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, ImageNotFoundError

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Child(NamedTuple):
    """A differencing image, as its header describes it.

    ``parent`` is where its parent was found, None when it was not, and then ``missing`` says why.
    """

    path: str
    unique_id: bytes
    parent_id: bytes
    kept: Fingerprint | None
    parent: parents.Place | None
    missing: str
    empty: bool

    def fits(self, parent: SparseLayer | FlatDrive, looks: Iterable[Fingerprint] = ()) -> bool:
        """True when ``parent`` is the one it was made for; a raw one when it looked like one of ``looks``.

        So it is when the child does not find it: it may be found again.
        """
        if self.parent is not None and self.parent.identity != parent.file.identity:
            return False
        if self.kept is not None:
            return self.kept in looks
        return getattr(parent, "unique_id", None) == self.parent_id


class Family:
    """The children of images; each folder is looked through once."""

    def __init__(self, host: Host = HOST) -> None:
        self._host = host
        self._seen: set[str] = set()  # files; what lies beside an image is seen as files, folders too
        self._folders: set[str] = set()
        self._children: list[Child] = []

    def look_around(self, image: str) -> None:
        """Take in all children of ``image`` that can be known; its path must be without links."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.look_in(image + SESSIONS)
        self.look_in(os.path.dirname(image))  # noqa: PTH120
        for path in registered(image, self._host):
            self._take(path)

    def look_in(self, folder: str) -> list[Child]:
        """All children in a folder, whoever is their parent."""
        if folder not in self._folders:
            self._folders.add(folder)
            for name in sorted(self._host.names_in(folder)):
                if not is_temporary(name):
                    self._take(os.path.join(folder, name))  # noqa: PTH118
        return [child for child in self._children if os.path.dirname(child.path) == folder]  # noqa: PTH120

    def children_of(
        self, image: SparseLayer | FlatDrive, looks: Iterable[Fingerprint] = ()
    ) -> list[Child]:
        """The images that need ``image`` as it is, by path."""
        self.look_around(os.path.realpath(image.file.path))
        looks = tuple(looks)
        return [child for child in self._children if child.fits(image, looks)]

    def built_on(self, image: str) -> list[Child]:
        """The children that find their parent at ``image``, a path without links, right or not; by path."""
        self.look_around(image)
        found = [each for each in self._children if each.parent is not None and each.parent.real == image]
        return sorted(found, key=lambda child: child.path)

    def forget(self, path: str) -> None:
        """An image is gone."""
        self._children = [child for child in self._children if child.path != path]

    def _take(self, path: str) -> None:
        path = os.path.realpath(path)
        if path in self._seen:
            return
        self._seen.add(path)
        child = read_child(path, self._host)
        if child is not None:
            self._children.append(child)


def read_child(path: str, host: Host = HOST, *, allow_outside: bool = True) -> Child | None:
    """What an image says of its parent; None when it is no differencing image that one could open.

    It is not locked: it may be in use. Its parent is not opened; without ``allow_outside`` one that lies
    outside the child's folder counts as missing. A disk that cannot be read raises OSError: who is built on
    what is not known then.
    """
    try:
        file = host.open_image(path, read_only=True, lock=False)
    except (ImageNotFoundError, ImageFormatError):
        return None
    except ImageAccessError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno not in FORBIDDEN:
            raise error.__cause__ from None
        return None
    try:
        return _child_in(file, host, allow_outside)
    except ImageFormatError:
        return None
    finally:
        file.close()


def _child_in(file: HostFile, host: Host, allow_outside: bool) -> Child | None:
    ends = Ends(file)
    if not ends.have_vhd_traces():
        return None
    facts = read_facts(ends)
    if facts.footer.type != TYPE_DIFFERENCING:
        return None
    layer = SparseLayer(file, facts)
    if layer.is_cache:  # stands for the image on the server, which has no parent
        return None
    place, missing = None, ""
    try:
        folder = parents.real_folder(file.path)
        place = parents.find_parent(layer, folder, allow_outside=allow_outside, host=host)
    except ImageError as error:
        missing = str(error)
    kept = parents.fingerprint_kept(layer)
    return Child(file.path, layer.unique_id, layer.header.parent_id, kept, place, missing, layer.is_empty())


def names_of(children: Sequence[Child]) -> str:
    """``x.vhd is``, or ``x.vhd, y.vhd are``: for a sentence that goes on with ``built on it``."""
    return ", ".join(child.path for child in children) + (" is" if len(children) == 1 else " are")


def register(child: str, parent: str, host: Host = HOST) -> None:
    """Note a child beside its parent, when it is in another folder; before the child is there.

    A parent beside which nothing can be written goes without.
    """
    child, parent = _real(child), os.path.realpath(parent)
    folder = os.path.dirname(parent)  # noqa: PTH120
    its_folder = os.path.dirname(child)  # noqa: PTH120
    if its_folder in (folder, parent + SESSIONS) or child in registered(parent, host):
        return
    if not os.path.isdir(its_folder):  # noqa: PTH112
        return  # who makes the child will tell
    line = json.dumps(os.path.relpath(child, folder)).encode()
    try:
        append_line(parent + CHILDREN, b"\n" + line + b"\n", host)  # the line before may be torn
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise


def registered(parent: str, host: Host = HOST) -> list[str]:
    """The children noted beside an image, whose path must be without links."""
    data = read_sidecar(parent + CHILDREN, host) or b""
    found = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError):  # torn by a crash, before its child was made
            name = json.loads(line)
            if isinstance(name, str) and "\0" not in name:
                found.append(os.path.normpath(os.path.join(os.path.dirname(parent), name)))  # noqa: PTH118, PTH120
    return found


def _real(path: str) -> str:
    """The path of a file to come, its folder without links."""
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    return os.path.join(os.path.realpath(folder), name)  # noqa: PTH118
