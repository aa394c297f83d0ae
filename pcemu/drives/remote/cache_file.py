"""What was read from a server, kept: a differencing VHD whose parent is a remote image.

It is a VHD as any other, with three habits that let many processes use and fill it at once, without a lock
for each read or write:

- All blocks have their places from the start, as holes. So nothing ever moves, and the BAT is never written.
- What is fetched are *units* of 64 KiB, whose bits in a bitmap are 16 whole bytes. Setting them takes one
  write that disturbs nobody's. Two processes that fetch the same unit write the same: images do not change.
- Bits are only ever set while somebody has the file open (a shared lock). Who clears some holds it alone.

The bits of a unit are written after its data were synced. So a bit is true whatever was killed, or lost its
power, in between::

    data of some units → sync → their bits

The guest's own changes never come here: they are in drives above this one.

**Not implemented**: hosts whose file systems have no holes get files as large as the image.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from pcemu.drives import vhd_layout as layout
from pcemu.drives.create import DEFAULT_BLOCK_SIZE, block_size_for, check_size, new_footer
from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.hostfile import O_PLAIN, Host, HostFile, retried
from pcemu.drives.newfile import Part, write_new
from pcemu.drives.parents import places_for, url_locators, url_name
from pcemu.drives.probe import Format
from pcemu.drives.sparse import ALIGNMENT, SparseLayer, bit_runs
from pcemu.drives.vhd_header import bitmap_size
from pcemu.errors import ImageFormatError

UNIT_SECTORS = 128
UNIT_SIZE = UNIT_SECTORS * SECTOR_SIZE
PAGE_SECTORS = 4096  # looked at together: 512 bytes of bits
PAGE_UNITS = PAGE_SECTORS // UNIT_SECTORS
UNIT_BITS = b"\xff" * (UNIT_SECTORS // 8)
PUBLISH_EVERY = 0.2  # s
VERSION = 1
ZERO_UNIT = bytes(UNIT_SIZE)
NAMESPACE = uuid.UUID("5a0f0d0e-9f0b-5c0c-8b7e-6f3d1a9c2e44")  # ours, drawn once


class Origin(NamedTuple):
    """Which remote image, in which version, a cache is of; ``size`` is the file's there, in bytes."""

    url: str
    size: int
    version: str
    format: Format
    sectors: int
    geometry: Geometry | None

    @property
    def unique_id(self) -> bytes:
        """The id by which children know the image: the same on every computer, until the image changes."""
        return uuid.uuid5(NAMESPACE, json.dumps([self.url, self.size, self.version])).bytes

    def pack(self) -> bytes:
        """As the cache keeps it."""
        return json.dumps({"pcemu": VERSION, **self._asdict()}).encode()


def unpack_origin(data: bytes, path: str) -> Origin:
    """What :meth:`Origin.pack` made; ImageFormatError."""
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields.pop("pcemu") != VERSION:
            raise ValueError("of another version")
        fields["format"] = Format(fields["format"])
        geometry = fields["geometry"]
        fields["geometry"] = None if geometry is None else Geometry(*geometry)
        return Origin(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise ImageFormatError(
            f"{path}: does not tell which image it is a cache of ({error}); remove it: what is built on it "
            f"finds the image again by its address"
        ) from error


def create_cache(path: str, origin: Origin, host: Host) -> None:
    """An empty cache for a remote image; UsageError when there is one."""
    size = origin.sectors * SECTOR_SIZE
    check_size(path, size)
    block_size = block_size_for(path, size, None, DEFAULT_BLOCK_SIZE)
    footer = new_footer(layout.TYPE_DIFFERENCING, size, layout.FOOTER_SIZE)
    footer = footer._replace(unique_id=origin.unique_id)
    if origin.geometry is not None:
        cylinders, heads, sectors = origin.geometry
        footer = footer._replace(cylinders=cylinders, heads=heads, sectors_per_track=sectors)
    locators = [*url_locators(origin.url), (layout.LOCATOR_CACHE, origin.pack())]
    after_header = layout.FOOTER_SIZE + layout.HEADER_SIZE
    places, locator_data = places_for(locators, after_header)
    entries = -(-size // block_size)
    header = layout.Header(
        bat_offset=after_header + len(locator_data),
        bat_entries=entries,
        block_size=block_size,
        parent_id=origin.unique_id,
        parent_name=url_name(origin.url),
        locators=tuple(places),
    )
    bat, end = _places(header)
    packed = footer.pack()
    parts: list[Part] = [(0, packed + header.pack() + locator_data + bat), (end, packed)]
    write_new(path, parts, host)


def _places(header: layout.Header) -> tuple[bytes, int]:
    """The BAT of a file that has all blocks, and the byte behind the last."""
    bitmap = bitmap_size(header.block_size)
    end = header.bat_offset + -(-header.bat_entries * layout.BAT_ENTRY_SIZE // SECTOR_SIZE) * SECTOR_SIZE
    entries = []
    for _ in range(header.bat_entries):
        data = -(-(end + bitmap) // ALIGNMENT) * ALIGNMENT
        entries.append((data - bitmap) // SECTOR_SIZE)
        end = data + header.block_size
    bat = b"".join(entry.to_bytes(layout.BAT_ENTRY_SIZE, "big") for entry in entries)
    return bat.ljust(-(-len(bat) // SECTOR_SIZE) * SECTOR_SIZE, b"\xff"), end


class CacheFile:
    """An open cache: which units it has, reading them, adding some. Threads may use it together.

    ``layer`` is the file as a VHD, opened read-only under a shared lock, which stays the caller's.
    """

    def __init__(self, layer: SparseLayer, host: Host) -> None:
        self._layer = layer
        self._file = layer.file
        self._bits = bitmap_size(layer.header.block_size)
        self._block_pages = max(1, layer.block_sectors // PAGE_SECTORS)
        self._lock = threading.Lock()
        self._pages: dict[int, int] = {}  # of each page that was looked at, the units that are here
        self._unsynced: set[int] = set()
        self._publisher: threading.Thread | None = None
        self._closing = threading.Event()
        fd = retried(host.calls.open, layer.file.path, os.O_RDWR | O_PLAIN)
        self._writing = HostFile(host.calls, fd, layer.file.path, read_only=False)
        self._writing.read_bytes(0, 1)  # has the host note the time, by which the longest unused is told

    def has(self, unit: int) -> bool:
        """True when the unit is here."""
        page, number = divmod(unit, PAGE_UNITS)
        found = self._pages.get(page)
        if found is None:
            found = self._look(page)
        return bool(found >> number & 1)

    def look_again(self, unit: int) -> bool:
        """As :meth:`has`, also when another process has fetched it meanwhile."""
        self._look(unit // PAGE_UNITS)
        return self.has(unit)

    def _look(self, page: int) -> int:
        bits = self._file.read_bytes(self._bits_at(page * PAGE_UNITS), PAGE_SECTORS // 8)
        size = len(UNIT_BITS)
        found = sum(
            1 << unit for unit in range(PAGE_UNITS) if bits[unit * size : (unit + 1) * size] == UNIT_BITS
        )
        with self._lock:
            found |= self._pages.get(page, 0)
            self._pages[page] = found
        return found

    def _bits_at(self, unit: int) -> int:
        """Where the bits of a unit lie."""
        lba = unit * UNIT_SECTORS
        block = lba // self._layer.block_sectors * self._layer.block_sectors
        return self._layer.locate(block) - self._bits + (lba - block) // 8

    def read(self, unit: int, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from byte ``start`` of a unit that is here; it may reach into the next ones."""
        self._file.read(buffer, self._layer.locate(unit * UNIT_SECTORS) + start)

    def together(self, unit: int, stop: int) -> int:
        """The first unit up to ``stop`` that is not here, or does not lie in one row with ``unit``."""
        per_block = self._layer.block_sectors // UNIT_SECTORS
        stop = min(stop, (unit // per_block + 1) * per_block)
        while unit < stop and self.has(unit):
            unit += 1
        return unit

    def add(self, unit: int, data: bytes | bytearray | memoryview) -> None:
        """Keep a unit; OSError from the host, and then it is not here."""
        offset = self._layer.locate(unit * UNIT_SECTORS)
        if ZERO_UNIT[: len(data)] != data:  # others are a hole already
            self._writing.write(data, offset)
        with self._lock:
            self._pages[unit // PAGE_UNITS] = self._pages.get(unit // PAGE_UNITS, 0) | 1 << unit % PAGE_UNITS
            self._unsynced.add(unit)
            if self._publisher is None:
                self._publisher = threading.Thread(target=self._publish_often, name="cache", daemon=True)
                self._publisher.start()

    def _publish_often(self) -> None:
        while not self._closing.wait(PUBLISH_EVERY):
            try:
                self.publish()
            except OSError:  # close() tells
                return

    def publish(self) -> None:
        """Make what was added last, and let other processes see it."""
        with self._lock:
            units, self._unsynced = self._unsynced, set()
        if not units:
            return
        try:
            self._writing.sync()
            for first, count in _runs_in_pages(sorted(units)):
                self._writing.write(UNIT_BITS * count, self._bits_at(first))
        except OSError:
            with self._lock:
                self._unsynced |= units
            raise

    def clear(self) -> None:
        """Forget all units. Only for who has the file alone: others would still believe in the bits."""
        blocks = list(_touched_blocks(self._layer))
        for _, start in blocks:
            self._writing.zero(start, self._bits)
        self._writing.sync()
        for _, start in blocks:
            self._writing.zero(start + self._bits, self._layer.header.block_size)
        self._pages.clear()

    def size(self) -> int:
        """Bytes that the cache takes on its disk."""
        return allocated(self._writing.status())

    def close(self) -> None:
        """Publish, and let go of the file that is written through."""
        self._closing.set()
        if self._publisher is not None:
            self._publisher.join()
        if self._writing.fd >= 0:
            try:
                self.publish()
            finally:
                self._writing.close()


def allocated(status: os.stat_result) -> int:
    """Bytes that a file takes on its disk."""
    blocks: int = getattr(status, "st_blocks", -1)
    return blocks * 512 if blocks >= 0 else status.st_size


def _runs_in_pages(units: list[int]) -> list[tuple[int, int]]:
    """Neighbours together, (first, how many), as far as their bits are."""
    runs: list[tuple[int, int]] = []
    for unit in units:
        if runs and unit == sum(runs[-1]) and unit % PAGE_UNITS:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((unit, 1))
    return runs


def units_of(sectors: int) -> int:
    """How many units a drive has; the last may be shorter."""
    return -(-sectors // UNIT_SECTORS)


def unit_sectors(unit: int, sectors: int) -> int:
    """Sectors of a unit that are inside a drive."""
    return min(UNIT_SECTORS, sectors - unit * UNIT_SECTORS)


def cached_units(layer: SparseLayer) -> Iterator[int]:
    """The units that a cache file has, ascending."""
    for block, _ in _touched_blocks(layer):
        first = block * layer.block_sectors
        for base in range(first, min(first + layer.block_sectors, layer.sectors), layer.page_sectors):
            for start, stop in bit_runs(layer.owned(base, layer.page_sectors), layer.page_sectors):
                yield from range((base + start) // UNIT_SECTORS, units_of(base + stop))


def _touched_blocks(layer: SparseLayer) -> Iterator[tuple[int, int]]:
    """(number, offset of its bitmap) of each block whose bitmap, or data, are no hole, ascending."""
    size = bitmap_size(layer.header.block_size)
    starts = [layer.locate(block * layer.block_sectors) - size for block in layer.blocks()]
    at = 0
    for first, stop in layer.file.data_runs(starts[0], layer.file.size()):
        at = max(at, bisect_right(starts, first) - 1)
        while at < len(starts) and starts[at] < stop:
            yield at, starts[at]
            at += 1


def out_of_room(error: OSError) -> bool:
    """Is the disk of the cache full, or may no more be written there?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
