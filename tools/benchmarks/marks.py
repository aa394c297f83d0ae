"""Marks that a guest sets by writing a byte to port E9h: they say which part of the program runs now.

A part is named by a letter and lasts until the next mark; :data:`END` is the last one.
"""

from __future__ import annotations

from collections.abc import Callable

PORT = 0xE9
END = ord(".")
FAILED = ord("!")


class Marks:
    """When which mark was set, on ``clock``: seconds of the wall, or of a process' processor time.

    What a processor does alone is measured in processor time, so that other programs hardly count.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: list[tuple[int, float]] = []

    def set(self, byte: int) -> None:
        """Note a mark now."""
        self._marks.append((byte, self._clock()))

    @property
    def ended(self) -> bool:
        """True when the guest is through, or gave up."""
        return bool(self._marks) and self._marks[-1][0] in (END, FAILED)

    def seconds(self, part: str) -> float | None:
        """How long a part took; None when the guest gave up or never came to it."""
        for (byte, start), (after, stop) in zip(self._marks, self._marks[1:], strict=False):
            if byte == ord(part) and after != FAILED:
                return stop - start
        return None

    def at(self, part: str) -> float:
        """When a part began."""
        return next(when for byte, when in self._marks if byte == ord(part))
