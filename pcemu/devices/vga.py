"""The VGA, above all in its text modes: the registers of the controller, and what they say about the picture.

The real chip sits between the processor and four 64 KiB planes. Here the 128 KiB window A0000–BFFFF is plain
guest RAM and the guest's writes reach it without passing through this model, which is what makes text fast:

============  ==============================================================================================
A0000–AFFFF   plane 2, linear: eight fonts of 256 glyphs × 32 bytes, where a program loads them
B0000–B7FFF   planes 0 and 1 in monochrome: character, attribute, character, attribute …
B8000–BFFFF   the same in colour; Miscellaneous Output bit 0 says which of the two is shown
============  ==============================================================================================

====== ===================================== =======================================
Port   Read                                  Write
====== ===================================== =======================================
3B4/5  CRT controller index, data (mono)     index, data
3BA    Input Status 1 (mono)                 Feature Control (mono)
3C0/1  attribute index, data                 3C0: index and data in turn
3C2    Input Status 0                        Miscellaneous Output
3C4/5  sequencer index, data                 index, data
3C6    DAC pixel mask                        DAC pixel mask
3C7    DAC state                             DAC read address
3C8    DAC address                           DAC write address
3C9    DAC data, red green blue in turn      the same
3CA    Feature Control                       —
3CC    Miscellaneous Output                  —
3CE/F  graphics controller index, data       index, data
3D4/5  CRT controller index, data (colour)   index, data
3DA    Input Status 1 (colour)               Feature Control (colour)
====== ===================================== =======================================

After a reset all registers are zero: monochrome ports, a closed palette, nothing shown.

Datasheet: IBM PS/2 Hardware Interface Technical Reference, Video Subsystem. The DAC is in dac.py.

Graphics modes that need no planes are told in raster.py.

**Not implemented**: planes 0–3 behind one address, so the other graphics modes are reported as such without a
picture, odd/even and the read and write modes of the graphics controller have no effect, and the whole window
is open at all times; line compare, preset row scan, panning and cursor skew; byte and doubleword addressing
of text; the vertical interrupt; the light pen; the switches 3C3 and 46E8; the diagnostic bits of Input
Status 1. While the palette is closed the picture is black rather than overscan, and an open palette can be
written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pcemu.clock import Clock
from pcemu.devices.dac import RGB, Dac
from pcemu.devices.raster import MODE_REGISTER, SHIFT_256, Raster, derive_raster

# The ports that the VGA answers; 3BCh–3BFh stay free for a printer.
PORTS = (
    *(range(0x3B4, 0x3B6), range(0x3BA, 0x3BB), range(0x3C0, 0x3D0)),
    *(range(0x3D4, 0x3D6), range(0x3DA, 0x3DB)),
)

WINDOW_SIZE = 0x20000
FONT_SIZE = 0x2000
GLYPH_SIZE = 32
MONO_TEXT = 0x10000
COLOUR_TEXT = 0x18000
TEXT_SIZE = 0x8000

ATTRIBUTE_INDEX, ATTRIBUTE_DATA = 0x3C0, 0x3C1
INPUT_STATUS_0, MISC_OUTPUT_WRITE = 0x3C2, 0x3C2
SEQUENCER_INDEX, SEQUENCER_DATA = 0x3C4, 0x3C5
DAC_MASK, DAC_STATE, DAC_READ_ADDRESS, DAC_WRITE_ADDRESS, DAC_DATA = 0x3C6, 0x3C7, 0x3C7, 0x3C8, 0x3C9
FEATURE_READ, MISC_OUTPUT_READ = 0x3CA, 0x3CC
GRAPHICS_INDEX, GRAPHICS_DATA = 0x3CE, 0x3CF
# These move with Miscellaneous Output bit 0: add CRTC_MONO or CRTC_COLOUR.
CRTC_MONO, CRTC_COLOUR = 0x3B0, 0x3D0
CRTC_INDEX, CRTC_DATA, INPUT_STATUS_1 = 4, 5, 10

MISC_COLOUR = 0x01
MISC_CLOCK_SELECT = 0x0C
MISC_CLOCK_28_MHZ = 0x04

STATUS_0_SWITCH_SENSE = 0x10
STATUS_1_DISPLAY_DISABLED = 0x01
STATUS_1_VERTICAL_RETRACE = 0x08

# CRT controller
HORIZONTAL_TOTAL, HORIZONTAL_DISPLAY_END = 0x00, 0x01
VERTICAL_TOTAL, OVERFLOW = 0x06, 0x07
MAXIMUM_SCAN_LINE, CURSOR_START, CURSOR_END = 0x09, 0x0A, 0x0B
START_ADDRESS_HIGH, START_ADDRESS_LOW = 0x0C, 0x0D
CURSOR_LOCATION_HIGH, CURSOR_LOCATION_LOW = 0x0E, 0x0F
VERTICAL_RETRACE_START, VERTICAL_RETRACE_END, VERTICAL_DISPLAY_END = 0x10, 0x11, 0x12
OFFSET, UNDERLINE_LOCATION, CRTC_MODE_CONTROL = 0x13, 0x14, 0x17
CRTC_REGISTERS = 0x19
PROTECT_REGISTERS_0_TO_7 = 0x80
OVERFLOW_LINE_COMPARE = 0x10
DOUBLE_SCAN = 0x80
CURSOR_OFF = 0x20
SYNC_ENABLE = 0x80

# Sequencer
SEQUENCER_RESET, CLOCKING_MODE, CHARACTER_MAP_SELECT = 0, 1, 3
RESET_RELEASED = 0x03
CLOCKING_8_DOTS, CLOCKING_HALF_DOT_CLOCK, CLOCKING_SCREEN_OFF = 0x01, 0x08, 0x20

# Attribute controller
PALETTE_ADDRESS_SOURCE = 0x20
ATTRIBUTE_MODE_CONTROL, OVERSCAN_COLOUR, COLOUR_PLANE_ENABLE, COLOUR_SELECT = 0x10, 0x11, 0x12, 0x14
MODE_GRAPHICS, MODE_LINE_GRAPHICS, MODE_BLINK, MODE_PALETTE_BITS_5_4 = 0x01, 0x04, 0x08, 0x80

# The bits that exist in each register; the others read as zero.
SEQUENCER_BITS = bytes((0x03, 0x3D, 0x0F, 0x3F, 0x0E))
GRAPHICS_BITS = bytes((0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF))
ATTRIBUTE_BITS = bytes([0x3F] * 16 + [0xEF, 0xFF, 0x3F, 0x0F, 0x0F])

FRAMES_PER_BLINK_PHASE = 8
NS_PER_DOT_AT_1_KHZ = 1_000_000


@dataclass(frozen=True, slots=True)
class VideoMode:
    """What the registers say about the picture, addresses of text and cursor excepted.

    Heights of cells and cursor count lines of the glyph; ``width`` and ``height`` count dots of the picture,
    where a halved dot clock doubles each dot and double scanning each line. In a graphics mode there are no
    ``columns`` and no ``rows``. A last row of which only the upper lines fit counts as a row.
    """

    graphics: bool
    blanked: bool
    width: int
    height: int
    columns: int
    rows: int
    pitch: int
    """Cells from the start of a row to the start of the next."""
    cell_width: int
    cell_height: int
    double_width: bool
    double_scan: bool
    cursor_enabled: bool
    cursor_top: int
    cursor_bottom: int
    underline: int
    """The line that underlines attributes x000x001."""
    blink: bool
    """Attribute bit 7 blinks; otherwise it brightens the background."""
    line_graphics: bool
    """The ninth dot of the glyphs C0–DF repeats the eighth."""
    fonts: tuple[int, int]
    """Where in plane 2 the fonts for attribute bit 3 clear and set are."""
    palette: tuple[RGB, ...]
    """The colours of the 16 attribute values, or of 256 dots' values, 0–255 each."""
    overscan: RGB
    raster: Raster | None
    """How memory becomes the picture of a graphics mode; None in text modes and where planes are needed."""


class Vga:
    """Ports come as they are (3B4h …), not relative to a base.

    ``memory`` is guest RAM A0000–BFFFF. The register files are public to be looked at, not to be written.
    """

    def __init__(self, clock: Clock, memory: memoryview) -> None:
        if len(memory) != WINDOW_SIZE:
            raise ValueError(f"the window has {len(memory)} bytes instead of {WINDOW_SIZE}")
        self._clock = clock
        self._memory = memory
        self.dac = Dac()
        self.reset()

    def reset(self) -> None:
        """All registers zero and nothing shown; memory stays as it is."""
        self.crtc = bytearray(CRTC_REGISTERS)
        self.sequencer = bytearray(len(SEQUENCER_BITS))
        self.graphics = bytearray(len(GRAPHICS_BITS))
        self.attribute = bytearray(len(ATTRIBUTE_BITS))
        self.dac.reset()
        self._crtc_index = self._sequencer_index = self._graphics_index = self._attribute_index = 0
        self._attribute_data_next = False
        self._feature = 0
        self._mode: VideoMode | None = None
        self._palette: tuple[RGB, ...] | None = None
        self._write_misc(0)

    # -- Ports

    def read(self, port: int) -> int:
        """What the guest reads from ``port``; all ones where nothing answers."""
        reader = self._readers.get(port)
        return 0xFF if reader is None else reader()

    def write(self, port: int, value: int) -> None:
        """The guest writes ``value`` to ``port``."""
        writer = self._writers.get(port)
        if writer is not None:
            writer(value)

    def _decode(self) -> None:
        """Lay out the ports; the CRT controller answers at 3Bxh or at 3Dxh, never at both."""
        base = CRTC_COLOUR if self.misc & MISC_COLOUR else CRTC_MONO
        dac = self.dac
        self._readers: dict[int, Callable[[], int]] = {
            base + CRTC_INDEX: lambda: self._crtc_index,
            base + CRTC_DATA: self._read_crtc,
            base + INPUT_STATUS_1: self._read_status_1,
            ATTRIBUTE_INDEX: lambda: self._attribute_index,
            ATTRIBUTE_DATA: self._read_attribute,
            INPUT_STATUS_0: lambda: STATUS_0_SWITCH_SENSE,
            SEQUENCER_INDEX: lambda: self._sequencer_index,
            SEQUENCER_DATA: self._read_sequencer,
            DAC_MASK: lambda: dac.mask,
            DAC_STATE: lambda: dac.state,
            DAC_WRITE_ADDRESS: lambda: dac.address,
            DAC_DATA: dac.read_data,
            FEATURE_READ: lambda: self._feature,
            MISC_OUTPUT_READ: lambda: self.misc,
            GRAPHICS_INDEX: lambda: self._graphics_index,
            GRAPHICS_DATA: self._read_graphics,
        }
        self._writers: dict[int, Callable[[int], None]] = {
            base + CRTC_INDEX: self._select_crtc,
            base + CRTC_DATA: self._write_crtc,
            base + INPUT_STATUS_1: self._write_feature,
            ATTRIBUTE_INDEX: self._write_attribute,
            MISC_OUTPUT_WRITE: self._write_misc,
            SEQUENCER_INDEX: self._select_sequencer,
            SEQUENCER_DATA: self._write_sequencer,
            DAC_MASK: self._write_dac_mask,
            DAC_READ_ADDRESS: dac.start_read,
            DAC_WRITE_ADDRESS: dac.start_write,
            DAC_DATA: self._write_dac_data,
            GRAPHICS_INDEX: self._select_graphics,
            GRAPHICS_DATA: self._write_graphics,
        }

    def _write_misc(self, value: int) -> None:
        self.misc = value
        self._decode()
        self._set_timing()

    def _write_feature(self, value: int) -> None:
        self._feature = value

    def _read_status_1(self) -> int:
        self._attribute_data_next = False
        position = self._clock.now * self._dot_khz // NS_PER_DOT_AT_1_KHZ % self._frame_dots
        if position >= self._visible_end:
            if self._retrace_start <= position < self._retrace_end:
                return STATUS_1_VERTICAL_RETRACE | STATUS_1_DISPLAY_DISABLED
            return STATUS_1_DISPLAY_DISABLED
        return STATUS_1_DISPLAY_DISABLED if position % self._line_dots >= self._visible_dots else 0

    # CRT controller. An index that no register has reads as ones, so that nobody takes this chip for a
    # bigger one.

    def _select_crtc(self, value: int) -> None:
        self._crtc_index = value

    def _read_crtc(self) -> int:
        index = self._crtc_index
        return self.crtc[index] if index < CRTC_REGISTERS else 0xFF

    def _write_crtc(self, value: int) -> None:
        index = self._crtc_index
        crtc = self.crtc
        if START_ADDRESS_HIGH <= index <= CURSOR_LOCATION_LOW:
            crtc[index] = value  # The mode does not hold these: scrolling and cursor moves stay cheap.
            return
        if index >= CRTC_REGISTERS:
            return
        if index <= OVERFLOW and crtc[VERTICAL_RETRACE_END] & PROTECT_REGISTERS_0_TO_7:
            if index != OVERFLOW:
                return
            value = crtc[OVERFLOW] & ~OVERFLOW_LINE_COMPARE | value & OVERFLOW_LINE_COMPARE
        crtc[index] = value
        self._set_timing()

    # Sequencer

    def _select_sequencer(self, value: int) -> None:
        self._sequencer_index = value

    def _read_sequencer(self) -> int:
        index = self._sequencer_index
        return self.sequencer[index] if index < len(self.sequencer) else 0xFF

    def _write_sequencer(self, value: int) -> None:
        index = self._sequencer_index
        if index < len(self.sequencer):
            self.sequencer[index] = value & SEQUENCER_BITS[index]
            self._set_timing()

    # Graphics controller: it says how memory becomes a picture; see raster.py.

    def _select_graphics(self, value: int) -> None:
        self._graphics_index = value

    def _read_graphics(self) -> int:
        index = self._graphics_index
        return self.graphics[index] if index < len(self.graphics) else 0xFF

    def _write_graphics(self, value: int) -> None:
        index = self._graphics_index
        if index < len(self.graphics):
            self.graphics[index] = value & GRAPHICS_BITS[index]
            self._mode = self._palette = None

    # Attribute controller: one port for index and data; reading Input Status 1 makes the next write an index.

    def _read_attribute(self) -> int:
        index = self._attribute_index & ~PALETTE_ADDRESS_SOURCE
        return self.attribute[index] if index < len(self.attribute) else 0xFF

    def _write_attribute(self, value: int) -> None:
        if self._attribute_data_next:
            index = self._attribute_index & ~PALETTE_ADDRESS_SOURCE
            if index < len(self.attribute):
                self.attribute[index] = value & ATTRIBUTE_BITS[index]
        else:
            self._attribute_index = value & 0x3F
        self._attribute_data_next = not self._attribute_data_next
        self._mode = self._palette = None

    # DAC

    def _write_dac_mask(self, value: int) -> None:
        self.dac.mask = value
        self._mode = self._palette = None

    def _write_dac_data(self, value: int) -> None:
        self.dac.write_data(value)
        self._mode = self._palette = None

    # -- Timing

    def _set_timing(self) -> None:
        """Measure the frame in dots, so that Input Status 1 costs a division; the mode is stale as well."""
        self._mode = None
        crtc = self.crtc
        overflow = crtc[OVERFLOW]
        clocking = self.sequencer[CLOCKING_MODE]
        cell = 8 if clocking & CLOCKING_8_DOTS else 9
        if clocking & CLOCKING_HALF_DOT_CLOCK:
            cell *= 2
        lines = crtc[VERTICAL_TOTAL] | (overflow & 0x01) << 8 | (overflow & 0x20) << 4
        retrace = crtc[VERTICAL_RETRACE_START] | (overflow & 0x04) << 6 | (overflow & 0x80) << 2
        retrace_lines = (crtc[VERTICAL_RETRACE_END] - retrace & 0x0F) or 16
        self._dot_khz = 28_322 if self.misc & MISC_CLOCK_SELECT == MISC_CLOCK_28_MHZ else 25_175
        self._line_dots = (crtc[HORIZONTAL_TOTAL] + 5) * cell
        self._frame_dots = (lines + 2) * self._line_dots
        self._visible_dots = (crtc[HORIZONTAL_DISPLAY_END] + 1) * cell
        self._visible_end = self._visible_lines * self._line_dots
        self._retrace_start = retrace * self._line_dots
        self._retrace_end = (retrace + retrace_lines) * self._line_dots

    @property
    def _visible_lines(self) -> int:
        overflow = self.crtc[OVERFLOW]
        return (self.crtc[VERTICAL_DISPLAY_END] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1

    @property
    def frame_time(self) -> int:
        """How long one frame takes (ns)."""
        return self._frame_dots * NS_PER_DOT_AT_1_KHZ // self._dot_khz

    @property
    def blink_phase(self) -> int:
        """Where the blinking is, 0–3: 1 and 3 hide the cursor, 2 and 3 hide blinking characters."""
        return self._clock.now // (self.frame_time * FRAMES_PER_BLINK_PHASE) & 3

    # -- Picture

    @property
    def mode(self) -> VideoMode:
        """The mode as it stands; the same object for as long as nothing was written that changes it."""
        if self._mode is None:
            self._mode = self._derive_mode()
        return self._mode

    @property
    def start_address(self) -> int:
        """The cell in the upper left corner."""
        return self.crtc[START_ADDRESS_HIGH] << 8 | self.crtc[START_ADDRESS_LOW]

    @property
    def cursor_address(self) -> int:
        """The cell under the cursor."""
        return self.crtc[CURSOR_LOCATION_HIGH] << 8 | self.crtc[CURSOR_LOCATION_LOW]

    def visible_cells(self) -> bytes:
        """Character and attribute of each cell on the screen, row by row; empty in a graphics mode."""
        mode = self.mode
        if not mode.rows:
            return b""
        base = COLOUR_TEXT if self.misc & MISC_COLOUR else MONO_TEXT
        first = 2 * self.start_address % TEXT_SIZE
        size = 2 * (mode.pitch * (mode.rows - 1) + mode.columns)
        cells = bytes(self._memory[base + first : base + min(first + size, TEXT_SIZE)])
        if len(cells) < size:  # The address wraps at the end of text memory.
            text = bytes(self._memory[base : base + TEXT_SIZE])
            cells += (text * (size // TEXT_SIZE + 1))[: size - len(cells)]
        if mode.pitch == mode.columns:
            return cells
        starts = range(0, 2 * mode.pitch * mode.rows, 2 * mode.pitch) if mode.pitch else [0] * mode.rows
        return b"".join(cells[start : start + 2 * mode.columns] for start in starts)

    def visible_raster(self) -> bytes:
        """The bytes of a graphics picture, line by line; empty where there is none."""
        raster = self.mode.raster
        return b"" if raster is None else raster.read(self._memory, self.start_address)

    def font(self, offset: int) -> bytes:
        """The font at ``offset`` in plane 2: 256 glyphs of 32 bytes, one byte a line, bit 7 at the left."""
        return bytes(self._memory[offset : offset + FONT_SIZE])

    def _derive_mode(self) -> VideoMode:
        crtc, attribute = self.crtc, self.attribute
        clocking = self.sequencer[CLOCKING_MODE]
        control = attribute[ATTRIBUTE_MODE_CONTROL]
        graphics = bool(control & MODE_GRAPHICS)
        if self._palette is None:
            self._palette = self._derive_palette()
        cell_width = 8 if clocking & CLOCKING_8_DOTS else 9
        cell_height = (crtc[MAXIMUM_SCAN_LINE] & 0x1F) + 1
        columns = crtc[HORIZONTAL_DISPLAY_END] + 1
        height = self._visible_lines
        double_width = bool(clocking & CLOCKING_HALF_DOT_CLOCK)
        double_scan = bool(crtc[MAXIMUM_SCAN_LINE] & DOUBLE_SCAN)
        maps = self.sequencer[CHARACTER_MAP_SELECT]
        return VideoMode(
            graphics=graphics,
            blanked=self._blanked,
            width=columns * cell_width << double_width,
            height=height,
            columns=0 if graphics else columns,
            rows=0 if graphics else -(-height // (cell_height << double_scan)),
            pitch=2 * crtc[OFFSET],
            cell_width=cell_width,
            cell_height=cell_height,
            double_width=double_width,
            double_scan=double_scan,
            cursor_enabled=not crtc[CURSOR_START] & CURSOR_OFF,
            cursor_top=crtc[CURSOR_START] & 0x1F,
            cursor_bottom=crtc[CURSOR_END] & 0x1F,
            underline=crtc[UNDERLINE_LOCATION] & 0x1F,
            blink=bool(control & MODE_BLINK),
            line_graphics=bool(control & MODE_LINE_GRAPHICS),
            fonts=(
                font_offset(maps & 0x03, maps & 0x10),
                font_offset(maps >> 2 & 0x03, maps & 0x20),
            ),
            palette=self._palette,
            overscan=self.dac.rgb(attribute[OVERSCAN_COLOUR]),
            raster=derive_raster(crtc, self.sequencer, self.graphics, columns, height) if graphics else None,
        )

    @property
    def _blanked(self) -> bool:
        return (
            not self._attribute_index & PALETTE_ADDRESS_SOURCE
            or self.sequencer[SEQUENCER_RESET] != RESET_RELEASED
            or bool(self.sequencer[CLOCKING_MODE] & CLOCKING_SCREEN_OFF)
            or not self.crtc[CRTC_MODE_CONTROL] & SYNC_ENABLE
        )

    def _derive_palette(self) -> tuple[RGB, ...]:
        """Attribute value → plane enable → palette register → colour select → DAC; or DAC alone."""
        attribute, rgb = self.attribute, self.dac.rgb
        if self.graphics[MODE_REGISTER] & SHIFT_256:
            return tuple(map(rgb, range(256)))
        select = attribute[COLOUR_SELECT]
        bits_7_6 = (select & 0x0C) << 4
        bits_5_4, kept = 0, 0x3F
        if attribute[ATTRIBUTE_MODE_CONTROL] & MODE_PALETTE_BITS_5_4:
            bits_5_4, kept = (select & 0x03) << 4, 0x0F
        planes = attribute[COLOUR_PLANE_ENABLE] & 0x0F
        return tuple(rgb(bits_7_6 | bits_5_4 | attribute[value & planes] & kept) for value in range(16))


def font_offset(low: int, high: int) -> int:
    """Where a font is in plane 2: its number's low two bits count 16 KiB, its high bit adds 8 KiB."""
    return 2 * FONT_SIZE * low + (FONT_SIZE if high else 0)
