"""The program that test_session has killed: forks a process for each line of its input, tells its exit code.

``OPERATION CALLS IMAGE``: writes to a session with checkpoints, then does the operation and kills itself at
that one of its system calls. Forking saves the time of starting Python a hundred times.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import pcemu.drives.chain
import pcemu.drives.vhd  # noqa: F401 - before forking
from pcemu.drives.hostfile import Host, SystemCalls
from pcemu.session.session import Session

CHANGING = (
    *("open", "ftruncate", "fsync", "fdatasync", "fsync_dir"),
    *("rename", "link", "unlink", "copy_file_range"),
)


class DeadlyCalls(SystemCalls):
    """System calls that end the process after ``left`` more that change something; never while it is None."""

    left: int | None = None

    def count(self) -> None:
        """One more, or the end."""
        if self.left is not None:
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1


def counted(name: str) -> Callable[..., Any]:
    """A system call that counts."""

    def call(self: DeadlyCalls, *arguments: Any, **options: Any) -> Any:
        self.count()
        return getattr(super(DeadlyCalls, self), name)(*arguments, **options)

    return call


for _name in CHANGING:
    setattr(DeadlyCalls, _name, counted(_name))


def work(operation: str, left: int, image: str) -> None:
    """A session with three checkpoints and four sectors, and the operation."""
    calls = DeadlyCalls()
    session = Session(image, host=Host(calls))
    drive = session.start()
    for number in range(3):
        drive.write(100 + number, bytes((ord("1") + number,)) * 512)
        session.checkpoint(automatic=True)
    drive.write(103, b"4" * 512)
    drive.flush()
    calls.left = left
    arguments = {"revert": (2,), "merge": (1,), "branch": ("branch",)}.get(operation, ())
    getattr(session, operation)(*arguments)
    calls.left = None
    session.close()


def main() -> None:
    """One process after the other."""
    for line in sys.stdin:
        operation, left, image = line.rstrip("\n").split(" ", 2)
        child = os.fork()
        if not child:
            try:
                work(operation, int(left), image)
                os._exit(0)
            finally:
                os._exit(1)  # what went wrong is on stderr
        _, status = os.waitpid(child, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
