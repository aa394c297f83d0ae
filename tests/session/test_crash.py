"""Power loss at any moment of a session: every state that its system calls may leave is opened again."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import Host
from pcemu.errors import ImageError
from pcemu.session.background import LiveCommit
from pcemu.session.record import State
from pcemu.session.session import Session
from pcemu.testing.crash import CrashState, explore
from pcemu.testing.recording import RecordingCalls

SECTORS = 64
LIMIT = 12  # states a point: this is about the order of the operations, the engine has tests of its own
ONE, TWO = b"1" * SECTOR_SIZE, b"2" * SECTOR_SIZE
ZERO = bytes(SECTOR_SIZE)

Scenario = Callable[[Session, RecordingCalls], None]


def checkpoints_and_commit(session: Session, calls: RecordingCalls) -> None:
    session.start()
    calls.promise("written", kept=False)
    session.drive.write(1, ONE)
    session.drive.flush()
    calls.promise("one")
    session.checkpoint("a")
    session.drive.write(2, TWO)
    session.drive.flush()
    calls.promise("two")
    session.commit()
    calls.promise("done")


def checkpoints_and_discard(session: Session, calls: RecordingCalls) -> None:
    session.start()
    session.drive.write(1, ONE)
    session.drive.flush()
    calls.promise("one")
    session.checkpoint()
    session.drive.write(2, TWO)
    session.drive.flush()
    calls.promise("two")
    calls.promise("discarding", kept=False)
    session.discard()
    calls.promise("discarded")


def going_back(session: Session, calls: RecordingCalls) -> None:
    session.start()
    session.drive.write(1, ONE)
    session.drive.flush()
    calls.promise("one")
    number = session.checkpoint()
    session.drive.write(2, TWO)
    session.checkpoint()
    session.revert(number)
    calls.promise("back")


def live_commit(session: Session, calls: RecordingCalls) -> None:
    session.start()
    session.drive.write(1, ONE)
    session.drive.flush()
    calls.promise("one")
    LiveCommit(session).wait()
    session.drive.write(2, TWO)
    session.drive.flush()
    calls.promise("two")


# What must have been written, for each promise: the sectors 1 and 2.
CERTAIN: dict[object, tuple[set[bytes], set[bytes]]] = {
    None: ({ZERO, ONE}, {ZERO}),
    "written": ({ZERO, ONE}, {ZERO}),
    "one": ({ONE}, {ZERO, TWO}),
    "two": ({ONE}, {TWO}),
    "done": ({ONE}, {TWO}),
    "discarding": ({ZERO, ONE}, {ZERO, TWO}),
    "discarded": ({ZERO}, {ZERO}),
    "back": ({ONE}, {ZERO}),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", [checkpoints_and_commit, checkpoints_and_discard, going_back, live_commit]
)
def test_power_loss(tmp_path: Path, scenario: Scenario) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    (folder / "disk.img").write_bytes(bytes(SECTORS * SECTOR_SIZE))
    calls = RecordingCalls(folder)
    session = Session(folder / "disk.img", host=Host(calls))
    scenario(session, calls)
    session.close()
    numbers = itertools.count()

    def check(state: CrashState) -> None:
        place = tmp_path / f"state{next(numbers)}"
        place.mkdir()
        try:
            state.write_to(place)
            check_state(place / "disk.img", state.promise)
        finally:
            shutil.rmtree(place)

    result = explore(calls.recording, check, limit=LIMIT)
    assert result.violations == 0, "\n".join(result.examples)
    assert result.states > 100


def check_state(image: Path, promise: object) -> None:
    """Whatever is there opens, holds what was promised, and can be committed to just that."""
    ones, twos = CERTAIN[promise]
    with Session(image) as session:
        if session.found is State.COMMITTING:
            with pytest.raises(ImageError):
                session.discard()
        if session.found is State.NEW:
            found = image.read_bytes()
        else:
            data = bytearray(SECTORS * SECTOR_SIZE)
            session.start().read(0, data)
            found = bytes(data)
            session.commit()
            assert image.read_bytes() == found
    one, two = (found[lba * SECTOR_SIZE :][:SECTOR_SIZE] for lba in (1, 2))
    assert one in ones
    assert two in twos
    assert not found.replace(ONE, b"").replace(TWO, b"").strip(b"\0")
    rest = [path.name for path in image.parent.iterdir() if not path.name.endswith(".new")]
    assert rest == ["disk.img"]
