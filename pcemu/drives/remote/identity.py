"""Is what is on the server still what it was? Its size, and a version; or a look at its bytes.

HTTP servers and object stores tell an ETag or a time. NBD tells nothing of the kind: there, parts are read
and hashed, all in one round trip. That notices another image and nearly every write to the file systems of
this one, but no write to places that are not looked at: who serves an image should not write to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pcemu.drives.remote.source import ByteSource

FIRST = 256 << 10  # boot sector, partition table, FATs
LAST = 64 << 10  # the end, with a VHD's footer
SAMPLES, SAMPLE_SIZE = 30, 4096


def version_of(source: ByteSource) -> str:
    """The version that the server tells, or the hash of some of the bytes."""
    if source.version is not None:
        return source.version
    digest = hashlib.sha256(source.size.to_bytes(8, "big"))
    for data in source.read_all(list(places(source.size))):
        digest.update(data)
    return f"sampled {digest.hexdigest()}"


def places(size: int) -> Iterator[tuple[int, int]]:
    """(offset, size) of what is hashed, aligned to pages where the size is."""
    first, last = min(FIRST, size), max(min(FIRST, size), size - LAST)
    yield 0, first
    pages = (last - first) // SAMPLE_SIZE
    for number in range(min(SAMPLES, pages)):
        yield first + pages * number // min(SAMPLES, pages) * SAMPLE_SIZE, SAMPLE_SIZE
    if last < size:
        yield last, size - last
