"""The start of a run on a session that was interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pcemu.cli.begin import begin
from pcemu.cli.disks import SessionDisk, open_disks
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.frontends.prompt import Question, Reply
from pcemu.session.record import State
from pcemu.session.session import Session

CUT_OFF = """
import os, sys
from pcemu.session.session import Session
session = Session(sys.argv[1])
session.start().write(5, b"\\x11" * 512)
session.drive.flush()
os._exit(9)
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """An image whose session was cut off after a write."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    assert subprocess.run([sys.executable, "-c", CUT_OFF, image], check=False).returncode == 9
    return image


def test_a_signal_instead_of_an_answer_ends_the_run_and_leaves_the_session(interrupted: Path) -> None:
    interrupts = Interrupts()

    def asker(question: Question) -> Reply | None:
        interrupts.number = signal.SIGTERM
        return None

    disks: list[SessionDisk] = open_disks([interrupted])
    with pytest.raises(Interrupted) as ending:
        begin(disks, asker, interrupts, lambda text: None, quiet=True)
    assert ending.value.exit_code == 143
    for disk in disks:
        disk.close()
    with Session(interrupted) as session:
        assert session.found is not State.NEW
        session.start()
        assert session.changed_sectors == 1
