"""When to write back: the guest is told that a sector is written when it is in the host's memory, no sooner.

DOS never asks for more: it sends no FLUSH CACHE. So that a host that dies does not take hours with it, the
drive is flushed

- when the guest asks (FLUSH CACHE goes to the drive's own ``flush``, not through here),
- when it wrote, and then nothing for a while (``idle``): a file was saved, the user reads what it says,
- in any case some time after its first write (``every``), if it never pauses,
- at a freeze, before a commit, and at the end, by those who do that.

What is flushed at an instant is whole: see :mod:`pcemu.drives.sparse` for the order.
"""

from __future__ import annotations

from typing import Protocol

SECOND = 1_000_000_000  # ns
IDLE = 1 * SECOND
EVERY = 5 * SECOND


class Written(Protocol):
    """What is watched: a :class:`pcemu.drives.chain.Chain`, for one."""

    @property
    def writes(self) -> int:
        """How many requests changed something; it only grows."""
        ...

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        ...


class WriteBack:
    """Flushes ``drive`` in time; :meth:`tick` is to be called between two stretches of guest code.

    Times are ns of whatever clock the caller has, as long as it is always the same. The host's is the right
    one, for it is the host's death that is feared.
    """

    def __init__(self, drive: Written, *, idle: int = IDLE, every: int = EVERY) -> None:
        self._drive = drive
        self._idle = idle
        self._every = every
        self._safe = self._seen = drive.writes
        self._first = self._last = 0

    @property
    def pending(self) -> bool:
        """True when something was written since the last flush from here."""
        return self._drive.writes != self._safe

    def tick(self, now: int) -> None:
        """Flush if it is time to.

        A failing host raises OSError; nothing is lost then, and it is tried again after ``every``.
        """
        writes = self._drive.writes
        if writes == self._safe:
            return
        if writes != self._seen:
            if self._seen == self._safe:
                self._first = now
            self._seen, self._last = writes, now
        if now - self._last >= self._idle or now - self._first >= self._every:
            self._first = self._last = now + self._every - self._idle  # of the next try, if this one fails
            self._drive.flush()
            self._safe = writes
