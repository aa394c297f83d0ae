"""The trees of FAT volumes: the same as mtools sees, damage found, garbage survived."""

from __future__ import annotations

import random
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fat import NotFat, Volume
from pcemu.drives.fat_tree import Tree
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import KINDS, START, FatImage
from tests.drives.small_fat import SMALL

CONTENT = b"abcdefgh" * 5000
Filled = tuple[FatImage, dict[str, bytes]]  # and what is in it


def fill(image: FatImage) -> dict[str, bytes]:
    """Some files and folders; what they hold."""
    files = {
        "\\AUTOEXEC.BAT": b"@echo off\r\n",
        "\\EMPTY.DAT": b"",
        "\\A name that is much too long for DOS.text": CONTENT,
        "\\GAMES\\Zwölf Räuber.txt": b"twelve",
        "\\GAMES\\DEEP\\DEEPER\\FILE": CONTENT[:5001],
    }
    for folder in ("\\GAMES", "\\GAMES\\DEEP", "\\GAMES\\DEEP\\DEEPER"):
        image.folder(folder.replace("\\", "/"))
    for path, content in files.items():
        image.add(path.replace("\\", "/"), content)
    return files


@pytest.fixture(scope="module", params=KINDS)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    image = FatImage(tmp_path_factory.mktemp("fat") / "disk.img", request.param)
    return image, fill(image)


def tree_of(data: bytes, start: int = START) -> Tree:
    return Tree(Volume(MemoryDrive(data), start))


def test_the_tree_is_what_mtools_sees(filled: Filled) -> None:
    image, files = filled
    tree = tree_of(image.data())
    found = dict(tree.walk())
    assert set(found) == image.names()
    assert {path for path, entry in found.items() if not entry.is_folder} == set(files)
    assert {path: tree.read_file(found[path]) for path in files} == files
    assert (tree.problems, tree.lost, tree.label) == ([], 0, "TESTDISK")


def damage(image: FatImage, change: str) -> tuple[bytes, str]:
    """The image with one thing wrong, and a word of what must be said about it."""
    data = bytearray(image.data())
    tree = tree_of(bytes(data))
    layout = tree.volume.layout
    entries = dict(tree.walk())
    width = {12: 12, 16: 16, 32: 32}[layout.kind]

    def set_next(cluster: int, value: int) -> None:
        for fat in range(layout.fats):
            at = (START + layout.fat_start + fat * layout.fat_sectors) * SECTOR_SIZE
            if width == 12:
                at += cluster + cluster // 2
                word = struct.unpack_from("<H", data, at)[0]
                word = (word & 0x000F | value << 4) if cluster & 1 else (word & 0xF000 | value & 0xFFF)
                struct.pack_into("<H", data, at, word)
            else:
                struct.pack_into("<H" if width == 16 else "<I", data, at + cluster * width // 8, value)

    long = entries["\\A name that is much too long for DOS.text"]
    deep = entries["\\GAMES\\DEEP\\DEEPER\\FILE"]
    games = entries["\\GAMES"]
    end = (1 << min(width, 28)) - 1
    if change == "loop":
        set_next(long.start + 3, long.start)
        return bytes(data), "circle"
    if change == "cross link":
        set_next(long.start, deep.start)
        return bytes(data), "share"
    if change == "cut":
        set_next(long.start + 1, 0)
        return bytes(data), "broken chain"
    if change == "short":
        set_next(long.start + 1, end)
        return bytes(data), "bytes, but clusters for"
    if change == "outside":
        set_next(long.start + 1, end - 20)
        return bytes(data), "broken chain"
    if change == "folder loop":
        set_next(games.start, games.start)
        return bytes(data), "chain of directory \\GAMES is broken"
    if change == "folder garbage":
        at = (START + layout.place(games.start)) * SECTOR_SIZE
        data[at + 64 : at + SECTOR_SIZE] = random.Random(1).randbytes(SECTOR_SIZE - 64)
        return bytes(data), "\\GAMES"
    assert change == "copies"
    data[(START + layout.fat_start + layout.fat_sectors) * SECTOR_SIZE + 40] ^= 0xFF
    return bytes(data), "copies of the FAT"


DAMAGES = ("loop", "cross link", "cut", "short", "outside", "folder loop", "folder garbage", "copies")


@pytest.mark.parametrize("change", DAMAGES)
def test_damage_is_found(filled: Filled, change: str) -> None:
    data, words = damage(filled[0], change)
    tree = tree_of(data)
    assert any(words in problem for problem in tree.problems), tree.problems
    assert len(list(tree.walk())) < 1000


def test_a_folder_that_holds_itself(filled: Filled) -> None:
    image, _ = filled
    data = bytearray(image.data())
    tree = tree_of(bytes(data))
    entries = dict(tree.walk())
    games, deep = entries["\\GAMES"], entries["\\GAMES\\DEEP"]
    at = (START + tree.volume.layout.place(games.start)) * SECTOR_SIZE
    place = data.find(deep.short, at)
    struct.pack_into("<H", data, place + 26, games.start)
    damaged = tree_of(bytes(data))
    assert any("\\GAMES\\DEEP cannot begin" in problem for problem in damaged.problems)
    assert "\\AUTOEXEC.BAT" in dict(damaged.walk())


def test_lost_clusters_are_counted(filled: Filled) -> None:
    image, _ = filled
    data = bytearray(image.data())
    tree = tree_of(bytes(data))
    layout = tree.volume.layout
    entry = dict(tree.walk())["\\A name that is much too long for DOS.text"]
    first = layout.root_start if layout.root_sectors else layout.place(layout.root_cluster)
    data[data.index(entry.short, (START + first) * SECTOR_SIZE)] = 0xE5
    after = tree_of(bytes(data))
    assert after.problems == []
    assert after.lost == -(-len(CONTENT) // layout.cluster_size)


def test_touched_files(filled: Filled) -> None:
    tree = tree_of(filled[0].data())
    layout = tree.volume.layout
    entries = [entry for _, entry in tree.walk() if entry.start and not entry.is_folder]
    for entry in entries:
        place = layout.place(entry.start)
        runs = np.array([[0, layout.data_start], [place, place + 1]], np.int64)
        assert tree.touched(runs) == {entry.start}
    assert tree.touched(np.array([[0, layout.sectors]], np.int64)) == {entry.start for entry in entries}
    assert tree.touched(np.array([[0, layout.data_start]], np.int64)) == set()


def test_the_volume_for_garbage_is_sound() -> None:
    tree = tree_of(SMALL, 0)
    assert tree.volume.layout.kind == 16
    assert tree.problems == []
    assert len(list(tree.walk())) == 64


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 2**32), st.integers(1, 60), st.sampled_from(["fat", "data"]))
def test_garbage_never_hangs(noise: bytes, seed: int, spots: int, where: str) -> None:
    """Scattered damage to a small volume whose every cluster may lead anywhere."""
    data = bytearray(SMALL)
    rng = random.Random(seed)
    first, stop = (SECTOR_SIZE, 60 * SECTOR_SIZE) if where == "fat" else (0, len(data))
    for _ in range(spots):
        at = rng.randrange(first, stop)
        data[at : at + len(noise)] = noise
        data[at] = rng.randrange(256)
    del data[len(SMALL) :]
    started = time.process_time()
    try:
        tree = tree_of(bytes(data), 0)
    except NotFat:
        return
    for path, entry in tree.walk():
        assert path.startswith("\\")
        assert entry.name
    assert time.process_time() - started < 2
