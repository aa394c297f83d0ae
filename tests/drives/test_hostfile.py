"""The host's file system: whole transfers, interrupted calls, missing features, locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives import hostfile, locks
from pcemu.drives.hostfile import HOST, Host, SystemCalls, close_all
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError
from tests.drives.small_images import require_read_times

HOLE = 1 << 20


@pytest.fixture
def sparse_file(tmp_path: Path) -> Path:
    """Data at 1 MiB and at 3 MiB, holes around."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for place in (1, 3):
            file.seek(place * HOLE)
            file.write(b"\x66" * 65536)
        file.truncate(5 * HOLE)
    return path


class InterruptedOnce(SystemCalls):
    """Every call by name fails with EINTR the first time."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __getattribute__(self, name: str) -> Any:
        real = object.__getattribute__(self, name)
        if name.startswith("_") or name == "seen":
            return real

        def call(*arguments: Any) -> Any:
            if name not in self.seen:
                self.seen.add(name)
                raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
            return real(*arguments)

        return call


def test_every_call_is_repeated_when_a_signal_interrupts_it(tmp_path: Path, sparse_file: Path) -> None:
    calls = InterruptedOnce()
    host = Host(calls)
    file = host.create(str(tmp_path / "new"))
    file.write(b"abc" * 1000, 0)
    file.truncate(8192)
    file.sync()
    file.sync_all()
    assert file.read_bytes(3, 3) == b"abc"
    file.zero(0, 4096)
    assert file.size() == 8192 and file.status().st_size == 8192
    assert list(file.data_runs(0, 8192)) in ([], [(0, 8192)], [(0, 4096)])
    source = HOST.open_image(str(sparse_file), read_only=True)
    file.copy_from(source, HOLE, 0, 512)
    assert file.read_bytes(0, 512) == b"\x66" * 512
    source.close()
    host.link(str(tmp_path / "new"), str(tmp_path / "second"))
    host.rename(str(tmp_path / "second"), str(tmp_path / "third"))
    assert host.lstat(str(tmp_path / "third")) == host.stat(str(tmp_path / "third"))
    host.unlink(str(tmp_path / "third"))
    host.sync_dir_of(str(tmp_path / "third"))
    host.mkdir(str(tmp_path / "folder"))
    host.rmdir(str(tmp_path / "folder"))
    assert sorted(host.names_in(str(tmp_path))) == ["new", "sparse"]
    assert host.free_space(str(tmp_path)) > 0
    file.take_after(sparse_file.stat(), times=True)
    assert file.status().st_mtime_ns == sparse_file.stat().st_mtime_ns
    file.close()
    public = {name for name in vars(SystemCalls) if not name.startswith("_")}
    assert calls.seen == public - {"forget_cached", "start_writeback", "reserve"}  # advice


@pytest.mark.parametrize("offered", [True, False])
def test_data_runs_skip_holes_where_they_can_be_told(
    offered: bool, sparse_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not offered:

        def refuse(self: SystemCalls, fd: int, offset: int, whence: int) -> int:
            raise OSError(errno.EINVAL, "")

        monkeypatch.setattr(SystemCalls, "lseek", refuse)
    file = HOST.open_image(str(sparse_file), read_only=True)
    runs = list(file.data_runs(0, 4 * HOLE))
    file.close()
    if offered and sparse_file.stat().st_blocks * 512 < HOLE:
        assert runs == [(HOLE, HOLE + 65536), (3 * HOLE, 3 * HOLE + 65536)]
    else:
        assert runs == [(0, 4 * HOLE)]


@pytest.mark.parametrize("code", [0, errno.EXDEV, errno.EIO])
def test_copying_falls_back_where_the_kernel_does_not_copy(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Calls(SystemCalls):
        def copy_file_range(self, *arguments: Any) -> int:
            if code:
                raise OSError(code, os.strerror(code))
            return super().copy_file_range(*arguments)

    monkeypatch.setattr(hostfile, "COPY_SIZE", 1000)
    host = Host(Calls())
    source, target = host.create(str(tmp_path / "a")), host.create(str(tmp_path / "b"))
    data = os.urandom(10_500)
    source.write(data, 0)
    if code == errno.EIO:
        with pytest.raises(OSError):
            target.copy_from(source, 300, 70, 10_000)
    else:
        target.copy_from(source, 300, 70, 10_000)
        assert target.read_bytes(70, 10_000) == data[300:10_300]
    source.close()
    target.close()


def test_what_is_no_image_is_refused_without_hanging(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, error in (("fifo", ImageFormatError), ("none", ImageNotFoundError), (".", ImageFormatError)):
        with pytest.raises(error):
            HOST.open_image(str(tmp_path / name), read_only=True)
    with pytest.raises(ImageAccessError):
        HOST.open_image("nul\0byte", read_only=True)


def test_an_image_replaced_while_it_is_opened_is_opened_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "disk", tmp_path / "other"

    class Replacing(SystemCalls):
        replace = True

        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            fd = super().open(path, flags, mode)
            if self.replace:
                self.replace = False
                other.replace(path)
            return fd

    path.write_bytes(b"old")
    other.write_bytes(b"new")
    file = Host(Replacing()).open_image(str(path), read_only=False)
    assert file.read_bytes(0, 3) == b"new"
    file.close()


HOLDER = """
import sys
from pcemu.drives.hostfile import HOST
file = HOST.open_image(sys.argv[1], read_only=False)
print("locked", flush=True)
sys.stdin.read()
"""


def test_the_holder_is_named_and_its_end_is_the_locks_end(sparse_file: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(sparse_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        with pytest.raises(ImageAccessError) as caught:
            HOST.open_image(str(sparse_file), read_only=True)
        assert f"process {process.pid} (" in str(caught.value)
        process.kill()
    HOST.open_image(str(sparse_file), read_only=False).close()


def test_locks_can_be_changed(sparse_file: Path) -> None:
    first = HOST.open_image(str(sparse_file), read_only=True)
    second = HOST.open_image(str(sparse_file), read_only=True)
    with pytest.raises(ImageAccessError, match="for writing"):
        locks.lock_file(first.fd, first.path, shared=False)
    second.close()
    locks.lock_file(first.fd, first.path, shared=False)
    assert locks.holders(first.fd) == [os.getpid()]
    with pytest.raises(ImageAccessError, match="for reading"):
        HOST.open_image(str(sparse_file), read_only=True)
    first.close()


def long_unread(path: Path) -> Path:
    """A file that was last read long ago."""
    require_read_times(path.parent)
    path.write_bytes(bytes(4096))
    os.utime(path, (1000, 2000))
    return path


def test_looking_at_an_image_leaves_no_trace_in_it(tmp_path: Path) -> None:
    path = long_unread(tmp_path / "image")
    for read_only in (True, False):
        file = HOST.open_image(str(path), read_only=read_only)
        file.read_bytes(0, 512)
        file.close()
    assert path.stat().st_atime == 1000


def test_another_users_image_can_be_read(tmp_path: Path) -> None:
    class AnothersFiles(SystemCalls):
        def open(self, path: str, flags: int, mode: int = 0o666) -> int:
            if flags & hostfile.O_NO_TRACE:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
            return super().open(path, flags, mode)

    path = long_unread(tmp_path / "image")
    file = Host(AnothersFiles()).open_image(str(path), read_only=True)
    assert file.read_bytes(0, 512) == bytes(512)
    file.close()
    assert path.stat().st_atime > 1000


def test_a_descriptor_is_closed_once(tmp_path: Path) -> None:
    file = HOST.create(str(tmp_path / "a"))
    fd = file.fd
    file.close()
    again = os.dup2(os.open(tmp_path / "a", os.O_RDONLY), fd)  # another file gets the same number
    file.close()
    os.fstat(again)
    os.close(again)


class SyncFailsOnce(SystemCalls):
    """The first sync of data fails, all others work, as on a host that forgets what it cannot write."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.forgotten: list[int] = []

    def fdatasync(self, fd: int) -> None:
        code, self.code = self.code, 0
        if code:
            raise OSError(code, os.strerror(code))
        super().fdatasync(fd)

    def forget_cached(self, fd: int) -> None:
        self.forgotten.append(fd)
        super().forget_cached(fd)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_after_a_failed_sync_none_succeeds_before_the_file_is_opened_again(code: int, tmp_path: Path) -> None:
    calls = SyncFailsOnce(code)
    host = Host(calls)
    path = str(tmp_path / "image")
    file = host.create(path)
    file.write(b"x" * 512, 0)
    for sync in (file.sync, file.sync, file.sync_all):
        with pytest.raises(OSError) as caught:
            sync()
        assert caught.value.errno == code
    assert "may be lost" in str(caught.value) and path in str(caught.value)
    file.write(b"y" * 512, 0)  # takes it, but will not say that it is safe
    with pytest.raises(OSError):
        file.sync()
    assert not calls.forgotten
    file.close()
    assert len(calls.forgotten) == 1  # the next to open it reads what the disk has
    again = host.open_image(path, read_only=False)
    again.sync()
    again.close()
    assert len(calls.forgotten) == 1


def test_an_interrupted_sync_is_no_failed_one(tmp_path: Path) -> None:
    calls = SyncFailsOnce(errno.EINTR)
    file = Host(calls).create(str(tmp_path / "image"))
    file.sync()
    assert not file.sync_failed
    file.close()


WITHOUT = """
import os, random, sys
for name in ("preadv", "pwritev", "copy_file_range", "posix_fadvise", "SEEK_DATA", "SEEK_HOLE", "fdatasync"):
    if hasattr(os, name):
        delattr(os, name)
from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_raw
from pcemu.drives.open import open_drive
from pcemu.testing.drive_conformance import contents, exercise
from pcemu.testing.memory_drive import MemoryDrive
os.chdir(sys.argv[1])
create_raw("base.img", 3 << 20)
create_differencing("child.vhd", "base.img")
drive = open_drive("child.vhd")
model = bytearray(3 << 20)
exercise(drive, model, random.Random(1), 60)
drive.close()
commit("child.vhd")
base = open_drive("base.img")
assert contents(base) == model
exercise(Chain([base, MemoryDrive(6144)]), bytearray(3 << 20), random.Random(2), 20)
"""


def test_a_host_without_the_newer_calls_is_used_without_them(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_all_are_closed_even_when_some_fail() -> None:
    closed = []

    class Thing:
        def __init__(self, name: str, fails: bool = False) -> None:
            self.name, self.fails = name, fails

        def close(self) -> None:
            closed.append(self.name)
            if self.fails:
                raise OSError(errno.EIO, self.name)

    with pytest.raises(OSError, match="second"):
        close_all([Thing("first"), Thing("second", fails=True), Thing("third")])
    assert closed == ["first", "second", "third"]
