"""Locks: who may have one beside whom, who is named, and that a dead process holds none."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcemu.drives import locks
from pcemu.drives.locks import holders, is_free, lock_file, take_if_free
from pcemu.errors import ImageAccessError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other locks")

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Two ways to one file."""
    (path := tmp_path / "disk.img").write_bytes(bytes(512))
    opened = (os.open(path, os.O_RDWR), os.open(path, os.O_RDWR))
    yield opened
    for fd in opened:
        os.close(fd)


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One that has the file locked."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_many_may_read_and_one_may_write(fds: tuple[int, int]) -> None:
    first, second = fds
    lock_file(first, "disk.img", shared=True)
    lock_file(second, "disk.img", shared=True)
    with pytest.raises(ImageAccessError, match="free for writing; end that first"):
        lock_file(second, "disk.img", shared=False)
    assert not is_free(second)
    os.close(os.dup(first))  # a copy that is closed gives up nothing
    assert not is_free(second)


def test_one_that_writes_is_alone(fds: tuple[int, int]) -> None:
    first, second = fds
    lock_file(first, "disk.img", shared=False)
    for shared, wanted in ((True, "reading"), (False, "writing")):
        with pytest.raises(ImageAccessError) as caught:
            lock_file(second, "disk.img", shared=shared)
        assert str(caught.value) == (
            f"disk.img: is busy: this program (process {os.getpid()}) holds it, "
            f"expected it free for {wanted}; end that first"
        )
    assert not is_free(second) and not take_if_free(second)
    lock_file(first, "disk.img", shared=True)  # no more than that now
    lock_file(second, "disk.img", shared=True)


def test_asking_leaves_no_lock_and_taking_does(fds: tuple[int, int]) -> None:
    first, second = fds
    assert is_free(first) and is_free(second)
    assert take_if_free(first) and not is_free(second)


def test_another_process_is_named_and_takes_its_lock_along(fds: tuple[int, int], tmp_path: Path) -> None:
    with another_process(tmp_path / "disk.img") as process:
        assert holders(fds[0]) == [process.pid]
        with pytest.raises(ImageAccessError, match=rf"process {process.pid} \(.*python.*\) holds it"):
            lock_file(fds[0], "disk.img", shared=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holders(fds[0]) == [] and is_free(fds[0])


def test_a_holder_whom_the_kernel_does_not_tell(
    fds: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_file(fds[0], "disk.img", shared=False)
    monkeypatch.setattr(locks, "LOCKS", tmp_path / "none")
    assert holders(fds[0]) == []
    with pytest.raises(ImageAccessError, match="another program holds it"):
        lock_file(fds[1], "disk.img", shared=True)


def test_those_who_wait_hold_nothing(
    fds: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = os.fstat(fds[0])
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    (tmp_path / "locks").write_text(
        f"1: FLOCK  ADVISORY  READ 300 {place} 0 EOF\n"
        f"1: -> FLOCK  ADVISORY  WRITE 301 {place} 0 EOF\n"
        f"2: POSIX  ADVISORY  WRITE 7 {place} 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 8 {place}1 0 EOF\n"
        f"4: FLOCK  ADVISORY  WRITE 0 {place} 0 EOF\n"
        "5: nonsense\n"
    )
    monkeypatch.setattr(locks, "LOCKS", tmp_path / "locks")
    assert holders(fds[0]) == [7, 300]


@pytest.mark.parametrize(
    ("number", "without"), [(errno.ENOLCK, True), (errno.ENOTSUP, True), (errno.EIO, False)]
)
def test_a_file_system_without_locks_is_used_without(
    number: int, without: bool, fds: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    if without:
        lock_file(fds[0], "disk.img", shared=False)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            lock_file(fds[0], "disk.img", shared=False)
    assert not is_free(fds[0]) and not take_if_free(fds[0])  # nobody knows
