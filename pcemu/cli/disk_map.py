"""`pcemu disk map`: which layer holds which part of a drive, as cells, as a picture, or as a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pcemu.cli.disk_common import (
    FORMATS,
    PATH,
    common_with_parents,
    epilog,
    human,
    image_argument,
    say,
    warner,
    work,
)
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.probe import Format
from pcemu.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from rich.text import Text

    from pcemu.drives.chain import Run

NOBODY = -1
ROWS = 16
MAX_COLUMNS = 96
PICTURE_CELLS = 128 * 64
MIN_CELL = 8  # sectors
SYMBOLS = "0123456789abcdefghijklmnopqrstuvwxyz"
MANY = "+"  # for layers above those
EMPTY = "·"
BLOCK = "█"
SUFFIXES = (".png", ".svg")

EPILOG = epilog("""
Examples:
  pcemu disk map child.vhd
  pcemu disk map -o map.svg child.vhd         or map.png
  pcemu disk map --json child.vhd | jq '.runs[] | select(.layer > 0)'

Keys of --json, in bytes:
  image         the path as given
  size          of the drive
  layers        a list, the ultimate parent first: layer (its number), image (its path), held (bytes)
  nobody        what no layer holds, and reads as zeros
  runs          a list that covers the drive: start, length, layer (null: nobody), offset (in the layer's
                file, null: nobody)
""")


class Drawing(NamedTuple):
    """A drive in cells of ``cell`` sectors: the newest owner of each, and its share of it, up to 1."""

    cell: int
    owners: np.ndarray[tuple[int], np.dtype[np.int64]]
    shares: np.ndarray[tuple[int], np.dtype[np.float64]]


@click.command(epilog=EPILOG)
@image_argument
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="[default: as the image looks]")
@click.option(
    "-o", "--output", metavar="FILE", type=PATH, help="Draw into a file, .png or .svg, that may exist."
)
@common_with_parents
def map(
    image: Path,
    form: str | None,
    output: Path | None,
    allow_outside: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Draw which layer holds which part of the drive in IMAGE, and how much each of them holds.

    A cell shows the newest layer that holds anything of its part of the drive: brighter where that is more
    than half of it. Where there are no colours, it is the layer's number, or a dot when nobody holds it.
    """
    from pcemu.drives.open import open_drive
    from pcemu.drives.ownership import layers_of, owned_runs

    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output}: its name does not end in {' or '.join(SUFFIXES)}; expected one of them")
    known = None if form is None else Format(form)
    with work("mapping", "nothing was drawn", quiet=quiet) as progress:
        drive = open_drive(image, read_only=True, format=known, allow_outside=allow_outside)
        try:
            for text in drive.warnings:
                warner(quiet=quiet)(text)
            runs = list(owned_runs(drive, progress))
            names = [layer.file.path for layer in layers_of(drive)]
            sectors = drive.sectors
        finally:
            drive.close()
    held = [0] * (len(names) + 1)  # the last is what nobody holds
    for run in runs:
        held[run.layer] += run.sectors
    if output is not None:
        from pcemu.cli.disk_picture import draw

        cells = _cells(runs, sectors, len(names), PICTURE_CELLS)
        draw(output, cells, _legend(names, held, sectors), f"{image}, {human(sectors * SECTOR_SIZE)}")
        text = f"{output}: drawn"
    else:
        text = "" if as_json or quiet else _picture(runs, sectors, names, held)
    say(text, _document(image, sectors, names, held, runs), as_json=as_json, quiet=quiet)


def _cells(runs: list[Run], sectors: int, layers: int, most: int) -> Drawing:
    """Divide the drive into at most ``most`` cells."""
    import numpy as np

    cell = max(MIN_CELL, -(-sectors // most))
    count = -(-sectors // cell)
    held = np.zeros((layers, count))
    for run in runs:
        if run.layer == NOBODY:
            continue
        row = held[run.layer]
        first, last = run.lba // cell, (run.lba + run.sectors - 1) // cell
        if first == last:
            row[first] += run.sectors
            continue
        row[first] += (first + 1) * cell - run.lba
        row[last] += run.lba + run.sectors - last * cell
        row[first + 1 : last] += cell
    sizes = np.full(count, float(cell))
    sizes[-1] = sectors - (count - 1) * cell
    owners = np.full(count, NOBODY)
    shares = np.zeros(count)
    for layer in range(layers):
        here = held[layer] > 0
        owners[here] = layer
        shares[here] = held[layer][here] / sizes[here]
    return Drawing(cell, owners, shares)


def _legend(names: list[str], held: list[int], sectors: int) -> list[tuple[int, str, str, str]]:
    """(layer, path, what it holds, per cent), the newest first, and then what nobody holds."""
    rows = []
    for layer in [*reversed(range(len(names))), NOBODY]:
        name = names[layer] if layer != NOBODY else "nobody: zeros"
        size = human(held[layer] * SECTOR_SIZE)
        rows.append((layer, name, size, f"{100 * held[layer] / sectors:.1f} %"))
    return rows


def symbol(layer: int) -> str:
    """One character for a layer."""
    if layer == NOBODY:
        return EMPTY
    return SYMBOLS[layer] if layer < len(SYMBOLS) else MANY


def _picture(runs: list[Run], sectors: int, names: list[str], held: list[int]) -> str:
    from rich.text import Text

    from pcemu.cli.disk_colours import rich_style
    from pcemu.cli.tables import coloured, drawn, table, width

    columns = min(MAX_COLUMNS, width())
    drawing = _cells(runs, sectors, len(names), columns * ROWS)
    colour = coloured()
    lines = Text(no_wrap=True, overflow="crop")
    for start in range(0, len(drawing.owners), columns):
        if start:
            lines.append("\n")
        _draw_row(lines, drawing, slice(start, start + columns), colour)
    rows: list[list[str | Text]] = []
    for layer, *texts in _legend(names, held, sectors):
        key = Text(BLOCK, rich_style(layer, 1.0)) if colour else Text(symbol(layer))
        rows.append([key, *texts])
    found = table(("", "layer", "holds", ""), rows, right=[2, 3])
    title = f"{human(sectors * SECTOR_SIZE)}, {human(drawing.cell * SECTOR_SIZE)} a cell"
    return drawn(title, lines, "", found)


def _draw_row(lines: Text, drawing: Drawing, row: slice, colour: bool) -> None:
    from pcemu.cli.disk_colours import rich_style

    for owner, share in zip(drawing.owners[row].tolist(), drawing.shares[row].tolist(), strict=True):
        if colour:
            lines.append(BLOCK, rich_style(owner, share))
        else:
            lines.append(symbol(owner))


def _document(
    image: Path, sectors: int, names: list[str], held: list[int], runs: list[Run]
) -> dict[str, Any]:
    return {
        "image": str(image),
        "size": sectors * SECTOR_SIZE,
        "layers": [
            {"layer": layer, "image": name, "held": held[layer] * SECTOR_SIZE}
            for layer, name in enumerate(names)
        ],
        "nobody": held[NOBODY] * SECTOR_SIZE,
        "runs": [
            {
                "start": run.lba * SECTOR_SIZE,
                "length": run.sectors * SECTOR_SIZE,
                "layer": None if run.layer == NOBODY else run.layer,
                "offset": None if run.layer == NOBODY else run.offset,
            }
            for run in runs
        ],
    }
