"""A long FreeDOS session: checkpoints by themselves, questions meanwhile, files committed one by one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.cli.disks import SessionDisk
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.raw import RawDrive
from pcemu.frontends.prompt import Question, Reply
from pcemu.machine import Machine, MachineConfig
from tests.guests.freedos import DATE, FreeDos, HostView

HOUR = 3600.0
INTERVAL = 90.0  # s of virtual time, where the length does not matter


class Desk(FreeDos):
    """FreeDOS in a session with its upkeep, and a user who gives ``replies``."""

    def __init__(self, path: Path, **options: float) -> None:
        self.path = path
        self.said: list[str] = []
        self.questions: list[Question] = []
        self.replies: list[Reply] = []
        self.session_disk = SessionDisk(path)
        self.session_disk.start()
        self.session = self.session_disk.session
        self.pc = Machine(MachineConfig(disks=[self.session_disk.drive], date=DATE))
        self.upkeep = Upkeep(
            [self.session_disk],
            lambda: self.pc.now,
            self.said.append,
            self.said.append,
            self.pc.reset,
            **options,  # type: ignore[arg-type]
        )
        self.upkeep.asker = self._ask
        self.pc.pacer.after_step = self.upkeep.after_step
        self.wait_for_prompt()

    def _ask(self, question: Question) -> Reply | None:
        self.questions.append(question)
        return self.replies.pop(0) if self.replies else None

    def wait(self, intervals: float) -> None:
        """Let virtual time go by; an idle guest needs little of the host's for that."""
        self.pc.run(intervals * INTERVAL)

    def host(self, folder: Path) -> HostView:
        drive = RawDrive(self.path, read_only=True)
        try:
            return HostView(drive, folder)
        finally:
            drive.close()


@pytest.fixture
def disk(image: Path, tmp_path: Path) -> Path:
    """A disk that may be written."""
    return shutil.copyfile(image, tmp_path / "disk.img")


@pytest.fixture
def closing() -> Iterator[list[Desk]]:
    """Desks to be cleared in the end."""
    desks: list[Desk] = []
    yield desks
    for desk in desks:
        desk.upkeep.finish()
        desk.session.discard()
        desk.session_disk.close()


@pytest.mark.slow
def test_a_checkpoint_every_virtual_hour(disk: Path, closing: list[Desk]) -> None:
    dos = Desk(disk, checkpoint_every=HOUR)
    closing.append(dos)
    dos.write("one.txt", "one")
    dos.pc.run(HOUR - dos.pc.now - 1)
    assert dos.session.checkpoints == []
    dos.pc.run(2)
    (checkpoint,) = dos.session.checkpoints
    assert checkpoint.automatic


def test_old_automatic_checkpoints_go_and_the_guest_can_go_back_to_the_rest(
    disk: Path, closing: list[Desk]
) -> None:
    dos = Desk(disk, checkpoint_every=INTERVAL, keep_checkpoints=2)
    closing.append(dos)
    for number in range(1, 6):
        dos.write(f"file{number}.txt", str(number))
        dos.wait(1)
        if number == 2:
            dos.session.pin(dos.session.checkpoints[0].number)
    dos.wait(2)  # nothing is written: no checkpoint
    checkpoints = dos.session.checkpoints
    assert all(each.automatic for each in checkpoints)
    assert [each.number for each in checkpoints] == [1, 4, 5], "the first is pinned, two more are kept"
    assert [each.pinned for each in checkpoints] == [True, False, False]
    dos.write("late.txt", "late")
    dos.replies = [Reply("4"), Reply("back")]
    assert "checkpoint 4" in dos.upkeep.revert()
    dos.wait_for_prompt()
    names = dos.run("dir /b *.txt").upper().split()
    assert names == ["FILE1.TXT", "FILE2.TXT", "FILE3.TXT", "FILE4.TXT"]


def test_a_question_at_intervals_whose_answer_commits(
    disk: Path, tmp_path: Path, closing: list[Desk]
) -> None:
    before = disk.read_bytes()
    dos = Desk(disk, ask_every=INTERVAL)
    closing.append(dos)
    dos.wait(1.1)
    assert dos.questions == [], "nothing was changed"
    dos.write("one.txt", "one")
    dos.wait(1)
    (question,) = dos.questions
    assert any("ONE.TXT" in line for line in question.notes)
    assert disk.read_bytes() == before, "nobody answered"
    dos.replies = [Reply("commit")]
    dos.wait(1)
    while not dos.said:
        dos.wait(0.01)
    assert "committed" in dos.said[0]
    dos.write("two.txt", "two")
    assert dos.run("dir /b *.txt").upper().split() == ["ONE.TXT", "TWO.TXT"]
    host = dos.host(tmp_path)
    host.check()
    assert host.read("ONE.TXT") == b"one\r\n"
    assert "TWO.TXT" not in host.names()


def test_one_folder_is_committed_while_the_guest_runs(
    disk: Path, tmp_path: Path, closing: list[Desk]
) -> None:
    dos = Desk(disk)
    closing.append(dos)
    dos.run("mkdir saves")
    dos.run("mkdir saves\\deep")
    dos.write("saves\\one.sav", "one")
    dos.write("saves\\deep\\two.sav", "two")
    dos.write("scratch.txt", "scratch")
    dos.replies = [Reply("files", "C:\\SAVES\\**")]
    assert dos.upkeep.commit() == "committed 4 files; the rest can still be undone"
    host = dos.host(tmp_path)
    host.check()
    assert host.read("SAVES/ONE.SAV") == b"one\r\n"
    assert host.read("SAVES/DEEP/TWO.SAV") == b"two\r\n"
    assert "SCRATCH.TXT" not in host.names()
    assert "scratch" in dos.run("type scratch.txt"), "the guest goes on, and notices nothing"
    dos.write("saves\\three.sav", "three")
    assert dos.run("dir /b saves\\*.sav").upper().split() == ["ONE.SAV", "THREE.SAV"]
    (volume,) = dos.session.changes().volumes
    assert sorted(change.path for change in volume.files) == ["C:\\SAVES\\THREE.SAV", "C:\\SCRATCH.TXT"]
    dos.session.discard()
    host = dos.host(tmp_path)
    host.check()
    assert host.names("SAVES/") == ["ONE.SAV", "DEEP/"] or host.names("SAVES/") == ["DEEP/", "ONE.SAV"]
