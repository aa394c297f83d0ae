"""`pcemu new`: disks as other programs read them, and as they boot."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pcemu.drives.open import open_drive
from pcemu.machine import Machine, MachineConfig
from tests.cli.conftest import Run
from tests.conftest import require
from tests.drives.fat_images import FatImage, run
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, unpack

START = 63 * 512
FILES = {
    "note.txt": b"hello\r\n",
    "A long name of a file.html": random.Random(1).randbytes(30_000),
    "Sub Folder/inner/deep.bin": random.Random(2).randbytes(9000),
    "Sub Folder/empty": b"",
    "grün.txt": b"green",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A disk with files that are called like a system's; its boot sector's code is marked."""
    image = FatImage(tmp_path / "system.img", 16)
    image.add("KERNEL.SYS", b"kernel" * 1000)
    image.add("COMMAND.COM", b"shell")
    with image.path.open("r+b") as file:
        file.seek(START + 62)
        file.write(b"\xf4" * 448)
    return image.path


def check(path: Path) -> None:
    """fsck.fat finds nothing."""
    require(shutil.which("fsck.fat") is not None, "fsck.fat")
    copy = path.with_suffix(".part")
    command = ["dd", f"if={path}", f"of={copy}", "bs=512", "skip=63", "conv=sparse"]
    subprocess.run(command, check=True, capture_output=True)
    run("fsck.fat", "-n", copy)


def test_a_folder_becomes_a_disk(pcemu: Run, disks: Path, folder: Path, tmp_path: Path) -> None:
    code, out, err = pcemu("new", "mine", "--size", "40M", "--from-folder", folder, "--label", "My Disk")
    assert code == 0, err
    assert "without a system" in out
    path = disks / "mine.img"
    assert path.stat().st_size == 40 << 20 and path.stat().st_blocks * 512 < 1 << 20
    check(path)
    volume = f"{path}@@{START}"
    assert "MY DISK" in run("mlabel", "-s", "-i", volume, "::")
    out_folder = tmp_path / "out"
    out_folder.mkdir()
    run("mcopy", "-s", "-i", volume, "::/*", out_folder)
    files = [each for each in out_folder.rglob("*") if each.is_file()]
    assert {str(each.relative_to(out_folder)): each.read_bytes() for each in files} == FILES


def test_seven_zip_reads_it(pcemu: Run, folder: Path, tmp_path: Path) -> None:
    require(shutil.which("7zz") is not None, "7zz")
    assert pcemu("new", "./disk.img", "--size", "40M", "--from-folder", folder)[0] == 0
    run("7zz", "x", "-y", f"-o{tmp_path / 'files'}", "disk.img")
    for name, content in FILES.items():
        if name.isascii():
            assert (tmp_path / "files" / name).read_bytes() == content


@pytest.mark.parametrize(
    ("size", "fat", "expected"), [("3M", None, "FAT12"), ("500M", None, "FAT16"), ("600M", None, "FAT32")]
)
def test_kinds_by_size(pcemu: Run, size: str, fat: str | None, expected: str) -> None:
    code, out, _ = pcemu("new", "./disk.img", "--size", size, "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["filesystem"], facts["bootable"], facts["name"]) == (expected, False, None)
    assert run("minfo", "-i", f"disk.img@@{START}", "::")


def test_a_vhd(pcemu: Run, folder: Path, tmp_path: Path) -> None:
    assert pcemu("new", "./disk.vhd", "--size", "64M", "--from-folder", folder, "--fat", "32")[0] == 0
    assert Path("disk.vhd").stat().st_size < 10 << 20
    assert pcemu("disk", "convert", "disk.vhd", "disk.img")[0] == 0
    check(tmp_path / "disk.img")
    assert pcemu("disk", "check", "disk.vhd")[0] == 0


def test_the_system_comes_first_and_its_code_starts_the_volume(
    pcemu: Run, disks: Path, folder: Path, system: Path
) -> None:
    code, out, err = pcemu("new", "boot", "--size", "30M", "--from-folder", folder, "--system", system)
    assert code == 0, err
    assert "pcemu run boot" in out
    data = (disks / "boot.img").read_bytes()
    assert data[START + 62 : START + 510] == b"\xf4" * 448
    listing = json.loads(pcemu("disk", "ls", "--json", "boot")[1])
    assert [each["path"] for each in listing][:3] == ["\\KERNEL.SYS", "\\COMMAND.COM", "\\AUTOEXEC.BAT"]
    check(disks / "boot.img")


def test_what_the_folder_has_wins(pcemu: Run, folder: Path, system: Path) -> None:
    (folder / "command.com").write_bytes(b"my own")
    (folder / "fdauto.bat").write_bytes(b"@ver\r\n")
    pcemu("new", "boot", "--size", "30M", "--from-folder", folder, "--system", system)
    pcemu("disk", "get", "boot:/COMMAND.COM", "got")
    assert Path("got").read_bytes() == b"my own"
    names = [each["short"] for each in json.loads(pcemu("disk", "ls", "--json", "boot")[1])]
    assert names.count("COMMAND.COM") == 1 and "AUTOEXEC.BAT" not in names


@pytest.mark.parametrize("kind", ["link to a folder", "pipe", "device name", "two cases", "bad letter"])
def test_folders_that_cannot_be_on_fat(pcemu: Run, folder: Path, disks: Path, kind: str) -> None:
    if kind == "link to a folder":
        (folder / "link").symlink_to(folder)
    elif kind == "pipe":
        os.mkfifo(folder / "pipe")
    elif kind == "device name":
        (folder / "aux.txt").touch()
    elif kind == "two cases":
        (folder / "NOTE.TXT").touch()
    else:
        (folder / "what?").touch()
    code, _, err = pcemu("new", "mine", "--size", "40M", "--from-folder", folder)
    assert code == 2 and err.count("\n") == 1 and "folder" in err
    assert not disks.exists() or not list(disks.iterdir())


def test_too_much_for_the_disk(pcemu: Run, folder: Path, disks: Path) -> None:
    (folder / "large").write_bytes(bytes(4 << 20))
    code, _, err = pcemu("new", "mine", "--size", "3M", "--from-folder", folder)
    assert code == 2 and "is full" in err and "large" in err
    assert not list(disks.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "--size", "100K"), "too small"),
        (("x", "--size", "9000G"), "not possible"),
        (("x", "--size", "3G", "--fat", "16"), "FAT16"),
        (("x.txt",), "ends in .img or .vhd"),
        (("x y",), "cannot be the name"),
        (("x", "--from-folder", "missing"), "no folder"),
        (("x", "--label", "more than eleven"), "label"),
    ],
)
def test_wrong_usage(pcemu: Run, disks: Path, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = pcemu("new", *arguments)
    assert code == 2 and words in err
    assert not disks.exists() or not list(disks.iterdir())


def test_nothing_is_written_over(pcemu: Run, disks: Path) -> None:
    assert pcemu("new", "mine", "--size", "3M")[0] == 0
    before = (disks / "mine.img").read_bytes()
    assert pcemu("new", "mine", "--size", "4M")[0] == 2
    assert pcemu("new", disks / "mine.img", "--size", "4M")[0] == 2
    assert (disks / "mine.img").read_bytes() == before


def test_systems_that_are_none(pcemu: Run, system: Path, tmp_path: Path) -> None:
    assert pcemu("new", "x", "--system", "missing")[0] == 3
    FatImage(tmp_path / "empty.img", 16)
    code, _, err = pcemu("new", "x", "--system", "empty.img")
    assert code == 4 and "KERNEL.SYS" in err
    (tmp_path / "zeros.img").write_bytes(bytes(1 << 20))
    code, _, err = pcemu("new", "x", "--system", "zeros.img")
    assert code == 4 and "no FAT volume" in err
    code, _, err = pcemu("new", "x", "--system", system, "--fat", "32")
    assert code == 2 and "FAT16" in err


@pytest.mark.slow
@pytest.mark.parametrize("size", ["64M", "800M"])
def test_freedos_boots_from_it(
    pcemu: Run, folder: Path, disks: Path, tmp_path_factory: pytest.TempPathFactory, size: str
) -> None:
    """A disk that DOS counts in 16 heads, and one for which the BIOS translates; DOS reads and writes it."""
    image = unpack(HARD_DISK, HARD_DISK_SHA256, tmp_path_factory.getbasetemp())
    code, _, err = pcemu("new", "boot", "--size", size, "--from-folder", folder, "--system", image)
    assert code == 0, err
    drive = open_drive(disks / "boot.img")
    with Machine(MachineConfig(disks=[drive])) as pc:
        pc.run_until_text("C:\\>")
        assert "WARNING" not in pc.screen.text.upper()
        pc.type("type note.txt\n")
        pc.run_until_text("hello")
        pc.type("copy note.txt second.txt\n")
        pc.run_until_text("C:\\>")
        pc.run(2)
    check(disks / "boot.img")
    assert run("mtype", "-i", f"{disks / 'boot.img'}@@{START}", "::/second.txt") == "hello\r\n"


def test_a_system_that_was_not_downloaded_yet_is_told_how_to_be(pcemu: Run, disks: Path) -> None:
    code, _, err = pcemu("new", "boot", "--system", "freedos")
    assert code == 3
    assert "`pcemu get freedos` downloads it" in err
    assert not disks.exists()
