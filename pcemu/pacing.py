"""How virtual time keeps to the wall clock: not at all (``max``), or by waiting (``realtime``)."""

from __future__ import annotations

import time
from collections.abc import Callable

from pcemu.clock import MILLISECOND, SECOND

PACES = ("max", "realtime")
# A host that fell behind by more than this (suspended, overloaded) does not have to catch up.
FORGIVEN = 100 * MILLISECOND
STEP = {"max": 100 * MILLISECOND, "realtime": 10 * MILLISECOND}


class Pacer:
    """Waits when virtual time is ahead. ``step``: how much virtual time to run between two calls (ns).

    A front end may replace ``wait`` (seconds), to look at its keyboard meanwhile, and ``after_step``, which
    is called at every pace, between two stretches of guest code; what these raise ends the run.
    """

    def __init__(self, pace: str) -> None:
        self.step = STEP[pace]
        self._waits = pace == "realtime"
        self._wall = 0
        self._virtual = 0
        self.wait: Callable[[float], None] = time.sleep
        self.after_step: Callable[[], None] = lambda: None

    def keep(self, virtual: int) -> None:
        """Return when the wall clock has reached the instant ``virtual`` (ns)."""
        self.after_step()
        if not self._waits:
            return
        wall = time.monotonic_ns()
        ahead = (virtual - self._virtual) - (wall - self._wall)
        if ahead > MILLISECOND:
            if ahead > SECOND:  # first call, or the pace was changed
                ahead = 0
                self._wall, self._virtual = wall, virtual
            self.wait(ahead / SECOND)
        elif ahead < -FORGIVEN:
            self._wall, self._virtual = wall, virtual
