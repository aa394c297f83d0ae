"""Which parts of a disk are partitions: the master boot record's four entries, and the chain of logical ones.

A master boot record has at byte 446 four entries of 16 bytes and at 510 the signature 55h AAh. An entry of
an extended type holds more partitions: a chain of records, each with one *logical* partition and a link to
the next record. A disk without a table may be one volume from its first sector on.

**Not implemented**: GUID partition tables; such a disk has one partition of type EEh.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Drive

TABLE = 446
ENTRY = struct.Struct("<B3sB3sII")
SIGNATURE = b"\x55\xaa"
SIGNATURE_AT = 510
ACTIVE = 0x80
EMPTY = 0x00
EXTENDED_TYPES = (0x05, 0x0F, 0x85)
DOS_TYPES = (0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E)
MAX_LOGICAL = 128
JUMPS = (0xEB, 0xE9)
FIRST_LETTER = ord("C")

TYPE_NAMES = {
    0x01: "FAT12",
    0x04: "FAT16",
    0x06: "FAT16",
    0x07: "NTFS, exFAT or HPFS",
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x82: "Linux swap",
    0x83: "Linux",
    0xA5: "FreeBSD",
    0xEE: "GUID partition table",
}


class Partition(NamedTuple):
    """``number`` counts as Linux does: 1 to 4 in the table, from 5 on the logical ones; 0 is the whole disk.

    ``start`` and ``sectors`` in sectors of 512 bytes.
    """

    number: int
    type: int
    active: bool
    start: int
    sectors: int

    @property
    def type_name(self) -> str:
        """What the type says that is inside."""
        return TYPE_NAMES.get(self.type, f"type {self.type:02X}h")


class PartitionTable(NamedTuple):
    """``partitions`` in the order of their numbers; ``problems`` says what of the table makes no sense."""

    partitions: list[Partition]
    problems: list[str]
    records: list[int]
    """The sectors that the table itself lies in."""


class _Slot(NamedTuple):
    active: bool
    type: int
    start: int
    sectors: int


def read_partitions(drive: Drive) -> PartitionTable:
    """The partitions of a disk. OSError from the host."""
    record = _read(drive, 0)
    if record[SIGNATURE_AT:] != SIGNATURE:
        whole = [Partition(0, EMPTY, False, 0, drive.sectors)] if _is_boot_sector(record) else []
        return PartitionTable(whole, [], [0])
    slots = _slots(record)
    if _is_boot_sector(record) and not _sensible(slots, drive.sectors):
        return PartitionTable([Partition(0, EMPTY, False, 0, drive.sectors)], [], [0])
    table = PartitionTable([], [], [0])
    for number, slot in enumerate(slots, 1):
        if slot.type == EMPTY or not slot.sectors:
            continue
        if slot.start + slot.sectors > drive.sectors:
            table.problems.append(f"partition {number} ends behind the disk's end")
        if slot.type in EXTENDED_TYPES:
            _read_logical(drive, slot, table)
        else:
            _add(drive, table, number, slot, 0)
    table.partitions.sort()
    return table


def _read_logical(drive: Drive, extended: _Slot, table: PartitionTable) -> None:
    """Follow the chain of an extended partition, whose links count from its start."""
    place = extended.start
    number = max([4, *(partition.number for partition in table.partitions)]) + 1
    for _ in range(MAX_LOGICAL):
        if place >= drive.sectors or place in table.records:
            table.problems.append("the chain of logical partitions leads outside the disk or in a circle")
            return
        record = _read(drive, place)
        if record[SIGNATURE_AT:] != SIGNATURE:
            table.problems.append("the chain of logical partitions is broken")
            return
        table.records.append(place)
        logical, link = _slots(record)[:2]
        if logical.type != EMPTY and logical.sectors:
            _add(drive, table, number, logical, place)
            number += 1
        if link.type not in EXTENDED_TYPES:
            return
        place = extended.start + link.start
    table.problems.append(f"there are more than {MAX_LOGICAL} logical partitions")


def _add(drive: Drive, table: PartitionTable, number: int, slot: _Slot, base: int) -> None:
    start = base + slot.start
    if start < drive.sectors:
        sectors = min(slot.sectors, drive.sectors - start)
        table.partitions.append(Partition(number, slot.type, slot.active, start, sectors))


def _slots(record: bytes) -> list[_Slot]:
    slots = []
    for at in range(TABLE, SIGNATURE_AT, ENTRY.size):
        status, _, kind, _, start, sectors = ENTRY.unpack_from(record, at)
        slots.append(_Slot(status == ACTIVE, kind, start, sectors))
    return slots


def _sensible(slots: list[_Slot], sectors: int) -> bool:
    """True when what lies where the table would be can be one: a boot sector has code there."""
    used = [slot for slot in slots if slot.type != EMPTY]
    return bool(used) and all(0 < slot.start < sectors and slot.sectors for slot in used)


def _is_boot_sector(record: bytes) -> bool:
    """True for a DOS boot sector: it begins with a jump and says 512 bytes for a sector."""
    return record[0] in JUMPS and record[11:13] == struct.pack("<H", SECTOR_SIZE)


def _read(drive: Drive, lba: int) -> bytes:
    sector = bytearray(SECTOR_SIZE)
    drive.read(lba, sector)
    return bytes(sector)


def drive_letters(disks: Sequence[Sequence[Partition]]) -> list[dict[int, str]]:
    """The letters that DOS gives the partitions of its disks: for each disk, by the partition's number.

    First one primary of each disk (the active one, or its first), then all logical ones, then the rest.
    """
    ranks: list[tuple[int, int, int]] = []  # round, disk, number
    for disk, partitions in enumerate(disks):
        usable = [each for each in partitions if each.type in DOS_TYPES or each.number == 0]
        primary = [each for each in usable if each.number <= 4]
        first = next((each for each in primary if each.active), primary[0] if primary else None)
        for each in usable:
            turn = 0 if each is first else 1 if each.number > 4 else 2
            ranks.append((turn, disk, each.number))
    letters: list[dict[int, str]] = [{} for _ in disks]
    for count, (_, disk, number) in enumerate(sorted(ranks)):
        if FIRST_LETTER + count <= ord("Z"):
            letters[disk][number] = f"{chr(FIRST_LETTER + count)}:"
    return letters
