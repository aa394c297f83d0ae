"""FAT volumes for tests, made and changed by mkfs.fat and mtools: programs that share no code with ours."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE
from tests.conftest import require

START = 63  # first sector of the partition
KINDS = {12: 2 << 20, 16: 16 << 20, 32: 34 << 20}  # bytes of a volume
TYPES = {12: 0x01, 16: 0x06, 32: 0x0B}
ENVIRONMENT = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "TZ": "UTC"}


def run(program: str, *arguments: str | Path) -> str:
    require(shutil.which(program) is not None, program)
    done = subprocess.run(
        [program, *map(str, arguments)], check=True, capture_output=True, timeout=300, env=ENVIRONMENT
    )
    return done.stdout.decode("utf-8", "replace")


class FatImage:
    """A disk image with one partition, or a volume without partitions when ``start`` is 0."""

    def __init__(self, path: Path, kind: int = 16, start: int = START, size: int | None = None) -> None:
        self.path, self.start = path, start
        size = KINDS[kind] if size is None else size
        with path.open("wb") as file:
            file.truncate(start * SECTOR_SIZE + size)
        sectors = ["--offset", str(start)] if start else []
        blocks = str(size // 1024)
        run("mkfs.fat", "-F", str(kind), "-n", "TESTDISK", "-i", "12345678", *sectors, path, blocks)
        if start:
            self.partition(1, TYPES[kind], start, size // SECTOR_SIZE)

    def partition(self, number: int, kind: int, start: int, sectors: int, record: int = 0) -> None:
        """Write one entry of a partition table."""
        with self.path.open("r+b") as file:
            file.seek(record * SECTOR_SIZE + 446 + 16 * (number - 1))
            active = 0x80 if number == 1 else 0
            file.write(struct.pack("<B3xB3xII", active, kind, start, sectors))
            file.seek(record * SECTOR_SIZE + 510)
            file.write(b"\x55\xaa")

    @property
    def volume(self) -> str:
        """As mtools wants it."""
        return f"{self.path}@@{self.start * SECTOR_SIZE}" if self.start else str(self.path)

    def add(self, path: str, content: bytes) -> None:
        """Write a file, over an old one if there is one."""
        source = self.path.parent / "content"
        source.write_bytes(content)
        run("mcopy", "-o", "-i", self.volume, source, f"::{path}")

    def folder(self, path: str) -> None:
        run("mmd", "-i", self.volume, f"::{path}")

    def delete(self, path: str) -> None:
        run("mdel", "-i", self.volume, f"::{path}")

    def rename(self, old: str, new: str) -> None:
        run("mren", "-i", self.volume, f"::{old}", new)

    def move(self, old: str, folder: str) -> None:
        run("mmove", "-i", self.volume, f"::{old}", f"::{folder}")

    def names(self) -> set[str]:
        """Every file and folder as mtools names it."""
        found = run("mdir", "-/", "-b", "-i", self.volume, "::/").splitlines()
        return {line.removeprefix("::").rstrip("/").replace("/", "\\") for line in found if line}

    def data(self) -> bytes:
        return self.path.read_bytes()

    def check(self) -> str:
        """What fsck.fat says; CalledProcessError when it finds anything."""
        with self.path.open("rb") as file:
            file.seek(self.start * SECTOR_SIZE)
            copy = self.path.with_suffix(".part")
            copy.write_bytes(file.read())
        return run("fsck.fat", "-n", copy)
