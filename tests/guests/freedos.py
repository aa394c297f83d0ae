"""FreeDOS on our machine, for tests: its disk image, a session at its prompt, the host's view of disks."""

from __future__ import annotations

import datetime
import hashlib
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig
from tests.conftest import require

HARD_DISK = "freedos-1.2-hd.img"
HARD_DISK_SHA256 = "0ca69aa705c11b9cde8e27effc39f8f872d0623e2c452765107856b55c7589e2"
HARD_DISK_SECTORS = 130 * 16 * 63
FIRST_SECTOR = 63  # of the partition
PROMPT = "C:\\>"
DATE = datetime.datetime(2023, 5, 6, 12, 30)
_CHUNK = 1 << 20


def unpack(name: str, sha256: str, folder: Path) -> Path:
    """The guest ``name`` from the folder that PCEMU_GUESTS names, unpacked into ``folder`` and checked.

    Processes that do this at the same time do not disturb each other: the last one's file is as good.
    """
    image = folder / name
    if image.exists():
        return image
    packed = Path(os.environ.get("PCEMU_GUESTS", ""), f"{name}.xz")
    require(packed.is_file(), "the FreeDOS guest (set PCEMU_GUESTS)")
    with lzma.open(packed) as source:
        data = source.read()
    found = hashlib.sha256(data).hexdigest()
    assert found == sha256, f"{packed}: unpacked it has the SHA-256 {found}, expected {sha256}"
    partial = folder / f"{name}.{os.getpid()}"
    partial.write_bytes(data)
    return partial.replace(image)


class FreeDos:
    """A machine whose first disk is FreeDOS' (``image`` is never written), booted to the prompt.

    ``config``: what else there is in a MachineConfig.
    """

    def __init__(
        self,
        image: Path,
        others: Sequence[Drive] = (),
        date: datetime.datetime = DATE,
        serial: Callable[[int], None] | None = None,
        memory: int = 32,
        **config: Any,
    ) -> None:
        self.disk = MemoryOverlay(RawDrive(image, read_only=True))
        self.pc = Machine(
            MachineConfig(disks=[self.disk, *others], date=date, serial=serial, memory=memory, **config)
        )
        self.wait_for_prompt()

    def __enter__(self) -> FreeDos:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pc.close()

    def wait_for_prompt(self, timeout: float = 60) -> None:
        """Run until the last of what appeared is the prompt."""
        self.pc.run_until_text(PROMPT, timeout)
        self.pc.run_until(lambda: self.pc.fresh_text.rstrip().endswith(PROMPT), timeout)

    def run(self, command: str, timeout: float = 60) -> str:
        """Type ``command``; what the screen shows of its output when the prompt is back."""
        self.pc.type(f"{command}\n")
        self.wait_for_prompt(timeout)
        return self.pc.fresh_text.rstrip().removesuffix(PROMPT)

    def answer(self, question: str, keys: str) -> None:
        """Wait for ``question`` and type ``keys``."""
        self.pc.run_until_text(question)
        self.pc.type(keys)

    def write(self, name: str, *lines: str) -> None:
        """Make a text file with ECHO."""
        self.run(f"echo {lines[0]}>{name}")
        for line in lines[1:]:
            self.run(f"echo {line}>>{name}")


def export(drive: Drive, path: Path, first: int = 0) -> Path:
    """Write what ``drive`` holds from sector ``first`` on to a (sparse) file."""
    with path.open("wb") as file:
        buffer = memoryview(bytearray(_CHUNK))
        for lba in range(first, drive.sectors, _CHUNK // SECTOR_SIZE):
            view = buffer[: (drive.sectors - lba) * SECTOR_SIZE]
            drive.read(lba, view)
            if any(view):
                file.seek((lba - first) * SECTOR_SIZE)
                file.write(view)
        file.truncate((drive.sectors - first) * SECTOR_SIZE)
    return path


def contents(drive: Drive) -> bytes:
    """SHA-256 of all of a drive's sectors."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    for lba in range(0, drive.sectors, _CHUNK // SECTOR_SIZE):
        view = buffer[: (drive.sectors - lba) * SECTOR_SIZE]
        drive.read(lba, view)
        digest.update(view)
    return digest.digest()


class HostView:
    """The host's reading of a drive's FAT partition, with mtools and fsck.fat."""

    def __init__(self, drive: Drive, folder: Path) -> None:
        self._partition = export(drive, folder / "partition.img", FIRST_SECTOR)

    def _run(self, program: str, *arguments: str) -> bytes:
        require(shutil.which(program) is not None, program)
        return subprocess.run([program, *arguments], check=True, capture_output=True, timeout=300).stdout

    def read(self, name: str) -> bytes:
        """The bytes of a file, named as ``FDOS/BIN/MEM.EXE``."""
        return self._run("mtype", "-i", str(self._partition), f"::/{name}")

    def names(self, folder: str = "") -> list[str]:
        """The names in a folder; those of folders end with a slash."""
        listing = self._run("mdir", "-b", "-i", str(self._partition), f"::/{folder}").decode("cp437")
        return [line.removeprefix(f"::/{folder}").lstrip("/") for line in listing.splitlines()]

    def check(self) -> str:
        """What fsck.fat says; CalledProcessError when it finds anything to mend."""
        return self._run("fsck.fat", "-n", str(self._partition)).decode()
