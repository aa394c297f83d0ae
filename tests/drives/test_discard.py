"""Discard: what goes, what stays, what is refused; test_crash has it half way through a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.discard import discard
from pcemu.drives.open import open_drive
from pcemu.errors import ImageAccessError, ImageError, ImageNotFoundError, UsageError
from tests.drives.small_images import files, readings, stuck


def test_a_child_goes_and_nothing_else_changes(line: list[Path]) -> None:
    before = files(line[0].parent)
    assert discard(line[3]) == [str(line[3])]
    del before["3.vhd"]
    assert files(line[0].parent) == before
    with pytest.raises(ImageNotFoundError, match=r"3.vhd: no such file; give the path of an existing child"):
        discard(line[3])


def test_all_down_to_an_ancestor_go_the_newest_first(line: list[Path]) -> None:
    expected = readings(line[0].parent)
    assert discard(line[3], line[1]) == [str(line[3]), str(line[2])]
    assert readings(line[0].parent) == {name: expected[name] for name in ("0.vhd", "1.vhd")}


def test_one_whose_parent_is_missing_goes_too(line: list[Path]) -> None:
    line[2].unlink()
    assert discard(line[3]) == [str(line[3])]


@pytest.mark.parametrize(
    ("path", "down_to", "words"),
    [
        (1, None, "2.vhd is built on it, expected no child before discarding it"),
        (2, 0, "3.vhd is built on it"),
        (0, None, "0.vhd: is no differencing image, expected one; remove it by hand"),
        (3, 3, "3.vhd: is the image to discard itself, expected one below it"),
        (1, 3, "3.vhd: is not what"),
    ],
)
def test_what_is_needed_or_no_child_is_refused(
    path: int, down_to: int | None, words: str, line: list[Path]
) -> None:
    before = files(line[0].parent)
    with pytest.raises(UsageError) as caught:
        discard(line[path], None if down_to is None else line[down_to])
    assert words in str(caught.value)
    assert files(line[0].parent) == before


@pytest.mark.parametrize("used", [2, 3])
def test_one_in_use_is_refused(used: int, line: list[Path]) -> None:
    before = files(line[0].parent)
    drive = open_drive(line[used], read_only=True)
    with pytest.raises(ImageError, match="busy"):
        discard(line[3], line[0])
    drive.close()
    assert files(line[0].parent) == before


def test_it_goes_on_where_it_was_stopped(line: list[Path]) -> None:
    with pytest.raises(ImageAccessError, match=r"discarding failed at .*2.vhd.*not removed is whole"):
        discard(line[3], line[0], host=stuck("2.vhd"))
    assert not line[3].exists() and line[2].exists()
    assert discard(line[3], line[0]) == [str(line[2]), str(line[1])]
    assert sorted(files(line[0].parent)) == ["0.vhd"]
