"""Writing out in the background: it is begun often enough, and over when it is left."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pcemu.drives import writeback
from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_raw
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.open import open_drive
from pcemu.drives.system_calls import SystemCalls

MIB = 1 << 20


class Counting(SystemCalls):
    """Counts what is begun, and is slow with it until ``gate`` opens."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = threading.Event()

    def start_writeback(self, fd: int) -> None:
        os.fstat(fd)  # it is open still
        self.begun += 1
        self.gate.wait(120)


def test_a_large_commit_writes_out_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "EVERY", MIB)
    base, child = tmp_path / "base.img", tmp_path / "child.vhd"
    create_raw(base, 8 * MIB)
    create_differencing(child, base)
    drive = open_drive(child)
    drive.write(0, b"\x11" * (8 * MIB))
    drive.close()
    calls = Counting()
    calls.gate.set()
    assert commit(child, host=Host(calls)) == 8 * MIB // 512
    assert calls.begun > 0
    assert base.read_bytes() == b"\x11" * (8 * MIB)


def test_a_slow_disk_stops_nobody_and_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "EVERY", 1000)
    calls = Counting()
    file = Host(calls).create(str(tmp_path / "file"))
    with writeback.Writeback(file) as slow:
        slow.wrote(999)
        assert slow._thread is None
        for _ in range(20):
            slow.wrote(500)
        thread = slow._thread
        assert thread is not None and thread.is_alive()
        calls.gate.set()
    assert not thread.is_alive() and calls.begun <= 10
    file.close()


def test_the_host_takes_it(tmp_path: Path) -> None:
    file = HOST.create(str(tmp_path / "file"))
    file.write(b"\x22" * MIB, 0)
    file.start_writeback()
    file.sync()
    file.close()
    HOST.calls.start_writeback(-1)  # what fails is for the sync to tell
