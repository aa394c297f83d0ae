"""Merge: what becomes of the layers, what it refuses, and how it goes on after it was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host
from pcemu.drives.lineage import Progress
from pcemu.drives.merge import merge
from pcemu.drives.open import open_drive
from pcemu.drives.sidecar import PENDING
from pcemu.drives.tree import ancestors_of
from pcemu.errors import ImageAccessError, ImageNotFoundError, UsageError
from tests.drives.small_images import (
    MIB,
    Full,
    check_progress,
    files,
    make_line,
    read,
    readings,
    stuck,
    write,
)


def test_the_newest_copy_of_each_sector_wins_zeros_too(line: list[Path]) -> None:
    model = bytearray(read(line[3]))
    for image, fill in zip(line[1:], (0x11, 0x22, 0x33), strict=True):
        write(image, 100, fill, 8)
    write(line[2], 102, 0, 2)
    write(line[3], 104, 0)
    merge(line[3], line[1])
    model[100 * 512 : 108 * 512] = b"\x33" * (8 * 512)
    model[104 * 512 : 105 * 512] = bytes(512)
    assert read(line[3]) == model
    write(line[0], 100, 0x44, 8)  # all of them are its own now
    drive = open_drive(line[3], read_only=True)
    drive.read(100, sectors := bytearray(8 * 512))
    drive.close()
    assert sectors == model[100 * 512 : 108 * 512]


def test_it_takes_the_place_of_the_top_and_names_what_is_gone(line: list[Path]) -> None:
    before, id_before = readings(line[0].parent), facts_about(line[2]).unique_id
    assert merge(line[2], line[1]) == [str(line[1])]
    assert facts_about(line[2]).unique_id == id_before  # by which the child above knows it
    assert readings(line[0].parent) == {name: before[name] for name in ("0.vhd", "2.vhd", "3.vhd")}
    assert ancestors_of(line[3]) == [str(line[2]), str(line[0])]
    assert merge(line[3], line[2]) == [str(line[2])]
    assert ancestors_of(line[3]) == [str(line[0])]


def test_removed_are_the_newest_first_but_for_what_others_are_built_on(line: list[Path]) -> None:
    create_differencing(branch := line[0].with_name("branch.vhd"), line[1])
    expected = readings(line[0].parent)
    assert merge(line[3], line[1]) == [str(line[2])]
    assert readings(line[0].parent) == {name: expected[name] for name in expected if name != "2.vhd"}
    branch.unlink()
    (other := line[0].parent / "other").mkdir()
    assert merge((four := make_line(other))[3], four[1]) == [str(four[2]), str(four[1])]


@pytest.mark.parametrize(
    ("top", "bottom", "words"),
    [
        (3, 0, "0.vhd: is the ultimate parent, expected a differencing image below the top"),
        (3, 3, "3.vhd: is the top layer itself, expected a differencing image below the top"),
        (1, 2, "is not what"),
        (0, 0, "no differencing image"),
    ],
)
def test_layers_that_are_no_stack_are_refused(top: int, bottom: int, words: str, line: list[Path]) -> None:
    before = files(line[0].parent)
    with pytest.raises(UsageError) as caught:
        merge(line[top], line[bottom])
    assert words in str(caught.value)
    assert files(line[0].parent) == before


def test_a_disk_without_room_and_images_in_use_are_refused(line: list[Path]) -> None:
    before = files(line[0].parent)
    with pytest.raises(ImageAccessError, match=r"100 bytes free, expected .* for the merged image"):
        merge(line[3], line[1], host=Host(Full()))
    drive = open_drive(line[1], read_only=True)
    with pytest.raises(ImageAccessError, match="busy"):
        merge(line[3], line[1])
    drive.close()
    assert files(line[0].parent) == before


def test_progress_and_cancelling(tmp_path: Path) -> None:
    (folder := tmp_path / "images").mkdir()
    line = make_line(folder, 16 * MIB)
    write(line[2], 100, 0x22, 12000)
    write(line[3], 9000, 0x33, 12000)

    def operation(folder: Path, progress: Progress) -> object:
        return merge(folder / "3.vhd", folder / "1.vhd", progress=progress)

    check_progress(folder, operation, least=4)


def test_what_could_not_be_removed_is_by_the_next_call(line: list[Path]) -> None:
    before = read(line[3])
    with pytest.raises(ImageAccessError, match=r"merging failed at .*1.vhd: .*; nothing is lost"):
        merge(line[3], line[1], host=stuck("1.vhd"))
    assert read(line[3]) == before and Path(f"{line[0]}{PENDING}").exists()
    assert merge(line[3], line[1]) == [str(line[1])]
    assert sorted(files(line[0].parent)) == ["0.vhd", "3.vhd"] and read(line[3]) == before
    with pytest.raises(ImageNotFoundError, match=r"1.vhd: no such file"):  # there is nothing left of it
        merge(line[3], line[1])
