"""What a terminal is to show, as cells; no terminal is touched here.

A cell is a character of code page 437 and a *look*. Looks 0–255 are the guest's attributes, drawn with its
palette and its rules for blinking and underlining; looks 256–511 are attributes of our own texts, which are
always the 16 colours of a VGA. Looks from 512 on are those of a picture: of each cell the upper half has the
colour of the ink, the lower half that of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from pcemu.devices.dac import RGB
from pcemu.devices.vga import VideoMode
from pcemu.frontends.cells import PALETTE, CellGrid
from pcemu.frontends.picture import Dots
from pcemu.frontends.terminal.events import Place
from pcemu.screen import TextScreen, decode

OWN = 256
"""The first look of our own texts."""
PICTURE = 512
"""The first look of a picture."""
UPPER_HALF = 0xDF
SHAPE = 8, 3  # columns and rows of a monitor of 4:3, with cells twice as high as wide
COARSE = 0xF0  # bits of a colour that a picture keeps, so that neighbours are alike
BLANK, BLANK_LOOK = 0x20, OWN + 0x07

ATTRIBUTE_BLINK = 0x80
ATTRIBUTE_UNDERLINE_MASK, ATTRIBUTE_UNDERLINE = 0x77, 0x01
VGA_COLOURS: tuple[RGB, ...] = tuple((int(r), int(g), int(b)) for r, g, b in PALETTE)


@dataclass(frozen=True)
class Look:
    """How a cell is drawn. ``ink`` and ``paper`` are colours."""

    ink: RGB
    paper: RGB
    blink: bool = False
    underline: bool = False


@lru_cache(maxsize=16)
def looks(mode: VideoMode) -> tuple[Look, ...]:
    """All 512 looks while the guest is in ``mode``."""
    guest = [_guest_look(attribute, mode) for attribute in range(OWN)]
    own = [Look(VGA_COLOURS[attribute & 15], VGA_COLOURS[attribute >> 4]) for attribute in range(OWN)]
    return (*guest, *own)


def _guest_look(attribute: int, mode: VideoMode) -> Look:
    paper = attribute >> 4 & (0x07 if mode.blink else 0x0F)
    has_underline = mode.underline < mode.cell_height
    return Look(
        ink=mode.palette[attribute & 0x0F],
        paper=mode.palette[paper],
        blink=mode.blink and bool(attribute & ATTRIBUTE_BLINK),
        underline=has_underline and attribute & ATTRIBUTE_UNDERLINE_MASK == ATTRIBUTE_UNDERLINE,
    )


@dataclass(frozen=True)
class CursorShape:
    """Where the cursor is in the terminal, and whether it fills most of its cell."""

    place: Place
    block: bool


class Canvas:
    """The cells of a whole terminal."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.cursor: CursorShape | None = None
        self._picture: tuple[Look, ...] = ()
        self._chars = np.full((rows, columns), BLANK, np.uint8)
        self._looks = np.full((rows, columns), BLANK_LOOK, np.uint16)

    def put_screen(self, screen: TextScreen, origin: Place, size: tuple[int, int]) -> None:
        """The guest's screen from its cell ``origin`` on, in the first ``size`` (rows, columns)."""
        top, left = origin
        chars = screen.chars[top : top + size[0], left : left + size[1]]
        rows, columns = chars.shape
        if screen.blanked:
            self._looks[:rows, :columns] = 0
            return
        self._chars[:rows, :columns] = chars
        self._looks[:rows, :columns] = screen.attributes[top : top + rows, left : left + columns]
        cursor = screen.cursor
        row, column = cursor.row - top, cursor.column - left
        if cursor.visible and 0 <= row < rows and 0 <= column < columns:
            tall = 2 * (cursor.bottom + 1 - cursor.top) > screen.mode.cell_height
            self.cursor = CursorShape((row, column), tall)

    def put_picture(self, dots: Dots) -> None:
        """A picture, (height, width, 3), as large as it can be at the upper left, two dots to a cell."""
        from PIL import Image

        rows = max(1, min(self.rows, self.columns * SHAPE[1] // SHAPE[0]))
        columns = max(1, min(self.columns, rows * SHAPE[0] // SHAPE[1]))
        reduced = Image.fromarray(dots).resize((columns, 2 * rows), Image.Resampling.BOX)
        coarse = np.asarray(reduced) & np.uint8(COARSE)
        coarse |= coarse >> 4  # white stays white
        pairs = coarse.reshape(rows, 2, columns, 3).transpose(0, 2, 1, 3).reshape(-1, 6)
        found, numbers = np.unique(pairs, axis=0, return_inverse=True)
        self._picture = tuple(Look((r, g, b), (r2, g2, b2)) for r, g, b, r2, g2, b2 in found.tolist())
        self._chars[:rows, :columns] = UPPER_HALF
        self._looks[:rows, :columns] = PICTURE + numbers.reshape(rows, columns)

    def looks(self, mode: VideoMode) -> tuple[Look, ...]:
        """What the looks of the cells are; the same tuple as long as they are the same."""
        return looks(mode) + self._picture if self._picture else looks(mode)

    def put(self, grid: CellGrid, at: Place, *, modal: bool = False) -> None:
        """A text of our own at ``at``, over what is there; a ``modal`` one has no cursor beside it."""
        row, column = max(0, at[0]), max(0, at[1])
        chars, attributes = grid.cells
        room = slice(row - at[0], self.rows - at[0]), slice(column - at[1], self.columns - at[1])
        chars, attributes = chars[room], attributes[room]
        end = row + chars.shape[0], column + chars.shape[1]
        self._chars[row : end[0], column : end[1]] = chars
        self._looks[row : end[0], column : end[1]] = attributes.astype(np.uint16) + OWN
        cursor = self.cursor
        if cursor and (modal or (row <= cursor.place[0] < end[0] and column <= cursor.place[1] < end[1])):
            self.cursor = None

    def runs(self, row: int) -> list[tuple[int, str]]:
        """A row as texts of the same look, each with its look."""
        looks = self._looks[row]
        text = decode(self._chars[row].tobytes())
        edges = [0, *(np.flatnonzero(looks[1:] != looks[:-1]) + 1).tolist(), self.columns]
        return [(int(looks[start]), text[start:end]) for start, end in pairwise(edges)]

    def changed_rows(self, before: Canvas | None) -> list[int]:
        """The rows that look different from those of ``before``; all, when it is of another size."""
        if before is None or self._chars.shape != before._chars.shape:
            return list(range(self.rows))
        same = (self._chars == before._chars) & (self._looks == before._looks)
        return np.flatnonzero(~same.all(axis=1)).tolist()

    @property
    def text(self) -> str:
        """The rows as Unicode, joined by newlines."""
        return "\n".join(decode(row.tobytes()).rstrip() for row in self._chars)


def view_origin(screen: TextScreen, size: tuple[int, int], before: Place) -> Place:
    """Which cell of the screen comes first in a space of ``size`` that showed it from ``before`` on.

    When the space is too small, the part with the cursor is shown.
    """
    cursor = screen.cursor
    places = cursor.row, cursor.column
    whole = screen.rows, screen.columns
    origin = []
    for place, all_of_it, space, first in zip(places, whole, size, before, strict=True):
        if cursor.visible:
            first = min(max(first, place - space + 1), place)
        origin.append(min(first, max(0, all_of_it - space)))
    return origin[0], origin[1]
