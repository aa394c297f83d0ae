"""Turns a text screen into what a terminal must be sent to show it; no terminal is touched here.

The terminal is expected to understand UTF-8, the cursor and erase functions of ECMA-48, 16 colours (SGR 90–97
and 100–107 for the bright ones), blinking, and DECTCEM and DECSCUSR for the cursor. A palette that the guest
changed is shown with the nearest of the 16 colours.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

from pcemu.devices.dac import RGB
from pcemu.screen import TextScreen, decode

CSI = "\x1b["
RESET = f"{CSI}0m"
ERASE_SCREEN = f"{CSI}2J"
SHOW_CURSOR, HIDE_CURSOR = f"{CSI}?25h", f"{CSI}?25l"
BLOCK_CURSOR, UNDERLINE_CURSOR = f"{CSI}1 q", f"{CSI}3 q"

# The colours of the PC's text mode in the order of SGR 30–37, 90–97.
TERMINAL_COLOURS: tuple[RGB, ...] = (
    *((0x00, 0x00, 0x00), (0xAA, 0x00, 0x00), (0x00, 0xAA, 0x00), (0xAA, 0x55, 0x00)),
    *((0x00, 0x00, 0xAA), (0xAA, 0x00, 0xAA), (0x00, 0xAA, 0xAA), (0xAA, 0xAA, 0xAA)),
    *((0x55, 0x55, 0x55), (0xFF, 0x55, 0x55), (0x55, 0xFF, 0x55), (0xFF, 0xFF, 0x55)),
    *((0x55, 0x55, 0xFF), (0xFF, 0x55, 0xFF), (0x55, 0xFF, 0xFF), (0xFF, 0xFF, 0xFF)),
)
FOREGROUND, BRIGHT_FOREGROUND, BACKGROUND, BRIGHT_BACKGROUND = 30, 90, 40, 100
SGR_UNDERLINE, SGR_BLINK = "4", "5"

CHARACTER, ATTRIBUTE = 0, 1
ATTRIBUTE_BLINK = 0x80
ATTRIBUTE_UNDERLINE_MASK, ATTRIBUTE_UNDERLINE = 0x77, 0x01


def diff(
    previous: TextScreen | None,
    current: TextScreen,
    *,
    top: int = 0,
    size: tuple[int, int] | None = None,
) -> str:
    """What to send to a terminal that shows ``previous`` so that it shows ``current``; "" when it does.

    ``previous`` is None when it is not known what the terminal shows. ``size`` is the terminal's (rows,
    columns): what does not fit is left out, and ``top`` is the row of the screen that comes first. Use the
    same two for each call, or begin again with None.
    """
    rows = range(top, current.rows)
    columns = current.columns
    if size is not None:
        rows, columns = rows[: size[0]], min(columns, size[1])

    known = previous is not None and _looks(previous) == _looks(current)
    parts = [] if known else [RESET, ERASE_SCREEN]
    old_cells, new_cells = _shown_cells(previous) if previous and known else b"", _shown_cells(current)
    if old_cells != new_cells:
        pitch = 2 * current.columns
        for row in rows:
            span = slice(row * pitch, row * pitch + 2 * columns)
            parts += _changed_runs(old_cells[span], new_cells[span], row - top, current)

    cursor = _cursor(current, rows, columns, top)
    if parts or previous is None or cursor != _cursor(previous, rows, columns, top):
        parts.append(cursor)
    return "".join(parts)


def _looks(screen: TextScreen) -> tuple[object, ...]:
    """All but the cells that decides how the cells look in a terminal."""
    mode = screen.mode
    return screen.rows, screen.columns, mode.blink, mode.palette, mode.underline < mode.cell_height


def _shown_cells(screen: TextScreen) -> bytes:
    """The cells, or blanks while the display is off."""
    return bytes(len(screen.cells)) if screen.blanked else screen.cells


def _changed_runs(old: bytes, new: bytes, row: int, screen: TextScreen) -> list[str]:
    """Terminal functions and text that turn one row of cells from ``old`` into ``new``."""
    parts: list[str] = []
    if old == new:
        return parts
    cells = [new[i : i + 2] for i in range(0, len(new), 2)]
    column = 0
    for differs, run in groupby(range(len(cells)), lambda i: cells[i] != old[2 * i : 2 * i + 2]):
        start, column = column, column + len(list(run))
        if not differs:
            continue
        parts.append(f"{CSI}{row + 1};{start + 1}H")
        for attribute, group in groupby(cells[start:column], lambda cell: cell[ATTRIBUTE]):
            parts.append(_sgr(attribute, screen))
            parts.append(decode(bytes(cell[CHARACTER] for cell in group)))
    parts.append(RESET)
    return parts


def _sgr(attribute: int, screen: TextScreen) -> str:
    """The graphic rendition for one attribute byte."""
    mode = screen.mode
    colours = _nearest_colours(mode.palette)
    foreground, background = attribute & 0x0F, attribute >> 4
    codes = ["0"]
    if mode.blink:
        background &= 0x07
        if attribute & ATTRIBUTE_BLINK:
            codes.append(SGR_BLINK)
    if mode.underline < mode.cell_height and attribute & ATTRIBUTE_UNDERLINE_MASK == ATTRIBUTE_UNDERLINE:
        codes.append(SGR_UNDERLINE)
    codes.append(_colour_code(colours[foreground], FOREGROUND, BRIGHT_FOREGROUND))
    codes.append(_colour_code(colours[background], BACKGROUND, BRIGHT_BACKGROUND))
    return f"{CSI}{';'.join(codes)}m"


def _colour_code(colour: int, normal: int, bright: int) -> str:
    return str(normal + colour if colour < 8 else bright + colour - 8)


@lru_cache(maxsize=16)
def _nearest_colours(palette: tuple[RGB, ...]) -> tuple[int, ...]:
    """For each attribute value the terminal colour that is nearest to it."""

    def distance(colour: RGB, other: RGB) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, other, strict=True))

    numbers = range(len(TERMINAL_COLOURS))

    def nearest(colour: RGB) -> int:
        return min(numbers, key=lambda number: distance(colour, TERMINAL_COLOURS[number]))

    return tuple(nearest(colour) for colour in palette)


def _cursor(screen: TextScreen, rows: range, columns: int, top: int) -> str:
    """Puts the cursor in its place, or hides it."""
    cursor = screen.cursor
    if not cursor.visible or cursor.row not in rows or cursor.column >= columns:
        return HIDE_CURSOR
    tall = 2 * (cursor.bottom + 1 - cursor.top) > screen.mode.cell_height
    shape = BLOCK_CURSOR if tall else UNDERLINE_CURSOR
    return f"{CSI}{cursor.row - top + 1};{cursor.column + 1}H{shape}{SHOW_CURSOR}"
