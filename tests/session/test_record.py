"""A session's record: what stands in its files' place and is something else, and the names of checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pcemu.errors import ImageAccessError, ImageNotFoundError, UsageError
from pcemu.session.session import Session


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image with a session that was kept."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    with Session(path) as session:
        session.start().write(5, b"1" * 512)
        session.checkpoint("named")
        session.keep()
    return path


def test_a_folder_where_the_journal_should_be(image: Path) -> None:
    journal = Path(f"{image}.pcemu", "default.json")
    journal.unlink()
    journal.mkdir()
    with pytest.raises(ImageAccessError, match=r"default\.json: cannot be read: .* move it away"):
        Session(image)
    journal.rmdir()
    with Session(image) as session:
        session.start()
        assert session.changed_sectors == 1


def test_a_file_where_the_sessions_folder_should_be(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    place = Path(f"{image}.pcemu")
    place.write_text("mine")
    with pytest.raises(ImageAccessError, match=r"disk\.img\.pcemu: is no folder, .* move it away"):
        Session(image)
    assert place.read_text() == "mine"


def test_an_image_that_was_moved_away_from_its_session(image: Path, tmp_path: Path) -> None:
    moved = image.rename(tmp_path / "moved.img")
    with pytest.raises(ImageNotFoundError, match=r"the session in .*disk\.img\.pcemu; move it back"):
        Session(image)
    moved.rename(image)
    with Session(image) as session:
        session.start()
        assert session.changed_sectors == 1


def test_a_name_that_leaves_no_room_for_those_beside_it(tmp_path: Path) -> None:
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    for length in (longest - 27, longest - 5, longest):
        image = tmp_path / ("n" * length)
        image.write_bytes(bytes(1 << 20))
        with pytest.raises(UsageError, match=r"its name is too long for a session, .* rename the image"):
            Session(image)
        assert list(tmp_path.iterdir()) == [image]
        image.unlink()
    image = tmp_path / ("n" * (longest - 28))
    image.write_bytes(bytes(1 << 20))
    with Session(image) as session:
        session.start().write(5, b"1" * 512)
        assert session.commit() == 1
    assert image.read_bytes()[5 * 512 :][:512] == b"1" * 512


def test_an_image_that_never_was(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="no such file"):
        Session(tmp_path / "disk.img")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["start", "0", "1", "2", "99"])
def test_no_checkpoint_is_called_what_means_another(image: Path, name: str) -> None:
    with Session(image) as session:
        session.start()
        with pytest.raises(UsageError, match="which means another one"):
            session.name_checkpoint(1, name)
        with pytest.raises(UsageError, match="which means another one"):
            session.checkpoint(name)
        assert [drive.name for drive in session.checkpoints] == ["named"]
        assert session.find("start") == 0


@pytest.mark.parametrize("number", [0, 2, 7])
def test_what_is_no_checkpoint_is_refused_by_all(image: Path, number: int) -> None:
    with Session(image) as session:
        session.start()
        with pytest.raises(UsageError, match=r"has no checkpoint .* expected 1 named$"):
            session.pin(number)
        with pytest.raises(UsageError, match="has no checkpoint"):
            session.note(number, "why")
        with pytest.raises(UsageError, match="has no checkpoint"):
            session.name_checkpoint(number, "mine")
        if number:
            with pytest.raises(UsageError, match="has no checkpoint"):
                session.revert(number)
        assert [(drive.name, drive.note, drive.pinned) for drive in session.drives] == [
            ("named", "", False),
            ("", "", False),
        ]


def test_a_checkpoint_may_be_given_its_own_name_again(image: Path) -> None:
    with Session(image) as session:
        session.start()
        session.name_checkpoint(1, "named")
        assert session.find("named") == 1
