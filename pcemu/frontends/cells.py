"""Text in pcemu's own 8×16 font: what status line and panels are made of, whatever fonts the guest loads."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pcemu.resources import resource
from pcemu.screen import CP437

CELL_WIDTH, CELL_HEIGHT = 8, 16
UI_COLUMNS, UI_ROWS = 80, 26
"""How much of our own text there is room for at least: the guest's usual screen and the status line."""

# The 16 colours of a VGA, as attributes count them.
PALETTE = np.array(
    [[170 * (n >> 2 & 1), 170 * (n >> 1 & 1), 170 * (n & 1)] for n in range(8)]
    + [[85 + 170 * (n >> 2 & 1), 85 + 170 * (n >> 1 & 1), 85 + 170 * (n & 1)] for n in range(8)],
    np.uint8,
)
PALETTE[6] = 170, 85, 0  # brown

_CODES = {character: code for code, character in reversed(list(enumerate(CP437)))} | {" ": 0x20}
_UNKNOWN = ord("?")
# What code page 437 lacks, and what stands in for it.
_LIKE = str.maketrans({"–": "-", "’": "'", "“": '"', "”": '"', "×": "x"})


class CellGrid:
    """Rows and columns of characters with attributes, blank to begin with."""

    def __init__(self, rows: int, columns: int, attribute: int) -> None:
        self.rows, self.columns = rows, columns
        self._chars = np.full((rows, columns), 0x20, np.uint8)
        self._attributes = np.full((rows, columns), attribute, np.uint8)

    def put(self, row: int, column: int, text: str, attribute: int | None = None) -> int:
        """Write ``text``, cut off at the edge; the column after it."""
        text = text.translate(_LIKE)[: max(0, self.columns - column)]
        end = column + len(text)
        self._chars[row, column:end] = [_CODES.get(character, _UNKNOWN) for character in text]
        if attribute is not None:
            self._attributes[row, column:end] = attribute
        return end

    def paint(self, row: int, first: int, end: int, attribute: int) -> None:
        """Give the cells from ``first`` to before ``end`` another attribute."""
        self._attributes[row, first:end] = attribute

    @property
    def cells(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Character codes and attributes, arrays of (rows, columns)."""
        return self._chars, self._attributes

    @property
    def text(self) -> str:
        """The rows as Unicode, joined by newlines."""
        return "\n".join("".join(CP437[code] for code in row).rstrip() for row in self._chars)

    def dots(self) -> NDArray[np.uint8]:
        """The picture, an array of (height, width, 3)."""
        lit = _font()[self._chars]
        ink = (self._attributes & 0x0F)[..., None, None]
        paper = (self._attributes >> 4)[..., None, None]
        values = np.where(lit, ink, paper).transpose(0, 2, 1, 3)
        return PALETTE[values.reshape(self.rows * CELL_HEIGHT, self.columns * CELL_WIDTH)]


@cache
def _font() -> NDArray[np.bool_]:
    """The glyphs, an array of (character, line, dot)."""
    data = np.frombuffer(resource("font8x16.bin").read_bytes(), np.uint8)
    return np.unpackbits(data.reshape(256, CELL_HEIGHT, 1), axis=-1).astype(np.bool_)
