"""Reading whole drives: which sectors are known to be zeros, where the others lie, what a buffer holds."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.drives.content import GRAIN, Extent, data_in, extents, read_padded
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.open import open_drive
from pcemu.testing.memory_drive import MemoryDrive

MIB = 1 << 20
PER_MIB = MIB // SECTOR_SIZE


def check_whole(drive: Drive, found: list[Extent], lba: int, sectors: int) -> None:
    """Without gaps, and what has no source is zeros."""
    assert found[0].lba == lba and found[-1].lba + found[-1].sectors == lba + sectors
    assert all(one.lba + one.sectors == two.lba for one, two in pairwise(found))
    for extent in found:
        buffer = bytearray(extent.sectors * SECTOR_SIZE)
        drive.read(extent.lba, buffer)
        if extent.source is None:
            assert not any(buffer)


def test_holes_of_a_raw_image_are_zeros(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(4 * MIB)
        file.seek(MIB)
        file.write(b"x" * MIB)
    drive = open_drive(path)
    found = list(extents(drive))
    status = path.stat()
    assert found == [
        Extent(0, PER_MIB, None),
        Extent(PER_MIB, PER_MIB, (status.st_dev, status.st_ino, 0)),
        Extent(2 * PER_MIB, 2 * PER_MIB, None),
    ]
    part = list(extents(drive, PER_MIB + 5, 20))
    assert part == [Extent(PER_MIB + 5, 20, (status.st_dev, status.st_ino, 0))]
    drive.close()


@pytest.mark.parametrize("seed", range(3))
def test_extents_of_a_chain_are_read_where_they_say(seed: int, tmp_path: Path) -> None:
    """By the file that the source names, and not by the drive."""
    rng = random.Random(seed)
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    create_dynamic(base, 6 * MIB)
    for path in (base, child):
        if path == child:
            create_differencing(child, base)
        drive = open_drive(path)
        for _ in range(6):
            lba = rng.randrange(6 * PER_MIB - 300)
            drive.write(lba, rng.randbytes(rng.randrange(1, 300) * SECTOR_SIZE))
        drive.close()
    drive = open_drive(child, read_only=True)
    files = {path.stat().st_ino: path.read_bytes() for path in (base, child)}
    lba, sectors = rng.randrange(PER_MIB), 4 * PER_MIB
    for first, count in ((0, drive.sectors), (lba, sectors)):
        found = list(extents(drive, first, count))
        check_whole(drive, found, first, count)
        for extent in found:
            if extent.source is not None:
                at = extent.source[2] + extent.lba * SECTOR_SIZE
                wanted = bytearray(extent.sectors * SECTOR_SIZE)
                drive.read(extent.lba, wanted)
                assert files[extent.source[1]][at : at + len(wanted)] == wanted
        assert {extent.source[1] for extent in found if extent.source} == set(files)
    drive.close()


def test_a_drive_that_is_no_file_is_one_extent() -> None:
    one, other = MemoryDrive(10), MemoryDrive(10)
    (found,) = extents(one)
    assert found[:2] == (0, 10)
    assert next(extents(other)).source != found.source == next(extents(one)).source


def test_behind_the_end_of_a_drive_are_zeros() -> None:
    drive = MemoryDrive(b"a" * SECTOR_SIZE + b"b" * SECTOR_SIZE)
    for lba, expected in ((0, b"ab\0"), (1, b"b\0\0"), (2, b"\0\0\0"), (9, b"\0\0\0")):
        buffer = bytearray(b"?" * 3 * SECTOR_SIZE)
        read_padded(drive, lba, memoryview(buffer))
        assert bytes(buffer[::SECTOR_SIZE]) == expected
        assert buffer.count(b"?") == 0


@given(
    st.lists(st.tuples(st.integers(0, 79), st.binary(min_size=1, max_size=1)), max_size=6), st.integers(1, 80)
)
def test_data_in_a_buffer(spots: list[tuple[int, bytes]], sectors: int) -> None:
    buffer = bytearray(sectors * SECTOR_SIZE)
    for lba, byte in spots:
        if lba < sectors:
            buffer[lba * SECTOR_SIZE + 100] = byte[0]
    found = data_in(memoryview(buffer))
    inside = {at for first, last in found for at in range(first, last, SECTOR_SIZE)}
    for page in range(0, len(buffer), GRAIN):
        some = any(buffer[page : page + GRAIN])
        assert all((at in inside) == some for at in range(page, min(page + GRAIN, len(buffer)), SECTOR_SIZE))
    assert all(one[1] < two[0] for one, two in pairwise(found))  # as few parts as they make


def test_no_hole_is_looked_for_in_short_pieces(tmp_path: Path) -> None:
    """Which would cost more than to read them."""
    path = tmp_path / "disk.img"
    path.touch()
    os.truncate(path, MIB)
    drive = open_drive(path)
    (extent,) = extents(drive, 0, GRAIN // SECTOR_SIZE - 1)
    assert extent.source is not None
    (extent,) = extents(drive, 0, GRAIN // SECTOR_SIZE)
    assert extent.source is None
    drive.close()
