"""Raw images on a real file system."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives import hostfile
from pcemu.drives.hostfile import HOST, Host, SystemCalls
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, ImageNotFoundError

SECTORS = 300


class ShortCalls(SystemCalls):
    """Transfers of at most 700 and 300 bytes, every second one interrupted by a signal."""

    interrupted = False

    def _interrupt(self) -> None:
        self.interrupted = not self.interrupted
        if self.interrupted:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

    def preadv(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        self._interrupt()
        return os.preadv(fd, [memoryview(buffers[0])[:700]], offset)

    def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
        self._interrupt()
        return os.pwritev(fd, [memoryview(buffers[0])[:300]], offset)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(random.Random(1).randbytes(SECTORS * 512))
    return path


def test_reads_are_the_files_bytes(image: Path) -> None:
    content = image.read_bytes()
    drive = RawDrive(image, read_only=True)
    assert (drive.sectors, drive.read_only, drive.geometry) == (SECTORS, True, (1, 4, 63))
    for lba, count in ((0, 1), (7, 30), (SECTORS - 1, 1), (0, SECTORS), (SECTORS, 0)):
        buffer = bytearray(count * 512)
        drive.read(lba, buffer)
        assert buffer == content[lba * 512 : (lba + count) * 512]
    drive.close()


def test_writes_are_the_files_bytes(image: Path) -> None:
    expected = bytearray(image.read_bytes())
    drive = RawDrive(image)
    for lba, data in ((0, b"A" * 512), (5, bytearray(b"B" * 2048)), (SECTORS - 1, memoryview(b"C" * 512))):
        drive.write(lba, data)
        expected[lba * 512 : lba * 512 + len(data)] = data
    drive.flush()
    assert image.read_bytes() == expected
    drive.close()
    drive.close()
    assert image.read_bytes() == expected


@pytest.mark.parametrize(("lba", "size"), [(-1, 512), (SECTORS, 512), (SECTORS - 1, 1024), (0, 511)])
def test_requests_outside_the_drive_are_refused(image: Path, lba: int, size: int) -> None:
    before = image.read_bytes()
    drive = RawDrive(image)
    with pytest.raises(ValueError):
        drive.read(lba, bytearray(size))
    with pytest.raises(ValueError):
        drive.write(lba, bytes(size))
    with pytest.raises(ValueError):
        drive.discard(lba, -1 if size % 512 else size // 512)
    drive.close()
    assert image.read_bytes() == before


def test_a_read_only_drive_refuses_writes_and_leaves_the_file_alone(image: Path) -> None:
    before = image.stat()
    drive = RawDrive(image, read_only=True)
    with pytest.raises(PermissionError):
        drive.write(0, bytes(512))
    with pytest.raises(PermissionError):
        drive.discard(0, 1)
    drive.flush()
    drive.close()
    after = image.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert before.st_size == after.st_size


@pytest.mark.parametrize("holes", [True, False])
def test_discarded_sectors_read_as_zeros(image: Path, holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not holes:
        monkeypatch.setattr(SystemCalls, "punch_hole", raiser(OSError(errno.ENOSYS, "none here")))
        monkeypatch.setattr(hostfile, "ZEROS", bytes(512 * 8))
    expected = bytearray(image.read_bytes())
    drive = RawDrive(image)
    for lba, count in ((3, 20), (100, 200), (50, 0)):
        drive.discard(lba, count)
        expected[lba * 512 : (lba + count) * 512] = bytes(count * 512)
    drive.close()
    assert image.read_bytes() == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="holes are punched on Linux only")
def test_discarding_gives_space_back_where_the_file_system_can(tmp_path: Path) -> None:
    path = tmp_path / "big.img"
    path.write_bytes(b"x" * (4 << 20))
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        try:
            HOST.calls.punch_hole(file.fileno(), 0, 4096)
        except OSError:
            pytest.skip("this file system has no holes")
    full = path.stat().st_blocks
    drive = RawDrive(path)
    drive.discard(0, 8192)
    drive.close()
    assert path.stat().st_blocks < full // 2
    assert path.stat().st_size == 4 << 20


def test_short_and_interrupted_transfers_are_continued(image: Path) -> None:
    content = image.read_bytes()
    drive = RawDrive(image, host=Host(ShortCalls()))
    buffer = bytearray(10 * 512)
    drive.read(4, buffer)
    assert buffer == content[4 * 512 : 14 * 512]
    drive.write(20, content[: 10 * 512])
    drive.close()
    assert image.read_bytes()[20 * 512 : 30 * 512] == content[: 10 * 512]


def test_a_transfer_that_gets_nowhere_is_an_error(image: Path) -> None:
    class Full(SystemCalls):
        def pwritev(self, fd: int, buffers: Sequence[Any], offset: int) -> int:
            return 0

    drive = RawDrive(image, host=Host(Full()))
    os.truncate(image, 512)
    with pytest.raises(OSError) as caught:
        drive.read(10, bytearray(512))
    assert caught.value.errno == errno.EIO
    with pytest.raises(OSError) as caught:
        drive.write(0, bytes(512))
    assert caught.value.errno == errno.ENOSPC
    drive.close()


def test_platforms_without_positioned_transfers_are_served(image: Path) -> None:
    script = (
        "import os, sys\n"
        "for name in ('preadv', 'pwritev', 'fdatasync'):\n"
        "    delattr(os, name) if hasattr(os, name) else None\n"
        "from pcemu.drives.raw import RawDrive\n"
        "drive = RawDrive(sys.argv[1])\n"
        "buffer = bytearray(1024)\n"
        "drive.read(2, buffer)\n"
        "drive.write(9, buffer)\n"
        "drive.close()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(image)], check=True)
    content = image.read_bytes()
    assert content[9 * 512 : 11 * 512] == content[2 * 512 : 4 * 512]


def make_directory(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda path: None, ImageNotFoundError, ["no such file"]),
        (make_directory, ImageFormatError, ["directory", "expected a disk image"]),
        (lambda path: path.write_bytes(b""), ImageFormatError, ["empty", "expected 512 bytes"]),
        (lambda path: path.write_bytes(bytes(1300)), ImageFormatError, ["1300", "multiple of 512", "276"]),
        (make_fifo, ImageFormatError, ["neither a file nor a block device"]),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], error: type[ImageError], words: list[str]
) -> None:
    if make is make_fifo and not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    path = tmp_path / "odd.img"
    make(path)
    before = path.stat() if path.exists() else None
    for read_only in (True, False):
        with pytest.raises(error) as caught:
            RawDrive(path, read_only=read_only)
        message = str(caught.value)
        assert str(path) in message and "\n" not in message
        assert all(word in message for word in words)
    assert (path.stat() if path.exists() else None) == before


def raiser(error: OSError) -> Callable[..., Any]:
    def fail(*arguments: object) -> Any:
        raise error

    return fail


def test_a_file_without_permission_is_refused(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = raiser(PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    monkeypatch.setattr(SystemCalls, "open", refuse)  # root may open everything
    with pytest.raises(ImageAccessError, match=r"disk\.img: cannot be opened for reading and writing"):
        RawDrive(image)


def test_a_file_that_cannot_be_read_is_refused(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemCalls, "preadv", raiser(OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(ImageAccessError, match=r"disk\.img: cannot be read"):
        RawDrive(image)
    monkeypatch.undo()
    RawDrive(image).close()  # the refusal let go of the lock


@pytest.mark.skipif(sys.platform == "win32", reason="no locks here")
def test_locks_let_readers_share_and_writers_be_alone(image: Path) -> None:
    before = image.read_bytes()
    first = RawDrive(image, read_only=True)
    second = RawDrive(image, read_only=True)
    with pytest.raises(ImageAccessError, match=r"disk\.img: is busy"):
        RawDrive(image)
    first.close()
    second.close()
    writer = RawDrive(image)
    for read_only in (True, False):
        with pytest.raises(ImageAccessError, match="is busy"):
            RawDrive(image, read_only=read_only)
    writer.close()
    RawDrive(image).close()
    assert image.read_bytes() == before


def test_flush_syncs_only_after_writes(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(SystemCalls, "fdatasync", lambda self, fd: synced.append(fd))
    drive = RawDrive(image)
    drive.flush()
    assert not synced
    drive.write(0, bytes(512))
    drive.flush()
    drive.flush()
    assert len(synced) == 1
    drive.discard(0, 1)
    drive.close()
    assert len(synced) == 2
