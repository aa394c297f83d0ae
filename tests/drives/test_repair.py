"""Repair: which footer was lost is said and restored, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive
from pcemu.drives.repair import mend_tail, repair
from pcemu.errors import ImageError, ImageFormatError
from tests.drives.images import make_base
from tests.drives.small_images import MIB, files, read, times_kept


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("tail", "the footer at the end was lost; restored from its copy at the start"),
        ("copy", "the footer's copy at the start was lost; restored from the one at the end"),
    ],
)
def test_a_lost_footer_is_restored(number: int, lost: str, words: str, line: list[Path]) -> None:
    image = line[number]
    whole, expected = image.read_bytes(), read(line[3])
    with times_kept(image):
        image.write_bytes(whole[:-512] + bytes(512) if lost == "tail" else bytes(512) + whole[512:])
    assert repair(image) == [f"{image}: {words}"]
    assert image.read_bytes() == whole
    assert repair(image) == []
    assert read(line[3]) == expected


@pytest.mark.parametrize("junk", [0, 1, 511, 512, 5000])
def test_what_a_crash_left_behind_the_blocks_goes(junk: int, line: list[Path]) -> None:
    whole = line[3].read_bytes()
    line[3].write_bytes(whole[:-512] + os.urandom(junk))
    assert len(repair(line[3])) == 1
    assert line[3].read_bytes() == whole


def test_children_need_no_warning_of_it(line: list[Path]) -> None:
    with line[0].open("r+b") as file:
        file.truncate(file.seek(0, 2) - 512)
    os.utime(line[0], ns=(5 * 10**17, 10**18))
    assert len(repair(line[0])) == 1
    assert line[0].stat().st_mtime_ns == 10**18


def test_there_is_nothing_to_do_for_sound_and_for_fixed_images(line: list[Path], tmp_path: Path) -> None:
    make_base(fixed := tmp_path / "fixed.vhd", "fixed", MIB)
    before = {path: path.read_bytes() for path in (*line, fixed)}
    assert [repair(path) for path in before] == [[]] * 5
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("number", [0, 3])
def test_without_any_footer_it_is_refused_and_left(number: int, line: list[Path]) -> None:
    whole = line[number].read_bytes()
    line[number].write_bytes(bytes(512) + whole[512:-512] + bytes(512))
    before = files(line[0].parent)
    with pytest.raises(ImageFormatError) as caught:
        repair(line[number])
    assert line[number].name in str(caught.value)
    assert files(line[0].parent) == before


def test_one_in_use_is_refused(line: list[Path]) -> None:
    drive = open_drive(line[3], read_only=True)
    with pytest.raises(ImageError, match="busy"):
        repair(line[0])
    drive.close()


def test_what_an_operation_was_extending_is_mended_and_a_raw_image_is_left(
    line: list[Path], tmp_path: Path
) -> None:
    whole = line[3].read_bytes()
    line[3].write_bytes(whole[:-512])
    mend_tail(str(line[3]), HOST)
    assert line[3].read_bytes() == whole
    (raw := tmp_path / "raw.img").write_bytes(os.urandom(MIB))
    content = raw.read_bytes()
    mend_tail(str(raw), HOST)
    assert raw.read_bytes() == content


def test_a_raw_image_is_refused_as_one_with_nothing_to_repair(tmp_path: Path) -> None:
    (image := tmp_path / "raw.img").write_bytes(bytes(MIB))
    with pytest.raises(ImageFormatError, match=r"raw\.img: has no trace of .*nothing to repair"):
        repair(image)
    assert image.read_bytes() == bytes(MIB)
