"""Making new images. None is written over; a crash leaves the whole image or none.

The order, of which :mod:`pcemu.drives.newfile` does the second half::

    parent synced → noted beside a parent in another folder → temporary file → synced → named → folder synced

Nothing here takes longer for a larger drive: a fixed image is a hole with a footer. A BAT is no hole, as its
empty entries are not zeros; so that even a 2 TB drive starts below 100 KiB, drives above 40 GiB get larger
blocks than the usual 2 MiB. The format allows that; programs of others that insist on 2 MiB get them with
``block_size``, at 4 bytes for each block.

**Not implemented**: sparse fixed images on Windows, where they are written out by the file system.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import NamedTuple

from pcemu.drives import vhd_layout as layout
from pcemu.drives.device import create_on_device, is_device
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fingerprint import Fingerprint, fingerprint_of
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import refuse_target
from pcemu.drives.newfile import write_new
from pcemu.drives.open import open_layer
from pcemu.drives.parents import locators_for, parent_name, places_for, url_locators, url_name, vhd_time
from pcemu.drives.probe import RAW_SUFFIXES, Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import register
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd import vhd_geometry
from pcemu.drives.vhd_header import MAX_BLOCK_SIZE, MIN_BLOCK_SIZE
from pcemu.errors import UsageError

DEFAULT_BLOCK_SIZE = 2 << 20
MAX_DEFAULT_ENTRIES = 20480  # 80 KiB of BAT
MAX_SIZE = layout.MAX_SECTORS * SECTOR_SIZE


class Parent(NamedTuple):
    """What a child has to know of its parent."""

    path: str
    sectors: int
    unique_id: bytes
    time: int
    block_size: int
    fingerprint: Fingerprint | None
    url: str = ""  # of one on a server


def create_raw(path: str | os.PathLike[str], size: int, *, host: Host = HOST) -> None:
    """A raw image of ``size`` bytes, all zeros: a hole, where the file system has holes."""
    check_size(path, size)
    write_new(os.fspath(path), [], host, lambda file: file.truncate(size))


def create_fixed(path: str | os.PathLike[str], size: int, *, host: Host = HOST) -> None:
    """A fixed VHD of ``size`` bytes, all zeros: a hole in the file, where the file system has holes."""
    check_size(path, size)
    footer = new_footer(layout.TYPE_FIXED, size, layout.NO_OFFSET)
    write_new(os.fspath(path), [(size, footer.pack())], host)


def create_dynamic(
    path: str | os.PathLike[str], size: int, *, block_size: int | None = None, host: Host = HOST
) -> None:
    """A dynamic VHD of ``size`` bytes, all zeros."""
    check_size(path, size)
    block_size = block_size_for(path, size, block_size, DEFAULT_BLOCK_SIZE)
    footer = new_footer(layout.TYPE_DYNAMIC, size, layout.FOOTER_SIZE)
    write_new(os.fspath(path), sparse_parts(footer, block_size, None, os.fspath(path)), host)


def create_differencing(
    path: str | os.PathLike[str],
    parent: str | os.PathLike[str] | FlatDrive | SparseLayer,
    *,
    block_size: int | None = None,
    size: int | None = None,
    parent_format: Format | None = None,
    host: Host = HOST,
) -> None:
    """An empty child of ``parent``: a path, or an open layer (which is flushed).

    ``size`` in bytes makes it larger than its parent; what is beyond that reads as zeros. ``path`` may be a
    blank block device.
    """
    path = os.fspath(path)
    check_child_name(path)
    if isinstance(parent, FlatDrive | SparseLayer):
        facts = facts_of(parent)
    else:
        refuse_target(os.fspath(parent), host)
        layer = open_layer(os.fspath(parent), True, parent_format, host)
        try:
            facts = facts_of(layer)
        finally:
            layer.close()
    parent_size = facts.sectors * SECTOR_SIZE
    size = parent_size if size is None else size
    check_size(path, size)
    if size < parent_size:
        raise UsageError(
            f"{path}: a size of {size} bytes is too small, expected the parent's {parent_size} at least; "
            f"leave the size out, or name a larger one"
        )
    block_size = block_size_for(path, size, block_size, facts.block_size)
    footer = new_footer(layout.TYPE_DIFFERENCING, size, layout.FOOTER_SIZE)
    register(path, facts.path, host)
    parts = sparse_parts(footer, block_size, facts, path)
    if is_device(path, host):
        create_on_device(path, parts, host)
    else:
        write_new(path, parts, host)


def facts_of(layer: FlatDrive | SparseLayer) -> Parent:
    """Make a parent last, and say what it is then."""
    layer.flush()
    layer.file.sync()  # also what another process wrote and did not flush
    fingerprint = None
    unique_id = getattr(layer, "unique_id", None)
    if unique_id is None:
        fingerprint = fingerprint_of(layer.file)
        unique_id = fingerprint.unique_id
    block_size = layer.header.block_size if isinstance(layer, SparseLayer) else DEFAULT_BLOCK_SIZE
    url = layer.url if isinstance(layer, FlatDrive) else ""
    written = 0 if url else vhd_time(layer.file.status().st_mtime)  # 0: nobody knows
    return Parent(layer.file.path, layer.sectors, unique_id, written, block_size, fingerprint, url)


def check_child_name(path: str) -> None:
    """Refuse a name under which a child would not be opened again, as it says raw: UsageError."""
    stem, suffix = os.path.splitext(path)  # noqa: PTH122
    if suffix.lower() in RAW_SUFFIXES:
        raise UsageError(
            f"{path}: a child under this name would be taken for a raw image, expected another; "
            f"name it {os.path.basename(stem)}.vhd"  # noqa: PTH119
        )


def check_size(path: str | os.PathLike[str], size: int) -> None:
    """Refuse a size that the drive in ``path`` cannot have: UsageError."""
    if size <= 0 or size % SECTOR_SIZE or size > MAX_SIZE:
        raise UsageError(
            f"{os.fspath(path)}: a size of {size} bytes is not possible, expected a multiple of "
            f"{SECTOR_SIZE} up to {MAX_SIZE} (2040G); name such a size"
        )


def block_size_for(path: str | os.PathLike[str], size: int, asked: int | None, usual: int) -> int:
    """What was asked for; else the usual one, doubled until the BAT is small."""
    if asked is not None:
        if asked & (asked - 1) or not MIN_BLOCK_SIZE <= asked <= MAX_BLOCK_SIZE:
            raise UsageError(
                f"{os.fspath(path)}: a block size of {asked} is not possible, expected a power of two from "
                f"{MIN_BLOCK_SIZE} to {MAX_BLOCK_SIZE}; leave it out, or name 512K or 2M, which most "
                f"programs know"
            )
        return asked
    while -(-size // usual) > MAX_DEFAULT_ENTRIES:
        usual *= 2
    return usual


def new_footer(kind: int, size: int, header_offset: int) -> layout.Footer:
    geometry = vhd_geometry(size // SECTOR_SIZE)
    return layout.Footer(
        header_offset=header_offset,
        time=vhd_time(time.time()),
        creator=layout.CREATOR_APPLICATION,
        original_size=size,
        current_size=size,
        cylinders=geometry.cylinders,
        heads=geometry.heads,
        sectors_per_track=geometry.sectors,
        type=kind,
        unique_id=uuid.uuid4().bytes,
    )


def sparse_parts(
    footer: layout.Footer, block_size: int, parent: Parent | None, path: str
) -> list[tuple[int, bytes]]:
    """(offset, bytes) of all that an empty dynamic or differencing image holds."""
    after_header = layout.FOOTER_SIZE + layout.HEADER_SIZE
    entries = -(-footer.current_size // block_size)
    header = layout.Header(bat_offset=after_header, bat_entries=entries, block_size=block_size)
    locator_data = b""
    if parent is not None:
        locators = url_locators(parent.url) if parent.url else locators_for(path, parent.path)
        if parent.fingerprint is not None:
            locators.append((layout.LOCATOR_FINGERPRINT, parent.fingerprint.pack()))
        places, locator_data = places_for(locators, after_header)
        header = header._replace(
            bat_offset=after_header + len(locator_data),
            parent_id=parent.unique_id,
            parent_time=parent.time,
            parent_name=url_name(parent.url) if parent.url else parent_name(parent.path),
            locators=tuple(places),
        )
    bat_size = -(-entries * layout.BAT_ENTRY_SIZE // SECTOR_SIZE) * SECTOR_SIZE
    packed = footer.pack()
    return [(0, packed + header.pack() + locator_data + b"\xff" * bat_size + packed)]
