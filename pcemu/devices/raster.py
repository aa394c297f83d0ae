"""The VGA's graphics modes that the processor sees as they are shown, byte for byte: 04h, 05h, 06h and 13h.

====  =========  ==============================================================================
mode  picture    memory
====  =========  ==============================================================================
04h   320 × 200  B8000: four dots in a byte; odd lines are 8 KiB above the even ones (05h: grey)
06h   640 × 200  B8000: eight dots in a byte; odd lines as above
13h   320 × 200  A0000: a dot in a byte
====  =========  ==============================================================================

Datasheet: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem.

**Not implemented**: modes in planes, 0Dh–12h and 13h without chain 4: see vga.py.
"""

from __future__ import annotations

from typing import NamedTuple

BANK = 0x2000
COLOUR_WINDOW = 0x18000
GRAPHICS_WINDOW, GRAPHICS_SIZE = 0, 0x10000

MODE_REGISTER, MISCELLANEOUS = 5, 6  # graphics controller
SHIFT_INTERLEAVE, SHIFT_256 = 0x20, 0x40
MEMORY_MAP, MAP_B8000 = 0x0C, 0x0C
MEMORY_MODE, CHAIN_4 = 4, 0x08  # sequencer
OFFSET, MAXIMUM_SCAN_LINE, MODE_CONTROL = 0x13, 0x09, 0x17  # CRT controller
DOUBLE_SCAN = 0x80
NO_BANKS = 0x01


class Raster(NamedTuple):
    """How bytes in the window A0000–BFFFF become dots."""

    depth: int
    """Bits of a dot: 1, 2 or 8."""
    base: int
    size: int
    """Where in the window the memory is, and where addresses begin again."""
    unit: int
    """Bytes that the start address counts."""
    pitch: int
    """Bytes from the start of a line to the start of the next in the same bank."""
    width: int
    """Bytes of a line."""
    lines: int
    banks: int
    repeat: int
    """Lines of the picture for each of ``lines``."""

    def read(self, window: memoryview, start: int) -> bytes:
        """The bytes of all lines, from the top; ``start`` is the CRT controller's start address."""
        size = self.size // self.banks if self.banks > 1 else self.size
        first = start * self.unit
        if self.banks == 1 and self.pitch == self.width and first + self.width * self.lines <= size:
            return bytes(window[self.base + first : self.base + first + self.width * self.lines])
        lines = []
        for line in range(self.lines):
            at = self.base + line % self.banks * BANK + (first + line // self.banks * self.pitch) % size
            lines.append(bytes(window[at : at + self.width]).ljust(self.width, b"\0"))
        return b"".join(lines)


def derive_raster(
    crtc: bytearray, sequencer: bytearray, graphics: bytearray, columns: int, height: int
) -> Raster | None:
    """What the registers say of a graphics mode; None for one in planes.

    ``columns``: characters of eight dots in a line. ``height``: lines of the picture.
    """
    shift = graphics[MODE_REGISTER]
    scan = crtc[MAXIMUM_SCAN_LINE]
    doubled = 2 if scan & DOUBLE_SCAN else 1
    offset = crtc[OFFSET]
    if shift & SHIFT_256:
        if not sequencer[MEMORY_MODE] & CHAIN_4:
            return None
        repeat = ((scan & 0x1F) + 1) * doubled
        place = GRAPHICS_WINDOW, GRAPHICS_SIZE
        return Raster(8, *place, 4, 8 * offset, 4 * columns, height // repeat, 1, repeat)
    if graphics[MISCELLANEOUS] & MEMORY_MAP != MAP_B8000 or crtc[MODE_CONTROL] & NO_BANKS:
        return None
    depth, unit = (2, 2) if shift & SHIFT_INTERLEAVE else (1, 1)
    place = COLOUR_WINDOW, 2 * BANK
    return Raster(depth, *place, unit, 2 * offset * unit, depth * columns, height // doubled, 2, doubled)
