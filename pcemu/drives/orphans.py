"""What operations, crashes and tidy people leave behind in folders: named here, and not touched.

Only leftovers of killed operations can be removed: nobody ever saw them under a name of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import read_intent
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.newfile import abandoned, is_temporary, remove_abandoned
from pcemu.drives.probe import Format
from pcemu.drives.registry import Child, Family, read_child
from pcemu.drives.sidecar import PENDING
from pcemu.drives.tree import fits, look_at
from pcemu.errors import ImageError, UsageError


class Kind(StrEnum):
    """Why a file is listed."""

    MISSING = "parent missing"
    CHANGED = "parent changed"
    EMPTY = "empty"
    INTERRUPTED = "interrupted"
    LEFTOVER = "leftover"


class Orphan(NamedTuple):
    """A file, why it is listed, and in ``text`` what was found and how to go on; ``size`` is in bytes."""

    path: str
    kind: Kind
    text: str
    size: int


def orphans_in(folder: StrPath, *, allow_outside: bool = False, host: Host = HOST) -> list[Orphan]:
    """Look at all files in a folder, not below it; by path. UsageError when it is no folder.

    Without ``allow_outside`` parents outside the folders of their children only have to be there: whoever
    made the child may have named any file, and none is opened for that.
    """
    folder = os.fspath(folder)
    family = Family(host)
    with told(folder, "looking for orphans", "check its disk"):
        try:
            names = sorted(host.names_in(folder))
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{folder}: is no folder, expected one; name a folder of images") from None
        found = [_look(os.path.join(folder, name), host) for name in names]  # noqa: PTH118
        children = family.look_in(os.path.realpath(folder))
        found += [_look_at_child(child, family, allow_outside, host) for child in children]
    return sorted(orphan for orphan in found if orphan is not None)


def remove_leftovers(found: Iterable[Orphan], *, host: Host = HOST) -> tuple[list[Orphan], list[str]]:
    """Remove the leftovers among ``found`` that nobody holds, asking the kernel once more.

    Returns those of ``found`` that are still there, and the paths of those that were removed. One that cannot
    be removed says why.
    """
    left, removed = [], []
    for orphan in found:
        if orphan.kind is Kind.LEFTOVER:
            try:
                if remove_abandoned(orphan.path, host):
                    removed.append(orphan.path)
                    continue
                orphan = orphan._replace(text="is in use, or gone, by now; look again later")
            except OSError as error:
                text = f"cannot be removed: {error.strerror}; check its folder's permissions and its disk"
                orphan = orphan._replace(text=text)
        left.append(orphan)
    return left, removed


def _look(path: str, host: Host) -> Orphan | None:
    """A note or a temporary file."""
    if path.endswith(PENDING):
        target = os.path.realpath(path.removesuffix(PENDING))
        try:
            intent = read_intent(target, host)
        except ImageError as error:
            return _orphan(path, Kind.INTERRUPTED, str(error), host)
        if intent is not None:
            text = f"a {intent.operation} of {intent.source} onto {target} was interrupted; run it again"
            return _orphan(path, Kind.INTERRUPTED, text, host)
    elif is_temporary(os.path.basename(path)) and abandoned(path, host):  # noqa: PTH119
        text = "an operation was killed before this file had its name; doing it again removes it, or --remove"
        return _orphan(path, Kind.LEFTOVER, text, host)
    return None


def _look_at_child(child: Child, family: Family, allow_outside: bool, host: Host) -> Orphan | None:
    if child.parent is None:
        return _orphan(child.path, Kind.MISSING, child.missing, host)
    name = child.parent.path
    opened = child if allow_outside else read_child(child.path, host, allow_outside=False)
    if opened is not None and opened.parent is not None:  # of several places maybe another one
        name = opened.parent.path
        raw = Format.RAW if child.kept is not None else None
        try:
            parent = facts_about(name, raw, host=host)
            name = parent.url or name  # of a cache people do not know where it lies
            right = fits(child, parent, look_at(parent.path, host) if raw else None)
        except ImageError as error:
            return _orphan(child.path, Kind.CHANGED, str(error), host)
        if not right:
            text = f"{name} was changed, or is not the parent it was made for; restore it, or relink"
            return _orphan(child.path, Kind.CHANGED, text, host)
    if child.empty and not family.built_on(child.path):
        text = f"nothing was written to it since it was made on {name}; it can be discarded"
        return _orphan(child.path, Kind.EMPTY, text, host)
    return None


def _orphan(path: str, kind: Kind, text: str, host: Host) -> Orphan:
    return Orphan(path, kind, text, host.stat(path).st_size)
