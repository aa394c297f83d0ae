"""Stand-ins that let one chip be tested alone."""

from __future__ import annotations

from pcemu.clock import Clock
from pcemu.irq import IrqLine


class FakeClock(Clock):
    """A clock that moves only when told to."""

    def advance(self, delay: int) -> None:
        """Let ``delay`` ns pass, running the events on the way at their own instants."""
        self.run_until(self.now + delay)


class RecordingIrqLine(IrqLine):
    """A line that remembers every change: ``edges`` holds (instant in ns, level)."""

    __slots__ = ("_clock", "edges")

    def __init__(self, clock: Clock) -> None:
        super().__init__(self._record)
        self._clock = clock
        self.edges: list[tuple[int, bool]] = []

    def _record(self, level: bool) -> None:
        self.edges.append((self._clock.now, level))

    @property
    def rises(self) -> int:
        """How many rising edges there were."""
        return sum(level for _, level in self.edges)
