"""Connections that are made a little early, and wait for the drive that will use them.

Making one takes some round trips, in which a program that starts has other things to do.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future

from pcemu.drives.remote.patience import PatientSource, close_later, in_background
from pcemu.drives.remote.settings import Settings
from pcemu.errors import PcemuError

_lock = threading.Lock()
_sources: dict[str, Future[PatientSource]] = {}


def begin(url: str, settings: Settings) -> None:
    """Start to connect, behind the caller's back; what goes wrong is told to who opens the drive."""
    _put(url, in_background(lambda: PatientSource(url, None, settings), f"connect {url}"))


def put(url: str, source: PatientSource) -> None:
    """Leave a connection for the next who opens the address."""
    future: Future[PatientSource] = Future()
    future.set_result(source)
    _put(url, future)


def _put(url: str, future: Future[PatientSource]) -> None:
    with _lock:
        old = _sources.pop(url, None)
        _sources[url] = future
    _close(old)


def take(url: str, expected: tuple[int, str]) -> PatientSource | None:
    """The connection that waits, if it found what is expected."""
    with _lock:
        future = _sources.pop(url, None)
    try:
        source = None if future is None else future.result()
    except PcemuError:  # a new attempt will tell
        return None
    if source is None or (source.size, source.version) == expected:
        return source
    source.close()
    return None


def close_all() -> None:
    """Let go of connections that nobody wanted after all."""
    with _lock:
        futures = list(_sources.values())
        _sources.clear()
    for future in futures:
        _close(future)


def _close(future: Future[PatientSource] | None) -> None:
    if future is not None:
        close_later(future, PatientSource.close)
