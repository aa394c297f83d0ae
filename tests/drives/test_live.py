"""Operations on the images of a drive in use: it lets go of them, and goes on with what they have become."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.live import set_aside
from pcemu.drives.open import open_drive
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError
from pcemu.testing.drive_conformance import contents
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.small_images import read, write


def in_use(path: Path) -> Chain:
    drive = open_drive(path)
    assert isinstance(drive, Chain)
    return drive


def test_a_commit_amid_the_use_of_a_drive(line: list[Path]) -> None:
    drive = in_use(line[3])
    drive.write(9, b"\x09" * 512)
    before = contents(drive)
    with set_aside(drive) as path:
        assert path == line[3]
        assert read(path) == before  # what was written has been brought there
        commit(path)
    assert [Path(layer.file.path) for layer in drive.layers if isinstance(layer, SparseLayer)] == [
        line[0], line[3]
    ]  # fmt: skip
    assert contents(drive) == before
    drive.write(10, b"\x0a" * 512)
    drive.close()
    assert read(line[3])[9 * 512 : 11 * 512] == b"\x09" * 512 + b"\x0a" * 512


def test_a_failed_operation_gives_the_drive_back(line: list[Path]) -> None:
    drive = in_use(line[3])
    before = contents(drive)
    with pytest.raises(KeyError), set_aside(drive) as path:
        write(path, 20, 7)
        raise KeyError
    assert contents(drive)[20 * 512] == 7 and contents(drive)[: 20 * 512] == before[: 20 * 512]
    with pytest.raises(ImageAccessError, match="busy"):
        open_drive(line[3])  # it is held again
    drive.close()


def test_a_drive_that_is_only_read_stays_so(line: list[Path]) -> None:
    drive = open_drive(line[3], read_only=True)
    assert isinstance(drive, Chain)
    with set_aside(drive):
        pass
    assert drive.read_only
    with pytest.raises(PermissionError):
        drive.write(0, bytes(512))
    drive.close()


def test_a_head_that_is_no_image() -> None:
    drive = Chain([MemoryDrive(8)])
    with pytest.raises(TypeError, match="no image"), set_aside(drive):
        pass
    assert drive.sectors == 8
