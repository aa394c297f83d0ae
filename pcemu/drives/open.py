"""Opening an image of any format, with all that it is built on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pcemu.drives.hostfile import HOST, Host, HostFile, close_all
from pcemu.drives.probe import RAW_SUFFIXES, Ends, Format, is_raw
from pcemu.drives.raw import FlatDrive, RawDrive
from pcemu.drives.sidecar import is_pending
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError

if TYPE_CHECKING:
    from pcemu.drives.chain import Chain
    from pcemu.drives.fingerprint import Fingerprint
    from pcemu.drives.parents import Place
    from pcemu.drives.sparse import SparseLayer
    from pcemu.drives.vhd_header import Structures

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
    image = _open_image(os.fspath(path), read_only, format, host)
    return [image] if isinstance(image, FlatDrive) else _with_parents(image, allow_outside, writable, host)


def open_layer(path: str, read_only: bool, format: Format | None, host: Host) -> FlatDrive | SparseLayer:
    """Open one image without its parents."""
    image = _open_image(path, read_only, format, host)
    if isinstance(image, FlatDrive):
        return image
    from pcemu.drives.vhd import layers_of

    try:
        return layers_of([image])[0]
    except BaseException:
        image.file.close()
        raise


def _open_image(
    path: str, read_only: bool, format: Format | None, host: Host, *, is_file: bool = False
) -> FlatDrive | Structures:
    """A flat image, or the structures of another; ``is_file`` is as in :meth:`Host.open_image`."""
    file = host.open_image(path, read_only=read_only, is_file=is_file)
    try:
        return _image_in(file, format, host)
    except OSError as error:
        file.close()
        raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check its disk") from error
    except BaseException:
        file.close()
        raise


def _image_in(file: HostFile, format: Format | None, host: Host) -> FlatDrive | Structures:
    if format is Format.RAW:
        return RawDrive.on(file)
    ends = Ends(file)
    if format is None and is_raw(ends):
        return RawDrive.on(file)
    from pcemu.drives import vhd, vhd_header, vhd_layout  # bring construct: slow to import

    image = vhd_header.read_structures(ends)
    if vhd_layout.LOCATOR_CACHE in dict(image.locators):
        from pcemu.drives.remote.drive import open_cached

        return open_cached(vhd.layers_of([image])[0], host)
    if format is not None and (found := vhd_layout.TYPE_NAMES[image.footer.type]) != format:
        raise ImageFormatError(f"{file.path}: is a {found} VHD, expected {format}; leave the format out")
    if format is None and image.footer.type == vhd_layout.TYPE_DIFFERENCING:
        _refuse_raw_name(file.path)
    return image if image.header is not None else vhd.FixedVhd(file, image.footer)


def _refuse_raw_name(path: str) -> None:
    """A guest can make a child of its raw disk, and so read what lies beside it once that is opened again."""
    if path.lower().endswith(RAW_SUFFIXES):
        raise ImageFormatError(
            f"{path}: is a differencing VHD, expected a raw image, as its name says; if a guest made it one, "
            f"use --format raw where a command has it, else rename it to .vhd"
        )


def _with_parents(
    head: Structures, allow_outside: bool, writable: Callable[[Identity], bool], host: Host
) -> list[FlatDrive | SparseLayer]:
    """The layers from the ultimate parent up to ``head``; all are closed when one is refused."""
    line = _Line(head, allow_outside, host)
    try:
        try:
            line.open(writable)
        except ImageError:
            line.layers()  # that a parent is the wrong one is told rather than what is wrong with its own
            raise
        return line.layers()[::-1]
    except BaseException:
        close_all([image.file for image in line.images])
        raise


class _Line:
    """An image and its parents, from the head down: first all are opened, then all are checked.

    That takes less time than to open and check one after the other, as the processor's caches are small.
    """

    def __init__(self, head: Structures, allow_outside: bool, host: Host) -> None:
        self.images: list[FlatDrive | Structures] = [head]
        self._head = head
        self._parents: list[tuple[Place, Fingerprint | None]] = []  # with what their children know of them
        self._allow_outside = allow_outside
        self._host = host

    def open(self, writable: Callable[[Identity], bool]) -> None:
        """Open the parents; ``writable`` is as in :func:`open_layers`."""
        from pcemu.drives import parents
        from pcemu.drives.chain import MAX_OWNERS
        from pcemu.drives.vhd_layout import TYPE_DIFFERENCING

        child = self._head
        seen = {child.file.identity}
        folder = parents.real_folder(os.path.realpath(child.file.path))
        while child.footer.type == TYPE_DIFFERENCING:
            if len(self.images) >= MAX_OWNERS:
                raise ImageFormatError(
                    f"{self._head.file.path}: has {len(self.images)} layers and more, "
                    f"expected at most {MAX_OWNERS}; merge some"
                )
            place = parents.find_parent(child, folder, allow_outside=self._allow_outside, host=self._host)
            if place.identity in seen:
                raise ImageFormatError(
                    f"{child.file.path}: its parent {place.path} is above it in the same chain, "
                    f"expected another image; {parents.RELINK}"
                )
            seen.add(place.identity)
            kept = parents.fingerprint_kept(child)
            kind = None if kept is None else Format.RAW
            read_only = not writable(place.identity)
            parent = _open_image(place.path, read_only, kind, self._host, is_file=place.is_file)
            self.images.append(parent)
            self._parents.append((place, kept))
            if isinstance(parent, FlatDrive):
                break
            child, folder = parent, place.folder

    def layers(self) -> list[FlatDrive | SparseLayer]:
        """What :meth:`open` opened, refused when a parent is not the one or holds half of a commit."""
        from pcemu.drives import intents, parents
        from pcemu.drives.vhd import layers_of

        sparse = layers_of([image for image in self.images if not isinstance(image, FlatDrive)])
        flat = [image for image in self.images if isinstance(image, FlatDrive)]  # the ultimate parent, if any
        layers: list[FlatDrive | SparseLayer] = [*sparse, *flat]
        ids = []
        for child, parent, (place, kept) in zip(sparse, layers[1:], self._parents, strict=False):
            ids.append(child.unique_id)
            intent = intents.read_intent(place.real, self._host)
            if intent is not None:
                intents.refuse_half(place.real, intent, ids)
            parents.check_parent(child, parent, kept, intent)
        return layers
