"""System calls that fail when told to: a full disk, a broken one, signals, transfers cut short."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from typing import Any

from pcemu.drives.hostfile import Buffer
from pcemu.testing.crash import doubts
from pcemu.testing.recording import SECTOR_SIZE, RecordingCalls, Settled

SHORT = 0  # no error: a transfer moves half of what it was given
TRANSFERS = frozenset({"preadv", "pwritev", "copy_file_range"})
TAKES_SPACE = frozenset(
    {
        "create",
        "pwritev",
        "ftruncate",
        "link",
        "rename",
        "mkdir",
        "copy_file_range",
        "reserve",
        "fsync",
        "fdatasync",
        "fsync_dir",
    }
)


def can_fail(call: str, code: int) -> bool:
    """Whether a call can fail in that way: an errno, or SHORT."""
    if code == SHORT:
        return call in TRANSFERS
    return code != errno.ENOSPC or call in TAKES_SPACE


class FaultyCalls(RecordingCalls):
    """Recording calls that count themselves and fail where they are told to.

    ``made`` holds the names of all calls so far, ``failed`` of those that raised, ``cut`` of those cut short.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__(root)
        self.made: list[str] = []
        self.failed: list[str] = []
        self.cut: list[str] = []
        self._rng = random.Random(1)
        self._start = 0
        self._codes: list[int] = []
        self._again: list[int] = []

    def fail(self, number: int, codes: list[int], *, always: bool = False) -> None:
        """Let calls from ``number`` on fail with ``codes``, one code after the other, where they can.

        ``always`` begins anew after the call that then succeeds.
        """
        self._start = number
        self._codes = list(codes)
        self._again = list(codes) if always else []

    def _next(self, call: str, size: int = 0) -> int:
        """Count a call, which fails or returns how much of ``size`` bytes it may transfer."""
        number = len(self.made)
        self.made.append(call)
        if number >= self._start and not self._codes:
            self._codes = list(self._again)
            return size
        if number < self._start or not can_fail(call, self._codes[0]):
            return size
        short = size // 2
        if call != "preadv":
            short = short // SECTOR_SIZE * SECTOR_SIZE  # hosts stop between blocks: no sector is torn by it
        if self._codes[0] == SHORT and not short:
            return size
        code = self._codes.pop(0)
        if code != SHORT:
            self.failed.append(call)
            raise OSError(code, os.strerror(code))
        self.cut.append(call)
        return short

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """As of the host, or fail."""
        self._next("create" if flags & os.O_CREAT else "open")
        return super().open(path, flags, mode)

    def close(self, fd: int) -> None:
        """Close in any case, as hosts do, then fail."""
        super().close(fd)
        self._next("close")

    def fstat(self, fd: int) -> os.stat_result:
        """As of the host, or fail."""
        self._next("fstat")
        return super().fstat(fd)

    def stat(self, path: str) -> os.stat_result:
        """As of the host, or fail."""
        self._next("stat")
        return super().stat(path)

    def lstat(self, path: str) -> os.stat_result:
        """As of the host, or fail."""
        self._next("lstat")
        return super().lstat(path)

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        """As of the host, or fail."""
        self._next("lseek")
        return super().lseek(fd, offset, whence)

    def preadv(self, fd: int, buffers: Any, offset: int) -> int:
        """Read, or some of it, or fail."""
        return os.preadv(fd, self._shortened("preadv", buffers), offset)

    def pwritev(self, fd: int, buffers: Any, offset: int) -> int:
        """Write, or some of it, or fail."""
        return super().pwritev(fd, self._shortened("pwritev", buffers), offset)

    def copy_file_range(self, source: int, target: int, count: int, source_offset: int, offset: int) -> int:
        """Copy, or some of it, or fail."""
        count = self._next("copy_file_range", count)
        return super().copy_file_range(source, target, count, source_offset, offset)

    def ftruncate(self, fd: int, size: int) -> None:
        """As of the host, or fail."""
        self._next("ftruncate")
        super().ftruncate(fd, size)

    def reserve(self, fd: int, offset: int, size: int) -> None:
        """As of the host, or fail."""
        self._next("reserve")
        super().reserve(fd, offset, size)

    def punch_hole(self, fd: int, offset: int, size: int) -> None:
        """As of the host, or fail."""
        self._next("punch_hole")
        super().punch_hole(fd, offset, size)

    def fsync(self, fd: int) -> None:
        """Note it, or fail."""
        self._next_sync("fsync", fd)
        super().fsync(fd)

    def fdatasync(self, fd: int) -> None:
        """Note it, or fail."""
        self._next_sync("fdatasync", fd)
        super().fdatasync(fd)

    def forget_cached(self, fd: int) -> None:
        """Show what became of the sectors that a failed sync left in doubt: any of their versions."""
        file = self._file(fd)
        chosen = {
            sector: self._rng.choice(versions) for sector, versions in doubts(self.recording, file).items()
        }
        medium = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)  # the descriptor itself may be for reading only
        try:
            size = os.fstat(medium).st_size
            for sector, data in chosen.items():
                os.pwrite(medium, data[: max(0, size - sector * SECTOR_SIZE)], sector * SECTOR_SIZE)
        finally:
            os.close(medium)
        self.recording.log.append(Settled(file, chosen))

    def fsync_dir(self, path: str) -> None:
        """Note it, or fail."""
        self._next("fsync_dir")
        super().fsync_dir(path)

    def rename(self, old: str, new: str) -> None:
        """As of the host, or fail."""
        self._next("rename")
        super().rename(old, new)

    def link(self, old: str, new: str) -> None:
        """As of the host, or fail."""
        self._next("link")
        super().link(old, new)

    def unlink(self, path: str) -> None:
        """As of the host, or fail."""
        self._next("unlink")
        super().unlink(path)

    def mkdir(self, path: str) -> None:
        """As of the host, or fail."""
        self._next("mkdir")
        super().mkdir(path)

    def rmdir(self, path: str) -> None:
        """As of the host, or fail."""
        self._next("rmdir")
        super().rmdir(path)

    def list_names(self, path: str) -> list[str]:
        """As of the host, or fail."""
        self._next("list_names")
        return super().list_names(path)

    def free_space(self, path: str) -> int:
        """As of the host, or fail."""
        self._next("free_space")
        return super().free_space(path)

    def take_after(self, fd: int, status: os.stat_result, times: bool) -> None:
        """As of the host, or fail."""
        self._next("take_after")
        super().take_after(fd, status, times)

    def _next_sync(self, call: str, fd: int) -> None:
        """Count a sync; when it fails for good, what waited for it may be lost."""
        try:
            self._next(call)
        except InterruptedError:
            raise
        except OSError:
            self.note_failed_sync(fd)
            raise

    def _shortened(self, call: str, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """``buffers``, or the first of them cut short."""
        view = memoryview(buffers[0]).cast("B")
        count = self._next(call, len(view))
        return buffers if count == len(view) else [view[:count]]
