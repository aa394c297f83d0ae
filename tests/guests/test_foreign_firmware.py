"""FreeDOS under firmware that nobody here wrote: Debian's SeaBIOS, Bochs' BIOS, and their VGA BIOSes.

The same session under each leaves the same disk, byte for byte, and the same screen.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig
from tests.conftest import require
from tests.guests.freedos import DATE, PROMPT, FreeDos, contents

ROMS = Path("/usr/share")


class Firmware(NamedTuple):
    """ROM files of Debian, by their places below /usr/share, and what they say first."""

    bios: str
    vgabios: str
    banner: str

    def boot(self, image: Path, *others: Drive, **config: Any) -> FreeDos:
        paths = [ROMS / self.bios, ROMS / self.vgabios]
        require(all(path.is_file() for path in paths), f"{self.bios} or {self.vgabios}")
        return FreeDos(image, others, bios=paths[0], vgabios=paths[1], **config)


SEABIOS = Firmware("seabios/bios.bin", "seabios/vgabios-isavga.bin", "SeaBIOS (version")
BOCHS = Firmware("bochs/BIOS-bochs-latest", "vgabios/vgabios.bin", "Press F12 for boot menu.")
SMALL = Firmware("bochs/BIOS-bochs-legacy", "seabios/vgabios-stdvga.bin", "Press F12 for boot menu.")
LARGE = Firmware("seabios/bios-256k.bin", "vgabios/vgabios.bin", "SeaBIOS (version")
ALL = pytest.mark.parametrize("firmware", [SEABIOS, BOCHS, SMALL, LARGE], ids=lambda f: f.bios.split("/")[1])
TWO = pytest.mark.parametrize("firmware", [SEABIOS, BOCHS], ids=lambda f: f.bios.split("/")[1])


def session(dos: FreeDos) -> tuple[str, ...]:
    """Reads, writes and makes files and folders; what the screen showed of it.

    Files carry the time to two seconds, so each command begins at the same.
    """
    said = []
    for command in (
        "xcopy fdos\\bin\\d*.* copy\\",
        "copy /b fdos\\bin\\mem.exe + fdos\\bin\\debug.com both.bin",
        "fc /b copy\\dos32a.exe fdos\\bin\\dos32a.exe",
        "echo a note>copy\\note.txt",
        "del copy\\debug.com",
        "dir copy",
    ):
        dos.run("time 10:00")
        said.append(dos.run(command))
    return tuple(said)


@pytest.fixture(scope="module")
def ours(image: Path) -> tuple[tuple[str, ...], bytes]:
    """The session under pcemu's own BIOS: screens and the disk after it."""
    with FreeDos(image) as dos:
        return session(dos), contents(dos.disk)


@ALL
def test_the_same_session_leaves_the_same_disk(
    firmware: Firmware, image: Path, ours: tuple[tuple[str, ...], bytes]
) -> None:
    with firmware.boot(image) as dos:
        screen = dos.pc.screen
        assert firmware.banner in screen.text
        assert "C: HD1, Pri[ 1], CHS=    0-1-1, start=     0 MB, size=    63 MB" in screen.text
        assert screen.line(screen.cursor.row) == PROMPT
        assert (screen.cursor.column, screen.cursor.visible) == (len(PROMPT), True)
        said = session(dos)
        assert (said, contents(dos.disk)) == ours


@TWO
def test_memory(firmware: Firmware, image: Path) -> None:
    with firmware.boot(image, memory=24) as dos:
        output = dos.run("mem")
    assert re.search(r"^Conventional +639K ", output, re.MULTILINE)
    (extended,) = re.findall(r"^Extended \(XMS\) +([\d,]+)K ", output, re.MULTILINE)
    assert int(extended.replace(",", "")) in (23 * 1024, 23 * 1024 - 64), "Bochs' BIOS keeps 64 KiB for ACPI"


@TWO
def test_time_of_day_and_its_change(firmware: Firmware, image: Path) -> None:
    with firmware.boot(image, date=datetime.datetime(2031, 12, 31, 23, 59, 30)) as dos:
        dos.write("old.txt", "x")
        dos.pc.run(32)
        dos.write("new.txt", "x")
        output = dos.run("dir *.txt")
        assert re.search(r"^OLD      TXT +3  12-31-31 11:59p$", output, re.MULTILINE)
        assert re.search(r"^NEW      TXT +3  01-01-32 12:00a$", output, re.MULTILINE)
        dos.run("date 02-29-2024")
        assert dos.pc.rtc.peek(8) == 0x02 and dos.pc.rtc.peek(7) == 0x29


def ctrl_alt_del(dos: FreeDos) -> None:
    dos.pc.press("ctrl+alt+del")


def jump_to_reset(dos: FreeDos) -> None:
    dos.pc.type("fdisk /reboot\n")


def keyboard_controller(dos: FreeDos) -> None:
    dos.write("reset.txt", "o64 fe")
    dos.pc.type("debug < reset.txt\n")


def reset_button(dos: FreeDos) -> None:
    dos.pc.reset()


@TWO
@pytest.mark.parametrize("restart", [ctrl_alt_del, jump_to_reset, keyboard_controller, reset_button])
def test_restart(firmware: Firmware, restart: Callable[[FreeDos], None], image: Path) -> None:
    told: list[str] = []
    with firmware.boot(image, on_shutdown=told.append) as dos:
        dos.run("set pcemu=here")
        restart(dos)
        dos.pc.run_until_text(firmware.banner)
        dos.pc.run_until_text("FreeDOS kernel")
        dos.wait_for_prompt()
        assert "pcemu" not in dos.run("set").lower()
    assert told == []


@TWO
def test_four_disks_some_beyond_1024_cylinders(firmware: Firmware, image: Path, tmp_path: Path) -> None:
    """INT 13h AH=08h counts them, and tells the geometry that the CMOS has the translation for."""
    disks = []
    for cylinders in (2000, 500, 9000):
        path = tmp_path / f"{cylinders}.img"
        path.touch()
        os.truncate(path, cylinders * 16 * 63 * SECTOR_SIZE)
        disks.append(RawDrive(path))
    with firmware.boot(image, *disks) as dos:
        for number, heads in enumerate((16, 32, 16, 255)):
            dos.write("ask.txt", f"e 100 b4 08 b2 8{number} cd 13 cc", "g=100", "q")
            output = dos.run("debug < ask.txt")
            (cx,) = re.findall(r"CX=([0-9A-F]{4})", output)
            (dx,) = re.findall(r"DX=([0-9A-F]{4})", output)
            assert (dx, int(cx, 16) & 0x3F) == (f"{heads - 1:02X}04", 63)


@TWO
def test_screen(firmware: Firmware, image: Path) -> None:
    """Modes and fonts are the VGA BIOS' own."""
    with firmware.boot(image) as dos:
        for rows in (50, 25):
            dos.run(f"mode co80,{rows}")
            screen = dos.pc.screen
            assert (screen.rows, screen.columns) == (rows, 80)
        dos.run("mode co40")
        assert dos.pc.screen.columns == 40
        dos.run("mode co80")
        font = dos.pc.vga.font(dos.pc.vga.mode.fonts[0])
    assert font[32 * ord("A") : 32 * ord("A") + 16].count(0) < 8, "letters have dots"
    assert font[0xDB * 32 : 0xDB * 32 + 16] == b"\xff" * 16


def test_seabios_log(image: Path) -> None:
    log = bytearray()
    with SEABIOS.boot(image, firmware_log=log.append):
        text = log.decode()
    assert "Found QEMU fw_cfg" in text
    assert "ATA controller 1 at 1f0/3f4/0 (irq 14 dev ffffffff)" in text
    assert "RamSize: 0x02000000" in text or "len 0x0000000002000000 [RAM]" in text
    assert text.rstrip().endswith("Booting from 0000:7c00")


def test_jemmex_finds_room_for_upper_memory(image: Path) -> None:
    """No RAM shows where no ROM is, so that the memory manager takes it for its own."""
    with SEABIOS.boot(image) as dos:
        shell = "SHELL=C:\\COMMAND.COM C:\\ /E:1024 /P=C:\\AUTOEXEC.BAT"
        dos.write("fdconfig.sys", "DOS=HIGH,UMB", "DEVICE=C:\\FDOS\\BIN\\JEMMEX.EXE", shell)
        dos.pc.reset()
        dos.pc.run_until_text("JemmEx loaded")
        dos.wait_for_prompt()
        assert "Using page frame d000" in dos.pc.screen.text
        output = dos.run("mem")
    assert re.search(r"^Upper +2\dK ", output, re.MULTILINE)


def test_without_a_vga_bios_the_guest_still_boots(image: Path) -> None:
    require((ROMS / SEABIOS.bios).is_file(), SEABIOS.bios)
    disk = MemoryOverlay(RawDrive(image, read_only=True))
    sent = bytearray()
    with Machine(MachineConfig(disks=[disk], bios=ROMS / SEABIOS.bios, date=DATE, serial=sent.append)) as pc:
        pc.run(1)
        pc.type("echo blind>com1\n")
        pc.run(1)
    assert sent == b"blind\r\n"
