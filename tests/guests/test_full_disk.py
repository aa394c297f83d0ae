"""The host's disk is full while FreeDOS writes: DOS is told, the session waits, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pcemu.cli.disks import SessionDisk
from pcemu.cli.upkeep import Upkeep
from pcemu.drives.hostfile import HOST, SystemCalls
from pcemu.drives.raw import RawDrive
from pcemu.machine import Machine, MachineConfig
from tests.guests.freedos import DATE, FreeDos, HostView

ROOM = 1 << 20


class SmallDisk(SystemCalls):
    """A host's disk that takes ``room`` bytes more, whatever is written over."""

    room: float = ROOM

    def pwritev(self, fd: int, buffers: Any, offset: int) -> int:
        size = sum(memoryview(buffer).nbytes for buffer in buffers)
        if size > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= size
        return super().pwritev(fd, buffers, offset)

    def free_space(self, path: str) -> int:
        return int(min(self.room, 1 << 40))


class Guest(FreeDos):
    """FreeDOS in a session, as `pcemu run` has it."""

    def __init__(self, disk: SessionDisk) -> None:
        self.said: list[str] = []
        self.host_errors: list[OSError] = []
        disk.start()
        self.pc = Machine(
            MachineConfig(disks=[disk.drive], date=DATE, on_host_error=self._on_host_error)
        )
        self.upkeep = Upkeep([disk], lambda: self.pc.now, self.said.append, self.said.append, self.pc.reset)
        self.pc.pacer.after_step = self.upkeep.after_step
        self.wait_for_prompt()

    def _on_host_error(self, error: OSError) -> None:
        self.host_errors.append(error)
        self.upkeep.on_host_error(error)


def test_a_full_disk_stops_freedos_until_there_is_room(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = SmallDisk()
    monkeypatch.setattr(HOST, "calls", calls)
    path = shutil.copyfile(image, tmp_path / "disk.img")
    before = path.read_bytes()
    disk = SessionDisk(path)
    dos = Guest(disk)
    waits: list[tuple[float, str]] = []

    def wait(seconds: float) -> None:
        """Some time goes by, of the host's; then somebody makes room."""
        waits.append((dos.pc.now, dos.pc.screen.text))
        if len(waits) == 5:
            calls.room = float("inf")

    dos.upkeep.wait = wait
    dos.pc.type("xcopy fdos\\bin\\*.* copy\\\n")
    dos.pc.run_until(lambda: "etry" in dos.pc.fresh_text, timeout=600)
    assert {error.errno for error in dos.host_errors} == {errno.ENOSPC}
    assert len(waits) == 5
    assert len(set(waits)) == 1, "the guest stood still"
    assert "its disk is full; the guest waits" in dos.said[0]
    assert dos.said[1:] == ["there is room again; the guest goes on"]
    assert path.read_bytes() == before
    dos.pc.press("r")
    dos.wait_for_prompt(timeout=600)
    disk.session.commit()
    disk.close()
    host = HostView(RawDrive(path, read_only=True), tmp_path)
    host.check()
    names = host.names("FDOS/BIN/")
    assert len(names) > 50
    assert host.names("COPY/") == names
    for name in names:
        assert host.read(f"COPY/{name}") == host.read(f"FDOS/BIN/{name}")
