"""The screen model: what the guest shows, as a value that does not change any more.

Front ends, tests and scripts look at a :class:`TextScreen`; none of them looks at the chip. Taking one
copies 4 KB of cells and the fonts, some microseconds; everything else is worked out when asked for.
numpy is imported by those who ask for arrays, so that waiting for a text does not have to pay for it.
"""

from __future__ import annotations

from codecs import charmap_decode
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pcemu.devices.vga import Vga, VideoMode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Code page 437 as its characters look: the codes that are controls elsewhere are glyphs here.
CP437 = (
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + "⌂"
    + bytes(range(0x80, 0x100)).decode("cp437")
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the cursor is and which lines of its cell it fills (``top`` to ``bottom``).

    ``visible`` says whether it shows at all, blinking aside; when it is off the screen ``row`` and
    ``column`` can be beyond it.
    """

    row: int
    column: int
    top: int
    bottom: int
    visible: bool


@dataclass(frozen=True)
class TextScreen:
    """A snapshot of the text screen. Equal snapshots look the same.

    ``cells`` holds character and attribute of each cell in turn, row by row; ``fonts`` the glyphs for
    attribute bit 3 clear and set. In a graphics mode there are no rows, no columns and no text; ``raster``
    holds its bytes as ``mode.raster`` describes them.
    """

    mode: VideoMode
    cells: bytes
    cursor: Cursor
    fonts: tuple[bytes, bytes]
    raster: bytes = b""

    @property
    def columns(self) -> int:
        """Cells in a row."""
        return self.mode.columns

    @property
    def rows(self) -> int:
        """Rows on the screen."""
        return self.mode.rows

    @property
    def graphics(self) -> bool:
        """True when a graphics mode is on."""
        return self.mode.graphics

    @property
    def blanked(self) -> bool:
        """True when nothing is shown, whatever the cells hold."""
        return self.mode.blanked

    @property
    def blink(self) -> bool:
        """True when attribute bit 7 blinks, False when it brightens the background."""
        return self.mode.blink

    @cached_property
    def text(self) -> str:
        """The rows as Unicode, joined by newlines, without trailing blanks; blanked or not."""
        return "\n".join(self._lines)

    def line(self, row: int) -> str:
        """One row of the text; −1 is the last. Raises IndexError beyond the screen."""
        return self._lines[row]

    @cached_property
    def _lines(self) -> list[str]:
        glyphs, width = decode(self.cells[::2]), self.columns
        return [glyphs[row * width : (row + 1) * width].rstrip() for row in range(self.rows)]

    @cached_property
    def chars(self) -> NDArray[np.uint8]:
        """The character codes, an array of (rows, columns)."""
        return self._cell_array[:, :, 0]

    @cached_property
    def attributes(self) -> NDArray[np.uint8]:
        """The attributes, an array of (rows, columns)."""
        return self._cell_array[:, :, 1]

    @cached_property
    def _cell_array(self) -> NDArray[np.uint8]:
        import numpy as np

        return np.frombuffer(self.cells, np.uint8).reshape(self.rows, self.columns, 2)


def capture(vga: Vga, previous: TextScreen | None = None) -> TextScreen:
    """What the VGA shows now; ``previous`` itself when that still looks the same, so that ``is`` tells."""
    mode = vga.mode
    # The controller counts cells with 16 bits and compares its count with the cursor's.
    distance = vga.cursor_address - vga.start_address & 0xFFFF
    row, column = divmod(distance, mode.pitch) if mode.pitch else (0, distance)
    visible = (
        mode.cursor_enabled
        and not mode.blanked
        and row < mode.rows
        and column < mode.columns
        and mode.cursor_top <= mode.cursor_bottom
        and mode.cursor_top < mode.cell_height
    )
    normal, alternate = mode.fonts
    font = vga.font(normal)
    screen = TextScreen(
        mode=mode,
        cells=vga.visible_cells(),
        cursor=Cursor(row, column, mode.cursor_top, mode.cursor_bottom, visible),
        fonts=(font, font if alternate == normal else vga.font(alternate)),
        raster=vga.visible_raster(),
    )
    return previous if previous is not None and previous == screen else screen


def decode(codes: bytes) -> str:
    """Code page 437 as Unicode, one character for one byte."""
    return charmap_decode(codes, "strict", CP437)[0]
