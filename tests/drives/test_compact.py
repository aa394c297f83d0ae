"""Compact: it reads the same and is no larger, and who knows the image still does."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.compact import compact
from pcemu.drives.create import create_differencing
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host
from pcemu.drives.lineage import Progress
from pcemu.drives.open import open_drive
from pcemu.drives.resize import grow
from pcemu.errors import ImageAccessError, ImageError, UsageError
from tests.drives.images import make_base
from tests.drives.small_images import MIB, Full, check_progress, files, make_line, read, readings, write


def test_zeros_of_a_dynamic_image_go(tmp_path: Path) -> None:
    make_base(image := tmp_path / "a.vhd", "dynamic", 16 * MIB, 65536)
    write(image, 0, 1, 4096)
    write(image, 128, 0, 4096 - 256)  # whole blocks of it
    content, size = read(image), image.stat().st_size
    less = compact(image)
    assert less == size - image.stat().st_size > MIB
    assert read(image) == content
    assert compact(image) == 0


def test_what_the_parent_has_alike_goes_and_zeros_that_hide_something_stay(line: list[Path]) -> None:
    write(line[2], 200, 7, 300)
    write(line[3], 200, 7, 300)  # alike, but for
    write(line[3], 210, 0, 2)  # these, which hide sevens
    write(line[3], 600, 0, 300)  # zeros that hide nothing
    expected = readings(line[0].parent)
    assert compact(line[3]) >= 0
    assert readings(line[0].parent) == expected
    write(line[2], 200, 8, 300)  # seen through it now, where it was alike
    assert {read(line[3])[number * 512] for number in range(200, 500)} == {0, 8}
    assert read(line[3])[210 * 512 : 212 * 512] == bytes(1024)


def test_parent_and_children_notice_nothing(line: list[Path]) -> None:
    write(line[1], 300, 5, 200)
    expected, before = readings(line[0].parent), facts_about(line[1])
    create_differencing(line[0].with_name("branch.vhd"), line[1])
    time = line[1].stat().st_mtime_ns
    compact(line[1])
    after = facts_about(line[1])
    assert (after.unique_id, after.created, after.block_size) == (
        *(before.unique_id, before.created, before.block_size),
    )
    assert line[1].stat().st_mtime_ns == time
    assert readings(line[0].parent) == {**expected, "branch.vhd": expected["1.vhd"]}


def test_gaps_of_resizing_go(tmp_path: Path) -> None:
    make_base(image := tmp_path / "a.vhd", "dynamic", MIB, 4096)
    write(image, 0, 1, 64)
    for size in (3 * MIB, 6 * MIB, 9 * MIB):
        grow(image, size)
    content = read(image)
    assert compact(image) > 0
    assert read(image) == content and compact(image) == 0


@pytest.mark.parametrize("kind", ["raw", "fixed"])
def test_others_have_nothing_to_give(kind: str, tmp_path: Path) -> None:
    make_base(tmp_path / "a", kind, MIB)
    before = files(tmp_path)
    with pytest.raises(UsageError, match=r"is raw or fixed, expected a dynamic or differencing image"):
        compact(tmp_path / "a")
    assert files(tmp_path) == before


def test_a_disk_without_room_and_images_in_use_are_refused(line: list[Path]) -> None:
    before = files(line[0].parent)
    with pytest.raises(ImageAccessError, match=r"100 bytes free, expected \d+ for the new image"):
        compact(line[3], host=Host(Full()))
    drive = open_drive(line[3], read_only=True)
    with pytest.raises(ImageError, match="busy"):
        compact(line[3])
    drive.close()
    assert files(line[0].parent) == before


def test_progress_and_cancelling(tmp_path: Path) -> None:
    (folder := tmp_path / "images").mkdir()
    line = make_line(folder, 8 * MIB)
    write(line[3], 3000, 0x33, 9000)

    def operation(folder: Path, progress: Progress) -> object:
        return compact(folder / "3.vhd", progress=progress)

    check_progress(folder, operation, least=4)
