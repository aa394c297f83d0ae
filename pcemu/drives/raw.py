"""Raw images: the file's bytes are the drive's sectors, and nothing else is in it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.geometry import geometry_for
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError

try:
    import fcntl
except ImportError:  # Windows: the share mode of its own open is all there is
    fcntl = None  # type: ignore[assignment]

ZEROS = bytes(1 << 20)
# From linux/falloc.h.
FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02


class RawDrive:
    """A drive on a raw image file or a block device.

    The file stays locked while it is open: shared when ``read_only``, else exclusive. Raises
    ImageNotFoundError, ImageFormatError (no file, empty, not a multiple of 512 bytes) or ImageAccessError
    (no permission, in use); a refused file is left as it was.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._read_only = read_only
        self._dirty = False
        self._fd = _open(self.path, read_only)
        try:
            size = os.lseek(self._fd, 0, os.SEEK_END)
            _check_size(self.path, size)
            _lock(self._fd, self.path, shared=read_only)
            self._sectors = size // SECTOR_SIZE
            first = bytearray(SECTOR_SIZE)
            self.read(0, first)
        except OSError as error:
            self._abandon()
            raise ImageAccessError(f"{path}: cannot be read: {error.strerror}; check its disk") from error
        except BaseException:
            self._abandon()
            raise
        self._geometry = geometry_for(self._sectors, bytes(first))

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        return self._sectors

    @property
    def geometry(self) -> Geometry:
        """What the partition table was made with when the drive was opened, else what ATA drives use."""
        return self._geometry

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        return self._read_only

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        view = memoryview(buffer)
        self._check(lba, len(view))
        offset = lba * SECTOR_SIZE
        while view:
            count = _read_at(self._fd, view, offset)
            if count == 0:
                raise OSError(errno.EIO, "the image became shorter while in use", str(self.path))
            view = view[count:]
            offset += count

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        view = memoryview(data)
        self._check_writable()
        self._check(lba, len(view))
        offset = lba * SECTOR_SIZE
        self._dirty = True
        while view:
            count = _write_at(self._fd, view, offset)
            if count == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            view = view[count:]
            offset += count

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros: a hole where the host's file system can punch one."""
        self._check_writable()
        if count < 0:
            raise ValueError(f"cannot discard {count} sectors")
        self._check(lba, count * SECTOR_SIZE)
        if count == 0:
            return
        self._dirty = True
        if _punch_hole(self._fd, lba * SECTOR_SIZE, count * SECTOR_SIZE):
            return
        step = len(ZEROS) // SECTOR_SIZE
        for start in range(lba, lba + count, step):
            part = min(step, lba + count - start)
            self.write(start, memoryview(ZEROS)[: part * SECTOR_SIZE])

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        if self._dirty:
            _sync(self._fd)
            self._dirty = False

    def close(self) -> None:
        """Flush, then let go of the file and its lock; the file is let go of even when flushing fails."""
        if self._fd >= 0:
            try:
                self.flush()
            finally:
                self._abandon()

    def _abandon(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _check(self, lba: int, size: int) -> None:
        if size % SECTOR_SIZE:
            raise ValueError(f"{size} bytes are not whole sectors of {SECTOR_SIZE}")
        if lba < 0 or lba + size // SECTOR_SIZE > self._sectors:
            raise ValueError(f"sectors {lba}+{size // SECTOR_SIZE} are outside a drive of {self._sectors}")

    def _check_writable(self) -> None:
        if self._read_only:
            raise PermissionError(errno.EROFS, "the image was opened read-only", str(self.path))


def _open(path: Path, read_only: bool) -> int:
    """A descriptor of the image; refuses what is not a file or block device before opening it."""
    access = os.O_RDONLY if read_only else os.O_RDWR
    # Not blocking: the path may have become a FIFO after the look at its kind.
    flags = access | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        _check_kind(path, path.stat().st_mode)
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise ImageNotFoundError(f"{path}: no such file; give the path of an existing disk image") from None
    except OSError as error:
        what = "reading" if read_only else "reading and writing"
        raise ImageAccessError(
            f"{path}: cannot be opened for {what}: {error.strerror}; check its permissions and its folder's"
        ) from error
    try:
        _check_kind(path, os.fstat(fd).st_mode)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ImageFormatError(f"{path}: is a directory, expected a disk image; name a file inside it")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise ImageFormatError(f"{path}: is neither a file nor a block device, expected a disk image file")


def _check_size(path: Path, size: int) -> None:
    if size == 0:
        raise ImageFormatError(
            f"{path}: is empty, expected {SECTOR_SIZE} bytes at least; copy it again or create it with a size"
        )
    if size % SECTOR_SIZE:
        raise ImageFormatError(
            f"{path}: is {size} bytes long, expected a multiple of {SECTOR_SIZE} "
            f"({size % SECTOR_SIZE} too many); it may be truncated or packed: copy or unpack it again"
        )


def _lock(fd: int, path: Path, *, shared: bool) -> None:
    """Hold the file until it is closed; a file system without locks is used without."""
    if fcntl is None:
        return
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        wanted = "reading" if shared else "writing"
        raise ImageAccessError(
            f"{path}: is busy: another program holds it, expected it free for {wanted}; end that first"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


if hasattr(os, "preadv"):

    def _read_at(fd: int, view: memoryview, offset: int) -> int:
        return os.preadv(fd, [view], offset)

else:

    def _read_at(fd: int, view: memoryview, offset: int) -> int:
        os.lseek(fd, offset, os.SEEK_SET)
        data = os.read(fd, len(view))
        view[: len(data)] = data
        return len(data)


if hasattr(os, "pwrite"):

    def _write_at(fd: int, view: memoryview, offset: int) -> int:
        return os.pwrite(fd, view, offset)

else:

    def _write_at(fd: int, view: memoryview, offset: int) -> int:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, view)


def _sync(fd: int) -> None:
    """Force the file's data to the medium."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:  # macOS: fsync leaves the data in the disk's own cache
        fcntl.fcntl(fd, full)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def _punch_hole(fd: int, offset: int, size: int) -> bool:
    """Free the space of a range; False where the host or its file system cannot."""
    import ctypes  # only here: it costs start-up time, and few sessions discard

    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (AttributeError, OSError, TypeError):
        return False
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    result: int = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size)
    return result == 0
