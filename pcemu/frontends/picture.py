"""Draws a screen dot by dot, exactly as the VGA puts it on a monitor.

:func:`render` draws the whole picture; :func:`draw_cells` draws any choice of cells, for those who keep a
picture and want to redraw only what changed in it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcemu.devices.raster import Raster
from pcemu.devices.vga import VideoMode
from pcemu.errors import UsageError
from pcemu.frontends.cells import CellGrid
from pcemu.screen import TextScreen

Dots = NDArray[np.uint8]
CellNumbers = NDArray[np.intp]

# What the phases of blinking hide; see Vga.blink_phase.
PHASE_CURSOR_HIDDEN = 1
PHASE_CHARACTERS_HIDDEN = 2

ATTRIBUTE_BLINK = 0x80
ATTRIBUTE_FONT = 0x08
ATTRIBUTE_UNDERLINE_MASK, ATTRIBUTE_UNDERLINE = 0x77, 0x01
LINE_GRAPHICS = slice(0xC0, 0xE0)
GLYPH_LINES = 32
NOT_DRAWN = "The guest shows a graphics mode in planes, which pcemu does not draw."


def render(screen: TextScreen, blink_phase: int = 0) -> Dots:
    """The picture as an array of (height, width, 3): red, green and blue of each dot, 0–255.

    Black while the display is blanked; a graphics mode in planes says that it is not drawn.
    ``blink_phase`` is 0–3 as in :attr:`Vga.blink_phase <pcemu.devices.vga.Vga.blink_phase>`.
    """
    mode = screen.mode
    if screen.blanked:
        return np.zeros((mode.height, mode.width, 3), np.uint8)
    if screen.graphics:
        return _excuse(mode) if mode.raster is None else _draw_raster(mode, mode.raster, screen.raster)
    rows, columns = np.indices((screen.rows, screen.columns))
    values = _cell_values(screen, blink_phase, rows, columns)
    # (row, column, line, dot) → (row, line, column, dot): scan lines, of which the last row may lack some.
    return _colour(screen, values.transpose(0, 2, 1, 3).reshape(-1, mode.width)[: mode.height])


def draw_cells(screen: TextScreen, blink_phase: int, rows: CellNumbers, columns: CellNumbers) -> Dots:
    """The n cells at ``rows`` and ``columns`` (n numbers each), as an array of (n, lines, dots, 3)."""
    return _colour(screen, _cell_values(screen, blink_phase, rows, columns))


def raster_values(raster: Raster, memory: bytes) -> Dots:
    """The dots of a graphics picture before they are enlarged, as numbers of colours: (lines, dots)."""
    values = np.frombuffer(memory, np.uint8).reshape(raster.lines, raster.width)
    if raster.depth == 8:
        return values
    shifts = np.array(range(8 - raster.depth, -1, -raster.depth), np.uint8)
    mask = np.uint8((1 << raster.depth) - 1)
    return (values[..., None] >> shifts & mask).reshape(raster.lines, -1)


def _draw_raster(mode: VideoMode, raster: Raster, memory: bytes) -> Dots:
    values = raster_values(raster, memory)
    picture = np.array(mode.palette, np.uint8)[values]
    across = max(1, mode.width // values.shape[1])
    return picture.repeat(raster.repeat, axis=0).repeat(across, axis=1)[: mode.height, : mode.width]


def _excuse(mode: VideoMode) -> Dots:
    """What stands in for a picture that cannot be drawn."""
    picture = np.zeros((mode.height, mode.width, 3), np.uint8)
    grid = CellGrid(1, len(NOT_DRAWN), 0x07)
    grid.put(0, 0, NOT_DRAWN)
    dots = grid.dots()[: mode.height, : mode.width]
    top, left = (mode.height - dots.shape[0]) // 2, (mode.width - dots.shape[1]) // 2
    picture[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
    return picture


def save_png(picture: Dots, path: str | os.PathLike[str]) -> None:
    """Write the picture to a file, which appears complete or not at all.

    Raises UsageError, naming the file, when it cannot be written.
    """
    from PIL import Image

    target = Path(path)
    try:
        scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            Image.fromarray(picture).save(scratch, "PNG")
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a path without a name, or with a NUL in it.
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{target}: cannot write the screenshot: {reason}") from error


def _cell_values(screen: TextScreen, blink_phase: int, rows: CellNumbers, columns: CellNumbers) -> Dots:
    """The cells as dots that hold one of the 16 attribute values: an array of (… , lines, dots)."""
    mode, cursor = screen.mode, screen.cursor
    chars, attributes = screen.chars[rows, columns], screen.attributes[rows, columns]
    size = mode.cell_width, mode.cell_height
    glyphs = _glyphs(screen.fonts, size, mode.line_graphics, mode.double_width, mode.double_scan)
    lit = glyphs[(attributes & ATTRIBUTE_FONT != 0).astype(np.uint8), chars]
    if mode.underline < mode.cell_height:
        lines = slice(mode.underline << mode.double_scan, mode.underline + 1 << mode.double_scan)
        lit[attributes & ATTRIBUTE_UNDERLINE_MASK == ATTRIBUTE_UNDERLINE, lines] = True

    foreground, background = attributes & 0x0F, attributes >> 4
    ink = foreground
    if mode.blink:
        background = background & 0x07
        if blink_phase & PHASE_CHARACTERS_HIDDEN:
            ink = np.where(attributes & ATTRIBUTE_BLINK, background, foreground)
    values = np.where(lit, ink[..., None, None], background[..., None, None])

    if cursor.visible and not blink_phase & PHASE_CURSOR_HIDDEN:
        here = (rows == cursor.row) & (columns == cursor.column)
        lines = slice(cursor.top << mode.double_scan, cursor.bottom + 1 << mode.double_scan)
        values[here, lines] = foreground[here][:, None, None]
    return values


@lru_cache(maxsize=8)
def _glyphs(
    fonts: tuple[bytes, bytes],
    size: tuple[int, int],
    line_graphics: bool,
    double_width: bool,
    double_scan: bool,
) -> NDArray[np.bool_]:
    """Both fonts as lit dots of whole cells: an array of (font, character, line, dot)."""
    cell_width, cell_height = size
    bits = np.frombuffer(b"".join(fonts), np.uint8).reshape(2, 256, GLYPH_LINES, 1)[:, :, :cell_height]
    lit = np.zeros((2, 256, cell_height, cell_width), np.bool_)
    lit[..., :8] = np.unpackbits(bits, axis=-1)
    if cell_width == 9 and line_graphics:
        lit[:, LINE_GRAPHICS, :, 8] = lit[:, LINE_GRAPHICS, :, 7]
    return lit.repeat(1 + double_scan, axis=2).repeat(1 + double_width, axis=3)


def _colour(screen: TextScreen, values: Dots) -> Dots:
    """Attribute values turned into red, green and blue, in a new last dimension."""
    return np.array(screen.mode.palette, np.uint8).take(values, axis=0)
