"""Interrupt request lines: the only thing of the interrupt controller that a device sees."""

from __future__ import annotations

from collections.abc import Callable


class IrqLine:
    """One wire from a device to an interrupt controller input.

    The device drives the level; ``sink`` (the controller) hears of changes only.
    A line without a sink is a pin that is not connected.
    """

    __slots__ = ("_sink", "level")

    def __init__(self, sink: Callable[[bool], None] | None = None) -> None:
        self._sink = sink
        self.level = False

    def set(self, level: bool) -> None:
        """Drive the line high or low."""
        if level != self.level:
            self.level = level
            if self._sink is not None:
                self._sink(level)

    def pulse(self) -> None:
        """Give one rising edge and leave the line low."""
        self.set(False)
        self.set(True)
        self.set(False)
