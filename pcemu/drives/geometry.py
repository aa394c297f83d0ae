"""CHS geometry of a disk: guessed from its size, or learned from the partition table it carries.

An image has no label that says how many heads it was made with, but DOS and its boot sectors count in
cylinders, heads and sectors. Every partition table entry gives the first and the last sector of a
partition twice, as CHS and as LBA; together they tell the heads and sectors that its maker used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Geometry

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


def default_geometry(sectors: int) -> Geometry:
    """16 heads of 63 sectors; fewer when not even one such cylinder fits."""
    per_track = max(1, min(MAX_SECTORS, sectors))
    heads = max(1, min(ATA_HEADS, sectors // per_track))
    return _with_shape(sectors, heads, per_track)


def _with_shape(sectors: int, heads: int, per_track: int) -> Geometry:
    return Geometry(max(1, min(MAX_CYLINDERS, sectors // (heads * per_track))), heads, per_track)


def _shape_from_table(sectors: int, first_sector: bytes) -> tuple[int, int] | None:
    """(heads, sectors per track) that the partition table was made with, when it tells."""
    pairs = _partitions(sectors, first_sector)
    if not pairs:
        return None
    points = [point for pair in pairs for point in pair]
    fitting = {shape for shape in _candidates(points) if all(point.fits(*shape) for point in points)}
    if len(fitting) > 1:
        # Partitions inside the first cylinder fit any number of heads; they end where the cylinder does.
        fitting &= {(last.head + 1, last.sector) for _, last in pairs}
    if len(fitting) != 1:
        return None
    heads, per_track = fitting.pop()
    return (heads, per_track) if heads * per_track <= sectors else None


def _partitions(sectors: int, first_sector: bytes) -> list[tuple[_Point, _Point]]:
    """First and last sector of each partition; nothing when this is no partition table."""
    if len(first_sector) < SECTOR_SIZE or first_sector[SECTOR_SIZE - 2 : SECTOR_SIZE] != SIGNATURE:
        return []
    pairs = []
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
        pairs.append((_point(entry[1:4], start), _point(entry[5:8], start + count - 1)))
    return pairs


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
