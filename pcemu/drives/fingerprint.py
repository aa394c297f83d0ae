"""A raw image's fingerprint: it has no unique id, so its children remember what it looked like.

The hash covers the size, the first and the last megabyte (boot sector, partition table, FATs; the end), and
64 sectors spread evenly between. It is quick for any size and notices another image, another version of the
same one, and most writes; a write to none of these places is left to the file's time.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HostFile

VERSION = 1
DIGEST_SIZE = 32
SAMPLES = 64
EDGE = 1 << 20
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


def fingerprint_of(file: HostFile) -> Fingerprint:
    """The fingerprint of a raw image as it is now."""
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
