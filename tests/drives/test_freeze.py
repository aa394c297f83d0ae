"""Freeze and revert: what an open drive goes on with, what becomes of the layers, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.chain import Chain
from pcemu.drives.create import create_differencing, create_raw
from pcemu.drives.facts import facts_about
from pcemu.drives.freeze import freeze, parent_path, revert
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_drive
from pcemu.drives.tree import ancestors_of
from pcemu.errors import ImageAccessError, UsageError
from pcemu.testing.drive_conformance import contents
from tests.drives.small_images import MIB, files, read, readings, stuck, write


def test_writes_go_to_the_child_and_the_old_head_stays(line: list[Path]) -> None:
    drive = open_drive(line[3])
    drive.write(50, b"a" * 512)  # not flushed
    frozen = bytes(contents(drive))
    child = line[0].with_name("child.vhd")
    assert freeze(drive, child, block_size=65536) is drive
    drive.write(51, b"b" * 512)
    drive.flush()
    assert read(line[3]) == frozen  # while the drive is in use: its images are shared
    with pytest.raises(ImageAccessError, match="busy"):
        open_drive(line[3])
    model = bytearray(frozen)
    model[51 * 512 : 52 * 512] = b"b" * 512
    assert contents(drive) == model
    drive.close()
    assert read(child) == model and facts_about(child).block_size == 65536


def test_a_single_image_becomes_a_chain(tmp_path: Path) -> None:
    create_raw(tmp_path / "base.img", MIB)
    drive = freeze(open_drive(tmp_path / "base.img"), tmp_path / "child.vhd")
    assert isinstance(drive, Chain) and len(drive.layers) == 2
    drive.write(0, b"x" * 512)
    drive.close()
    assert read(tmp_path / "base.img") == bytes(MIB)
    assert ancestors_of(tmp_path / "child.vhd") == [str(tmp_path / "base.img")]


def test_the_child_is_whole_when_it_is_to_be_noted(line: list[Path]) -> None:
    drive = open_drive(line[3])
    drive.write(60, b"c" * 512)
    child = line[0].with_name("child.vhd")
    seen: list[list[str]] = []
    drive = freeze(drive, child, record=lambda: seen.append(ancestors_of(child)))
    drive.close()
    assert seen == [[str(path) for path in reversed(line)]]


def test_when_it_cannot_be_noted_all_is_as_before(line: list[Path]) -> None:
    drive = open_drive(line[3])
    names = sorted(files(line[0].parent))

    def record() -> None:
        raise OSError("no")

    with pytest.raises(ImageAccessError, match="freezing it failed: no; the drive is as before"):
        freeze(drive, child := line[0].with_name("child.vhd"), record=record)
    assert sorted(files(line[0].parent)) == names
    drive.write(61, b"d" * 512)
    freeze(drive, child)
    drive.close()
    assert read(child)[61 * 512] == ord("d")


def test_names_that_are_taken_and_drives_that_are_read_only_are_refused(line: list[Path]) -> None:
    before = files(line[0].parent)
    drive = open_drive(line[3])
    with pytest.raises(UsageError, match=r"1.vhd: exists, expected a new name"):
        freeze(drive, line[1])
    drive.close()
    drive = open_drive(line[3], read_only=True)
    with pytest.raises(UsageError, match="not open for writing, expected it to be; open it so"):
        freeze(drive, line[0].with_name("child.vhd"))
    drive.close()
    assert files(line[0].parent) == before


def test_reverting_to_the_parent_and_to_any_ancestor(line: list[Path]) -> None:
    expected = readings(line[0].parent)
    assert parent_path(line[3], False, HOST) == str(line[2])
    assert revert(line[3]) == []
    assert read(line[3]) == expected["2.vhd"]
    assert revert(line[3]) == []  # again
    assert revert(line[3], line[0]) == [str(line[2]), str(line[1])]
    assert read(line[3]) == read(line[0]) == expected["0.vhd"]
    write(line[3], 5, 5)  # it is in use as before
    assert read(line[3])[5 * 512] == 5


def test_reverting_leaves_what_others_are_built_on(line: list[Path]) -> None:
    create_differencing(line[0].with_name("branch.vhd"), line[1])
    expected = readings(line[0].parent)
    before = files(line[0].parent)
    with pytest.raises(UsageError, match=r"2.vhd, .*branch.vhd are built on it, expected no child"):
        revert(line[1])
    assert files(line[0].parent) == before
    assert revert(line[3], line[0]) == [str(line[2])]
    for name in ("0.vhd", "1.vhd", "branch.vhd"):
        assert read(line[0].with_name(name)) == expected[name]


def test_reverting_goes_on_where_it_was_stopped(line: list[Path]) -> None:
    expected = read(line[0])
    with pytest.raises(ImageAccessError, match=r"reverting failed at .*1.vhd.*run it again"):
        revert(line[3], line[0], host=stuck("1.vhd"))
    assert read(line[3]) == expected
    revert(line[3], line[0])
    assert sorted(files(line[0].parent)) == ["0.vhd", "3.vhd"] and read(line[3]) == expected
