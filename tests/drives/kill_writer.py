"""The program that test_kill kills: forks a writer for each line of its input and tells its process id.

Writers do the requests of :func:`requests` from a number on, and tell ``flushed N`` when all before number N
were flushed. Forking saves the time of starting Python a hundred times.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import pcemu.drives.chain
import pcemu.drives.vhd  # noqa: F401 - before forking: it takes longer than many a writer lives
from pcemu.drives.open import open_drive

SECTORS = 2000
FLUSH_EVERY = 7


def request(number: int) -> tuple[int, bytes | int]:
    """Number ``number`` of all requests: where, and what to write or how many sectors to discard."""
    rng = random.Random(number)
    lba, count = rng.randrange(SECTORS - 40), rng.choice((1, 2, 9, 40))
    return lba, count if number % 11 == 10 else rng.randbytes(count * 512)


def work(path: str, number: int) -> None:
    """Write until killed."""
    drive = open_drive(path)
    while True:
        lba, what = request(number)
        if isinstance(what, int):
            drive.discard(lba, what)
        else:
            drive.write(lba, what)
        number += 1
        if number % FLUSH_EVERY == 0:
            drive.flush()
            os.write(1, b"flushed %d\n" % number)


def main() -> None:
    """Lines of input: the image's path, a space, the number of the first request."""
    for line in sys.stdin:
        path, _, number = line.rstrip("\n").rpartition(" ")
        child = os.fork()
        if not child:
            work(path, int(number))
        os.write(1, b"writer %d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(1, b"ended %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
