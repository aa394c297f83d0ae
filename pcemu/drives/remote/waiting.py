"""Connections that are made a little early, and wait for the drive that will use them.

Making one takes some round trips, in which a program that starts has other things to do.
"""

from __future__ import annotations

import threading

from pcemu.drives.remote.background import Background, outwait
from pcemu.drives.remote.patience import PatientSource
from pcemu.drives.remote.settings import Settings
from pcemu.errors import ImageAccessError, PcemuError

_lock = threading.Lock()
_sources: dict[str, Background[PatientSource]] = {}


def begin(url: str, settings: Settings) -> None:
    """Start to connect, behind the caller's back; what goes wrong is told to who opens the drive."""
    _put(url, Background(lambda: PatientSource(url, None, settings), PatientSource.close, f"begin {url}"))


def put(url: str, source: PatientSource) -> None:
    """Leave a connection for the next who opens the address."""
    _put(url, Background(lambda: source, PatientSource.close, f"keep {url}"))


def _put(url: str, coming: Background[PatientSource]) -> None:
    with _lock:
        old = _sources.pop(url, None)
        _sources[url] = coming
    if old is not None:
        old.drop()


def take(url: str, expected: tuple[int, str], settings: Settings) -> PatientSource | None:
    """The connection that waits, if it found what is expected. ImageAccessError: it was not waited for."""
    with _lock:
        coming = _sources.pop(url, None)
    if coming is None:
        return None
    try:
        outwait(coming.wait, settings.waiting, url)
        source = coming.result()
    except OSError as error:
        coming.drop()
        raise ImageAccessError(f"{url}: {error.strerror}; try again") from error
    except PcemuError:  # a new attempt will tell
        return None
    if (source.size, source.version) == expected:
        return source
    source.close()
    return None


def close_all() -> None:
    """Let go of connections that nobody wanted after all."""
    with _lock:
        coming = list(_sources.values())
        _sources.clear()
    for each in coming:
        each.drop()
