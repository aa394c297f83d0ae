"""Which layer holds what: runs that cover the drive, and say nothing that is not so."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from pcemu.drives.chain import NO_LAYER, Chain
from pcemu.drives.create import create_raw
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.open import open_drive
from pcemu.drives.ownership import layers_of, owned_runs
from pcemu.drives.raw import RawDrive
from tests.drives.images import STACKS, make_stack
from tests.drives.small_images import MIB, Watch, write

SIZE = 9 * MIB


@pytest.mark.parametrize("name", STACKS)
def test_each_run_is_where_its_sectors_are(name: str, tmp_path: Path) -> None:
    head, model = make_stack(tmp_path, name, SIZE, seed=3)
    drive = open_drive(head, read_only=True)
    layers = layers_of(drive)
    at = 0
    for run in owned_runs(drive):
        assert run.lba == at and run.sectors > 0
        at += run.sectors
        expected = model[run.lba * SECTOR_SIZE : at * SECTOR_SIZE]
        if run.layer == NO_LAYER:
            assert not any(expected)
        else:
            with layers[run.layer].path.open("rb") as file:
                file.seek(run.offset)
                assert file.read(len(expected)) == expected
    assert at == drive.sectors
    drive.close()


def test_the_newest_layer_that_wrote_a_sector_has_it(line: list[Path]) -> None:
    write(line[2], 100, 0, 10)  # zeros count as written
    write(line[3], 103, 9, 2)
    drive = open_drive(line[3])
    owners = {lba: run.layer for run in owned_runs(drive) for lba in range(run.lba, run.lba + run.sectors)}
    assert [owners[lba] for lba in range(6)] == [0, 1, 2, 3, 0, 0]  # in a block that the base has
    assert [owners[lba] for lba in range(99, 111)] == [0, 2, 2, 2, 3, 3, 2, 2, 2, 2, 2, 0]
    drive.close()


def test_holes_of_a_raw_image_are_nobody_s(tmp_path: Path) -> None:
    create_raw(path := tmp_path / "disk.img", SIZE)
    rng = random.Random(1)
    written = set()
    for lba in rng.sample(range(SIZE // SECTOR_SIZE), 5):
        write(path, lba, 7)
        written.add(lba)
    drive = open_drive(path)
    assert not isinstance(drive, Chain) and isinstance(drive, RawDrive)
    runs = list(owned_runs(drive))
    held = {lba for run in runs if run.layer == 0 for lba in range(run.lba, run.lba + run.sectors)}
    assert written <= held and len(held) <= 5 * 256  # no more than the blocks of the host around them
    assert all(one.layer != other.layer for one, other in pairwise(runs))
    drive.close()


def test_progress_is_told(line: list[Path]) -> None:
    drive = open_drive(line[3])
    list(owned_runs(drive, watch := Watch()))
    watch.check()
    drive.close()
