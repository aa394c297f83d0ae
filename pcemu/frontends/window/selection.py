"""Text marked with the mouse, from one cell to another in reading order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcemu.screen import TextScreen

Cell = tuple[int, int]


@dataclass(frozen=True)
class Selection:
    """The cells from ``anchor``, where the mouse went down, to ``end``, where it is; both belong to it."""

    anchor: Cell
    end: Cell

    def mask(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """Which cells of a screen it holds."""
        first, last = sorted((self.anchor, self.end))
        numbers = np.arange(rows * columns).reshape(rows, columns)
        return (numbers >= first[0] * columns + first[1]) & (numbers <= last[0] * columns + last[1])

    def text(self, screen: TextScreen) -> str:
        """What it holds: lines joined by newlines, without trailing blanks."""
        first, last = sorted((self.anchor, self.end))
        lines = []
        for row in range(first[0], min(last[0] + 1, screen.rows)):
            start = first[1] if row == first[0] else 0
            stop = last[1] + 1 if row == last[0] else screen.columns
            lines.append(screen.line(row)[start:stop].rstrip())
        return "\n".join(lines)
