"""The boot code of new disks: what its sources build, and what it does on our machine."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble
from tests.conftest import require
from tools import build_disk

ENTRY = 446


@pytest.mark.parametrize("path", build_disk.BOOT_CODE, ids=lambda path: str(path.stem))
def test_the_code_is_what_the_source_builds(path: Path) -> None:
    require(shutil.which("nasm") is not None, "nasm")
    assert path.read_bytes() == build_disk.build_boot_code(path)


def code(name: str) -> bytes:
    return (build_disk.DISKS / f"{name}.bin").read_bytes()


# Says DL, whether DS:SI is an active entry of where the record moved to, and that it came here.
PARTITION = """
    bits 16
    org 7C00h
    mov al, dl
    out 0E9h, al
    mov al, [si]
    out 0E9h, al
    mov al, [si + 8]
    out 0E9h, al
idle: hlt
    jmp idle
"""


def disk(start: int, active: int = 2, *, boot: bytes | None = None) -> MemoryDrive:
    drive = MemoryDrive(16 * 63 * 4)
    drive.data[: len(code("mbr"))] = code("mbr")
    for number, kind in enumerate((0x80 if active == 1 else 0, 0x80 if active == 2 else 0)):
        entry = struct.pack("<BBBBBBBBII", kind, 1, 1, 0, 6, 15, 63, 3, start, 100)
        drive.data[ENTRY + 16 * number : ENTRY + 16 * (number + 1)] = entry
    drive.data[510:512] = b"\x55\xaa"
    content = assemble(PARTITION).ljust(510, b"\0") + b"\x55\xaa" if boot is None else boot
    drive.data[start * SECTOR_SIZE : (start + 1) * SECTOR_SIZE] = content
    return drive


class Booting(Machine):
    def __init__(self, *disks: MemoryDrive, **config: Any) -> None:
        self.said = bytearray()
        super().__init__(MachineConfig(disks=disks, debug=self.said.append, **config))

    def wait(self, count: int) -> bytes:
        self.run_until(lambda: len(self.said) >= count, 10)
        return bytes(self.said)


def test_the_active_partition_is_started() -> None:
    with Booting(disk(63)) as pc:
        assert pc.wait(3) == b"\x80\x80\x3f"


@pytest.mark.parametrize(
    ("drive", "text"),
    [
        (disk(63, active=0), "No partition of this disk is active."),
        (disk(63, boot=bytes(SECTOR_SIZE)), "The active partition has no boot sector."),
    ],
)
def test_what_cannot_be_started_is_told_and_the_next_disk_tried(drive: MemoryDrive, text: str) -> None:
    with Booting(drive, disk(63)) as pc:
        assert pc.wait(3) == b"\x81\x80\x3f"
        assert text in pc.screen.text


def test_a_sector_that_cannot_be_read() -> None:
    drive = disk(63)
    drive.fail_reads.add(63)
    with Booting(drive, disk(63)) as pc:
        pc.wait(3)
        assert "The active partition cannot be read." in pc.screen.text


def test_a_volume_without_a_system_says_so() -> None:
    boot = b"\xeb\x58\x90".ljust(90, b"\0") + code("nosystem")
    with Booting(disk(63, boot=boot.ljust(510, b"\0") + b"\x55\xaa"), disk(63)) as pc:
        assert pc.wait(3) == b"\x81\x80\x3f"
        assert "This disk has no system to start." in pc.screen.text


def test_a_bios_without_sector_numbers_is_asked_by_cylinders() -> None:
    """A handler in front of INT 13h, which a first boot sector installs, knows no AH=41h."""
    with Booting(_hooking(disk(63))) as pc:
        assert pc.wait(3) == b"\x80\x80\x3f"


def _hooking(drive: MemoryDrive) -> MemoryDrive:
    """The disk's own record, started by one that takes AH=41h and 42h away, from sector 5."""
    drive.data[5 * SECTOR_SIZE : 6 * SECTOR_SIZE] = drive.data[:SECTOR_SIZE]
    source = """
        bits 16
        org 7C00h
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 7000h
        cld
        mov si, 7C00h
        mov di, 5000h
        mov cx, 256
        rep movsw
        jmp 0:5000h + next - 7C00h
    next:
        mov ax, 0201h
        mov bx, 7C00h
        mov cx, 6
        mov dx, 0080h
        int 13h
        mov eax, [13h * 4]
        mov [5000h + old - 7C00h], eax
        mov word [13h * 4], 5000h + hook - 7C00h
        mov word [13h * 4 + 2], 0
        jmp 0:7C00h
    hook:
        cmp ah, 41h
        je refuse
        cmp ah, 42h
        je refuse
        jmp far [cs:5000h + old - 7C00h]
    refuse:
        push bp
        mov bp, sp
        or byte [bp + 6], 1
        pop bp
        iret
    old: dd 0
    """
    start = assemble(source)
    drive.data[:ENTRY] = start.ljust(ENTRY, b"\0")
    return drive
