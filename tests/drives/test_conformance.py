"""Every format and every stack behaves as a row of sectors; test_any_order has the operations on them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcemu.drives.open import open_drive
from pcemu.drives.overlay import MemoryOverlay
from pcemu.testing.drive_conformance import check_refusals, contents, exercise
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.images import STACKS, make_stack

SIZES = (9 * 1024 * 1024, 5 * 1024 * 1024 + 3 * 512)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STACKS)
def test_images_conform(name: str, size: int, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, size)
    drive = open_drive(path)
    assert contents(drive) == model
    exercise(drive, model, random.Random(7))
    check_refusals(drive)
    drive.close()
    for read_only in (True, False):
        again = open_drive(path, read_only=read_only)
        assert contents(again) == model
        assert not again.warnings
        again.close()


def test_drives_in_memory_conform() -> None:
    for drive in (MemoryDrive(1000), MemoryOverlay(MemoryDrive(1000))):
        exercise(drive, bytearray(1000 * 512), random.Random(3))
        check_refusals(drive)


@pytest.mark.parametrize("name", STACKS)
def test_read_only_drives_refuse_writes_and_stay_as_they_are(name: str, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, SIZES[1])
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    drive = open_drive(path, read_only=True)
    assert drive.read_only
    with pytest.raises(PermissionError):
        drive.write(0, bytes(512))
    with pytest.raises(PermissionError):
        drive.discard(0, 1)
    drive.flush()
    assert contents(drive) == model
    drive.close()
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before
