"""Finding volumes and files by what a person calls them, on disks that mkfs and mtools made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.fat import Volume
from pcemu.drives.fat_files import (
    choose_partition,
    find_place,
    find_places,
    has_wildcards,
    host_name,
    short_of,
    split_path,
)
from pcemu.drives.fat_folder import Entry
from pcemu.drives.fat_tree import Tree
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageFormatError, UsageError
from tests.drives.fat_images import KINDS, START, FatImage


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FatImage:
    made = FatImage(tmp_path_factory.mktemp("fat") / "disk.img", 12)
    made.folder("GAMES")
    for path in ("GAMES/DOOM.EXE", "GAMES/DOOM.WAD", "GAMES/Read me first.txt", "README"):
        made.add(path, path.encode())
    return made


@pytest.fixture
def tree(image: FatImage) -> Tree:
    drive = RawDrive(image.path, read_only=True)
    return Tree(Volume(drive, START, drive.sectors - START))


def test_the_active_partition_is_the_one_meant(image: FatImage, tmp_path: Path) -> None:
    (copy := tmp_path / "disk.img").write_bytes(image.data())
    drive = RawDrive(copy)
    assert choose_partition(drive, "disk.img").start == START
    assert choose_partition(drive, "disk.img", 1).number == 1
    with pytest.raises(UsageError, match=r"disk.img: has no FAT partition 2, expected 1"):
        choose_partition(drive, "disk.img", 2)
    drive.write(START, bytes(512))
    with pytest.raises(ImageFormatError, match=r"has no FAT volume \(1 \(.+\): .+\), expected one"):
        choose_partition(drive, "disk.img", 1)
    drive.write(0, bytes(512))
    with pytest.raises(ImageFormatError, match="it has no partitions"):
        choose_partition(drive, "disk.img")
    drive.close()


def test_the_first_is_meant_where_none_is_active(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 12)
    with image.path.open("r+b") as file:
        file.seek(446)
        file.write(b"\0")
    image.partition(2, 0x01, START, KINDS[12] // 512)  # the same volume by another number
    drive = RawDrive(image.path, read_only=True)
    assert choose_partition(drive, "disk.img").number == 1
    assert choose_partition(drive, "disk.img", 2).number == 2
    drive.close()


@pytest.mark.parametrize(
    ("path", "names"),
    [("", []), ("/", []), ("\\GAMES\\DOOM.EXE", ["GAMES", "DOOM.EXE"]), ("a//b\\/c/", ["a", "b", "c"])],
)
def test_slashes_of_either_kind(path: str, names: list[str]) -> None:
    assert split_path(path) == names


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", "\\"),
        ("games", "\\GAMES"),
        ("/Games/doom.exe", "\\GAMES\\DOOM.EXE"),
        ("games/READ ME FIRST.TXT", "\\GAMES\\Read me first.txt"),
        ("games/readme~1.txt", "\\GAMES\\Read me first.txt"),
    ],
)
def test_files_are_found_in_whatever_case_and_by_their_short_names(
    path: str, found: str, tree: Tree
) -> None:
    place = find_place(tree, path, "disk.img")
    assert place.path == found and place.is_folder is ("." not in found)
    assert place.start == (0 if place.entry is None else place.entry.start)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", r"has no nothing in \\, expected a file or folder"),
        ("games/nothing", r"has no nothing in \\GAMES, expected"),
        ("readme/more", r"\\README is a file, expected a folder"),
        ("C:\\GAMES", "begins with a drive letter"),
        ("games/*.bat", r"has no \*.bat in \\GAMES"),
        ("readme/*", r"has no \* in \\README"),
    ],
)
def test_what_is_not_there(path: str, words: str, tree: Tree) -> None:
    with pytest.raises(UsageError, match=words):
        find_places(tree, path, "disk.img")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["DOOM.EXE", "DOOM.WAD", "Read me first.txt"]),
        ("*.*", ["DOOM.EXE", "DOOM.WAD", "Read me first.txt"]),
        ("doom.?ad", ["DOOM.WAD"]),
        ("readme~?.txt", ["Read me first.txt"]),
        ("*first*", ["Read me first.txt"]),
        ("doom.exe", ["DOOM.EXE"]),
    ],
)
def test_wildcards_mean_long_and_short_names(pattern: str, names: list[str], tree: Tree) -> None:
    places = find_places(tree, f"games/{pattern}", "disk.img")
    assert sorted(place.path for place in places) == [f"\\GAMES\\{name}" for name in names]
    assert has_wildcards(pattern) is (pattern != "doom.exe")


def test_square_brackets_are_letters(tree: Tree) -> None:
    with pytest.raises(UsageError, match="has no"):
        find_places(tree, "games/[d]oom.*", "disk.img")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("README.TXT", "README.TXT"), ("..", "_"), (".", "_"), ("a/b\\c\0", "a_b_c_"), ("..x", "..x")],
)
def test_a_guest_s_names_do_not_lead_elsewhere_on_the_host(name: str, safe: str) -> None:
    assert host_name(Entry(name, 0, 0, 0, 0, b"NAME    TXT")) == safe


def test_short_names_have_their_dot() -> None:
    assert short_of(Entry("x", 0, 0, 0, 0, b"README~1TXT")) == "README~1.TXT"
    assert short_of(Entry("x", 0, 0, 0, 0, b"KERNEL     ")) == "KERNEL"
