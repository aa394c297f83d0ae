"""Disks made and written by us, as mkfs' and mtools' authors read them."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fat import NotFat, Volume
from pcemu.drives.fat_format import (
    format_volume,
    partition_disk,
)
from pcemu.drives.fat_tree import Tree
from pcemu.drives.fat_writer import ROOT, FatWriter, stamp_of
from pcemu.drives.partitions import read_partitions
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageFormatError, UsageError
from pcemu.testing.memory_drive import MemoryDrive
from tests.conftest import require
from tests.drives.fat_images import FatImage, run

STAMP = stamp_of(1999, 12, 31, 23, 59, 58)
SIZES = {12: 3 << 20, 16: 20 << 20, 32: 80 << 20}
GIB = 1 << 30


class Disk:
    """A new disk with an empty volume."""

    def __init__(self, path: Path, kind: int | None, size: int, label: str = "NEW DISK") -> None:
        with path.open("wb") as file:
            file.truncate(size)
        self.path = path
        self.drive = RawDrive(path)
        self.start, self.sectors, geometry, shape = partition_disk(self.drive, kind, b"\xf4")
        format_volume(
            self.drive,
            self.start,
            self.sectors,
            shape,
            geometry,
            code=b"\xf4",
            label=label,
            serial=0x12345678,
            stamp=STAMP,
        )

    def writer(self) -> FatWriter:
        return FatWriter(self.drive, self.start, self.sectors, "disk.img")

    def check(self) -> str:
        """What fsck.fat says; CalledProcessError when it finds anything."""
        require(shutil.which("fsck.fat") is not None, "fsck.fat")
        self.drive.flush()
        copy = self.path.with_suffix(".part")
        with self.path.open("rb") as source, copy.open("wb") as target:
            source.seek(self.start * SECTOR_SIZE)
            for _ in range(0, self.sectors, 2048):
                chunk = source.read(2048 * SECTOR_SIZE)
                if chunk.count(0) == len(chunk):
                    target.seek(len(chunk), io.SEEK_CUR)
                else:
                    target.write(chunk)
            target.truncate(self.sectors * SECTOR_SIZE)
        return run("fsck.fat", "-n", "-v", copy)

    def read(self, name: str) -> bytes:
        """A file's bytes as mtools reads them."""
        self.drive.flush()
        require(shutil.which("mtype") is not None, "mtype")
        command = ["mtype", "-i", f"{self.path}@@{self.start * SECTOR_SIZE}", f"::{name}"]
        return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout


def write(writer: FatWriter, folder: int, name: str, data: bytes) -> None:
    writer.write_file(folder, name, io.BytesIO(data), len(data), STAMP)


@pytest.fixture(params=SIZES)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(tmp_path / "disk.img", request.param, SIZES[request.param])


def test_files_and_folders_are_read_by_others(disk: Disk) -> None:
    rng = random.Random(3)
    files = {
        "/README.TXT": b"short\r\n",
        "/games/doom.exe": rng.randbytes(70_000),
        "/games/A long name, with comma.html": rng.randbytes(4096),
        "/games/deeper/empty": b"",
        "/Grüße aus Köln.txt": b"hello",
    }
    writer = disk.writer()
    for path, data in files.items():
        folder = ROOT
        *folders, name = path.strip("/").split("/")
        for each in folders:
            folder = writer.make_folder(folder, each, STAMP)
        write(writer, folder, name, data)
    writer.finish()
    disk.check()
    for path, data in files.items():
        assert disk.read(path) == data
    assert "1999-12-31" in run("mdir", "-i", f"{disk.path}@@{disk.start * SECTOR_SIZE}", "::/README.TXT")


def test_free_space_is_what_others_count(disk: Disk) -> None:
    writer = disk.writer()
    before = writer.free
    write(writer, ROOT, "a", bytes(100_000))
    write(writer, ROOT, "a", bytes(10))  # in place of it
    write(writer, ROOT, "b", b"b")
    writer.finish()
    report = disk.check()
    used, clusters = map(int, report.rstrip().rpartition(" files, ")[2].split()[0].split("/"))
    size = disk.writer().volume.layout.cluster_size
    assert disk.writer().free == (clusters - used) * size == before - 2 * size


def test_replacing_a_file_keeps_its_names_and_frees_the_old_one(disk: Disk) -> None:
    writer = disk.writer()
    write(writer, ROOT, "Some Long Name.text", bytes(50_000))
    writer.finish()
    writer = disk.writer()
    free = writer.free
    write(writer, ROOT, "SOMELO~1.TEX", b"new")
    writer.finish()
    disk.check()
    assert disk.read("/Some Long Name.text") == b"new"
    assert disk.writer().free > free


def test_a_folder_grows_with_its_files(disk: Disk) -> None:
    writer = disk.writer()
    folder = writer.make_folder(ROOT, "many", STAMP)
    for number in range(300):
        write(writer, folder, f"a file with the number {number}", b"")
    writer.finish()
    disk.check()
    names = run("mdir", "-b", "-i", f"{disk.path}@@{disk.start * SECTOR_SIZE}", "::/many").splitlines()
    assert {name.rpartition("/")[2] for name in names} == {f"a file with the number {n}" for n in range(300)}


def test_places_of_deleted_files_are_used_again(disk: Disk) -> None:
    writer = disk.writer()
    folder = writer.make_folder(ROOT, "d", STAMP)
    size = writer.volume.layout.cluster_size
    for number in range(size // 32 - 2):
        write(writer, folder, f"F{number}", b"")
    writer.finish()
    disk.drive.close()
    volume = f"{disk.path}@@{disk.start * SECTOR_SIZE}"
    run("mdel", "-i", volume, "::/d/F3", "::/d/F4", "::/d/F5")
    disk.drive = RawDrive(disk.path)
    writer = disk.writer()
    free = writer.free
    write(writer, folder, "in their place", b"")
    writer.finish()
    assert disk.writer().free == free  # three entries, and the folder did not grow
    disk.check()
    assert disk.read("/d/in their place") == b""


def test_a_full_volume_is_left_as_it_was(disk: Disk) -> None:
    writer = disk.writer()
    free = writer.free
    with pytest.raises(UsageError, match=rf"disk\.img: is full.*BIG \({free + 1} bytes\)"):
        writer.write_file(ROOT, "BIG", io.BytesIO(), free + 1, STAMP)
    assert disk.writer().free == free
    disk.check()
    writer = disk.writer()
    write(writer, ROOT, "FITS", bytes(free))
    writer.finish()
    disk.check()
    assert disk.writer().free == 0


def test_nothing_is_visible_before_the_end(disk: Disk) -> None:
    writer = disk.writer()
    write(writer, writer.make_folder(ROOT, "folder", STAMP), "file", b"content")
    disk.check()
    assert not Tree(Volume(disk.drive, disk.start, disk.sectors)).root


def test_a_root_directory_of_fat16_is_full_some_day(tmp_path: Path) -> None:
    writer = Disk(tmp_path / "disk.img", 16, SIZES[16]).writer()
    with pytest.raises(UsageError, match="root directory is full"):
        for number in range(600):
            write(writer, ROOT, f"F{number}", b"")


def test_files_and_folders_do_not_replace_each_other(disk: Disk) -> None:
    writer = disk.writer()
    writer.make_folder(ROOT, "folder", STAMP)
    write(writer, ROOT, "file", b"")
    with pytest.raises(UsageError, match="is a folder"):
        write(writer, ROOT, "FOLDER", b"")
    with pytest.raises(UsageError, match="is a file"):
        writer.make_folder(ROOT, "File", STAMP)


def test_a_file_that_shrinks_while_it_is_read(disk: Disk) -> None:
    with pytest.raises(UsageError, match="became shorter"):
        disk.writer().write_file(ROOT, "x", io.BytesIO(b"1234"), 5, STAMP)


@pytest.mark.parametrize("kind", [12, 16, 32])
def test_volumes_of_mkfs_are_written_too(kind: int, tmp_path: Path) -> None:
    image = FatImage(tmp_path / "mkfs.img", kind)
    image.folder("Old Folder")
    image.add("Old Folder/old.txt", b"old")
    with_drive = RawDrive(image.path)
    (partition,) = read_partitions(with_drive).partitions
    writer = FatWriter(with_drive, partition.start, partition.sectors)
    folder = writer.make_folder(ROOT, "old folder", STAMP)
    write(writer, folder, "OLD.TXT", b"replaced")
    write(writer, folder, "new one.txt", bytes(40_000))
    writer.finish()
    with_drive.close()
    image.check()
    assert image.names() >= {r"\Old Folder\old.txt", r"\Old Folder\new one.txt"}


def test_a_damaged_volume_is_not_written(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", 16, SIZES[16])
    writer = disk.writer()
    write(writer, ROOT, "F", bytes(20_000))
    writer.finish()
    second_fat = disk.start + 1 + writer.volume.layout.fat_sectors
    disk.drive.write(second_fat, b"\xff" * SECTOR_SIZE)
    before = disk.path.read_bytes()
    with pytest.raises(ImageFormatError, match="FAT differ"):
        disk.writer()
    assert disk.path.read_bytes() == before


def test_an_empty_partition_is_no_volume() -> None:
    with pytest.raises(NotFat):
        FatWriter(MemoryDrive(2048), 63, 1985)


@pytest.mark.parametrize("year", [1970, 2200])
def test_dates_that_fat_cannot_count(year: int) -> None:
    date = stamp_of(year, 6, 7) >> 16
    assert 1980 + (date >> 9) == max(1980, min(year, 2107))
