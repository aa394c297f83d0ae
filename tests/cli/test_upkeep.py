"""What a run does for its sessions meanwhile: full disks, questions, going back."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pcemu.cli import on_exit
from pcemu.cli import upkeep as upkeep_module
from pcemu.cli.disks import SessionDisk
from pcemu.cli.live import undo_state
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fat_writer import FatWriter, stamp_of
from pcemu.drives.hostfile import HOST
from pcemu.errors import ImageAccessError, UsageError
from pcemu.frontends.prompt import Question, Reply
from tests.drives.fat_images import FatImage

ONE, TWO = b"1" * SECTOR_SIZE, b"2" * SECTOR_SIZE


class Desk:
    """A disk, its upkeep, and everybody that this talks to."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.warned: list[str] = []
        self.resets = 0
        self.questions: list[Question] = []
        self.replies: list[Reply] = []
        self.disk = SessionDisk(path)
        self.disk.start()

    def upkeep(self, *others: SessionDisk, **options: Any) -> Upkeep:
        talk = self.said.append, self.warned.append
        made = Upkeep([self.disk, *others], lambda: self.now, *talk, self._reset, **options)
        made.asker = self._ask
        return made

    def _reset(self) -> None:
        self.resets += 1

    def _ask(self, question: Question) -> Reply | None:
        self.questions.append(question)
        return self.replies.pop(0) if self.replies else None

    def sector(self, lba: int) -> bytes:
        data = bytearray(SECTOR_SIZE)
        self.disk.drive.read(lba, data)
        return bytes(data)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    desk = Desk(path)
    yield desk
    desk.disk.session.discard()
    desk.disk.close()


def steps_until(upkeep: Upkeep, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        upkeep.after_step()
        assert time.monotonic() < deadline


def test_the_guest_waits_while_the_hosts_disk_is_full(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0, 0, 0, 1 << 30]
    monkeypatch.setattr(HOST, "free_space", lambda path: free.pop(0), raising=False)
    waited: list[float] = []
    boxes: list[str] = []

    @contextlib.contextmanager
    def holding(why: str) -> Iterator[None]:
        boxes.append(why)
        yield

    upkeep = desk.upkeep()
    upkeep.wait, upkeep.holding = waited.append, holding
    upkeep.after_step()
    assert desk.warned == []
    upkeep.on_host_error(OSError(errno.EIO, os.strerror(errno.EIO)))
    upkeep.after_step()
    assert desk.warned == []
    upkeep.on_host_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    upkeep.after_step()
    assert len(waited) == 2
    assert "its disk is full" in desk.warned[0]
    assert boxes[0].startswith(desk.warned[0])
    assert "End the session or close it instead" in boxes[0]
    assert desk.warned[1:] == ["there is room again; the guest goes on"]
    upkeep.after_step()
    assert len(desk.warned) == 2


def test_the_disk_that_is_full_is_the_one_that_is_waited_for(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    path = tmp_path / "full" / "second.img"
    path.write_bytes(bytes(1 << 20))
    second = SessionDisk(path)
    second.start()
    room = {"disk.img.pcemu": [1 << 30], "second.img.pcemu": [0, 0, 1 << 30]}
    monkeypatch.setattr(HOST, "free_space", lambda path: room[Path(path).name].pop(0), raising=False)
    upkeep = desk.upkeep(second)
    waited: list[float] = []
    upkeep.wait = waited.append
    upkeep.on_host_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    upkeep.after_step()
    second.session.discard()
    second.close()
    assert len(waited) == 1
    assert "second.img" in desk.warned[0]


def test_where_nobody_watches_a_full_disk_ends_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HOST, "free_space", lambda path: 0, raising=False)
    waited: list[float] = []
    upkeep = desk.upkeep(patience=3.0)
    upkeep.wait = waited.append
    upkeep.on_host_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(ImageAccessError, match=r"was full for 3 s; the session is kept"):
        upkeep.after_step()
    assert sum(waited) == 3.0


def test_checkpoints_come_by_virtual_time_and_only_when_there_is_something_new(desk: Desk) -> None:
    upkeep = desk.upkeep(checkpoint_every=60)
    for now, expected in ((59.0, 0), (60.0, 1), (119.0, 1), (121.0, 2), (600.0, 3), (659.0, 3)):
        desk.disk.drive.write(int(now), ONE)
        desk.now = now
        upkeep.after_step()
        assert len(desk.disk.session.checkpoints) == expected, now
    desk.now = 660.0
    upkeep.after_step()
    desk.now = 720.0
    upkeep.after_step()
    assert len(desk.disk.session.checkpoints) == 4, "nothing was written since"


def test_the_user_is_asked_at_intervals_and_may_commit(desk: Desk) -> None:
    upkeep = desk.upkeep(ask_every=60)
    desk.now = 60.0
    upkeep.after_step()
    assert desk.questions == [], "nothing to decide"
    desk.disk.drive.write(7, ONE)
    desk.now = 120.0
    upkeep.after_step()
    assert "1 sector" in desk.questions[0].notes[0]
    assert desk.questions[0].escape == "later"
    assert desk.questions[0].sudden, "keys may come that are meant for the guest"
    desk.replies = [Reply("commit")]
    desk.now = 180.0
    steps_until(upkeep, lambda: bool(desk.said))
    assert desk.said == ["committed 1 sector (0.5 KiB); the session goes on"]
    assert desk.disk.path.read_bytes()[7 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE
    desk.disk.drive.write(8, TWO)
    assert (desk.sector(7), desk.sector(8)) == (ONE, TWO)


def test_the_user_may_commit_at_any_time(desk: Desk) -> None:
    upkeep = desk.upkeep()
    assert upkeep.commit() == "nothing was changed"
    assert desk.questions == []
    desk.disk.drive.write(7, ONE)
    desk.replies = [Reply("later"), Reply("commit")]
    assert upkeep.commit() == "nothing was committed"
    assert desk.disk.path.read_bytes() == bytes(1 << 20)
    assert "goes on" in upkeep.commit()
    assert upkeep.activity == "committing 0 %"
    with pytest.raises(UsageError, match="not done yet"):
        upkeep.commit()
    steps_until(upkeep, lambda: bool(desk.said))
    assert upkeep.activity == ""
    assert desk.disk.path.read_bytes()[7 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE


def test_a_commit_that_is_refused_is_not_said_to_go_on(desk: Desk) -> None:
    other = SessionDisk(desk.disk.path, "other")
    other.start()
    desk.disk.drive.write(7, ONE)
    upkeep = desk.upkeep(ask_every=60)
    desk.replies = [Reply("commit")] * 2
    with pytest.raises(UsageError, match="session 'other'"):
        upkeep.commit()
    desk.now = 61
    upkeep.after_step()
    assert "session 'other'" in desk.warned[0]
    other.session.discard()
    other.close()
    assert desk.disk.path.read_bytes() == bytes(1 << 20)


def test_a_commit_of_much_is_asked_about_once_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_exit, "MUCH_DATA", SECTOR_SIZE)
    upkeep = desk.upkeep()
    desk.disk.drive.write(1, ONE)
    desk.replies = [Reply("commit"), Reply("no"), Reply("later")]
    assert upkeep.commit() == "nothing was committed"
    assert "1 sector (0.5 KiB)" in desk.questions[1].text
    assert desk.questions[2] == desk.questions[0]
    desk.replies = [Reply("commit"), Reply("yes")]
    assert upkeep.commit() == "committing while the guest goes on"
    steps_until(upkeep, lambda: upkeep.committed)
    assert desk.disk.path.read_bytes()[SECTOR_SIZE : 2 * SECTOR_SIZE] == ONE


def test_a_commit_can_be_waited_for_and_the_session_goes_on(desk: Desk) -> None:
    upkeep = desk.upkeep()
    desk.disk.drive.write(7, ONE)
    desk.replies = [Reply("commit")]
    upkeep.commit()
    upkeep.finish_commits()
    assert upkeep.committed
    assert upkeep.activity == ""
    assert (desk.disk.changed, desk.sector(7)) == (0, ONE)
    assert desk.disk.path.read_bytes()[7 * SECTOR_SIZE :][:SECTOR_SIZE] == ONE
    desk.disk.drive.write(8, TWO)
    assert (desk.disk.changed, desk.sector(8)) == (1, TWO)


def test_files_are_chosen_where_there_are_some(desk: Desk) -> None:
    upkeep = desk.upkeep()
    desk.disk.drive.write(7, ONE)
    desk.replies = [Reply("files", "*.TXT")]
    with pytest.raises(UsageError, match="none of the changed files is meant"):
        upkeep.commit()
    assert desk.sector(7) == ONE
    assert desk.disk.path.read_bytes() == bytes(1 << 20)


def test_what_was_committed_meanwhile_is_told(desk: Desk) -> None:
    upkeep = desk.upkeep()
    desk.disk.drive.write(7, ONE)
    assert undo_state([desk.disk], committed=upkeep.committed) == "0.5 KiB changed, base untouched"
    desk.replies = [Reply("commit")]
    upkeep.commit()
    steps_until(upkeep, lambda: bool(desk.said))
    assert undo_state([desk.disk], committed=upkeep.committed) == "nothing changed since the commit"


def test_a_box_says_why_the_guest_stands_still_while_files_are_written(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 16)
    session = SessionDisk(image.path)
    session.start()
    writer = FatWriter(session.drive, image.start, session.drive.sectors - image.start)
    writer.write_file(0, "NEW.TXT", io.BytesIO(b"new"), 3, stamp_of(2024, 2, 29))
    writer.finish()
    boxes: list[str] = []

    @contextlib.contextmanager
    def working(doing: str) -> Iterator[Callable[[int, int], None]]:
        boxes.append(doing)
        yield lambda done, total: None

    upkeep = Upkeep([session], lambda: 0.0, boxes.append, boxes.append, lambda: None)
    upkeep.working = working
    upkeep.asker = lambda question: Reply("files", "*.TXT")
    assert upkeep.commit() == "committed 1 file; the rest can still be undone"
    assert boxes == [f"Writing files into {image.path}; the guest stands still"]
    assert upkeep.committed
    session.session.discard()
    session.close()


def three_checkpoints(desk: Desk) -> Upkeep:
    """Sector 7 says 1, 2, 3 and 4; the checkpoints are in between."""
    upkeep = desk.upkeep()
    for number in (1, 2, 3):
        desk.disk.drive.write(7, bytes([48 + number]) * SECTOR_SIZE)
        upkeep.checkpoint("install" if number == 2 else "")
    desk.disk.session.pin(1)
    desk.disk.drive.write(7, b"4" * SECTOR_SIZE)
    return upkeep


def test_the_list_of_checkpoints_tells_what_is_known_of_each(desk: Desk) -> None:
    upkeep = three_checkpoints(desk)
    desk.replies = [Reply("later")]
    assert upkeep.revert() == "nothing was undone"
    (question,) = desk.questions
    assert [answer.word for answer in question.answers] == ["3", "2", "1", "start", "later"]
    meanings = [answer.meaning for answer in question.answers]
    year = time.strftime("%Y-")
    assert all(year in meaning and "0 s ago" in meaning for meaning in meanings[:4])
    assert all("KiB" in meaning for meaning in meanings[:3])
    assert meanings[1].endswith("install")
    assert meanings[2].endswith("pinned")
    assert question.escape == "later"
    assert (desk.sector(7), desk.resets) == (b"4" * SECTOR_SIZE, 0)


@pytest.mark.parametrize(
    ("word", "found", "left"), [("3", b"3", [1, 2, 3]), ("1", b"1", [1]), ("start", b"\0", [])]
)
def test_going_back_to_any_checkpoint(desk: Desk, word: str, found: bytes, left: list[int]) -> None:
    upkeep = three_checkpoints(desk)
    desk.replies = [Reply(word), Reply("later"), Reply(word), Reply("back")]
    assert upkeep.revert() == "nothing was undone"
    assert (desk.sector(7), desk.resets) == (b"4" * SECTOR_SIZE, 0)
    said = upkeep.revert()
    assert f"disk.img is at {'the start' if word == 'start' else f'checkpoint {word}'};" in said
    assert "RAM" in said
    assert (desk.sector(7), desk.resets) == (found * SECTOR_SIZE, 1)
    assert [each.number for each in desk.disk.session.checkpoints] == left
    lost, restart = desk.questions[-1].notes
    newer = 3 - len(left)
    assert (f"{newer} newer checkpoint" in lost) == bool(newer)
    assert "RAM" in restart


def test_with_several_disks_one_of_them_goes_back(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "second.img"
    path.write_bytes(bytes(1 << 20))
    with contextlib.closing(SessionDisk(path)) as second:
        second.start()
        upkeep = desk.upkeep(second)
        for disk in (desk.disk, second):
            disk.drive.write(7, ONE)
        assert upkeep.checkpoint() == "checkpoint 1 of disk.img, checkpoint 1 of second.img"
        for disk in (desk.disk, second):
            disk.drive.write(7, TWO)
        desk.replies = [Reply("2"), Reply("1"), Reply("back")]
        assert "second.img is at checkpoint 1" in upkeep.revert()
        buffer = bytearray(SECTOR_SIZE)
        second.drive.read(7, buffer)
        assert (desk.sector(7), bytes(buffer)) == (TWO, ONE)
        second.session.discard()


def test_what_was_written_is_made_safe_soon(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = desk.upkeep()
    desk.disk.drive.write(7, ONE)
    assert desk.disk.session.dirty
    monkeypatch.setattr(upkeep_module, "FLUSH_EVERY", 0.0)
    upkeep.after_step()
    assert not desk.disk.session.dirty


def test_an_idle_guest_is_flushed_sooner(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, halted = [1000.0], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    upkeep = desk.upkeep(halted=lambda: halted[0])

    def step(share: float, seconds: float) -> bool:
        """A stretch of which the guest was halted a share; True when there is nothing left to flush."""
        desk.now += seconds
        halted[0] += share * seconds
        clock[0] += seconds
        upkeep.after_step()
        return not desk.disk.session.dirty

    desk.disk.drive.write(7, ONE)
    assert not step(0.0, 0.5)  # it works
    assert not step(0.5, 0.5)
    assert step(1.0, 0.1)  # it waits for a key
    desk.disk.drive.write(8, TWO)
    assert not step(1.0, 0.1)  # not with every step
    assert step(1.0, 0.2)
    desk.disk.drive.write(9, TWO)
    assert not step(0.0, 1.9)
    assert step(0.0, 0.2)


def test_what_cannot_be_made_safe_any_more_is_told_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a sync that failed for want of room, no room brings back what the host forgot."""
    monkeypatch.setattr(upkeep_module, "FLUSH_EVERY", -1.0)
    real = os.fdatasync
    codes = [errno.ENOSPC]

    def failing(fd: int) -> None:
        if codes:
            code = codes.pop()
            raise OSError(code, os.strerror(code))
        real(fd)

    monkeypatch.setattr(os, "fdatasync", failing)
    upkeep = desk.upkeep()
    desk.disk.drive.write(7, ONE)
    for _ in range(5):
        upkeep.after_step()
    unsafe = [text for text in desk.warned if "not safe yet" in text]
    assert len(unsafe) == 2 and "No space left" in unsafe[0] and "may be lost" in unsafe[1]
    assert desk.disk.session.dirty
    with contextlib.suppress(OSError):
        desk.disk.session.keep()
    desk.disk.session.close()
    desk.disk.start_afresh()
    assert desk.sector(7) in (ONE, bytes(SECTOR_SIZE))
