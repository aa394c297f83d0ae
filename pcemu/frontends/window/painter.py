"""Keeps a picture of the guest's screen up to date, and redraws only the cells that look different.

What a cell looks like depends on its character and attribute alone, once cursor and mouse selection are left
aside; so each look is drawn once (by :func:`pcemu.frontends.picture.draw_cells`, exact to the dot) and copied
from then on. A new font, palette or mode throws the collection away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pcemu.devices.vga import VideoMode
from pcemu.frontends.picture import (
    PHASE_CHARACTERS_HIDDEN,
    PHASE_CURSOR_HIDDEN,
    Dots,
    draw_cells,
    raster_values,
    render,
)
from pcemu.frontends.window.layout import TEXT_MODE, Rect, Size
from pcemu.frontends.window.selection import Selection
from pcemu.screen import TextScreen

Pixels = NDArray[np.uint32]
Mask = NDArray[np.bool_]

BLINKING = 0x80
LOOKS = 1 << 17
"""Character, attribute, and whether blinking characters are hidden just now."""
SMALLEST = (160, 100)
"""A picture of fewer dots than this is a mode in the making."""


class Painter:
    """``canvas`` makes room for a picture: called with (width, height), gives an array of (height, width).

    ``shifts``: where red, green and blue are in its pixels.
    """

    def __init__(self, canvas: Callable[[Size], Pixels], shifts: tuple[int, int, int]) -> None:
        self._new_canvas = canvas
        self._shifts = np.array(shifts, np.uint32)
        self._screen: TextScreen | None = None
        self._phase = 0
        self._looks: Pixels = np.empty((0, 0, 0), np.uint32)
        self._selection: Selection | None = None
        self._make_canvas(TEXT_MODE)

    def _make_canvas(self, size: Size) -> None:
        self.size = size
        self._canvas = self._new_canvas(size)
        self._canvas[:] = 0

    def update(self, screen: TextScreen, phase: int, selection: Selection | None) -> list[Rect]:
        """Draw what is new; the rectangles (dots of the picture) in which something changed.

        When :attr:`size` is another one afterwards, the picture is a new one.
        """
        old, old_phase, old_selection = self._screen, self._phase, self._selection
        if screen is old and phase == old_phase and selection == old_selection:
            return []
        self._screen, self._phase, self._selection = screen, phase, selection
        if screen.blanked or screen.graphics:
            return self._whole(screen, old)
        if old is None or old.mode != screen.mode or old.fonts != screen.fonts or not self._looks.size:
            self._begin(screen)
            dirty = np.ones((screen.rows, screen.columns), np.bool_)
        else:
            dirty = _changes(old, screen, old_phase ^ phase)
            if selection != old_selection:
                dirty |= _marked(selection, screen) ^ _marked(old_selection, screen)
        if not dirty.any():
            return []
        self._draw(screen, phase, _marked(selection, screen), dirty)
        return self._areas(dirty, screen.mode)

    def _whole(self, screen: TextScreen, old: TextScreen | None) -> list[Rect]:
        """A picture without cells: graphics, or black, for which the canvas stays as large as it was."""
        if old is not None and ((screen.blanked and old.blanked) or screen == old):
            return []
        self._looks = np.empty((0, 0, 0), np.uint32)
        if screen.blanked:
            self._canvas[:] = 0
        else:
            self._fit(screen.mode)
            self._draw_graphics(screen)
        return [Rect(0, 0, *self.size)]

    def _draw_graphics(self, screen: TextScreen) -> None:
        raster = screen.mode.raster
        if raster is None:
            picture = render(screen)
            self._canvas[: picture.shape[0], : picture.shape[1]] = self._pack(picture)
            return
        colours = self._pack(np.array(screen.mode.palette, np.uint8))
        dots = colours[raster_values(raster, screen.raster)]
        across = max(1, screen.mode.width // dots.shape[1])
        for line in range(raster.repeat):
            rows = self._canvas[line : screen.mode.height : raster.repeat]
            for column in range(across):
                rows[:, column : screen.mode.width : across] = dots[: len(rows)]

    def _fit(self, mode: VideoMode) -> None:
        """Make room for a picture, when it has another size."""
        size = max(mode.width, SMALLEST[0]), max(mode.height, SMALLEST[1])
        if size != self.size:
            self._make_canvas(size)

    def _begin(self, screen: TextScreen) -> None:
        """Get ready for a mode or for fonts that are new."""
        mode = screen.mode
        self._fit(mode)
        # Untouched memory costs nothing: this is large in name only.
        self._looks = np.empty((LOOKS, *_cell_size(mode)), np.uint32)
        self._known = np.zeros(LOOKS, np.bool_)

    def _draw(self, screen: TextScreen, phase: int, marked: Mask, dirty: Mask) -> None:
        rows, columns = np.nonzero(dirty)
        hidden = (phase & PHASE_CHARACTERS_HIDDEN) << 15
        attributes = screen.attributes[rows, columns].astype(np.intp)
        looks = screen.chars[rows, columns] | attributes << 8 | hidden
        new = ~self._known[looks]
        if new.any():
            numbers, where = np.unique(looks[new], return_index=True)
            at = rows[new][where], columns[new][where]
            self._looks[numbers] = self._pack(draw_cells(screen, phase | PHASE_CURSOR_HIDDEN, *at))
            self._known[numbers] = True
        pixels = self._looks[looks]
        cursor = screen.cursor
        if cursor.visible and not phase & PHASE_CURSOR_HIDDEN:
            here = (rows == cursor.row) & (columns == cursor.column)
            if here.any():
                pixels[here] = self._pack(draw_cells(screen, phase, rows[here], columns[here]))
        selected = marked[rows, columns]
        if selected.any():
            pixels[selected] ^= self._pack(np.full(3, 255, np.uint8))
        self._put(rows, columns, pixels, screen.mode)

    def _put(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp], pixels: Pixels, mode: VideoMode
    ) -> None:
        lines, dots = _cell_size(mode)
        whole = mode.height // lines  # rows of which all lines are on the screen
        line = np.dtype((np.void, dots * self._canvas.itemsize))  # of a cell: moved in one piece, it is quick
        canvas = self._canvas[:, : mode.columns * dots].view(line)
        packed = pixels.view(line)[..., 0]
        cells = canvas[: whole * lines].reshape(whole, lines, mode.columns)
        inside = rows < whole
        if inside.all():
            cells[rows, :, columns] = packed
            return
        cells[rows[inside], :, columns[inside]] = packed[inside]
        rest = canvas[whole * lines : mode.height]
        rest[:, columns[~inside]] = packed[~inside, : len(rest)].T

    def _pack(self, dots: Dots) -> Pixels:
        packed: Pixels = np.bitwise_or.reduce(dots.astype(np.uint32) << self._shifts, axis=-1)
        return packed

    def _areas(self, dirty: Mask, mode: VideoMode) -> list[Rect]:
        """Rectangles around the dirty cells: one for each run of rows that have any."""
        lines, dots = _cell_size(mode)
        rows = np.flatnonzero(dirty.any(axis=1))
        areas = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            columns = np.flatnonzero(dirty[run].any(axis=0))
            top, bottom = int(run[0]) * lines, min((int(run[-1]) + 1) * lines, mode.height)
            left, right = int(columns[0]) * dots, (int(columns[-1]) + 1) * dots
            areas.append(Rect(left, top, right - left, bottom - top))
        return areas


def _cell_size(mode: VideoMode) -> tuple[int, int]:
    """Lines and dots of a cell on the screen."""
    return mode.cell_height << mode.double_scan, mode.cell_width << mode.double_width


def _marked(selection: Selection | None, screen: TextScreen) -> Mask:
    if selection is None:
        return np.zeros((screen.rows, screen.columns), np.bool_)
    return selection.mask(screen.rows, screen.columns)


def _changes(old: TextScreen, new: TextScreen, phases: int) -> Mask:
    """The cells that look different; ``phases``: which phases of blinking changed."""
    dirty: Mask = (old.chars != new.chars) | (old.attributes != new.attributes)
    if phases & PHASE_CHARACTERS_HIDDEN and new.blink:
        dirty |= new.attributes & BLINKING != 0
    if old.cursor != new.cursor or phases & PHASE_CURSOR_HIDDEN:
        for cursor in (old.cursor, new.cursor):
            if cursor.visible:
                dirty[cursor.row, cursor.column] = True
    return dirty
