"""A disk that was partitioned for another geometry is shown with it by INT 13h, and boots."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, unpack

TABLE = 446
PARTITION_START_AT = 8

# Says AH=08h's CX and DH for each drive, then the first byte of what it reads at cylinder 1, head 1, sector 2
# of drive 80h, and the words 0, 2 and 14 of the parameter table.
PROBE = """
    bits 16
    org 7C00h
%macro say 1
    mov al, %1
    out 0E9h, al
%endmacro
    xor ax, ax
    mov ds, ax
    mov dl, 80h
each:
    push dx
    mov ah, 8
    int 13h
    pop bx
    say cl
    say ch
    say dh
    mov dx, bx
    inc dx
    cmp dl, 80h + DRIVES
    jb each
    xor ax, ax
    mov es, ax
    mov ax, 0201h
    mov bx, 8000h
    mov cx, 0102h
    mov dx, 0180h
    int 13h
    setc al
    out 0E9h, al
    say [8000h]
    lds si, [41h * 4]
    say [si + 2]
    say [si + 3]
    say [si + 14]
idle:
    hlt
    jmp idle
"""


def entry(heads: int, per_track: int, start: int, count: int, kind: int = 0x06) -> bytes:
    def chs(lba: int) -> bytes:
        cylinder, rest = divmod(lba, heads * per_track)
        head, sector = divmod(rest, per_track)
        if cylinder > 1023:
            cylinder, head, sector = 1023, heads - 1, per_track - 1
        return bytes((head, sector + 1 | cylinder >> 8 << 6, cylinder & 0xFF))

    numbers = start.to_bytes(4, "little") + count.to_bytes(4, "little")
    return b"\x80" + chs(start) + bytes([kind]) + chs(start + count - 1) + numbers


def partitioned(heads: int, per_track: int, cylinders: int) -> MemoryDrive:
    sectors = heads * per_track * cylinders
    data = bytearray(sectors * SECTOR_SIZE)
    data[TABLE : TABLE + 16] = entry(heads, per_track, per_track, sectors - per_track)
    data[510:512] = b"\x55\xaa"
    return MemoryDrive(data)


def probe(disks: list[MemoryDrive]) -> bytes:
    said = bytearray()
    disks[0].data[:TABLE] = assemble(f"DRIVES equ {len(disks)}\n{PROBE}").ljust(TABLE, b"\0")
    with Machine(MachineConfig(disks=disks, debug=said.append)) as pc:
        pc.run_until(lambda: len(said) == 3 * len(disks) + 5, 10)
    return bytes(said)


@pytest.mark.parametrize(
    ("heads", "per_track", "cylinders"), [(255, 63, 5), (64, 32, 40), (16, 63, 30), (4, 17, 99)]
)
def test_the_bios_counts_as_the_table_does(heads: int, per_track: int, cylinders: int) -> None:
    drive = partitioned(heads, per_track, cylinders)
    lba = (heads + 1) * per_track + 1
    drive.data[lba * SECTOR_SIZE] = 0xA7
    said = probe([drive])
    assert said[:3] == bytes((per_track, cylinders - 2, heads - 1))
    assert said[3:5] == b"\0\xa7"
    assert said[5] == heads and said[7] == per_track
    assert said[6] == (0xA0 if heads > 16 else 0)  # translated: what the drive itself counts differs


def test_every_disk_of_four_has_its_own() -> None:
    shapes = [(16, 63), (255, 63), (64, 32), (128, 17)]
    said = probe([partitioned(heads, per_track, 10) for heads, per_track in shapes])
    assert said[: 3 * 4] == b"".join(bytes((per_track, 8, heads - 1)) for heads, per_track in shapes)


def test_without_a_table_the_bios_decides() -> None:
    drive = MemoryDrive(16 * 63 * 10)
    drive.data[510:512] = b"\x55\xaa"
    assert probe([drive])[:3] == bytes((63, 8, 15))


def test_a_geometry_beyond_1024_cylinders_is_cut_off_there() -> None:
    drive = partitioned(2, 4, 1030)
    assert probe([drive])[:3] == bytes((4 | 1022 >> 8 << 6, 1022 & 0xFF, 1))


def test_garbage_in_the_cmos_is_not_believed() -> None:
    drive = partitioned(64, 32, 40)
    said = bytearray()
    drive.data[:TABLE] = assemble(f"DRIVES equ 1\n{PROBE}").ljust(TABLE, b"\0")
    with Machine(MachineConfig(disks=[drive], debug=said.append)) as pc:
        for index in range(0x1B, 0x24):
            pc.rtc.poke(index, random.Random(index).randrange(200, 256))
        pc.run_until(lambda: len(said) == 8, 10)
    assert said[0] & 63 == 63 and said[2] == 15  # the drive's own


@pytest.mark.slow
@pytest.mark.parametrize(("heads", "per_track"), [(255, 63), (64, 32)])
def test_freedos_boots_from_a_disk_of_another_geometry(
    heads: int, per_track: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its boot sector and kernel find the same partition, named by other cylinders, heads and sectors."""
    image: Path = unpack(HARD_DISK, HARD_DISK_SHA256, tmp_path_factory.getbasetemp())
    disk = MemoryOverlay(RawDrive(image, read_only=True))
    first = bytearray(SECTOR_SIZE)
    disk.read(0, first)
    start, count = (
        int.from_bytes(first[TABLE + at : TABLE + at + 4], "little")
        for at in (PARTITION_START_AT, PARTITION_START_AT + 4)
    )
    first[TABLE : TABLE + 16] = entry(heads, per_track, start, count, first[TABLE + 4])
    disk.write(0, first)
    boot = bytearray(SECTOR_SIZE)
    disk.read(start, boot)
    boot[24:28] = per_track.to_bytes(2, "little") + heads.to_bytes(2, "little")
    disk.write(start, boot)
    with Machine(MachineConfig(disks=[disk])) as pc:
        pc.run_until_text("C:\\>")
        assert "WARNING" not in pc.screen.text.upper()
        pc.type("dir /b kernel.sys\n")
        pc.run_until_text("KERNEL.SYS")
