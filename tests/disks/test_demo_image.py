"""The demo disk: it is what its source builds, and it runs on QEMU's BIOS as on ours."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import require
from tools import build_disk
from tools.build_rom import ROM

SECTOR = 512
STATE = 64 * SECTOR
NOTES = 65 * SECTOR
NOTE_SIZE = 64
COLUMNS, ROWS = 80, 25
TEXT_MEMORY = 0xB8000
LIST_ROW = 5
MESSAGE_ROW, PROMPT_ROW = 22, 23
WHITE_ON_RED = 0x4F
PATIENCE = 120.0  # seconds


class Guest:
    """A running QEMU, seen through its monitor."""

    def __init__(self, monitor: socket.socket, folder: Path) -> None:
        self._monitor = monitor
        self._dump = folder / "text.bin"
        self._answer()

    def _answer(self) -> None:
        answer = b""
        while not answer.endswith(b"(qemu) "):
            more = self._monitor.recv(4096)
            assert more, "QEMU has ended"
            answer += more

    def command(self, line: str) -> None:
        self._monitor.sendall(line.encode() + b"\n")
        self._answer()

    def cells(self) -> bytes:
        self.command(f'pmemsave {TEXT_MEMORY} {COLUMNS * ROWS * 2} "{self._dump}"')
        return self._dump.read_bytes()

    def row(self, row: int) -> str:
        start = row * COLUMNS * 2
        return self.cells()[start : start + COLUMNS * 2 : 2].decode("cp437")

    def wait(self, row: int, text: str) -> None:
        self.wait_for(lambda: text in self.row(row), f"{text!r} in row {row}")

    def wait_for(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"no {what}; row 22 is {self.row(MESSAGE_ROW)!r}"
            time.sleep(0.05)

    def keys(self, *names: str) -> None:
        for name in names:
            self.command(f"sendkey {name} 20")
            time.sleep(0.06)  # the key goes up again before the next one


@contextmanager
def boot(drive: str, folder: Path, rom: Path | None = None) -> Iterator[Guest]:
    """Run QEMU on a drive (a file, or a name of QEMU's), with its own BIOS when no ``rom`` is given."""
    require(shutil.which("qemu-system-i386") is not None, "qemu-system-i386")
    path = folder / "monitor"
    path.unlink(missing_ok=True)
    command = ["qemu-system-i386", "-M", "isapc", "-cpu", "486", "-m", "8", "-nodefaults", "-display", "none"]
    command += ["-device", "isa-vga", "-boot", "c", "-monitor", f"unix:{path},server,nowait"]
    command += ["-drive", f"file={drive},format=raw,if=ide,rerror=report,werror=report"]
    if rom is not None:
        command += ["-bios", str(rom)]
    process = subprocess.Popen(command)
    try:
        with socket.socket(socket.AF_UNIX) as monitor:
            deadline = time.monotonic() + PATIENCE
            while monitor.connect_ex(str(path)) != 0:
                assert process.poll() is None and time.monotonic() < deadline, "QEMU does not start"
                time.sleep(0.02)
            guest = Guest(monitor, folder)
            yield guest
            monitor.sendall(b"quit\n")
            process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return Path(shutil.copy(build_disk.IMAGE, tmp_path / "disk.img"))


def boots(disk: Path) -> int:
    return int(struct.unpack_from("<I", disk.read_bytes(), STATE + 8)[0])


def notes(disk: Path) -> list[str]:
    image = disk.read_bytes()
    (count,) = struct.unpack_from("<H", image, STATE + 12)
    records = [image[NOTES + i * NOTE_SIZE : NOTES + (i + 1) * NOTE_SIZE] for i in range(count)]
    return [record[1 : 1 + record[0]].decode("cp437") for record in records]


def test_is_what_the_source_builds() -> None:
    require(shutil.which("nasm") is not None, "nasm")
    assert build_disk.build() == build_disk.IMAGE.read_bytes()


def test_is_a_bootable_disk_of_whole_sectors() -> None:
    image = build_disk.IMAGE.read_bytes()
    assert len(image) % SECTOR == 0
    assert image[510:512] == b"\x55\xaa"


@pytest.mark.parametrize("rom", [None, ROM], ids=["QEMU's BIOS", "our BIOS"])
def test_counts_boots_and_keeps_notes(rom: Path | None, disk: Path, tmp_path: Path) -> None:
    before = notes(disk)
    with boot(str(disk), tmp_path, rom) as guest:
        guest.wait(2, "booted for the first time")
        assert "pcemu demo disk" in guest.row(0)
        assert "Ctrl-] Q" in guest.row(LIST_ROW + 9)
        assert "Right Ctrl-Q" in guest.row(LIST_ROW + 10)
        assert before[0] in guest.row(LIST_ROW)
        guest.keys("n")
        guest.wait(PROMPT_ROW, "Enter writes it")
        guest.keys("h", "i", "x", "backspace", "spc", "2", "ret")
        guest.wait(MESSAGE_ROW, "Written to the disk")
        guest.keys("n", "a", "esc")
        guest.wait(MESSAGE_ROW, "Nothing was changed")
    assert boots(disk) == 1
    assert notes(disk) == [*before, "hi 2"]

    with boot(str(disk), tmp_path, rom) as guest:
        guest.wait(2, "booted 2 times")
        guest.wait(LIST_ROW + len(before), "hi 2")
        guest.keys("up", "down", "d")
        guest.wait(MESSAGE_ROW, "Deleted")
    assert boots(disk) == 2
    assert notes(disk) == [before[0], *before[2:], "hi 2"]


def test_asks_before_it_replaces_what_it_does_not_know(disk: Path, tmp_path: Path) -> None:
    image = bytearray(disk.read_bytes())
    image[STATE : STATE + 8] = b"precious"
    disk.write_bytes(image)
    with boot(str(disk), tmp_path) as guest:
        guest.wait(PROMPT_ROW, "Start with an empty list?")
        guest.keys("n")
        guest.wait(MESSAGE_ROW, "Left as it is")
        assert disk.read_bytes() == image
        guest.keys("d")
        guest.wait(PROMPT_ROW, "Start with an empty list?")
        guest.keys("y")
        guest.wait(2, "0 of 16 notes")
        guest.keys("n", "a", "ret")
        guest.wait(MESSAGE_ROW, "Written to the disk")
    assert notes(disk) == ["a"]


def test_a_refused_write_is_shown_in_red(disk: Path, tmp_path: Path) -> None:
    rules = tmp_path / "blkdebug.conf"
    rules.write_text('[inject-error]\nevent = "none"\niotype = "write"\nsector = "65"\n')
    with boot(f"blkdebug:{rules}:{disk}", tmp_path) as guest:
        guest.wait(MESSAGE_ROW, "NOT saved")
        assert guest.cells()[(MESSAGE_ROW * COLUMNS + 5) * 2 + 1] == WHITE_ON_RED
        guest.keys("n", "a", "ret")
        guest.wait(2, "2 of 16 notes")  # what the disk holds, not what was typed
    assert len(notes(disk)) == 2


def test_notes_that_cannot_be_read(disk: Path, tmp_path: Path) -> None:
    rules = tmp_path / "blkdebug.conf"
    rules.write_text('[inject-error]\nevent = "none"\niotype = "read"\nsector = "65"\n')
    with boot(f"blkdebug:{rules}:{disk}", tmp_path) as guest:
        guest.wait(MESSAGE_ROW, "cannot be read")
        guest.wait(PROMPT_ROW, "Start with an empty list?")
