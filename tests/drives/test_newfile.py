"""New files: whole or not there, nothing written over, and leftovers of kills swept up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.locks import is_free, lock_file
from pcemu.drives.newfile import (
    abandoned,
    is_temporary,
    remove_abandoned,
    sweep,
    temporary_file,
    write_new,
)
from pcemu.drives.open import open_drive
from pcemu.errors import UsageError

MIB = 1 << 20
pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks are not looked at there")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_name_that_is_taken_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        write_new(str(tmp_path / "a"), [(0, b"new")])
    assert (tmp_path / "a").read_bytes() == b"mine" and names(tmp_path) == ["a"]


def test_leftovers_of_the_same_file_go_and_no_others(tmp_path: Path) -> None:
    gone = [".a.vhd.01234567.new", ".a.vhd.deadbeef.new"]
    others = [".a.vhd.x.01234567.new", ".b.vhd.01234567.new", ".a.vhd.0123456.new", "a.new"]
    for name in gone + others:
        (tmp_path / name).write_bytes(b"left")
    create_dynamic(tmp_path / "a.vhd", MIB)
    assert names(tmp_path) == sorted([*others, "a.vhd"])


def test_what_somebody_is_writing_is_no_leftover(tmp_path: Path) -> None:
    path = str(tmp_path / "a.vhd")
    file = temporary_file(path, HOST)
    assert not abandoned(file.path, HOST)
    write_new(path, [(0, b"of another")])
    assert Path(file.path).exists()
    file.close()
    assert abandoned(file.path, HOST)
    with pytest.raises(UsageError):
        write_new(path, [(0, b"again")])
    Path(path).unlink()
    write_new(path, [(0, b"again")])
    assert names(tmp_path) == ["a.vhd"]


def test_looking_whether_a_file_is_free_leaves_it_so(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    first, second = os.open(tmp_path / "a", os.O_RDWR), os.open(tmp_path / "a", os.O_RDWR)
    assert is_free(first) and is_free(second)
    lock_file(first, "a", shared=True)
    assert not is_free(second)
    os.close(first)
    assert is_free(second)
    os.close(second)


def test_a_leftover_is_locked_while_it_is_removed(tmp_path: Path) -> None:
    """Otherwise who has just made it could lock it between the look and the removal, and lose it."""
    free: list[bool] = []

    class Watching(SystemCalls):
        def unlink(self, path: str) -> None:
            fd = os.open(path, os.O_RDONLY)
            free.append(is_free(fd))
            os.close(fd)
            super().unlink(path)

    host = Host(Watching())
    for name in (".a.01234567.new", ".b.01234567.new"):
        (tmp_path / name).touch()
    assert remove_abandoned(str(tmp_path / ".a.01234567.new"), host)
    sweep(str(tmp_path / "b"), host)
    assert free == [False, False] and names(tmp_path) == []


@pytest.mark.parametrize(
    "name", [".vimrc.new", ".a.new", "a.01234567.new", ".01234567.new", ".a.x1234567.new"]
)
def test_a_file_of_somebody_is_not_taken_for_a_leftover(name: str) -> None:
    assert is_temporary(".a.01234567.new") and not is_temporary(name)


KILLED = """
import os, sys, time
from pcemu.drives.hostfile import HOST
from pcemu.drives.newfile import temporary_file
file = temporary_file(sys.argv[1], HOST)
file.write(b"half", 0)
print(file.path, flush=True)
time.sleep(60)
"""


def test_an_operation_sweeps_up_what_a_killed_one_left(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "base.vhd", MIB)
    create_differencing(tmp_path / "child.vhd", tmp_path / "base.vhd")
    drive = open_drive(tmp_path / "child.vhd")
    drive.write(0, b"x" * 512)
    drive.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "child.vhd")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        leftover = Path(process.stdout.readline().strip())
        assert leftover.exists() and not abandoned(str(leftover), HOST)
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 60
    while not abandoned(str(leftover), HOST):
        assert time.monotonic() < deadline
    commit(tmp_path / "child.vhd")
    assert names(tmp_path) == ["base.vhd", "child.vhd"]
