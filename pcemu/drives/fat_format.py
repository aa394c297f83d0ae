"""Making disks: a partition table with one FAT partition, and the empty FAT volume in it.

Sizes follow what DOS' own FORMAT does, so that every DOS takes such a volume: clusters as small as the number
that FAT16 can count allows, 512 entries in the root directory, two FATs. Facts from Microsoft's FAT
specification 1.03.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry
from pcemu.drives.fat import (
    BOOT,
    BOOT_32,
    BOOT_32_AT,
    BOOT_AT,
    ENTRY_SIZE,
    MAX_CLUSTERS_12,
    MAX_CLUSTERS_16,
    MAX_FAT_BYTES,
    Volume,
    parse_boot_sector,
)
from pcemu.drives.fat_writer import FSINFO_FREE_AT, FSINFO_SIGNATURES, FatWriter
from pcemu.drives.partitions import ACTIVE, ENTRY, SIGNATURE, SIGNATURE_AT, TABLE
from pcemu.errors import UsageError

MIN_SIZE = 1 << 20
FAT16_FROM = 32_680  # sectors; below, DOS makes FAT12
FAT32_FROM = 512 << 20  # where DOS begins to prefer it
FAT16_TO = 2 << 30
FAT16_SECTORS = (MAX_CLUSTERS_16 - 16) * 64
# What BIOSes make of a disk of up to so many bytes.
HEADS_FROM = ((16, 504 << 20), (32, 1008 << 20), (64, 2016 << 20), (128, 4032 << 20))
MAX_HEADS = 255
PER_TRACK = 63
MAX_CYLINDERS = 1024
BEYOND_CHS = b"\xfe\xff\xff"

OEM_NAME = b"PCEMU1.0"
NO_SYSTEM_JUMP = b"\xeb\x58\x90"  # over the largest table
MEDIA = 0xF8
FATS = 2
ROOT_ENTRIES = 512
RESERVED = {12: 1, 16: 1, 32: 32}
HARD_DISK = 0x80
EXTENDED_SIGNATURE = 0x29
TAIL = struct.Struct("<BBBI11s8s")  # drive number … type, behind the rest of the table
TAIL_AT = {12: 36, 16: 36, 32: 64}
CODE_AT = {12: 62, 16: 62, 32: 90}
NO_SYSTEM_AT = 90
ROOT_CLUSTER, FSINFO, BACKUP = 2, 1, 6
FIRST_ENTRIES = {  # the medium, the end mark, and for FAT32 the chain of the root directory
    12: b"\xf8\xff\xff",
    16: b"\xf8\xff\xff\xff",
    32: b"\xf8\xff\xff\x0f" + 2 * b"\xff\xff\xff\x0f",
}
BOOT_32_END = struct.Struct("<HH12x")
NO_LABEL = b"NO NAME    "
# The spare clusters keep the number away from the edges between the kinds, where programs differ.
EDGE = 16
CHUNK = 1 << 20


class Shape(NamedTuple):
    """How a volume is laid out; in sectors."""

    kind: int
    cluster_sectors: int
    fat_sectors: int


class System(NamedTuple):
    """What makes a volume start a system: its kind, and a boot sector to take the code from."""

    kind: int
    boot_sector: bytes


def geometry_of(size: int) -> Geometry:
    """The geometry that BIOSes show for a disk of ``size`` bytes."""
    heads = next((heads for heads, most in HEADS_FROM if size <= most), MAX_HEADS)
    return Geometry(size // (heads * PER_TRACK * SECTOR_SIZE), heads, PER_TRACK)


def system_of(drive: Drive, start: int, sectors: int) -> System:
    """The boot sector of a volume, to start another one with; NotFat."""
    boot = bytearray(SECTOR_SIZE)
    drive.read(start, boot)
    return System(parse_boot_sector(bytes(boot), sectors).kind, bytes(boot))


def shape_of(sectors: int, kind: int | None) -> Shape:
    """The layout for a volume; of the usual kind for its size when ``kind`` is None. UsageError."""
    if kind is None:
        kind = 32 if sectors * SECTOR_SIZE > FAT32_FROM else 16 if sectors >= FAT16_FROM else 12
    found = _cluster_sectors(sectors, kind)
    if found is None:
        raise UsageError(
            f"a FAT{kind} partition of {sectors * SECTOR_SIZE >> 20} MiB is not possible, expected one that "
            f"holds {_range_of(kind)}; choose another --size"
        )
    return Shape(kind, found, _fat_sectors(sectors, kind, found))


def _range_of(kind: int) -> str:
    return {12: "up to 127 MiB", 16: "4 MiB to 2047 MiB", 32: "40 MiB to 500 GiB"}[kind]


def _cluster_sectors(sectors: int, kind: int) -> int | None:
    usual = {12: (8, 16, 32, 64, 4, 2, 1), 16: (4, 8, 16, 32, 64, 2, 1), 32: (8, 16, 32, 64, 4, 2, 1)}[kind]
    for cluster_sectors in usual:
        fat = _fat_sectors(sectors, kind, cluster_sectors)
        clusters = (sectors - _overhead(kind, fat)) // cluster_sectors
        least = {12: 1, 16: MAX_CLUSTERS_12 + EDGE, 32: MAX_CLUSTERS_16 + EDGE}[kind]
        most = {12: MAX_CLUSTERS_12 - EDGE, 16: MAX_CLUSTERS_16 - EDGE, 32: MAX_FAT_BYTES // 4 - EDGE}[kind]
        if least <= clusters <= most:
            return cluster_sectors
    return None


def _overhead(kind: int, fat_sectors: int) -> int:
    root = 0 if kind == 32 else ROOT_ENTRIES * ENTRY_SIZE // SECTOR_SIZE
    return RESERVED[kind] + FATS * fat_sectors + root


def _fat_sectors(sectors: int, kind: int, cluster_sectors: int) -> int:
    """Enough for all clusters, however many the FATs themselves leave."""
    clusters = max(0, sectors - _overhead(kind, 0)) // cluster_sectors + 2
    return -(-clusters * kind // 8 // SECTOR_SIZE) + 1


def partition_disk(drive: Drive, kind: int | None, mbr_code: bytes) -> tuple[int, int, Geometry, Shape]:
    """Write a table with one active FAT partition over the whole disk: (first sector, sectors, …)."""
    size = drive.sectors * SECTOR_SIZE
    geometry = geometry_of(size)
    per_cylinder = geometry.heads * PER_TRACK
    if size < MIN_SIZE or geometry.cylinders < 2:
        raise UsageError(f"a disk of {size} bytes is too small, expected {MIN_SIZE} at least")
    start, stop = PER_TRACK, geometry.cylinders * per_cylinder
    if kind == 16 and size <= FAT16_TO:  # 2 GiB is a little more than FAT16 can count
        stop = min(stop, FAT16_SECTORS // per_cylinder * per_cylinder)
    shape = shape_of(stop - start, kind)
    record = bytearray(SECTOR_SIZE)
    record[: len(mbr_code)] = mbr_code
    within = stop <= MAX_CYLINDERS * per_cylinder
    entry = ENTRY.pack(
        ACTIVE,
        _chs(start, geometry),
        _type_of(shape.kind, stop - start, within),
        _chs(stop - 1, geometry),
        start,
        stop - start,
    )
    record[TABLE : TABLE + ENTRY.size] = entry
    record[SIGNATURE_AT:] = SIGNATURE
    drive.write(0, record)
    return start, stop - start, geometry, shape


def _type_of(kind: int, sectors: int, within_chs: bool) -> int:
    if kind == 32:
        return 0x0B if within_chs else 0x0C
    if not within_chs:
        return 0x0E
    if kind == 12:
        return 0x01
    return 0x04 if sectors < 1 << 16 else 0x06


def _chs(lba: int, geometry: Geometry) -> bytes:
    cylinder, rest = divmod(lba, geometry.heads * geometry.sectors)
    if cylinder >= MAX_CYLINDERS:
        return BEYOND_CHS
    head, sector = divmod(rest, geometry.sectors)
    return bytes((head, sector + 1 | cylinder >> 8 << 6, cylinder & 0xFF))


def format_volume(
    drive: Drive,
    start: int,
    sectors: int,
    shape: Shape,
    geometry: Geometry,
    *,
    code: System | bytes,
    label: str,
    serial: int,
    stamp: int,
) -> None:
    """Make an empty volume. ``code`` starts a system, or is nosystem.asm's; ``label`` may be empty."""
    raw_label = label_bytes(label) if label else NO_LABEL
    kind, fat_start = shape.kind, RESERVED[shape.kind]
    boot = _boot_sector(start, sectors, shape, geometry, code, raw_label, serial)
    _zero(drive, start, _overhead(kind, shape.fat_sectors) + (shape.cluster_sectors if kind == 32 else 0))
    drive.write(start, boot)
    for copy in range(FATS):
        first = FIRST_ENTRIES[kind].ljust(SECTOR_SIZE, b"\0")
        drive.write(start + fat_start + copy * shape.fat_sectors, first)
    if kind == 32:
        _write_fsinfo(drive, start, boot)
    writer = FatWriter(drive, start, sectors)
    if label:
        writer.set_label(raw_label, stamp)
    writer.finish()
    assert Volume(drive, start, sectors).layout.kind == kind


def label_bytes(label: str) -> bytes:
    """Eleven bytes; UsageError when DOS could not show them."""
    allowed = label.isascii() and label.isprintable() and not set('"*+,./:;<=>?[\\]|').intersection(label)
    if not allowed or not 1 <= len(label) <= 11:
        raise UsageError(f"{label!r}: cannot be a disk's label, expected up to 11 letters, digits and blanks")
    return label.upper().encode("ascii").ljust(11)


def _boot_sector(
    start: int,
    sectors: int,
    shape: Shape,
    geometry: Geometry,
    code: System | bytes,
    label: bytes,
    serial: int,
) -> bytes:
    kind = shape.kind
    boot = bytearray(SECTOR_SIZE)
    if isinstance(code, System):
        assert code.kind == kind, "code reads one kind of FAT only"
        boot[:] = code.boot_sector
        boot[BOOT_AT : CODE_AT[kind]] = bytes(CODE_AT[kind] - BOOT_AT)
    else:
        boot[: len(NO_SYSTEM_JUMP)] = NO_SYSTEM_JUMP
        boot[3:BOOT_AT] = OEM_NAME
        boot[NO_SYSTEM_AT : NO_SYSTEM_AT + len(code)] = code
    small = sectors if sectors < 1 << 16 and kind != 32 else 0
    BOOT.pack_into(
        boot,
        BOOT_AT,
        SECTOR_SIZE,
        shape.cluster_sectors,
        RESERVED[kind],
        FATS,
        0 if kind == 32 else ROOT_ENTRIES,
        small,
        MEDIA,
        0 if kind == 32 else shape.fat_sectors,
        geometry.sectors,
        geometry.heads,
        start,
        0 if small else sectors,
    )
    if kind == 32:
        BOOT_32.pack_into(boot, BOOT_32_AT, shape.fat_sectors, 0, 0, ROOT_CLUSTER)
        BOOT_32_END.pack_into(boot, BOOT_32_AT + BOOT_32.size, FSINFO, BACKUP)
    name = f"FAT{kind}".encode().ljust(8)
    TAIL.pack_into(boot, TAIL_AT[kind], HARD_DISK, 0, EXTENDED_SIGNATURE, serial, label, name)
    boot[SIGNATURE_AT:] = SIGNATURE
    return bytes(boot)


def _write_fsinfo(drive: Drive, start: int, boot: bytes) -> None:
    """FAT32's second sector, and the copies of both; the writer counts the free clusters."""
    info = bytearray(SECTOR_SIZE)
    for at, signature in FSINFO_SIGNATURES:
        info[at : at + 4] = signature
    struct.pack_into("<II", info, FSINFO_FREE_AT, 0xFFFFFFFF, 0xFFFFFFFF)
    info[SIGNATURE_AT:] = SIGNATURE
    third = bytes(SIGNATURE_AT) + SIGNATURE
    for place in (0, BACKUP):
        drive.write(start + place, boot + bytes(info) + third)


def _zero(drive: Drive, start: int, sectors: int) -> None:
    zeros = bytes(CHUNK)
    for lba in range(start, start + sectors, CHUNK // SECTOR_SIZE):
        drive.write(lba, zeros[: (start + sectors - lba) * SECTOR_SIZE])
