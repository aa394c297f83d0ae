"""A process that opens the largest drive, writes 10 GB to it and reads: ``drive_memory.py PATH``.

Prints the most memory it had (MiB) before it opened the drive and at the end. What it "writes" are zeros over
zeros, as holes: all that is kept in memory is kept as for data, and the host's disk is spared.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.open import open_drive
from tools.benchmarks.process import peak_mebibytes

SIZE = 2040 << 30
WRITTEN = 10 * 10**9
PIECE = 128  # sectors
READS = 100_000


def main(path: str) -> None:
    """Write, flush, open again, read."""
    base = Path(path).with_suffix(".base.vhd")
    create_dynamic(base, SIZE)
    create_differencing(path, base)
    before = peak_mebibytes()
    rng = random.Random(1)
    drive = open_drive(path)
    buffer = bytearray(4096)
    for _ in range(WRITTEN // (PIECE * 512)):
        drive.discard(rng.randrange(drive.sectors // PIECE) * PIECE, PIECE)
    drive.flush()
    for _ in range(READS):
        drive.read(rng.randrange(drive.sectors // 8) * 8, buffer)
    drive.close()
    base.unlink()
    print(before, peak_mebibytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
