"""Compare: the first sector that differs, whatever the formats, beside a plain comparison of bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.compare import Comparison, compare, compare_drives
from pcemu.drives.convert import convert
from pcemu.drives.create import create_differencing, create_raw
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.errors import ImageNotFoundError
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.small_images import MIB, Cancelled, Watch, files, read, write

SECTORS = MIB // 512


@pytest.mark.parametrize("form", [Format.RAW, Format.FIXED, Format.DYNAMIC])
def test_a_copy_is_the_same_until_a_sector_is_not(form: Format, line: list[Path], tmp_path: Path) -> None:
    convert(line[3], copy := tmp_path / "copy", form)
    before = files(line[0].parent)
    assert compare(line[3], copy) == Comparison(None, (SECTORS, SECTORS))
    assert compare(line[3], copy).same_content
    for lba in (SECTORS - 1, 700, 699, 0):
        write(copy, lba, 0x99)
        assert compare(line[3], copy).first_difference == compare(copy, line[3]).first_difference == lba
    assert files(line[0].parent) == before


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_what_a_comparison_of_all_bytes_finds(seed: int) -> None:
    rng = random.Random(seed)
    sizes = rng.choice([(5000, 5000), (5000, 4000), (1, 5000)])
    one, two = (bytearray(size * 512) for size in sizes)
    for lba in rng.sample(range(min(sizes)), min(3, min(sizes))):
        one[lba * 512] = two[lba * 512] = 7
    for _ in range(rng.choice((0, 1, 2))):
        changed = rng.choice((one, two))
        changed[rng.randrange(len(changed))] ^= 0x80
    first, second = MemoryDrive(one), MemoryDrive(two)
    longest = max(sizes) * 512
    pairs = zip(one.ljust(longest, b"\0"), two.ljust(longest, b"\0"), strict=True)
    differ = next((at // 512 for at, (a, b) in enumerate(pairs) if a != b), None)
    found = compare_drives(first, second)
    assert found == Comparison(differ, sizes)
    assert found.same_content is (differ is None)


def test_a_longer_drive_is_the_same_while_its_end_is_zeros(tmp_path: Path) -> None:
    create_raw(tmp_path / "short.img", MIB)
    create_raw(tmp_path / "long.img", 3 * MIB)
    for path in tmp_path.iterdir():
        write(path, 5, 5)
    shorter, longer = tmp_path / "short.img", tmp_path / "long.img"
    assert compare(shorter, longer) == Comparison(None, (SECTORS, 3 * SECTORS))
    write(longer, 2 * SECTORS, 1)
    assert compare(shorter, longer).first_difference == 2 * SECTORS
    assert compare(longer, shorter).first_difference == 2 * SECTORS


class Counting(SystemCalls):
    """Counts the bytes that are read."""

    def __init__(self) -> None:
        self.bytes = 0

    def preadv(self, fd: int, buffers: Any, offset: int) -> int:
        count = super().preadv(fd, buffers, offset)
        self.bytes += count
        return count


def test_what_both_have_from_the_same_place_is_not_read(tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(random.Random(1).randbytes(8 * MIB))
    for name in ("one.vhd", "two.vhd"):
        create_differencing(tmp_path / name, base)
        write(tmp_path / name, 9, 9, 50)
    content = read(tmp_path / "one.vhd")
    assert content == read(tmp_path / "two.vhd")
    calls = Counting()
    open_drive(tmp_path / "one.vhd", read_only=True, host=Host(calls)).close()
    opening = calls.bytes
    calls = Counting()
    assert compare(tmp_path / "one.vhd", tmp_path / "two.vhd", host=Host(calls)).same_content
    assert calls.bytes < 2 * opening + MIB // 2


def test_progress_and_cancelling(tmp_path: Path) -> None:
    for name in ("a.img", "b.img"):
        (tmp_path / name).write_bytes(b"x" * (4 * MIB))
    compare(tmp_path / "a.img", tmp_path / "b.img", progress=(watch := Watch()))
    watch.check()
    assert watch.calls[0] == (0, 4 * SECTORS) and len(watch.calls) >= 5
    for stop in range(len(watch.calls)):
        with pytest.raises(Cancelled):
            compare(tmp_path / "a.img", tmp_path / "b.img", progress=Watch(stop))
        open_drive(tmp_path / "a.img").close()  # for writing: no lock is left
        open_drive(tmp_path / "b.img").close()


def test_a_second_image_that_is_missing_leaves_the_first_free(line: list[Path]) -> None:
    with pytest.raises(ImageNotFoundError, match=r"none.vhd: no such file"):
        compare(line[3], line[0].with_name("none.vhd"))
    open_drive(line[3]).close()
