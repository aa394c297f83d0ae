"""Locks on images: shared for those who read, exclusive for the one who writes.

The kernel holds them (flock), so that they end with the process that took them, however it ends. No
leftover file can keep an image locked, and none has to be removed by hand.

**Not implemented**: Windows, where the share mode of its own open is all there is; locks of programs that
use others than flock (qemu locks single bytes) are seen only when they lock the whole file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pcemu.errors import ImageAccessError

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

LOCKS = Path("/proc/locks")
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def lock_file(fd: int, path: str, *, shared: bool) -> bool:
    """Lock an open file until it is closed, or change the lock that it has; False where there are no locks.

    Raises ImageAccessError, naming the holder where the kernel tells, when another has it. A file system
    without locks is used without.
    """
    if fcntl is None:
        return False
    while True:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except InterruptedError:
            continue
        except BlockingIOError:
            wanted = "reading" if shared else "writing"
            raise ImageAccessError(
                f"{path}: is busy: {_holder_names(fd)} holds it, "
                f"expected it free for {wanted}; end that first"
            ) from None
        except OSError as error:
            if error.errno in UNSUPPORTED:
                return False
            raise


def take_if_free(fd: int) -> bool:
    """Lock an open file alone, until it is closed, when the kernel says that nobody else has a lock.

    False when somebody has, and where there are no locks.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_free(fd: int) -> bool:
    """True when the kernel says that nobody else has a lock; False also where there are no locks."""
    if fcntl is None or not take_if_free(fd):
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def holders(fd: int) -> list[int]:
    """The processes that hold a lock on the same file, as far as the kernel tells."""
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return []
    pids = set()
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF; those who wait have "->" behind the number.
        fields = line.split()
        if "->" not in fields and len(fields) >= 6 and fields[5] == device and fields[4].isdigit():
            pids.add(int(fields[4]))
    return sorted(pids - {0})


def _holder_names(fd: int) -> str:
    pids = holders(fd)
    if not pids:
        return "another program"
    if pids == [os.getpid()]:
        return f"this program (process {pids[0]})"
    return "process " + ", ".join(_describe(pid) for pid in pids)


def _describe(pid: int) -> str:
    try:
        return f"{pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return str(pid)
