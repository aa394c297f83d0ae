"""What every drive must do, checked against a bytearray; for any class that claims to be a Drive.

::

    exercise(drive, bytearray(size), random.Random(1))      # writes, discards, reads, odd and even
    check_refusals(drive)                                   # outside, part of a sector

Both need a writable drive and raise AssertionError with the numbers of the request that went wrong.
"""

from __future__ import annotations

import random

from pcemu.drives.drive import SECTOR_SIZE, Drive

COUNTS = (1, 1, 2, 3, 7, 8, 8, 8, 16, 33, 128, 300)


def contents(drive: Drive) -> bytearray:
    """All of a drive's bytes, read in requests of a size that fits nothing."""
    data = bytearray(drive.sectors * SECTOR_SIZE)
    view = memoryview(data)
    step = 1021
    for lba in range(0, drive.sectors, step):
        drive.read(lba, view[lba * SECTOR_SIZE : (lba + step) * SECTOR_SIZE])
    return data


def exercise(drive: Drive, model: bytearray, rng: random.Random, requests: int = 200) -> None:
    """Random requests, each done to ``drive`` and to ``model``, which is what the drive holds."""
    assert drive.sectors * SECTOR_SIZE == len(model)
    for number in range(requests):
        count = min(rng.choice(COUNTS), drive.sectors)
        lba = rng.randrange(drive.sectors - count + 1)
        if rng.random() < 0.5:
            lba = lba // 8 * 8
        here = slice(lba * SECTOR_SIZE, (lba + count) * SECTOR_SIZE)
        kind = rng.random()
        if kind < 0.4:
            model[here] = rng.randbytes(count * SECTOR_SIZE)
            drive.write(lba, bytes(model[here]))
        elif kind < 0.5:  # zeros are data too: they hide what is below
            model[here] = bytes(count * SECTOR_SIZE)
            drive.write(lba, memoryview(model)[here])
        elif kind < 0.6:
            model[here] = bytes(count * SECTOR_SIZE)
            drive.discard(lba, count)
        elif kind < 0.65:
            drive.flush()
        # What was just written; and, shifted, what lies across its edges.
        for first in {lba, max(0, lba - 5), min(lba + 3, drive.sectors - count)}:
            buffer = bytearray(b"\xa5" * count * SECTOR_SIZE)
            drive.read(first, buffer)
            expected = model[first * SECTOR_SIZE : (first + count) * SECTOR_SIZE]
            assert buffer == expected, f"request {number}: sectors {first}+{count} differ"
    assert contents(drive) == model


def check_refusals(drive: Drive) -> None:
    """Requests that no drive takes; they change nothing."""
    before = contents(drive)
    for lba, size in ((-1, 512), (drive.sectors, 512), (drive.sectors - 1, 1024), (0, 511), (1 << 40, 512)):
        for request in (drive.read, drive.write):
            try:
                request(lba, bytearray(size))
            except ValueError:
                continue
            raise AssertionError(f"{request.__name__}({lba}, {size} bytes) was not refused")
    for lba, count in ((-1, 1), (drive.sectors, 1), (0, -1), (0, drive.sectors + 1)):
        try:
            drive.discard(lba, count)
        except ValueError:
            continue
        raise AssertionError(f"discard({lba}, {count}) was not refused")
    drive.read(drive.sectors, bytearray())
    drive.write(drive.sectors, b"")
    drive.discard(0, 0)
    assert contents(drive) == before
