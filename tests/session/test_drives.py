"""A session's open drives: whose sectors are counted, and how they are closed and opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageError
from pcemu.session.session import Session

ONE, TWO = b"1" * SECTOR_SIZE, b"2" * SECTOR_SIZE


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


def test_sectors_are_counted_for_each_drive_and_once_for_all(image: Path) -> None:
    with Session(image) as session:
        session.start().write(10, ONE * 3)
        first = session.checkpoint()
        session.drive.write(12, TWO * 2)
        head = session.drives[-1].number
        assert [session.changes_of(number).sectors for number in (first, head)] == [3, 2]
        assert session.changed_sectors == session.changes().sectors == 4
        assert [len(session.own_layers()), session.base.sectors] == [2, 2048]
        session.discard()


def test_drives_that_are_set_aside_leave_the_image_to_others(image: Path) -> None:
    with Session(image) as session:
        drive = session.start()
        drive.write(10, ONE)
        assert session.open and session.dirty
        with pytest.raises(ImageError, match="busy"):
            RawDrive(image)
        with session.set_aside():
            assert session.running and not session.open
            other = RawDrive(image)
            other.flush()
            other.close()
        assert session.open and session.drive is drive and not session.dirty
        found = bytearray(SECTOR_SIZE)
        drive.read(10, found)
        assert found == ONE
        session.discard()


def test_what_cannot_be_opened_again_leaves_nothing_open(image: Path) -> None:
    with Session(image) as session:
        session.start().write(10, ONE)
        content = image.read_bytes()
        with pytest.raises(ImageError, match="expected"), session.set_aside():
            image.write_bytes(content + bytes(SECTOR_SIZE))
        assert not session.open
        RawDrive(image).close()  # which nobody holds
        image.write_bytes(content)
    with Session(image) as session:
        session.start()
        assert session.changed_sectors == 1
        session.discard()
