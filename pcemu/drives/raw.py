"""Raw images: the file's bytes are the drive's sectors, and nothing else is in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.geometry import geometry_for
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.errors import ImageAccessError, ImageFormatError


class FlatDrive:
    """A drive whose sectors lie one behind the other from the start of a file, which it closes."""

    url = ""  # the address of an image on a server

    def __init__(self, file: HostFile, sectors: int, fallback: Geometry | None = None) -> None:
        """``fallback`` is the geometry when the partition table does not tell one."""
        self.file = file
        self.warnings: list[str] = []
        self._dirty = False
        self._sectors = sectors
        first = bytearray(SECTOR_SIZE)
        try:
            file.read(first, 0)
        except OSError as error:
            raise ImageAccessError(
                f"{file.path}: cannot be read: {error.strerror}; check its disk"
            ) from error
        self._geometry = geometry_for(sectors, bytes(first), fallback)

    @property
    def path(self) -> Path:
        """The image."""
        return Path(self.file.path)

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        return self._sectors

    @property
    def geometry(self) -> Geometry:
        """What the partition table was made with when the drive was opened, else what its format says."""
        return self._geometry

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        return self.file.read_only

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        self._check(lba, len(buffer))
        self.file.read(buffer, lba * SECTOR_SIZE)

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` from sector ``lba`` on; ValueError outside the drive, OSError from the host."""
        self._check_writable()
        self._check(lba, len(data))
        self._dirty = True
        self.file.write(data, lba * SECTOR_SIZE)

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros: a hole where the host's file system can punch one."""
        self._check_writable()
        if count < 0:
            raise ValueError(f"cannot discard {count} sectors")
        self._check(lba, count * SECTOR_SIZE)
        if count:
            self._dirty = True
            self.file.zero(lba * SECTOR_SIZE, count * SECTOR_SIZE)

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        if self._dirty:
            self.file.sync()
            self._dirty = False

    def close(self) -> None:
        """Flush, then let go of the file and its lock; the file is let go of even when flushing fails."""
        if self.file.fd >= 0:
            try:
                self.flush()
            finally:
                self.file.close()

    def locate(self, lba: int) -> int:
        """The offset in the file of sector ``lba``."""
        return lba * SECTOR_SIZE

    def _check(self, lba: int, size: int) -> None:
        if size % SECTOR_SIZE:
            raise ValueError(f"{size} bytes are not whole sectors of {SECTOR_SIZE}")
        if lba < 0 or lba + size // SECTOR_SIZE > self._sectors:
            raise ValueError(f"sectors {lba}+{size // SECTOR_SIZE} are outside a drive of {self._sectors}")

    def _check_writable(self) -> None:
        if self.file.read_only:
            raise PermissionError(errno.EROFS, "the image was opened read-only", self.file.path)


class RawDrive(FlatDrive):
    """A drive on a raw image file or a block device.

    The file stays locked while it is open: shared when ``read_only``, else exclusive. Raises
    ImageNotFoundError, ImageFormatError (no file, empty, not a multiple of 512 bytes) or ImageAccessError
    (no permission, in use); a refused file is left as it was.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False, host: Host = HOST) -> None:
        self._start(host.open_image(os.fspath(path), read_only=read_only))

    @classmethod
    def on(cls, file: HostFile) -> RawDrive:
        """A drive on an open file, which is closed when it is refused."""
        drive = cls.__new__(cls)
        drive._start(file)
        return drive

    def _start(self, file: HostFile) -> None:
        try:
            size = file.size()
            _check_size(file.path, size)
            super().__init__(file, size // SECTOR_SIZE)
        except BaseException:
            file.close()
            raise


def _check_size(path: str, size: int) -> None:
    if size == 0:
        raise ImageFormatError(
            f"{path}: is empty, expected {SECTOR_SIZE} bytes at least; copy it again or create it with a size"
        )
    if size % SECTOR_SIZE:
        raise ImageFormatError(
            f"{path}: is {size} bytes long, expected a multiple of {SECTOR_SIZE} "
            f"({size % SECTOR_SIZE} too many); it may be truncated or packed: copy or unpack it again"
        )
