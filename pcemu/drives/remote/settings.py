"""How this process treats remote images."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pcemu.errors import UsageError

DEFAULT_TIMEOUT = 30.0  # s
DEFAULT_CACHE_SIZE = 10 << 30
Waiting = Callable[[str], AbstractContextManager[Callable[[], bool]]]
"""Entered with an address while its server is slow; what it gives tells whether to go on waiting."""


class Settings:
    """Times are seconds, sizes bytes.

    ``folder`` tells where caches are. ``cache_size`` is what they may take together. ``timeout`` is how long
    a read may take, with all that is done meanwhile to get through to the server. ``waiting`` is entered in
    the reader's thread when that takes long, so that somebody can be told, and can end it.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        *,
        cache_size: int = DEFAULT_CACHE_SIZE,
        timeout: float = DEFAULT_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.cache_size = cache_size
        self.timeout = timeout
        self.clock = clock
        self.waiting: Waiting = lambda url: nullcontext(lambda: True)


def _no_folder() -> Path:
    raise UsageError(
        "no folder is set for what is read from servers, expected one; set the folder of "
        "pcemu.drives.remote.settings.SETTINGS"
    )


# A program that wants remote images says at its start where their caches go.
SETTINGS = Settings(_no_folder)
