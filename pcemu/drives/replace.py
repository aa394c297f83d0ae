"""Putting a new image in an image's place, and taking images away, so that a crash shows old or new.

The name goes from the old file to the new one at once::

    temporary file → filled → synced → renamed over the old image → folder synced
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence

from pcemu.drives.create import Parent, facts_of, sparse_parts
from pcemu.drives.device import empty_device, is_device, wipe
from pcemu.drives.hostfile import Host, HostFile
from pcemu.drives.intents import Intent, Retired, clear_intent
from pcemu.drives.newfile import Part, remove, temporary_file
from pcemu.drives.open import open_layer
from pcemu.drives.parents import fingerprint_kept
from pcemu.drives.probe import Ends, Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import Family, read_child, register
from pcemu.drives.sidecar import CHILDREN, remove_sidecar
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import FOOTER_SIZE
from pcemu.errors import UsageError

Fill = Callable[[SparseLayer], None]


def replace_image(
    old: SparseLayer | FlatDrive,
    parts: Sequence[Part],
    host: Host,
    *,
    fill: Fill | None = None,
    fill_file: Callable[[HostFile], None] | None = None,
    same_content: bool = True,
) -> HostFile:
    """Put a file of ``parts`` and what ``fill`` writes in the place of an open image.

    The new file is returned open and locked: nobody else comes near before the caller closes it. It takes
    the old one's time if it has the ``same_content``, as children remember their parent's.
    """
    path = os.path.realpath(old.file.path)
    if old.file.is_device:
        if fill is not None or fill_file is not None or isinstance(old, FlatDrive):
            raise UsageError(f"{path}: is a block device, which cannot be replaced, expected an image file")
        empty_device(old.file, old.header.bat_offset, old.header.bat_entries, parts)
        return old.file
    status = old.file.status()
    file = temporary_file(path, host)
    temporary = file.path
    try:
        for offset, data in parts:
            file.write(data, offset)
        if fill is not None:
            layer = SparseLayer(file, read_facts(Ends(file)))
            fill(layer)
            layer.flush()
        if fill_file is not None:
            fill_file(file)
        file.take_after(status, times=same_content)
        file.sync_all()
        if os.name == "nt":  # an open file keeps its name there
            old.file.close()
        host.rename(temporary, path)
        old.file.unnamed_size = status.st_size
    except BaseException:
        file.close()
        remove(temporary, host)
        raise
    try:
        host.sync_dir_of(path)
    except BaseException:
        file.close()
        raise
    file.path = path
    return file


def empty_parts(image: SparseLayer, parent: Parent) -> list[Part]:
    """What a differencing image consists of that is as ``image``, but empty and built on ``parent``."""
    path = os.path.realpath(image.file.path)
    footer = image.footer._replace(header_offset=FOOTER_SIZE)
    return sparse_parts(footer, image.header.block_size, parent, path)


def parts_as(image: SparseLayer, parent: str, like: SparseLayer) -> list[Part]:
    """As :func:`empty_parts`; of ``parent``, a path, it knows what ``like``, a child of it, knows."""
    if not like.is_child:
        footer = image.footer._replace(header_offset=FOOTER_SIZE)
        return sparse_parts(footer, image.header.block_size, None, image.file.path)
    header = like.header
    kept = fingerprint_kept(like)
    facts = Parent(parent, 0, header.parent_id, header.parent_time, header.block_size, kept)
    return empty_parts(image, facts)


def make_empty(
    image: SparseLayer, parent: SparseLayer | FlatDrive, host: Host, *, same_content: bool
) -> HostFile:
    """Put an empty child of ``parent`` in the place of ``image``; returned open and locked."""
    facts = facts_of(parent)
    register(image.file.path, facts.path, host)
    return replace_image(image, empty_parts(image, facts), host, same_content=same_content)


def retired_of(layers: Iterable[SparseLayer | FlatDrive]) -> tuple[Retired, ...]:
    """Images as an intent names them."""
    return tuple(
        [
            Retired(os.path.realpath(layer.file.path), layer.unique_id)
            for layer in layers
            if isinstance(layer, SparseLayer)
        ]
    )


def finish(target: str, intent: Intent, host: Host, in_use: Collection[str] = ()) -> list[str]:
    """Remove the images that an operation has made useless, the newest first, and then its note.

    One that is the parent of another, is ``in_use`` by the caller, or is not what the note says, stays.
    Returns what was removed.
    """
    family = Family(host)
    removed = []
    for path, unique_id in reversed(intent.retired):
        found = read_child(path, host)
        if path in in_use or found is None or found.unique_id != unique_id:
            continue
        layer = open_layer(path, False, Format.DIFFERENCING, host)  # refused while somebody reads it
        try:
            needed = family.children_of(layer)
        finally:
            layer.close()
        if not needed:
            remove_image(path, host)
            family.forget(path)
            removed.append(path)
    clear_intent(target, host)
    return removed


def remove_image(path: str, host: Host) -> None:
    """Remove an image for good, with the notes about its children; a device loses what makes it one."""
    if is_device(path, host):
        wipe(path, host)
        return
    file = host.open_image(path, read_only=True, lock=False)  # so that its space is freed by closing it
    try:
        size = file.size()
        host.unlink(path)
        file.unnamed_size = size
        host.sync_dir_of(path)
        remove_sidecar(path + CHILDREN, host)
    finally:
        file.close()
