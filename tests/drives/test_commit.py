"""Commit: what it refuses, what it leaves alone; test_any_order, test_crash and test_faults do the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pcemu.drives.commit import commit, commit_to_parent
from pcemu.drives.create import create_differencing, create_dynamic, create_raw
from pcemu.drives.freeze import freeze
from pcemu.drives.hostfile import Host
from pcemu.drives.open import open_drive
from pcemu.drives.sidecar import PENDING
from pcemu.errors import ImageAccessError, UsageError
from pcemu.testing.drive_conformance import contents
from tests.drives.small_images import MIB, Full, files, read, write


def test_it_returns_how_many_sectors_it_wrote(line: list[Path]) -> None:
    write(line[3], 0, 9)  # which three layers hold
    write(line[2], 0, 8)
    assert commit_to_parent(line[3]) == 2
    assert commit(line[3]) == 4  # what is in any of the others
    assert [path.name for path in line if path.exists()] == ["0.vhd", "3.vhd"]


def test_progress_counts_up_to_the_sectors_and_may_cancel(line: list[Path]) -> None:
    calls: list[tuple[int, int]] = []
    before = read(line[3])

    def cancel(done: int, total: int) -> None:
        calls.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commit(line[3], progress=cancel)
    assert read(line[3]) == before
    calls.clear()
    assert commit(line[3], progress=lambda *call: calls.append(call)) == 3
    assert calls == sorted(calls) and calls[0][0] == 0 and calls[-1] == (3, 3)
    assert read(line[0]) == before


def test_a_disk_without_room_is_found_before_anything_changes(line: list[Path]) -> None:
    write(line[3], 2000, 7)  # a block that the target does not have
    before = files(line[0].parent)
    with pytest.raises(ImageAccessError) as caught:
        commit(line[3], host=Host(Full()))
    text = str(caught.value)
    assert "0.vhd" in text and "100 bytes free" in text and "make room and commit again" in text
    assert files(line[0].parent) == before


def test_what_is_in_use_is_refused(line: list[Path]) -> None:
    for used in (line[0], line[3]):
        drive = open_drive(used, read_only=True)
        before = files(line[0].parent)
        with pytest.raises(ImageAccessError, match="busy"):
            commit(line[3])
        assert files(line[0].parent) == before
        drive.close()


def test_children_of_a_preserved_sibling_are_not_warned(line: list[Path]) -> None:
    """It was written to, but reads as before; they know their parent by its time."""
    sibling, nephew = line[0].with_name("sibling.vhd"), line[0].with_name("nephew.vhd")
    create_differencing(sibling, line[1])
    os.utime(sibling, (1_000_000_000, 1_000_000_000))
    create_differencing(nephew, sibling)
    expected = read(nephew)
    with pytest.raises(UsageError) as caught:
        commit(line[3])
    assert "sibling.vhd" in str(caught.value)
    commit(line[3], preserve_siblings=True)
    drive = open_drive(nephew, read_only=True)
    assert contents(drive) == expected and drive.warnings == []
    drive.close()


def test_other_children_are_seen_though_the_target_is_in_the_folder_above(tmp_path: Path) -> None:
    create_dynamic(base := tmp_path / "base.vhd", MIB)
    (folder := tmp_path / "children").mkdir()
    create_differencing(middle := folder / "middle.vhd", base)
    create_differencing(head := folder / "head.vhd", middle)
    create_differencing(other := folder / "other.vhd", middle)
    drive = open_drive(head, allow_outside=True)
    drive.write(7, bytes((7,)) * 512)
    drive.close()
    with pytest.raises(UsageError) as caught:
        commit(head, allow_outside=True)
    assert "other.vhd is built on it" in str(caught.value)
    before = open_drive(other, read_only=True, allow_outside=True)
    expected = contents(before)
    before.close()
    commit(head, preserve_siblings=True, allow_outside=True)
    after = open_drive(other, read_only=True, allow_outside=True)
    assert contents(after) == expected
    after.close()


def test_a_layer_between_stays_for_who_is_built_on_it(line: list[Path]) -> None:
    create_differencing(branch := line[0].with_name("branch.vhd"), line[1])
    write(branch, 7, 70)
    kept, content, whole = read(line[1]), read(branch), read(line[3])
    commit(line[3], preserve_siblings=True)
    assert read(line[0]) == read(line[3]) == whole
    assert (read(line[1]), read(branch)) == (kept, content)
    assert not line[2].exists()
    commit(branch, line[1])
    assert read(line[1]) == content and read(line[0]) == whole


def test_a_sibling_keeps_its_zeros_where_only_the_target_grows(tmp_path: Path) -> None:
    """It is as large as the head already: what it reads behind the target's old end must not change."""
    create_dynamic(base := tmp_path / "base.vhd", MIB)
    create_differencing(middle := tmp_path / "middle.vhd", base, size=2 * MIB)
    create_differencing(sibling := tmp_path / "sibling.vhd", base, size=3 * MIB)
    create_differencing(branch := tmp_path / "branch.vhd", middle)
    create_differencing(head := tmp_path / "head.vhd", middle)
    write(head, 2000, 8, 100)  # across the end
    before = {path: read(path) for path in (middle, sibling, branch, head)}
    commit(head, base, preserve_siblings=True)
    assert {path: read(path) for path in before} == before
    assert read(base) == before[head]


def test_nothing_is_noted_when_it_is_refused(tmp_path: Path) -> None:
    create_raw(tmp_path / "base.img", MIB)
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.img")
    with pytest.raises(UsageError, match="target itself"):
        commit(tmp_path / "child.vhd", tmp_path / "child.vhd")
    with pytest.raises(UsageError, match="no differencing image"):
        commit(tmp_path / "base.img")
    assert not list(tmp_path.glob(f"*{PENDING}"))


def test_an_image_frozen_in_use_is_committed_later(line: list[Path]) -> None:
    drive = open_drive(line[3])
    drive.write(100, b"f" * 512)
    drive = freeze(drive, frozen := line[0].with_name("frozen.vhd"))
    drive.write(101, b"g" * 512)
    expected = bytes(contents(drive))
    drive.close()
    commit(frozen)
    assert read(line[0]) == expected == read(frozen)
