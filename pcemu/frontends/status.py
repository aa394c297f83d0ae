"""The line below the guest's screen: pace, drives, what can be undone, locks.

::

     ≡ Menu │ 100% │ freedos.img ■ │ 12.4 MiB in 3 checkpoints, base untouched         CAPS NUM
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pcemu.devices.keyboard import LED_CAPS_LOCK, LED_NUM_LOCK, LED_SCROLL_LOCK
from pcemu.frontends.cells import CellGrid

NORMAL, DIM, ALARM, MENU = 0x07, 0x08, 0x4F, 0x70
DARK, READ, WRITE = 0x08, 0x0A, 0x0C
LIGHT = "■"
MENU_LABEL = " ≡ Menu "
SEPARATOR = " │ "
LIGHT_TIME = 0.1  # s that a light stays on, so that it can be seen
SHORT_NAME = 20
LOCKS = ((LED_CAPS_LOCK, "CAPS"), (LED_NUM_LOCK, "NUM"), (LED_SCROLL_LOCK, "SCRL"))


class Counting(Protocol):
    """A drive that counts the sectors that it read and wrote."""

    reads: int
    writes: int


class DriveLight:
    """The light of a drive."""

    def __init__(self, name: str, drive: Counting) -> None:
        self.name = name if len(name) <= SHORT_NAME else name[: SHORT_NAME - 1] + "»"
        self._drive = drive
        self._seen = drive.reads, drive.writes
        self._colour = DARK
        self._until = 0.0

    def sample(self, now: float) -> int:
        """The light's attribute at the instant ``now`` (s): dark, read or write."""
        counts = self._drive.reads, self._drive.writes
        if counts != self._seen:
            self._colour = WRITE if counts[1] != self._seen[1] else READ
            self._seen, self._until = counts, now + LIGHT_TIME
        elif now >= self._until:
            self._colour = DARK
        return self._colour


@dataclass(frozen=True)
class Status:
    """What the line says. ``lights``: name and attribute of each; ``leds`` as the keyboard counts them."""

    pace: str
    lights: tuple[tuple[str, int], ...]
    undo: str
    leds: int
    message: str = ""
    alarm: bool = False

    def grid(self, columns: int) -> CellGrid:
        """The line, so many columns wide."""
        grid = CellGrid(1, columns, NORMAL)
        locks = " ".join(name for bit, name in LOCKS if self.leds & bit)
        end = columns - len(locks) - (2 if locks else 0)
        column = grid.put(0, 0, MENU_LABEL, MENU)
        column = grid.put(0, column, f" {self.pace}")
        if self.message:
            column = grid.put(0, column, SEPARATOR, DIM)
            text = shorten(self.message, end - column)
            grid.put(0, column, text, ALARM if self.alarm else NORMAL)
        else:
            column = self._put_lights(grid, column)
            column = grid.put(0, column, SEPARATOR, DIM)
            grid.put(0, column, shorten(self.undo, end - column))
        grid.put(0, max(0, end + 1), locks, NORMAL)
        return grid

    def _put_lights(self, grid: CellGrid, column: int) -> int:
        names = len(self.lights) == 1
        for number, (name, attribute) in enumerate(self.lights, 1):
            column = grid.put(0, column, SEPARATOR if number == 1 else " ", DIM)
            column = grid.put(0, column, f"{name if names else number} ")
            column = grid.put(0, column, LIGHT, attribute)
        return column


def shorten(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "»"[: max(0, width)]


def lights(drives: Sequence[DriveLight], now: float) -> tuple[tuple[str, int], ...]:
    """Name and attribute of every light."""
    return tuple((drive.name, drive.sample(now)) for drive in drives)
