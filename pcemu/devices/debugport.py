"""Debug console: a port that virtual machines offer to programs that want to say something to the host.

======== ===== ==========================================================
register port
======== ===== ==========================================================
0        E9h   a byte written goes to the host; reads give E9h, so that a
               program can tell that somebody listens
======== ===== ==========================================================

It is no chip and has no data sheet: Bochs introduced it, QEMU and others followed.
"""

from __future__ import annotations

from collections.abc import Callable

PRESENT = 0xE9


class DebugPort:
    """Passes each byte that is written to ``sink``."""

    def __init__(self, sink: Callable[[int], None]) -> None:
        self._sink = sink

    def reset(self) -> None:
        """Nothing to do: the port keeps nothing."""

    def read(self, register: int) -> int:
        """Tell that the port is there."""
        return PRESENT

    def write(self, register: int, value: int) -> None:
        """Hand a byte to the host."""
        self._sink(value)
