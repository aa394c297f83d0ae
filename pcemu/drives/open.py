"""Opening an image of any format, with all that it is built on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pcemu.drives.hostfile import HOST, Host, HostFile, close_all
from pcemu.drives.probe import Ends, Format, is_raw
from pcemu.drives.raw import FlatDrive, RawDrive
from pcemu.drives.sidecar import is_pending
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError

if TYPE_CHECKING:
    from pcemu.drives.chain import Chain
    from pcemu.drives.parents import Place
    from pcemu.drives.sparse import SparseLayer
    from pcemu.drives.vhd_header import Blocks

Identity = tuple[int, int]


def open_drive(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    format: Format | None = None,
    allow_outside: bool = False,
    host: Host = HOST,
) -> FlatDrive | Chain:
    """Open an image as a drive: exclusively, its parents shared and read-only, or all shared.

    ``format`` is told from the content when it is None, and a .vhd must be one. ``allow_outside`` lets a
    differencing image name a parent outside its own folder. The drive's ``warnings`` are for the user.
    Raises ImageError.
    """
    layers = open_layers(path, read_only=read_only, format=format, allow_outside=allow_outside, host=host)
    if isinstance(layers[-1], FlatDrive):
        return layers[-1]
    from pcemu.drives.chain import Chain

    try:
        return Chain(layers)
    except BaseException:
        close_all([layer.file for layer in layers])
        raise


def open_layers(
    path: str | os.PathLike[str],
    *,
    read_only: bool = False,
    format: Format | None = None,
    allow_outside: bool = False,
    writable: Callable[[Identity], bool] = lambda _: False,
    host: Host = HOST,
) -> list[FlatDrive | SparseLayer]:
    """As :func:`open_drive`, the single images from the ultimate parent up.

    ``writable`` is asked for each parent, by device and inode, whether to open it exclusively, too.
    """
    if is_pending(os.path.realpath(path), host):
        from pcemu.drives.intents import refuse_target  # as few images have something pending

        refuse_target(os.fspath(path), host)
    layer = open_layer(os.fspath(path), read_only, format, host)
    if isinstance(layer, FlatDrive):
        return [layer]
    return _with_parents(layer, allow_outside, writable, host)


def open_layer(
    path: str,
    read_only: bool,
    format: Format | None,
    host: Host,
    *,
    is_file: bool = False,
    later: list[Blocks] | None = None,
) -> FlatDrive | SparseLayer:
    """Open one image without its parents.

    ``is_file`` is as in :meth:`Host.open_image`, ``later`` as in :func:`pcemu.drives.vhd_header.read_facts`.
    """
    file = host.open_image(path, read_only=read_only, is_file=is_file)
    try:
        return _layer_in(file, format, host, later)
    except OSError as error:
        file.close()
        raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check its disk") from error
    except BaseException:
        file.close()
        raise


def _layer_in(
    file: HostFile, format: Format | None, host: Host, later: list[Blocks] | None
) -> FlatDrive | SparseLayer:
    if format is Format.RAW:
        return RawDrive.on(file)
    ends = Ends(file)
    if format is None and is_raw(ends):
        return RawDrive.on(file)
    from pcemu.drives import vhd  # brings construct: slow to import

    layer = vhd.open_vhd(ends, later)
    if isinstance(layer, vhd.SparseLayer) and layer.is_cache:
        from pcemu.drives.remote.drive import open_cached
        from pcemu.drives.vhd_header import check_blocks_of

        check_blocks_of(later or ())  # what it has is served from now on
        return open_cached(layer, host)
    if format is not None and (found := vhd.TYPE_NAMES[layer.footer.type]) != format:
        layer.close()
        raise ImageFormatError(f"{file.path}: is a {found} VHD, expected {format}; leave the format out")
    return layer


def _with_parents(
    head: SparseLayer, allow_outside: bool, writable: Callable[[Identity], bool], host: Host
) -> list[FlatDrive | SparseLayer]:
    """The layers from the ultimate parent up to ``head``; all are closed when one is refused."""
    line = _Line(head, allow_outside, host)
    try:
        try:
            line.open(writable)
        except ImageError:
            line.check()  # that a parent is the wrong one is told rather than what is wrong with its own
            raise
        line.check()
    except BaseException:
        close_all([layer.file for layer in line.layers])
        raise
    return line.layers[::-1]


class _Line:
    """An image and its parents, from the head down: first all are opened, then all are checked.

    That takes less time than to open and check one after the other, as the processor's caches are small.
    """

    def __init__(self, head: SparseLayer, allow_outside: bool, host: Host) -> None:
        self.layers: list[FlatDrive | SparseLayer] = [head]
        self._children = [head]
        self._places: list[Place] = []  # of the parents
        self._bats: list[Blocks] = []
        self._allow_outside = allow_outside
        self._host = host

    def open(self, writable: Callable[[Identity], bool]) -> None:
        """Open the parents; ``writable`` is as in :func:`open_layers`."""
        from pcemu.drives import parents
        from pcemu.drives.chain import MAX_OWNERS

        child = self._children[0]
        seen = {child.file.identity}
        folder = parents.real_folder(os.path.realpath(child.file.path))
        while child.is_child:
            if len(self.layers) >= MAX_OWNERS:
                raise ImageFormatError(
                    f"{self._children[0].file.path}: has {len(self.layers)} layers and more, "
                    f"expected at most {MAX_OWNERS}; merge some"
                )
            place = parents.find_parent(child, folder, allow_outside=self._allow_outside, host=self._host)
            if place.identity in seen:
                raise ImageFormatError(
                    f"{child.file.path}: its parent {place.path} is above it in the same chain, "
                    f"expected another image; {parents.RELINK}"
                )
            seen.add(place.identity)
            kind = None if parents.fingerprint_kept(child) is None else Format.RAW
            read_only = not writable(place.identity)
            parent = open_layer(
                place.path, read_only, kind, self._host, is_file=place.is_file, later=self._bats
            )
            self.layers.append(parent)
            self._places.append(place)
            if isinstance(parent, FlatDrive):
                break
            self._children.append(parent)
            child, folder = parent, place.folder

    def check(self) -> None:
        """Refuse parents that are not the right ones, hold half of a commit, or have damaged BATs."""
        from pcemu.drives import intents, parents
        from pcemu.drives.vhd_header import check_blocks_of

        ids = []
        for child, parent, place in zip(self._children, self.layers[1:], self._places, strict=False):
            ids.append(child.unique_id)
            intent = intents.read_intent(place.real, self._host)
            if intent is not None:
                intents.refuse_half(place.real, intent, ids)
            parents.check_parent(child, parent, parents.fingerprint_kept(child), intent)
        check_blocks_of(self._bats)
