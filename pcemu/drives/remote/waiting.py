"""Connections that were made a little early, and wait for the drive that will use them."""

from __future__ import annotations

import threading

from pcemu.drives.remote.patience import PatientSource

_lock = threading.Lock()
_sources: dict[str, PatientSource] = {}


def put(url: str, source: PatientSource) -> None:
    """Leave a connection for the next who opens the address."""
    with _lock:
        old = _sources.pop(url, None)
        _sources[url] = source
    if old is not None:
        old.close()


def take(url: str, expected: tuple[int, str]) -> PatientSource | None:
    """The connection that waits, if it found what is expected."""
    with _lock:
        source = _sources.pop(url, None)
    if source is None or (source.size, source.version) == expected:
        return source
    source.close()
    return None
