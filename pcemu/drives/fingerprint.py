"""A raw image's fingerprint: it has no unique id, so its children remember what it looked like.

The hash covers the size, the first and the last megabyte (boot sector, partition table, FATs; the end), and
64 sectors spread evenly between. It is quick for any size and notices another image, another version of the
same one, and most writes; a write to none of these places is left to the file's time.

A process that opens many chains on one base (a server, a test suite) works it out once: as long as the host
tells the same times of the file, nobody wrote to it. That is not trusted of a file changed a moment ago, as
clocks of file systems are coarse, of a block device, nor on Windows, which tells no time of the last change.
"""

from __future__ import annotations

import hashlib
import os
import time
from struct import Struct
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HostFile

VERSION = 1
DIGEST_SIZE = 32
SAMPLES = 64
EDGE = 1 << 20
SETTLED = 2 * 10**9  # ns since its last change after which another one gets another time: FAT counts in 2 s
MAX_KNOWN = 64
PACKED = Struct(f"<IIQ{DIGEST_SIZE}s")


class Fingerprint(NamedTuple):
    """``size`` in bytes, and the hash."""

    size: int
    digest: bytes

    @property
    def unique_id(self) -> bytes:
        """An id for those who know images by 16 bytes; the same as long as the fingerprint is."""
        return self.digest[:16]

    def pack(self) -> bytes:
        """As a child keeps it."""
        return PACKED.pack(VERSION, SAMPLES, self.size, self.digest)


def unpack_fingerprint(data: bytes | bytearray) -> Fingerprint | None:
    """What :meth:`Fingerprint.pack` made; None when this is not it."""
    if len(data) != PACKED.size:
        return None
    version, samples, size, digest = PACKED.unpack(data)
    return Fingerprint(size, digest) if (version, samples) == (VERSION, SAMPLES) else None


_known: dict[tuple[int, ...], Fingerprint] = {}


def fingerprint_of(file: HostFile) -> Fingerprint:
    """The fingerprint of a raw image as it is now."""
    state = _state_of(file)
    found = _known.get(state)
    if found is None:
        found = _hash(file)
        if state:
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            _known[state] = found
    return found


def _state_of(file: HostFile) -> tuple[int, ...]:
    """What stays the same as long as nobody writes to a file; nothing when the host does not tell."""
    if os.name == "nt" or file.is_device:
        return ()
    status = file.status()
    if time.time_ns() - status.st_ctime_ns < SETTLED:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _hash(file: HostFile) -> Fingerprint:
    size = file.size()
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    first_stop, last_start = min(EDGE, size), max(0, size - EDGE)
    parts = [(0, first_stop)]
    if last_start:
        parts.append((last_start, size - last_start))
    between = (last_start - first_stop) // SECTOR_SIZE
    if between > 0:
        for number in range(SAMPLES):
            lba = first_stop // SECTOR_SIZE + between * number // SAMPLES
            parts.append((lba * SECTOR_SIZE, SECTOR_SIZE))
    buffer = memoryview(bytearray(first_stop))
    for offset, length in parts:
        part = buffer[:length]
        file.read(part, offset)
        digest.update(part)
    return Fingerprint(size, digest.digest())
