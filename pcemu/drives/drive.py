"""The one interface of everything that holds sectors."""

from __future__ import annotations

from typing import NamedTuple, Protocol

SECTOR_SIZE = 512


class Geometry(NamedTuple):
    """Cylinders, heads, and sectors per track (sectors count from 1)."""

    cylinders: int
    heads: int
    sectors: int


class Drive(Protocol):
    """A row of 512-byte sectors.

    Sector numbers (``lba``) count from 0. A request outside the drive raises ValueError; a host failure
    raises OSError, and then nothing is known of the sectors of that request.
    """

    @property
    def sectors(self) -> int:
        """Number of sectors."""
        ...

    @property
    def geometry(self) -> Geometry:
        """The CHS geometry that the image asks for."""
        ...

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        ...

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer`` (a multiple of 512 bytes) from sector ``lba`` on."""
        ...

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data`` (a multiple of 512 bytes) from sector ``lba`` on."""
        ...

    def discard(self, lba: int, count: int) -> None:
        """Make ``count`` sectors read as zeros, giving their space back where that is possible."""
        ...

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        ...

    def close(self) -> None:
        """Flush and let go of the files."""
        ...
