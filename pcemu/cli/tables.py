"""Tables and trees by rich, as text: coloured and as wide as the terminal, or plain and unfolded."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDE = 10_000  # nothing is folded or cut off for programs


def coloured() -> bool:
    """True when results may have colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns that results may have."""
    if not sys.stdout.isatty():
        return WIDE
    import shutil

    return shutil.get_terminal_size().columns


def drawn(*things: RenderableType) -> str:
    """What rich makes of ``things``, without blanks at the ends of lines."""
    from rich.console import Console

    colour = coloured()
    console = Console(
        file=io.StringIO(), force_terminal=colour, no_color=not colour, width=width(), highlight=False
    )
    with console.capture() as capture:
        for thing in things:
            console.print(thing, soft_wrap=isinstance(thing, str))
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str | Text]], right: Sequence[int] = ()
) -> RenderableType:
    """A table; the columns in ``right`` hold numbers. Headings are in capitals."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    found = Table(box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        found.add_column(heading.upper(), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        found.add_row(*[Text(cell) if isinstance(cell, str) else cell for cell in row])
    return found


def facts(rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Names and what they are, in two columns."""
    from rich.table import Table
    from rich.text import Text

    found = Table.grid(padding=(0, 2))
    found.add_column(style="bold", no_wrap=True)
    found.add_column(overflow="fold")
    for name, value in rows:
        found.add_row(name, Text(value))
    return found
