"""The system calls of this package, as they are, one method each; what they lack on a host is said by errors.

Only :mod:`pcemu.drives.hostfile` calls them, except for tests, which put a recorder or a saboteur here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Transfer = Callable[[int, Sequence[Any], int], int]  # descriptor, buffers, offset: bytes moved

# From linux/falloc.h.
FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02
# From linux/fs.h.
SYNC_FILE_RANGE_WRITE = 0x02
# Bits of the parameters of C library functions.
FALLOCATE = (32, 32, 64, 64)
SYNC_FILE_RANGE = (32, 64, 64, 32)


def _read_first(fd: int, buffers: Sequence[Any], offset: int) -> int:
    """As os.preadv, where that is missing; into the first buffer only."""
    os.lseek(fd, offset, os.SEEK_SET)
    data = os.read(fd, len(buffers[0]))
    buffers[0][: len(data)] = data
    return len(data)


def _write_first(fd: int, buffers: Sequence[Any], offset: int) -> int:
    """As os.pwritev, where that is missing; from the first buffer only."""
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, buffers[0])


def _no_copy_file_range(source: int, target: int, count: int, source_offset: int, offset: int) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


_close: Callable[[int], None] = os.close
_fstat: Callable[[int], os.stat_result] = os.fstat
_stat: Callable[[str], os.stat_result] = os.stat
_lstat: Callable[[str], os.stat_result] = os.lstat
_lseek: Callable[[int, int, int], int] = os.lseek  # descriptor, offset, whence: where it is now
_copy_file_range: Callable[..., int] = getattr(os, "copy_file_range", _no_copy_file_range)
_preadv: Transfer = getattr(os, "preadv", _read_first)
_pwritev: Transfer = getattr(os, "pwritev", _write_first)


class SystemCalls:
    """The system calls, with the arguments and errors of :mod:`os`; transfers may be short."""

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """A descriptor of ``path``."""
        return os.open(path, flags, mode)

    # The functions themselves, not methods around them: these are hot.
    close = staticmethod(_close)
    fstat = staticmethod(_fstat)
    stat = staticmethod(_stat)
    lstat = staticmethod(_lstat)
    lseek = staticmethod(_lseek)
    preadv = staticmethod(_preadv)
    pwritev = staticmethod(_pwritev)

    def ftruncate(self, fd: int, size: int) -> None:
        """Make the file ``size`` bytes long; what it grows by reads as zeros."""
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        """Force data and all metadata to the medium."""
        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is not None:  # macOS: fsync leaves the data in the disk's own cache
            fcntl.fcntl(fd, full)
        else:
            os.fsync(fd)

    def fdatasync(self, fd: int) -> None:
        """Force data, and the metadata it takes to read them, to the medium."""
        if hasattr(os, "fdatasync") and sys.platform != "darwin":
            os.fdatasync(fd)
        else:
            self.fsync(fd)

    def forget_cached(self, fd: int) -> None:
        """Have the file read from the medium again, as far as the host lets us."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def fsync_dir(self, path: str) -> None:
        """Make the names in a directory last."""
        if os.name == "nt":
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file a new name, replacing what had it."""
        os.replace(old, new)  # noqa: PTH105

    def link(self, old: str, new: str) -> None:
        """Give a file a second name; FileExistsError when it is taken."""
        os.link(old, new)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        os.unlink(path)  # noqa: PTH108

    def mkdir(self, path: str) -> None:
        """Make a folder; FileExistsError when the name is taken."""
        os.mkdir(path)  # noqa: PTH102

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        os.rmdir(path)  # noqa: PTH106

    def list_names(self, path: str) -> list[str]:
        """The names in a folder."""
        return os.listdir(path)  # noqa: PTH208

    def free_space(self, path: str) -> int:
        """Bytes that can still be written on the file system of ``path``."""
        import shutil  # only here: it costs start-up time

        return shutil.disk_usage(path).free

    def take_after(self, fd: int, status: os.stat_result, times: bool) -> None:
        """Give a file the permissions, owner and maybe times of another, as far as the host lets us."""
        if os.name == "nt":
            return
        with contextlib.suppress(PermissionError):
            os.fchown(fd, status.st_uid, status.st_gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        if times:
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    copy_file_range = staticmethod(_copy_file_range)  # (source, target, count, source offset, offset): moved

    def punch_hole(self, fd: int, offset: int, size: int) -> None:
        """Give a range back to the file system: it reads as zeros."""
        _fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size)

    def reserve(self, fd: int, offset: int, size: int) -> None:
        """Give the holes in a range their space on the medium; they read as zeros all the same."""
        _fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, size)

    def start_writeback(self, fd: int) -> None:
        """Queue all that was written to ``fd`` for the medium; fdatasync then finds less to do."""
        sync_file_range = _c_function("sync_file_range", SYNC_FILE_RANGE)
        if sync_file_range is not None:
            sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)  # an error is fdatasync's to tell


def _fallocate(fd: int, mode: int, offset: int, size: int) -> None:
    fallocate = _c_function("fallocate", FALLOCATE)
    if fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if fallocate(fd, mode, offset, size):
        import ctypes

        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@cache
def _c_function(name: str, parameters: tuple[int, ...]) -> Any:
    """A function of the C library by its parameters' bits; None where there is none."""
    import ctypes  # only here: it costs start-up time, and few sessions need it

    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [ctypes.c_int64 if bits == 64 else ctypes.c_int for bits in parameters]
    return function
