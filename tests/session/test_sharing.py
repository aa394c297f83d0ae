"""Many sessions on one image: none of them is in another's way, nor makes its start dearer."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.create import create_dynamic
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.drives.sidecar import SESSIONS
from pcemu.session.session import Session

CLIENTS = 100
OWN = 3  # names of a session in the folder: journal, lock, drive
BESIDE = 4  # besides the folder
ADDED = 12  # names that a session adds to the folder, at the very most


class CountingCalls(SystemCalls):
    """Counts what is asked of the host, and the names that it lists."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.names = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if callable(found) and not name.startswith("_"):
            self.counts[name] += 1
        return found

    # Counted alone: nothing crashes here.
    def fsync(self, fd: int) -> None:
        pass

    def fdatasync(self, fd: int) -> None:
        pass

    def fsync_dir(self, path: str) -> None:
        pass

    def list_names(self, path: str) -> list[str]:
        found = super().list_names(path)
        self.names += len(found)
        return found


def test_the_hundredth_session_costs_what_the_first_did(tmp_path: Path) -> None:
    base = tmp_path / "base.vhd"
    create_dynamic(base, 8 << 20)
    starts, discards, listed = [], [], []
    with ExitStack() as stack:
        sessions = []
        for number in range(CLIENTS):
            calls = CountingCalls()
            session = stack.enter_context(Session(base, f"client{number}", host=Host(calls)))
            session.start().write(number, bytes((number,)) * 512)
            starts.append(calls.counts.copy())
            listed.append(calls.names)
            sessions.append((session, calls))
        for number, (session, calls) in enumerate(sessions):  # each has its own changes
            for other in (number, (number + 1) % CLIENTS):
                sector = bytearray(512)
                session.drive.read(other, sector)
                assert sector == bytes((number if other == number else 0,)) * 512
            calls.counts.clear()
            calls.names = 0
            session.discard()
            discards.append(calls.counts.copy())
            session.close()
            assert calls.names <= (CLIENTS - number) * OWN + BESIDE  # the names of all, once
    assert starts[1] == starts[CLIENTS - 1]
    assert discards[0] == discards[CLIENTS - 2]  # among all others, and among one
    assert listed[CLIENTS - 1] <= CLIENTS * ADDED
    assert [path.name for path in tmp_path.iterdir()] == ["base.vhd"]


class AnotherEnds(SystemCalls):
    """Just when a session looks at the folder, or has made it, the end of another one removes it."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def stat(self, path: str) -> os.stat_result:
        self._remove("seen", path)
        return super().stat(path)

    def mkdir(self, path: str) -> None:
        super().mkdir(path)
        self._remove("made", path)

    def _remove(self, moment: str, path: str) -> None:
        if moment == self.moment and path.endswith(SESSIONS):
            self.moment = "over"
            Path(path).rmdir()


@pytest.mark.parametrize("moment", ["seen", "made"])
def test_a_session_starts_while_the_last_other_one_ends(moment: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    if moment == "seen":
        Path(f"{image}{SESSIONS}").mkdir()
    calls = AnotherEnds(moment)
    with Session(image, "bob", host=Host(calls)) as session:
        assert calls.moment == "over"
        session.start().write(0, b"b" * 512)
        session.commit()
    assert image.read_bytes().startswith(b"b" * 512)
