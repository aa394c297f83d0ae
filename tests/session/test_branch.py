"""What a kill leaves of a branch goes at the next start; what somebody else writes stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.hostfile import HOST
from pcemu.drives.locks import lock_file
from pcemu.session.record import State
from pcemu.session.session import Session

KILLED = """
import os, sys
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.session.session import Session

class Calls(SystemCalls):
    left = int(sys.argv[3])

    def pwritev(self, fd, buffers, offset):
        if ".new" in os.readlink(f"/proc/self/fd/{fd}"):
            self.left -= 1
            if self.left < 0:
                os._exit(9)
        return super().pwritev(fd, buffers, offset)

calls = SystemCalls()
session = Session(sys.argv[1], host=Host(calls))
session.start().write(5, b"1" * 512)
session.drive.write(4000, b"2" * 512)
session.drive.flush()
calls.__class__ = Calls
session.branch(sys.argv[2])
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4 << 20))
    return path


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".new"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("writes", [4, 5])
def test_a_branch_that_was_killed(image: Path, tmp_path: Path, writes: int, elsewhere: bool) -> None:
    folder = tmp_path / "other" if elsewhere else tmp_path
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", KILLED, str(image), str(folder / "branch.vhd"), str(writes)]
    assert subprocess.run(command, check=False).returncode == 9
    assert len(leftovers(folder)) == 1
    with Session(image) as session:
        assert session.found is State.INTERRUPTED
        session.start()
        assert leftovers(folder) == []
        assert session.changed_sectors == 2
        session.branch(str(folder / "branch.vhd"))
    assert sorted(path.name for path in folder.glob("*.vhd")) == ["branch.vhd"]


def test_what_is_being_written_or_is_anothers_stays(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    other.write_bytes(bytes(4 << 20))
    names = [".busy.vhd.01234567.new", ".other.vhd.01234567.new", ".text.01234567.new"]
    create_differencing(tmp_path / "a.vhd", image)
    create_differencing(tmp_path / "b.vhd", other)
    (tmp_path / "a.vhd").rename(tmp_path / names[0])
    (tmp_path / "b.vhd").rename(tmp_path / names[1])
    (tmp_path / names[2]).write_text("no image")
    with Session(image) as session:
        session.start().write(5, b"1" * 512)
    file = HOST.open_image(str(tmp_path / names[0]), read_only=False)
    lock_file(file.fd, file.path, shared=False)
    try:
        with Session(image) as session:
            session.start()
            assert leftovers(tmp_path) == names
    finally:
        file.close()
    with Session(image) as session:
        session.start()
        assert leftovers(tmp_path) == names[1:]
        session.discard()
