"""A row of bytes on a server, and what is known of it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pcemu.drives.remote.address import NBD_SCHEMES, check_url, parse_nbd, scheme_of
from pcemu.errors import ImageFormatError

DEFAULT_TIMEOUT = 30.0  # s
DEFAULT_CACHE_SIZE = 10 << 30


class ByteSource(Protocol):
    """Bytes that can be read in any order, by several threads at once.

    A read raises ConnectionError or TimeoutError when the way to the server is lost, so that another source
    may do better, and any other OSError when the server itself says that it cannot.
    """

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def version(self) -> str | None:
        """What changes when they change, such as an ETag; None when the protocol does not tell."""
        ...

    def read(self, offset: int, size: int) -> bytes | bytearray:
        """``size`` bytes from ``offset`` on, all inside the source."""
        ...

    def close(self) -> None:
        """Let go of the server; closing twice does nothing."""
        ...


class SourceChanged(ImageFormatError):
    """What is on the server is not what it was."""


@dataclass
class Settings:
    """How remote images are treated; times are seconds, sizes bytes.

    ``folder`` tells where caches are. ``timeout`` is how long a read may take, with all that is done to get
    through to the server meanwhile.
    """

    folder: Callable[[], Path]
    cache_size: int = DEFAULT_CACHE_SIZE
    timeout: float = DEFAULT_TIMEOUT
    clock: Callable[[], float] = time.monotonic


def _no_folder() -> Path:
    raise OSError(errno.ENOENT, "no folder is set for what is read from servers")


# Of this process: a program that wants remote images says at its start where their caches go.
SETTINGS = Settings(_no_folder)


def connect(url: str, timeout: float) -> ByteSource:
    """A source for an address; ImageError and UsageError tell what is wrong with it, OSError of the way."""
    url = check_url(url)
    if scheme_of(url) in NBD_SCHEMES:
        from pcemu.drives.remote.nbd_client import NbdClient

        return NbdClient(parse_nbd(url), timeout)
    from pcemu.drives.remote.object_store import ObjectSource

    return ObjectSource(url, timeout)
