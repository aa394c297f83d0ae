"""A drive in a bytearray that fails on request."""

from __future__ import annotations

import errno
import os

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.geometry import geometry_for


class MemoryDrive:
    """A drive of ``data_or_sectors``: its bytes, or how many zeroed sectors.

    A request that touches a sector of ``fail_reads`` or ``fail_writes`` raises OSError (EIO, ENOSPC) and
    transfers nothing; ``fail_flush`` does the same to :meth:`flush`. ``reads``, ``writes`` and ``flushes``
    count the calls, failed ones included.
    """

    def __init__(self, data_or_sectors: bytes | bytearray | int, *, read_only: bool = False) -> None:
        if isinstance(data_or_sectors, int):
            self.data = bytearray(data_or_sectors * SECTOR_SIZE)
        else:
            self.data = bytearray(data_or_sectors)
        if not self.data or len(self.data) % SECTOR_SIZE:
            raise ValueError(f"{len(self.data)} bytes are not whole sectors of {SECTOR_SIZE}")
        self._read_only = read_only
        self._geometry = geometry_for(self.sectors, bytes(self.data[:SECTOR_SIZE]))
        self.fail_reads: set[int] = set()
        self.fail_writes: set[int] = set()
        self.fail_flush = False
        self.reads = 0
        self.writes = 0
        self.flushes = 0
        self.closed = False

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        return len(self.data) // SECTOR_SIZE

    @property
    def geometry(self) -> Geometry:
        """The geometry that the first contents asked for."""
        return self._geometry

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        return self._read_only

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` from sector ``lba`` on."""
        self.reads += 1
        view = memoryview(buffer)
        start, stop = self._range(lba, len(view), self.fail_reads, errno.EIO)
        view[:] = memoryview(self.data)[start:stop]

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` from sector ``lba`` on."""
        self.writes += 1
        self._check_writable()
        start, stop = self._range(lba, len(data), self.fail_writes, errno.ENOSPC)
        self.data[start:stop] = data

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros."""
        self._check_writable()
        start, stop = self._range(lba, count * SECTOR_SIZE, self.fail_writes, errno.ENOSPC)
        self.data[start:stop] = bytes(stop - start)

    def flush(self) -> None:
        """Count, and fail when told to."""
        self.flushes += 1
        if self.fail_flush:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _range(self, lba: int, size: int, failing: set[int], code: int) -> tuple[int, int]:
        count, rest = divmod(size, SECTOR_SIZE)
        if rest or lba < 0 or count < 0 or lba + count > self.sectors:
            raise ValueError(f"{size} bytes from sector {lba} on do not fit a drive of {self.sectors}")
        if failing and not failing.isdisjoint(range(lba, lba + count)):
            raise OSError(code, os.strerror(code))
        return lba * SECTOR_SIZE, lba * SECTOR_SIZE + size

    def _check_writable(self) -> None:
        if self._read_only:
            raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))
