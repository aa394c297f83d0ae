"""A row of bytes on a server, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pcemu.drives.remote.address import NBD_SCHEMES, check_url, parse_nbd, scheme_of
from pcemu.errors import ImageFormatError


class Readable(Protocol):
    """Bytes that can be read in any order, by several threads at once."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read(self, offset: int, size: int) -> bytes | bytearray:
        """``size`` bytes from ``offset`` on, all inside the source; OSError."""
        ...


class ByteSource(Readable, Protocol):
    """Bytes on a server, through one connection.

    A read raises ConnectionError or TimeoutError when the way to the server is lost, so that another source
    may do better, and any other OSError when the server itself says that it cannot.
    """

    @property
    def version(self) -> str | None:
        """What changes when the bytes change, such as an ETag; None when the protocol does not tell."""
        ...

    def read_all(self, places: Sequence[tuple[int, int]]) -> Iterable[bytes | bytearray]:
        """Several parts (offset, size), in order; asked for together, so that they take one round trip."""
        ...

    def close(self) -> None:
        """Let go of the server; closing twice does nothing."""
        ...


class SourceChanged(ImageFormatError):
    """What is on the server is not what it was."""


def connect(url: str, timeout: float) -> ByteSource:
    """A source for an address; ImageError and UsageError tell what is wrong with it, OSError of the way."""
    url = check_url(url)
    if scheme_of(url) in NBD_SCHEMES:
        from pcemu.drives.remote.nbd_client import NbdClient

        return NbdClient(parse_nbd(url), timeout)
    from pcemu.drives.remote.object_store import ObjectSource

    return ObjectSource(url, timeout)
