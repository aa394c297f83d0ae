"""Where things are in the window: the guest's picture, and the status line below it.

The picture is scaled by a whole number, so that every dot of the guest is a square of equal size. On request
it gets the shape of the monitors it was made for, 4:3, where 720×400 dots are a third higher than wide; then,
and in a window that is smaller than the picture, dots are blended at their edges instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pcemu.frontends.cells import CELL_HEIGHT, CELL_WIDTH, UI_COLUMNS, UI_ROWS

TEXT_MODE = (720, 400)
DESKTOP_SHARE = 0.9, 0.85
"""How much of the desktop's width and height a new window takes at most."""

Size = tuple[int, int]


class Rect(NamedTuple):
    """A rectangle, in pixels or dots."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """``picture``: where the guest's picture is. ``scale``: its whole-number scale, 0 when it is blended.

    ``status``: the status line. ``ui_scale``: the scale of our own text.
    """

    picture: Rect
    scale: int
    status: Rect
    ui_scale: int

    def cell_at(self, point: Size, rows: int, columns: int) -> tuple[int, int]:
        """(row, column) of the cell nearest to a point of the window."""
        picture = self.picture
        row = (point[1] - picture.y) * rows // max(1, picture.height)
        column = (point[0] - picture.x) * columns // max(1, picture.width)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def shows(self, point: Size) -> bool:
        """True when the point is in the guest's picture."""
        x, y, width, height = self.picture
        return x <= point[0] < x + width and y <= point[1] < y + height

    def scaled(self, rect: Rect) -> Rect:
        """Where a rectangle of the guest's dots is in the window."""
        x, y, width, height = (side * self.scale for side in rect)
        return Rect(self.picture.x + x, self.picture.y + y, width, height)


def lay_out(window: Size, picture: Size, four_by_three: bool = False) -> Layout:
    """The layout of a window in which a picture of this size (dots) is shown."""
    ui_scale = _ui_scale(window)
    status_height = min(CELL_HEIGHT * ui_scale, window[1])
    room = window[0], window[1] - status_height
    width, height, scale = _fit(room, picture, four_by_three)
    return Layout(
        picture=Rect((room[0] - width) // 2, (room[1] - height) // 2, width, height),
        scale=scale,
        status=Rect(0, room[1], window[0], status_height),
        ui_scale=ui_scale,
    )


def window_size(scale: int, four_by_three: bool = False) -> Size:
    """The size of a window that shows an 80×25 text screen at ``scale``."""
    width, height = TEXT_MODE[0] * scale, TEXT_MODE[1] * scale
    if four_by_three:
        height = width * 3 // 4
    return width, height + CELL_HEIGHT * _ui_scale((width, height + CELL_HEIGHT * scale))


def fitting_scale(desktop: Size, four_by_three: bool = False) -> int:
    """The largest scale at which a window leaves some of the desktop free; 1 at least."""
    room = [int(size * share) for size, share in zip(desktop, DESKTOP_SHARE, strict=True)]
    scale = 1
    while all(size <= most for size, most in zip(window_size(scale + 1, four_by_three), room, strict=True)):
        scale += 1
    return scale


def _ui_scale(window: Size) -> int:
    return max(1, min(window[0] // (UI_COLUMNS * CELL_WIDTH), window[1] // (UI_ROWS * CELL_HEIGHT)))


def _fit(room: Size, picture: Size, four_by_three: bool) -> tuple[int, int, int]:
    """Width and height in the window, and the whole-number scale or 0."""
    width, height = picture
    wanted = width * 3 / 4 if four_by_three else height
    scale = min(room[0] / width, room[1] / wanted)
    if scale >= 1:
        scale = int(scale)
        if not four_by_three:
            return width * scale, height * scale, scale
    return max(1, int(width * scale)), max(1, int(wanted * scale)), 0
