"""FreeDOS prepares disks on our machine: FDISK, FORMAT and SYS; such a disk boots alone."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.conftest import require
from tests.guests.freedos import FIRST_SECTOR, HARD_DISK_SECTORS, FreeDos, HostView

TWELVE_GIB = 12 << 30
LBA_FAT32 = 0x0C
PARTITION_TABLE = 0x1BE


def format_second_disk(dos: FreeDos, label: str) -> None:
    dos.pc.type("format d: /q /u\n")
    dos.answer("Proceed with format (YES/NO)?", "YES\n")
    dos.answer("Please enter volume label", f"{label}\n")
    dos.wait_for_prompt()
    assert "QuickFormat complete." in dos.pc.screen.text


def test_second_disk_boots_alone(image: Path, tmp_path: Path) -> None:
    second = MemoryDrive(HARD_DISK_SECTORS)
    with FreeDos(image, [second]) as dos:
        dos.run("fdisk /auto 2")
        dos.run("fdisk /mbr 2")
        dos.pc.press("ctrl+alt+del")
        dos.pc.run_until_text("D: HD2, Pri[ 1]")
        dos.wait_for_prompt()
        format_second_disk(dos, "second")
        assert "System transferred." in dos.run("sys d:")
        dos.run("echo copied>d:\\note.txt")
    host = HostView(second, tmp_path)
    host.check()
    assert host.read("NOTE.TXT") == b"copied\r\n"
    assert host.read("KERNEL.SYS")

    with Machine(MachineConfig(disks=[second])) as pc:
        pc.run_until_text("FreeDOS kernel")
        # Without AUTOEXEC.BAT the shell asks for date and time.
        for question in ("Enter new date", "Enter new time"):
            pc.run_until_text(question)
            pc.type("\n")
        pc.run_until_text("C:\\>")
        pc.type("type note.txt\n")
        pc.run_until_text("copied")


def test_disk_of_twelve_gibibytes(image: Path, tmp_path: Path) -> None:
    """FDISK's menus make one FAT32 partition of all of it, which the host reads as such."""
    path = tmp_path / "large.img"
    with path.open("wb") as file:
        file.truncate(TWELVE_GIB)
    with FreeDos(image, [RawDrive(path)]) as dos:
        dos.pc.type("fdisk\n")
        dos.answer("Do you want to use large disk (FAT32) support", "y\n")
        dos.answer("Current fixed disk drive: 1", "5\n")
        dos.answer("Enter Fixed Disk Drive Number", "2\n")
        dos.answer("Current fixed disk drive: 2", "1\n")
        dos.answer("1.  Create Primary DOS Partition", "1\n")
        dos.answer("maximum available size", "y\n")
        dos.pc.run_until_text("Primary DOS Partition created")
        dos.pc.press("escape")
        dos.pc.run_until_text("FDISK Options")
        dos.pc.press("escape")
        dos.pc.run(1)
        dos.pc.press("escape")
        dos.pc.run(1)
        dos.pc.press("ctrl+alt+del")
        dos.pc.run_until_text("D: HD2, Pri[ 1]")
        dos.wait_for_prompt()
        format_second_disk(dos, "large")
        dos.run("echo far away>d:\\note.txt")
        assert "FAR" in dos.run("type d:\\note.txt").upper()

    with path.open("rb") as file:
        table = file.read(SECTOR_SIZE)
    kind, start, size = struct.unpack_from("<4xB3xII", table, PARTITION_TABLE)
    assert (kind, start) == (LBA_FAT32, FIRST_SECTOR)
    assert size > 12_280 << 11
    require(shutil.which("mtype") is not None, "mtype")
    command = ["mtype", "-i", f"{path}@@{FIRST_SECTOR * SECTOR_SIZE}", "::/NOTE.TXT"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"far away\r\n"
