"""Opening an image of any format, with all that it is built on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pcemu.drives.hostfile import HOST, Host, HostFile, close_all
from pcemu.drives.probe import Ends, Format, is_raw
from pcemu.drives.raw import FlatDrive, RawDrive
from pcemu.drives.sidecar import is_pending
from pcemu.errors import ImageAccessError, ImageFormatError

if TYPE_CHECKING:
    from pcemu.drives.chain import Chain
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
    from pcemu.drives.vhd import TYPE_NAMES, SparseLayer, open_vhd  # brings construct: slow to import

    layer = open_vhd(ends, later)
    if isinstance(layer, SparseLayer) and layer.is_cache:
        from pcemu.drives.remote.drive import open_cached
        from pcemu.drives.vhd_header import check_blocks_of

        check_blocks_of(later or ())  # what it has is served from now on
        return open_cached(layer, host)
    if format is not None and (found := TYPE_NAMES[layer.footer.type]) != format:
        layer.close()
        raise ImageFormatError(f"{file.path}: is a {found} VHD, expected {format}; leave the format out")
    return layer


def _with_parents(
    head: SparseLayer, allow_outside: bool, writable: Callable[[Identity], bool], host: Host
) -> list[FlatDrive | SparseLayer]:
    """The layers from the ultimate parent up to ``head``; all are closed when one is refused."""
    from pcemu.drives import intents, parents
    from pcemu.drives.chain import MAX_OWNERS
    from pcemu.drives.vhd_header import check_blocks_of

    layers: list[FlatDrive | SparseLayer] = [head]
    seen = {head.file.identity}
    ids = [head.unique_id]
    bats: list[Blocks] = []
    child = head
    try:
        folder = parents.real_folder(os.path.realpath(head.file.path))
        while child.is_child:
            if len(layers) >= MAX_OWNERS:
                raise ImageFormatError(
                    f"{head.file.path}: has {len(layers)} layers and more, expected at most {MAX_OWNERS}; "
                    f"merge some"
                )
            place = parents.find_parent(child, folder, allow_outside=allow_outside, host=host)
            kept = parents.fingerprint_kept(child)
            if place.identity in seen:
                raise ImageFormatError(
                    f"{child.file.path}: its parent {place.path} is above it in the same chain, "
                    f"expected another image; {parents.RELINK}"
                )
            intent = intents.read_intent(place.real, host)
            if intent is not None:
                intents.refuse_half(place.real, intent, ids)
            read_only = not writable(place.identity)
            kind = None if kept is None else Format.RAW
            parent = open_layer(place.path, read_only, kind, host, is_file=place.is_file, later=bats)
            layers.append(parent)
            seen.add(parent.file.identity)
            parents.check_parent(child, parent, kept, intent)
            if isinstance(parent, FlatDrive):
                break
            ids.append(parent.unique_id)
            child, folder = parent, place.folder
        check_blocks_of(bats)
    except BaseException:
        close_all([layer.file for layer in layers])
        raise
    return layers[::-1]
