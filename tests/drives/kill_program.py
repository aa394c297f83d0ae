"""The program that test_kill kills: forks a process for each line of its input and tells its process id.

``write N PATH``: does the requests of :func:`request` from number N on, until it is killed, and tells
``flushed N`` when all before number N were flushed.
``operate N CALL FOLDER``: does number N of OPERATIONS in a folder, and kills itself at that system call.

Forking saves the time of starting Python a hundred times.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import pcemu.drives.chain
import pcemu.drives.vhd  # noqa: F401 - before forking: it takes longer than many a writer lives
from pcemu.drives.open import open_drive
from pcemu.errors import PcemuError
from pcemu.testing.faults import FaultyCalls
from tests.drives.independent_vhd import SECTOR
from tests.drives.operations import OPERATIONS

SECTORS = 2000
FLUSH_EVERY = 7
SEED = 7  # of operations that write on their own


class DeadlyCalls(FaultyCalls):
    """System calls that end the process at number ``moment``; of a transfer, some sectors are done before.

    No sector is torn: the kernel looks for signals between pages.
    """

    def __init__(self, root: str, moment: int) -> None:
        super().__init__(root)
        self._moment = moment
        self._parts = random.Random(moment)

    def _next(self, call: str, size: int = 0) -> int:
        if len(self.made) == self._moment and size > SECTOR:
            self.made.append(call)
            return self._parts.randrange(SECTOR, size) // SECTOR * SECTOR
        if len(self.made) >= self._moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._next(call, size)


def request(number: int) -> tuple[int, bytes | int]:
    """Number ``number`` of all requests: where, and what to write or how many sectors to discard."""
    rng = random.Random(number)
    lba, count = rng.randrange(SECTORS - 40), rng.choice((1, 2, 9, 40))
    return lba, count if number % 11 == 10 else rng.randbytes(count * 512)


def write(number: int, path: str) -> None:
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


def operate(number: int, moment: int, folder: str) -> None:
    """Do an operation, as far as it comes; one that a process before this had finished is refused."""
    with contextlib.suppress(PcemuError):
        OPERATIONS[number].run(Path(folder), DeadlyCalls(folder, moment), random.Random(SEED))


def work(line: str) -> None:
    """What a line says."""
    verb, number, rest = line.split(" ", 2)
    if verb == "write":
        write(int(number), rest)
    else:
        moment, folder = rest.split(" ", 1)
        operate(int(number), int(moment), folder)


def main() -> None:
    """One process after the other."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                work(line.rstrip("\n"))
                os._exit(0)
            finally:
                os._exit(1)  # what went wrong is on stderr
        os.write(1, b"process %d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(1, b"ended %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
