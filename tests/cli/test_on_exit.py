"""The end of a session: what the user wants is done, or told why not and asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.cli.disks import SessionDisk
from pcemu.cli.live import undo_state
from pcemu.cli.on_exit import OnExit
from pcemu.cli.signals import Interrupts
from pcemu.drives.create import create_differencing
from pcemu.frontends.prompt import COMMIT, DISCARD, KEEP, Question, Reply

SECTOR = b"\x11" * 512


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SessionDisk]:
    """A session that goes on in drives of which nothing was read yet, on an image that has a child."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    with SessionDisk(image).session as session:
        session.start().write(5, SECTOR)
        session.checkpoint()
        session.drive.write(900, SECTOR)
        session.keep()
    create_differencing(tmp_path / "child.vhd", image)
    disk = SessionDisk(image)
    disk.start()
    yield disk
    disk.close()


def test_after_a_refused_commit_the_changes_are_still_told_and_asked_about(disk: SessionDisk) -> None:
    said: list[str] = []
    questions: list[Question] = []
    replies = [Reply(COMMIT.word), Reply(DISCARD.word)]

    def asker(question: Question) -> Reply | None:
        questions.append(question)
        return replies.pop(0)

    def refused(text: str) -> None:  # a view shows what can be undone beside that
        said.append(f"{text}: {undo_state([disk])}")

    ending = OnExit([disk], Reply("ask"), Interrupts(), asker, quiet=True, refused=refused)
    assert ending.settle() == 0
    assert len(said) == 1
    assert "child.vhd" in said[0]
    assert said[0].endswith("1.0 KiB in 1 checkpoint, base untouched")
    assert [question.notes[0] for question in questions] == ["disk.img: 2 sectors (1.0 KiB) changed"] * 2
    assert ending.decision == DISCARD.word


def test_what_cannot_be_committed_is_kept_where_nobody_is_asked(
    disk: SessionDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = OnExit([disk], Reply(COMMIT.word), Interrupts(), None, quiet=False)
    assert ending.settle() == 2
    assert ending.decision == KEEP.word
    refusal, kept = capsys.readouterr().err.splitlines()
    assert "child.vhd" in refusal
    assert kept.startswith("pcemu: kept 2 sectors (1.0 KiB) on disk.img, to be decided later")
