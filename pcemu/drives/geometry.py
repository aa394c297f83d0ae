"""CHS geometry of a disk: guessed from its size, or learned from the partition table it carries.

An image has no label that says how many heads it was made with, but DOS and its boot sectors count in
cylinders, heads and sectors. Every partition table entry gives the first and the last sector of a
partition twice, as CHS and as LBA; together they tell the heads and sectors that its maker used. A DOS boot
sector gives them in so many words, but programs that only ever use LBA put there what they like, so that it
is asked second.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry

MAX_CYLINDERS = 16383
ATA_HEADS = 16
MAX_HEADS = 255  # 256 would fit the field, but DOS fails on it
MAX_SECTORS = 63

TABLE_OFFSET = 0x1BE
ENTRY_SIZE = 16
ENTRIES = 4
SIGNATURE = b"\x55\xaa"
INACTIVE, ACTIVE = 0x00, 0x80
TYPE_EMPTY = 0x00
TYPE_GPT_PROTECTIVE = 0xEE
LAST_CYLINDER = 1023  # of the ten bits in an entry; what lies further out is clipped to it

JUMPS = (0xEB, 0xE9)  # how the boot sector of a DOS volume begins
BYTES_PER_SECTOR_AT = 11
SECTORS_AND_HEADS_AT = 24


class _Point(NamedTuple):
    """One sector, named both ways."""

    cylinder: int
    head: int
    sector: int
    lba: int

    def fits(self, heads: int, sectors: int) -> bool:
        """True when both names mean the same sector on a disk of ``heads`` and ``sectors``."""
        if self.head >= heads or not 1 <= self.sector <= sectors:
            return False
        if self.lba >= (LAST_CYLINDER + 1) * heads * sectors:
            return self.cylinder == LAST_CYLINDER
        return self.lba == (self.cylinder * heads + self.head) * sectors + self.sector - 1


class _Entry(NamedTuple):
    """A partition: its first and its last sector."""

    active: bool
    first: _Point
    last: _Point


def geometry_for(sectors: int, first_sector: bytes | None, fallback: Geometry | None = None) -> Geometry:
    """The geometry of a disk of ``sectors`` sectors whose sector 0 holds ``first_sector`` (None: unknown).

    Heads and sectors come from the partition table when its entries agree on them, else the geometry is
    ``fallback``, or what ATA drives use: 16 heads of 63 sectors. Cylinders beyond 16383 and an incomplete
    last one are left out.
    """
    shape = _shape_from_table(sectors, first_sector) if first_sector is not None else None
    if shape is None:
        return fallback or default_geometry(sectors)
    return _with_shape(sectors, *shape)


def logical_geometry(drive: Drive) -> Geometry | None:
    """The geometry that software on the disk counts with; None when nothing there tells.

    From the partition table, else from the boot sector of the active or first partition, or of a disk that is
    one volume without a table. OSError from the host.
    """
    first = _sector(drive, 0)
    shape = _shape_from_table(drive.sectors, first)
    if shape is None:
        entries = _entries(drive.sectors, first)
        start = min(entries, key=lambda entry: not entry.active).first.lba if entries else 0
        shape = _shape_from_boot_sector(drive.sectors, _sector(drive, start))
    return None if shape is None else _with_shape(drive.sectors, *shape)


def _sector(drive: Drive, lba: int) -> bytes:
    buffer = bytearray(SECTOR_SIZE)
    drive.read(lba, buffer)
    return bytes(buffer)


def _shape_from_boot_sector(sectors: int, boot: bytes) -> tuple[int, int] | None:
    (size,) = struct.unpack_from("<H", boot, BYTES_PER_SECTOR_AT)
    per_track, heads = struct.unpack_from("<HH", boot, SECTORS_AND_HEADS_AT)
    usual = boot[0] in JUMPS and size == SECTOR_SIZE and 1 <= per_track <= MAX_SECTORS
    return (heads, per_track) if usual and 1 <= heads <= MAX_HEADS and heads * per_track <= sectors else None


def default_geometry(sectors: int) -> Geometry:
    """16 heads of 63 sectors; fewer when not even one such cylinder fits."""
    per_track = max(1, min(MAX_SECTORS, sectors))
    heads = max(1, min(ATA_HEADS, sectors // per_track))
    return _with_shape(sectors, heads, per_track)


def _with_shape(sectors: int, heads: int, per_track: int) -> Geometry:
    return Geometry(max(1, min(MAX_CYLINDERS, sectors // (heads * per_track))), heads, per_track)


def _shape_from_table(sectors: int, first_sector: bytes) -> tuple[int, int] | None:
    """(heads, sectors per track) that the partition table was made with, when it tells."""
    entries = _entries(sectors, first_sector)
    if not entries:
        return None
    points = [point for entry in entries for point in (entry.first, entry.last)]
    fitting = {shape for shape in _candidates(points) if all(point.fits(*shape) for point in points)}
    if len(fitting) > 1:
        # Partitions inside the first cylinder fit any number of heads; they end where the cylinder does.
        fitting &= {(entry.last.head + 1, entry.last.sector) for entry in entries}
    if len(fitting) != 1:
        return None
    heads, per_track = fitting.pop()
    return (heads, per_track) if heads * per_track <= sectors else None


def _entries(sectors: int, first_sector: bytes) -> list[_Entry]:
    """The partitions in a table; nothing when this is none."""
    if len(first_sector) < SECTOR_SIZE or first_sector[SECTOR_SIZE - 2 : SECTOR_SIZE] != SIGNATURE:
        return []
    entries = []
    for offset in range(TABLE_OFFSET, TABLE_OFFSET + ENTRIES * ENTRY_SIZE, ENTRY_SIZE):
        entry = first_sector[offset : offset + ENTRY_SIZE]
        if entry[0] not in (INACTIVE, ACTIVE):
            return []
        start = int.from_bytes(entry[8:12], "little")
        count = int.from_bytes(entry[12:16], "little")
        if entry[4] in (TYPE_EMPTY, TYPE_GPT_PROTECTIVE) or count == 0:
            continue
        if start == 0 or start + count > sectors:
            return []
        last = _point(entry[5:8], start + count - 1)
        entries.append(_Entry(entry[0] == ACTIVE, _point(entry[1:4], start), last))
    return entries


def _point(chs: bytes, lba: int) -> _Point:
    """The three CHS bytes of an entry: head, sector with the cylinder's high bits, cylinder."""
    head, sector, cylinder = chs
    return _Point((sector & 0xC0) << 2 | cylinder, head, sector & 0x3F, lba)


def _candidates(points: list[_Point]) -> Iterator[tuple[int, int]]:
    """All shapes that could satisfy ``points``: those a point beyond cylinder 0 allows, and head + 1."""
    for point in points:
        yield point.head + 1, point.sector
        for per_track in range(max(1, point.sector), MAX_SECTORS + 1):
            tracks, rest = divmod(point.lba - point.sector + 1, per_track)
            if rest == 0 and point.cylinder and (tracks - point.head) % point.cylinder == 0:
                heads = (tracks - point.head) // point.cylinder
                if 1 <= heads <= MAX_HEADS:
                    yield heads, per_track
