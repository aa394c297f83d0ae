"""Maps of drives as pictures: PNG by Pillow, SVG as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from pcemu.cli.disk_colours import BACKGROUND, INK, Colour, colour_of, hexadecimal
from pcemu.errors import UsageError

if TYPE_CHECKING:
    from pcemu.cli.disk_map import Drawing

COLUMNS = 128
CELL, GAP = 8, 1  # dots
MARGIN = 16
LINE = 22
FONT_SIZE = 14
HOLDS_AT, PART_AT = 720, 900  # where columns of the legend end


class Box(NamedTuple):
    """A filled rectangle."""

    x: int
    y: int
    width: int
    height: int
    colour: Colour


class Label(NamedTuple):
    """A line of text; ``x`` is where it ends when it is ``right``, ``y`` the middle of the line."""

    x: int
    y: int
    text: str
    right: bool = False


def draw(path: Path, drawing: Drawing, legend: Sequence[tuple[int, str, str, str]], title: str) -> None:
    """Write the picture to a file, which appears complete or not at all. UsageError when that fails."""
    rows = -(-len(drawing.owners) // COLUMNS)
    top = MARGIN + LINE
    below = top + rows * CELL + LINE // 2
    size = (2 * MARGIN + COLUMNS * CELL, below + len(legend) * LINE + MARGIN)
    boxes = list(_boxes(drawing, top))
    labels = [Label(MARGIN, MARGIN + LINE // 3, title)]
    for number, (layer, name, holds, part) in enumerate(legend):
        middle = below + number * LINE + LINE // 2
        boxes.append(Box(MARGIN, middle - FONT_SIZE // 2, FONT_SIZE, FONT_SIZE, colour_of(layer, 1.0)))
        labels.append(Label(MARGIN + 2 * FONT_SIZE, middle, _shortened(name)))
        labels += [Label(HOLDS_AT, middle, holds, True), Label(PART_AT, middle, part, True)]
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            (_write_png if path.suffix.lower() == ".png" else _write_svg)(scratch, size, boxes, labels)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot write the picture: {error.strerror or error}") from error


def _boxes(drawing: Drawing, top: int) -> Iterator[Box]:
    """Cells; neighbours of one colour are one box."""
    colours = [
        colour_of(owner, share)
        for owner, share in zip(drawing.owners.tolist(), drawing.shares.tolist(), strict=True)
    ]
    at = 0
    while at < len(colours):
        stop = at + 1
        end = min(len(colours), at - at % COLUMNS + COLUMNS)
        while stop < end and colours[stop] == colours[at]:
            stop += 1
        row, column = divmod(at, COLUMNS)
        x, y = MARGIN + column * CELL, top + row * CELL
        yield Box(x, y, (stop - at) * CELL - GAP, CELL - GAP, colours[at])
        at = stop


def _shortened(name: str, most: int = 72) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]


def _write_png(path: Path, size: tuple[int, int], boxes: Sequence[Box], labels: Sequence[Label]) -> None:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_SIZE)
    for x, y, width, height, colour in boxes:
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    for label in labels:
        text = label.text
        if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow without FreeType has no letters beyond
            text = text.encode("latin-1", "replace").decode("latin-1")
        anchor = "rm" if label.right else "lm"
        pen.text((label.x, label.y), text, fill=INK, font=font, anchor=anchor)
    image.save(path, "PNG")


def _write_svg(path: Path, size: tuple[int, int], boxes: Sequence[Box], labels: Sequence[Label]) -> None:
    width, height = size
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="{FONT_SIZE}">',
        f'<rect width="{width}" height="{height}" fill="{hexadecimal(BACKGROUND)}"/>',
    ]
    for x, y, box_width, box_height, colour in boxes:
        fill = hexadecimal(colour)
        lines.append(f'<rect x="{x}" y="{y}" width="{box_width}" height="{box_height}" fill="{fill}"/>')
    for label in labels:
        anchor = "end" if label.right else "start"
        lines.append(
            f'<text x="{label.x}" y="{label.y}" fill="{hexadecimal(INK)}" text-anchor="{anchor}" '
            f'dominant-baseline="central">{escape(_printable(label.text))}</text>'
        )
    path.write_text("\n".join([*lines, "</svg>", ""]), "utf-8")


def _printable(text: str) -> str:
    """XML has no control characters, and UTF-8 no halves of characters, that names of files may have."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
