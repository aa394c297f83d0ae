"""The host's file system: the one place of this package that calls it.

Two levels, so that tests can put a recorder or a saboteur between them::

    Host, HostFile     here: whole transfers, interrupted calls repeated, missing features worked around
    SystemCalls        pcemu.drives.system_calls: one method for each; tests replace this

Everything above takes a ``host`` argument, HOST unless told otherwise.

**Not implemented**: sparse files on Windows; directories are not synced there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from pcemu.drives.locks import lock_file
from pcemu.drives.system_calls import SystemCalls as SystemCalls  # for those who replace it
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")

ZEROS = bytes(1 << 20)
COPY_SIZE = 1 << 20
O_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
O_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # what was a file a moment ago may be a FIFO now
O_NO_TRACE = getattr(os, "O_NOATIME", 0)  # no time of the last read, which each read would have to look at
NOT_OFFERED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EXDEV, errno.EPERM)
REPLACED_TRIES = 5
SLOW_TO_FREE = 16 << 20
LOST = "an earlier sync failed, so that what was written before it may be lost; open it and write it again"


class HostFile:
    """An open file. Transfers are whole: they end after the last byte, or raise OSError.

    ``preadv`` is the bare system call, for the one caller that cannot wait. ``identity`` (device and inode)
    is known of images, as is when they were last ``written`` before they were opened (seconds since 1970).

    A sync that fails is the end: the host forgets what it could not write, and a second one would succeed
    without it. So all later ones fail, and when the file is opened again it is read from the medium.
    """

    __slots__ = (
        "_calls", "_copy", "_pwritev", "_sync_error", "fd", "identity", "is_device", "path", "preadv",
        "read_only", "unnamed_size", "written",
    )  # fmt: skip

    def __init__(self, calls: SystemCalls, fd: int, path: str, *, read_only: bool) -> None:
        self._calls = calls
        self.preadv = calls.preadv
        self._pwritev = calls.pwritev
        self._copy = calls.copy_file_range
        self.fd = fd
        self.identity = (0, 0)
        self.written = 0.0
        self.is_device = False  # a block device: neither grows nor shrinks, nor gives its name away
        self.path = path
        self.read_only = read_only
        self._sync_error = 0
        self.unnamed_size = 0  # of a file that has lost its name: closing it frees so much

    def read(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill ``buffer`` from byte ``offset`` on."""
        view = memoryview(buffer)
        while view:
            try:
                count = self.preadv(self.fd, (view,), offset)
            except InterruptedError:
                continue
            if count == len(view):
                return
            if count <= 0:
                raise OSError(errno.EIO, "the file ends before the data wanted of it", self.path)
            view = view[count:]
            offset += count

    def read_bytes(self, offset: int, size: int) -> bytearray:
        """``size`` bytes from byte ``offset`` on."""
        data = bytearray(size)
        self.read(data, offset)
        return data

    def write(self, data: Buffer, offset: int) -> None:
        """Write all of ``data`` from byte ``offset`` on."""
        view = memoryview(data)
        while view:
            try:
                count = self._pwritev(self.fd, (view,), offset)
            except InterruptedError:
                continue
            if count == len(view):
                return
            if count <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            view = view[count:]
            offset += count

    def zero(self, offset: int, size: int) -> None:
        """Make a range inside the file read as zeros: a hole where the file system can punch one."""
        if size <= 0 or self._punch(offset, size):
            return
        for at in range(offset, offset + size, len(ZEROS)):
            self.write(memoryview(ZEROS)[: offset + size - at], at)

    def reserve(self, offset: int, size: int) -> None:
        """Have the host find space for a hole that is about to be filled, which then costs it less."""
        with contextlib.suppress(OSError):  # it has no such call, or no space, as the writes will tell
            self._calls.reserve(self.fd, offset, size)

    def _punch(self, offset: int, size: int) -> bool:
        try:
            retried(self._calls.punch_hole, self.fd, offset, size)
        except OSError as error:
            if error.errno in NOT_OFFERED:
                return False
            raise
        return True

    def size(self) -> int:
        """Bytes in the file, or in the block device."""
        return retried(self._calls.lseek, self.fd, 0, os.SEEK_END)

    @property
    def sync_failed(self) -> bool:
        """True when what was written may be lost, and no sync will succeed any more."""
        return bool(self._sync_error)

    def status(self) -> os.stat_result:
        """Kind, size, times, device and inode."""
        return retried(self._calls.fstat, self.fd)

    def truncate(self, size: int) -> None:
        """Make the file ``size`` bytes long; what it grows by reads as zeros and takes no space."""
        retried(self._calls.ftruncate, self.fd, size)

    def sync(self) -> None:
        """Return when data and size survive power loss; after a failure, never again."""
        self._sync(self._calls.fdatasync)

    def start_writeback(self) -> None:
        """Have the host begin what :meth:`sync` is going to wait for. It may wait for a slow disk's queue."""
        self._calls.start_writeback(self.fd)

    def sync_all(self) -> None:
        """As :meth:`sync`, with times and owner; for files that are about to get their name."""
        self._sync(self._calls.fsync)

    def _sync(self, call: Callable[[int], None]) -> None:
        if self._sync_error:
            raise OSError(self._sync_error, LOST, self.path)
        try:
            retried(call, self.fd)
        except OSError as error:
            self._sync_error = error.errno or errno.EIO
            raise

    def take_after(self, status: os.stat_result, *, times: bool) -> None:
        """Take the permissions, owner and, if wanted, times of the file that this one will replace."""
        retried(self._calls.take_after, self.fd, status, times)

    def copy_from(self, source: HostFile, source_offset: int, offset: int, size: int) -> None:
        """Copy ``size`` bytes of another file to ``offset``, inside the kernel where it can."""
        while size:
            try:
                count = self._copy(source.fd, self.fd, size, source_offset, offset)
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno not in NOT_OFFERED:
                    raise
                count = 0
            if count <= 0:
                self._copy_by_hand(source, source_offset, offset, size)
                return
            source_offset += count
            offset += count
            size -= count

    def _copy_by_hand(self, source: HostFile, source_offset: int, offset: int, size: int) -> None:
        buffer = memoryview(bytearray(min(size, COPY_SIZE)))
        for done in range(0, size, COPY_SIZE):
            part = buffer[: min(COPY_SIZE, size - done)]
            source.read(part, source_offset + done)
            self.write(part, offset + done)

    def data_runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The parts (from, to) of a range that are not holes; all of it where holes cannot be told."""
        while start < stop:
            try:
                start = retried(self._calls.lseek, self.fd, start, os.SEEK_DATA)
                hole = retried(self._calls.lseek, self.fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole from here on
                    return
                if error.errno not in NOT_OFFERED:
                    raise
                hole = stop
            except AttributeError:  # no SEEK_DATA on this host
                hole = stop
            if start < stop:
                yield start, min(hole, stop)
            start = hole

    def close(self) -> None:
        """Let go of the file and its lock; closing twice does nothing.

        The space of a large file that has lost its name is freed behind the caller's back: where the file
        system tells the disk about each piece of it, that takes longer than to write it.
        """
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        if self.unnamed_size >= SLOW_TO_FREE:
            threading.Thread(target=self._close, args=(fd,), name="pcemu close", daemon=True).start()
        else:
            self._close(fd)

    def _close(self, fd: int) -> None:
        if self._sync_error:
            with contextlib.suppress(OSError):
                self._calls.forget_cached(fd)
        try:
            self._calls.close(fd)
        except InterruptedError:
            return  # it is closed all the same; repeating that could close another's file


class Host:
    """Files by name."""

    def __init__(self, calls: SystemCalls | None = None) -> None:
        self.calls = calls or SystemCalls()

    def open_image(self, path: str, *, read_only: bool, lock: bool = True, is_file: bool = False) -> HostFile:
        """Open and lock a disk image: shared when ``read_only``, else exclusive.

        ``is_file`` is told by who has just looked and seen a regular file.

        Raises ImageNotFoundError, ImageFormatError (a folder, a FIFO …) or ImageAccessError (no
        permission, in use).
        """
        for _ in range(REPLACED_TRIES):
            file = self._open_image(path, read_only, is_file)
            try:
                if lock:
                    lock_file(file.fd, path, shared=read_only)
                if self._is_still_named(file):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # replaced while it was waited for: what is locked is not what the path names
        raise ImageAccessError(f"{path}: is replaced again and again, expected it to stay; try again later")

    def _open_image(self, path: str, read_only: bool, is_file: bool) -> HostFile:
        flags = (os.O_RDONLY if read_only else os.O_RDWR) | O_PLAIN | O_AT_ONCE
        try:
            if not is_file:  # opening alone sets some devices going
                check_kind(path, self.stat(path).st_mode)
            try:
                fd = retried(self.calls.open, path, flags | O_NO_TRACE)
            except PermissionError:  # perhaps because the file is another user's
                fd = retried(self.calls.open, path, flags)
            return HostFile(self.calls, fd, path, read_only=read_only)
        except FileNotFoundError:
            raise ImageNotFoundError(
                f"{path}: no such file; give the path of an existing disk image"
            ) from None
        except (OSError, ValueError) as error:
            what = "" if read_only else " and writing"
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ImageAccessError(
                f"{path}: cannot be opened for reading{what}: {why}; "
                f"check the path, its permissions and its folder's"
            ) from error

    def _is_still_named(self, file: HostFile) -> bool:
        """Note what ``file`` is; True when its path still names it."""
        status = retried(self.calls.fstat, file.fd)
        if not stat.S_ISREG(status.st_mode):
            check_kind(file.path, status.st_mode)
            file.is_device = True
        identity = file.identity = (status.st_dev, status.st_ino)
        if os.name != "nt":  # an open file cannot be replaced there
            try:
                status = retried(self.calls.stat, file.path)
            except FileNotFoundError:
                return False
        file.written = status.st_mtime
        return identity == (status.st_dev, status.st_ino)

    def create(self, path: str) -> HostFile:
        """A new file; FileExistsError when there is one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | O_PLAIN
        return HostFile(self.calls, retried(self.calls.open, path, flags), path, read_only=False)

    def stat(self, path: str) -> os.stat_result:
        """What ``path`` names; OSError when nothing."""
        return retried(self.calls.stat, path)

    def lstat(self, path: str) -> os.stat_result:
        """As :meth:`stat`, of a link itself."""
        return retried(self.calls.lstat, path)

    def link(self, old: str, new: str) -> None:
        """Give ``old`` the second name ``new``; FileExistsError when it is taken."""
        retried(self.calls.link, old, new)

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what had the name."""
        retried(self.calls.rename, old, new)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        retried(self.calls.unlink, path)

    def mkdir(self, path: str) -> None:
        """Make a folder; FileExistsError when the name is taken."""
        retried(self.calls.mkdir, path)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder; OSError when it is not."""
        retried(self.calls.rmdir, path)

    def names_in(self, folder: str) -> list[str]:
        """The names in a folder, in no order."""
        return retried(self.calls.list_names, folder)

    def free_space(self, path: str) -> int:
        """Bytes that can still be written on the file system of ``path``."""
        return retried(self.calls.free_space, path)

    def sync_dir_of(self, path: str) -> None:
        """Make the name ``path`` last."""
        retried(self.calls.fsync_dir, os.path.dirname(path) or ".")  # noqa: PTH120


class Closable(Protocol):
    """What can be let go of."""

    def close(self) -> None: ...


def close_all(things: Iterable[Closable]) -> None:
    """Close one after the other, all of them even when some fail; then that is raised."""
    rest = iter(things)
    for thing in rest:
        try:
            thing.close()
        except BaseException:
            close_all(rest)
            raise


def retried(call: Callable[..., T], *arguments: Any) -> T:
    """The result of ``call``, repeated as long as signals interrupt it."""
    while True:
        try:
            return call(*arguments)
        except InterruptedError:
            continue


def check_kind(path: str, mode: int) -> None:
    """Refuse what can be no disk image: a folder, a FIFO, a socket, a character device."""
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
        return
    if stat.S_ISDIR(mode):
        raise ImageFormatError(f"{path}: is a directory, expected a disk image; name a file inside it")
    raise ImageFormatError(
        f"{path}: is neither a file nor a block device, expected a disk image file; name another path"
    )


HOST = Host()
