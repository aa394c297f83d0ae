"""The VGA against its register descriptions: ports, modes from published tables, timing in fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from pcemu.bus import PortBus
from pcemu.devices.vga import PORTS, Vga
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import (
    COLOUR_40X25,
    COLOUR_80X25,
    COLOUR_80X28,
    COLOUR_80X43,
    COLOUR_80X50,
    MONO_80X25,
    Registers,
    load_palette,
    program,
    put,
    write_indexed,
)

SIXTEEN_COLOURS = (
    *((0x00, 0x00, 0x00), (0x00, 0x00, 0xAA), (0x00, 0xAA, 0x00), (0x00, 0xAA, 0xAA)),
    *((0xAA, 0x00, 0x00), (0xAA, 0x00, 0xAA), (0xAA, 0x55, 0x00), (0xAA, 0xAA, 0xAA)),
    *((0x55, 0x55, 0x55), (0x55, 0x55, 0xFF), (0x55, 0xFF, 0x55), (0x55, 0xFF, 0xFF)),
    *((0xFF, 0x55, 0x55), (0xFF, 0x55, 0xFF), (0xFF, 0xFF, 0x55), (0xFF, 0xFF, 0xFF)),
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(0x20000))


@pytest.fixture
def vga(clock: FakeClock, memory: memoryview) -> Vga:
    return Vga(clock, memory)


@pytest.fixture
def text(vga: Vga) -> Vga:
    """A VGA in mode 3."""
    program(vga, COLOUR_80X25)
    load_palette(vga)
    return vga


# 600 lines of 628, retrace in lines 601–604: the tenth bit of each number is set and the ninth is not.
COLOUR_600_LINES = COLOUR_80X25.with_crtc({0x06: 0x72, 0x07: 0xF8, 0x10: 0x59, 0x11: 0x8D, 0x12: 0x57})


def read_indexed(vga: Vga, port: int, index: int) -> int:
    vga.write(port, index)
    return vga.read(port + 1)


def read_attribute(vga: Vga, index: int) -> int:
    vga.read(0x3DA)
    vga.write(0x3C0, index | 0x20)
    value = vga.read(0x3C1)
    vga.read(0x3DA)
    return value


def write_attribute(vga: Vga, index: int, value: int) -> None:
    vga.read(0x3DA)
    vga.write(0x3C0, index | 0x20)
    vga.write(0x3C0, value)


# Ports


def test_nothing_is_shown_after_reset(vga: Vga) -> None:
    assert vga.mode.blanked
    assert not vga.mode.graphics
    assert vga.read(0x3CC) == 0
    assert vga.mode.palette == ((0, 0, 0),) * 16


def test_reset_undoes_a_mode_but_leaves_memory(text: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"stays")
    before = bytes(memory)
    text.reset()
    assert text.mode == Vga(FakeClock(), memory).mode
    assert text.read(0x3D5) == 0xFF
    assert bytes(memory) == before


def test_refuses_a_window_of_the_wrong_size() -> None:
    with pytest.raises(ValueError, match="65536 bytes instead of 131072"):
        Vga(FakeClock(), memoryview(bytearray(0x10000)))


def test_every_mode_reads_back(vga: Vga) -> None:
    for registers in (COLOUR_80X25, COLOUR_40X25, COLOUR_80X43, MONO_80X25):
        program(vga, registers)
        crtc = 0x3D4 if registers.misc & 1 else 0x3B4
        assert vga.read(0x3CC) == registers.misc
        assert bytes(read_indexed(vga, crtc, i) for i in range(25)) == registers.crtc
        assert bytes(read_indexed(vga, 0x3C4, i) for i in range(5)) == registers.sequencer
        assert bytes(read_indexed(vga, 0x3CE, i) for i in range(9)) == registers.graphics
        vga.read(crtc + 6)
        attributes = bytearray()
        for index in range(21):
            vga.write(0x3C0, index | 0x20)
            attributes.append(vga.read(0x3C1))
            vga.read(crtc + 6)
        assert bytes(attributes) == registers.attribute


@pytest.mark.parametrize("port", [0x3C4, 0x3CE, 0x3D4])
def test_an_index_reads_back_and_unknown_registers_hold_nothing(text: Vga, port: int) -> None:
    write_indexed(text, port, 0x38, 0x48)
    assert text.read(port) == 0x38
    assert text.read(port + 1) == 0xFF


def test_unknown_attribute_registers_hold_nothing(text: Vga) -> None:
    write_attribute(text, 0x15, 0x12)
    assert text.read(0x3C0) == 0x35
    assert read_attribute(text, 0x15) == 0xFF


def test_bits_that_do_not_exist_read_as_zero(text: Vga) -> None:
    for index in range(5):
        write_indexed(text, 0x3C4, index, 0xFF)
    assert [read_indexed(text, 0x3C4, i) for i in range(5)] == [0x03, 0x3D, 0x0F, 0x3F, 0x0E]
    write_indexed(text, 0x3CE, 0, 0xFF)
    assert read_indexed(text, 0x3CE, 0) == 0x0F
    write_attribute(text, 3, 0xFF)
    assert read_attribute(text, 3) == 0x3F


def test_a_word_write_sets_index_and_data(text: Vga) -> None:
    bus = PortBus()
    for ports in PORTS:
        bus.attach("vga", ports, text.read, text.write, base=0)
    bus.write(0x3D4, 2, 0x120E)
    bus.write(0x3D4, 2, 0x340F)
    assert text.cursor_address == 0x1234
    assert bus.read(0x3D4, 2) == 0x340F


def test_protected_crtc_registers_keep_all_but_line_compare(text: Vga) -> None:
    assert COLOUR_80X25.crtc[0x11] & 0x80
    for index in range(8):
        write_indexed(text, 0x3D4, index, 0x00)
    assert bytes(read_indexed(text, 0x3D4, i) for i in range(7)) == COLOUR_80X25.crtc[:7]
    assert read_indexed(text, 0x3D4, 7) == COLOUR_80X25.crtc[7] & ~0x10
    write_indexed(text, 0x3D4, 0x11, 0x0E)
    write_indexed(text, 0x3D4, 0x01, 0x27)
    assert text.mode.columns == 40


def test_crtc_answers_at_one_place_only(text: Vga) -> None:
    text.write(0x3D4, 0x0A)
    assert (text.read(0x3D4), text.read(0x3D5)) == (0x0A, 0x0D)
    assert [text.read(port) for port in (0x3B4, 0x3B5, 0x3BA)] == [0xFF] * 3
    text.write(0x3C2, 0x66)
    assert (text.read(0x3B4), text.read(0x3B5)) == (0x0A, 0x0D)
    assert [text.read(port) for port in (0x3D4, 0x3D5, 0x3DA)] == [0xFF] * 3


def test_attribute_port_takes_index_and_data_in_turn(text: Vga) -> None:
    text.read(0x3DA)
    for value in (0x01, 0x11, 0x02, 0x12, 0x23):
        text.write(0x3C0, value)
    text.read(0x3DA)  # The next write is an index again.
    text.write(0x3C0, 0x24)
    text.write(0x3C0, 0x14)
    assert [read_attribute(text, i) for i in (1, 2, 3, 4)] == [0x11, 0x12, 0x03, 0x14]


def test_reading_attribute_registers_leaves_the_turn_alone(text: Vga) -> None:
    text.read(0x3DA)
    text.write(0x3C0, 0x21)
    assert (text.read(0x3C0), text.read(0x3C1)) == (0x21, 0x01)
    text.write(0x3C0, 0x3B)
    assert read_attribute(text, 1) == 0x3B


def test_feature_control_and_input_status_0(text: Vga) -> None:
    text.write(0x3DA, 0x03)
    assert text.read(0x3CA) == 0x03
    assert text.read(0x3C2) & 0x10


def test_dac_writes_and_reads_in_threes(vga: Vga) -> None:
    vga.write(0x3C8, 0xFF)
    for value in (1, 2, 3, 0xFF, 0x7F, 0x40):
        vga.write(0x3C9, value)
    assert vga.read(0x3C7) == 0
    assert vga.read(0x3C8) == 1
    vga.write(0x3C7, 0xFF)
    assert vga.read(0x3C7) == 3
    assert [vga.read(0x3C9) for _ in range(6)] == [1, 2, 3, 0x3F, 0x3F, 0x00]


def test_dac_stores_a_colour_only_when_it_is_complete(vga: Vga) -> None:
    vga.write(0x3C8, 5)
    vga.write(0x3C9, 0x11)
    vga.write(0x3C9, 0x12)
    vga.write(0x3C8, 6)
    for value in (1, 2, 3):
        vga.write(0x3C9, value)
    vga.write(0x3C7, 5)
    assert [vga.read(0x3C9) for _ in range(6)] == [0, 0, 0, 1, 2, 3]


def test_dac_addresses_begin_with_red(vga: Vga) -> None:
    vga.write(0x3C8, 9)
    for value in (1, 2, 3, 4):
        vga.write(0x3C9, value)
    vga.write(0x3C7, 9)
    assert [vga.read(0x3C9) for _ in range(2)] == [1, 2]
    vga.write(0x3C8, 10)
    for value in (5, 6, 7):
        vga.write(0x3C9, value)
    vga.write(0x3C7, 9)
    assert [vga.read(0x3C9) for _ in range(6)] == [1, 2, 3, 5, 6, 7]


def test_dac_mask_reads_back_and_masks(text: Vga) -> None:
    text.write(0x3C6, 0x38)
    assert text.read(0x3C6) == 0x38
    assert text.mode.palette[15] == SIXTEEN_COLOURS[8]


# Modes


@pytest.mark.parametrize(
    ("registers", "columns", "rows", "width", "height", "cell", "cursor"),
    [
        (COLOUR_80X25, 80, 25, 720, 400, (9, 16), (13, 14)),
        (COLOUR_40X25, 40, 25, 720, 400, (9, 16), (13, 14)),
        (COLOUR_80X28, 80, 28, 720, 392, (9, 14), (11, 12)),
        (COLOUR_80X43, 80, 43, 640, 344, (8, 8), (6, 7)),
        (COLOUR_80X50, 80, 50, 720, 400, (9, 8), (6, 7)),
        (MONO_80X25, 80, 25, 720, 400, (9, 16), (13, 14)),
        (COLOUR_600_LINES, 80, 38, 720, 600, (9, 16), (13, 14)),
    ],
)
def test_text_modes(
    vga: Vga,
    registers: Registers,
    columns: int,
    rows: int,
    width: int,
    height: int,
    cell: tuple[int, int],
    cursor: tuple[int, int],
) -> None:
    program(vga, registers)
    mode = vga.mode
    assert (mode.columns, mode.rows, mode.pitch) == (columns, rows, columns)
    assert (mode.width, mode.height) == (width, height)
    assert (mode.cell_width, mode.cell_height) == cell
    assert (mode.cursor_top, mode.cursor_bottom, mode.cursor_enabled) == (*cursor, True)
    assert mode.double_width == (columns == 40)
    assert mode.underline == (15 if registers is MONO_80X25 else 31)
    assert mode.blink
    assert mode.line_graphics
    assert not mode.double_scan
    assert not mode.graphics
    assert not mode.blanked


def test_double_scanned_rows_are_twice_as_high(vga: Vga) -> None:
    program(vga, COLOUR_80X25.with_crtc({0x09: 0xC7}))
    assert vga.mode.double_scan
    assert (vga.mode.rows, vga.mode.cell_height, vga.mode.height) == (25, 8, 400)


def test_a_cut_row_counts(vga: Vga) -> None:
    program(vga, COLOUR_80X25.with_crtc({0x09: 0x4D}))  # 14 lines in a picture of 400: 28 rows and 8 lines.
    assert (vga.mode.rows, vga.mode.height) == (29, 400)


def test_graphics_modes_have_no_cells(vga: Vga) -> None:
    attribute = bytearray(COLOUR_80X25.attribute)
    attribute[0x10] = 0x41
    program(vga, replace(COLOUR_80X25, attribute=bytes(attribute)))
    assert vga.mode.graphics
    assert (vga.mode.rows, vga.mode.columns) == (0, 0)
    assert vga.visible_cells() == b""


def test_default_palette_gives_the_sixteen_colours(text: Vga) -> None:
    assert text.mode.palette == SIXTEEN_COLOURS
    write_attribute(text, 0x11, 0x04)
    assert text.mode.overscan == (0xAA, 0, 0)


def test_plane_enable_masks_the_attribute(text: Vga) -> None:
    write_attribute(text, 0x12, 0x07)
    assert text.mode.palette == SIXTEEN_COLOURS[:8] * 2


def test_colour_select_gives_the_upper_bits_of_the_index(text: Vga) -> None:
    text.write(0x3C8, 0xC0 | 0x07)
    for value in (0x10, 0x20, 0x30):
        text.write(0x3C9, value)
    text.write(0x3C8, 0xE7)
    for value in (0x04, 0x08, 0x0C):
        text.write(0x3C9, value)
    write_attribute(text, 0x14, 0x0E)
    assert text.mode.palette[7] == (0x41, 0x82, 0xC3)
    write_attribute(text, 0x10, 0x8C)
    assert text.mode.palette[7] == (0x10, 0x20, 0x30)


def test_blink_bit_and_line_graphics_bit(text: Vga) -> None:
    write_attribute(text, 0x10, 0x00)
    assert not text.mode.blink
    assert not text.mode.line_graphics


def test_each_way_of_switching_the_display_off(text: Vga) -> None:
    assert not text.mode.blanked
    text.read(0x3DA)
    text.write(0x3C0, 0x10)  # The palette address source goes to the processor.
    assert text.mode.blanked
    text.read(0x3DA)
    text.write(0x3C0, 0x30)
    assert not text.mode.blanked
    for port, index, off, on in ((0x3C4, 1, 0x20, 0x00), (0x3C4, 0, 0x01, 0x03), (0x3D4, 0x17, 0x23, 0xA3)):
        write_indexed(text, port, index, off)
        assert text.mode.blanked
        write_indexed(text, port, index, on)
        assert not text.mode.blanked


def test_cursor_off_bit(text: Vga) -> None:
    write_indexed(text, 0x3D4, 0x0A, 0x2D)
    assert not text.mode.cursor_enabled


@pytest.mark.parametrize(
    ("number", "kib"), [(0, 0), (1, 16), (2, 32), (3, 48), (4, 8), (5, 24), (6, 40), (7, 56)]
)
def test_fonts_are_where_the_map_select_says(text: Vga, memory: memoryview, number: int, kib: int) -> None:
    memory[kib * 1024 : kib * 1024 + 8192] = bytes([number + 1]) * 8192
    write_indexed(text, 0x3C4, 3, (number & 3) << 2 | (number & 4) << 3)
    assert text.mode.fonts == (0, kib * 1024)
    assert text.font(kib * 1024) == bytes([number + 1]) * 8192
    write_indexed(text, 0x3C4, 3, number & 3 | (number & 4) << 2)
    assert text.mode.fonts == (kib * 1024, 0)


# Text memory


def test_start_address_scrolls_by_cells(text: Vga, memory: memoryview) -> None:
    put(memory, 1, 2, b"abc", 0x1E)
    write_indexed(text, 0x3D4, 0x0C, 0)
    write_indexed(text, 0x3D4, 0x0D, 82)
    assert text.start_address == 82
    assert text.visible_cells()[:8] == b"a\x1eb\x1ec\x1e\0\0"
    assert len(text.visible_cells()) == 4000


def test_text_wraps_at_the_end_of_its_window(text: Vga, memory: memoryview) -> None:
    memory[0x1FFFE:0x20000] = b"Z\x70"
    put(memory, 0, 0, b"first")
    write_indexed(text, 0x3D4, 0x0C, 0x3F)
    write_indexed(text, 0x3D4, 0x0D, 0xFF)
    assert text.visible_cells()[:6] == b"Z\x70f\x07i\x07"
    assert len(text.visible_cells()) == 4000


@pytest.mark.parametrize("pitch", [0, 10, 160])
def test_rows_start_a_pitch_apart(text: Vga, memory: memoryview, pitch: int) -> None:
    for i in range(0x4000):
        memory[0x18000 + 2 * i] = i & 0xFF
        memory[0x18001 + 2 * i] = i >> 8
    write_indexed(text, 0x3D4, 0x13, pitch // 2)
    cells = text.visible_cells()
    numbers = [cells[i] | cells[i + 1] << 8 for i in range(0, len(cells), 2)]
    assert numbers == [row * pitch + column for row in range(25) for column in range(80)]


def test_mono_text_is_at_b0000(vga: Vga, memory: memoryview) -> None:
    program(vga, MONO_80X25)
    memory[0x10000:0x10002] = b"m\x07"
    memory[0x18000:0x18002] = b"c\x07"
    assert vga.visible_cells()[:2] == b"m\x07"


def test_mode_is_worked_out_anew_only_after_a_write_that_matters(text: Vga) -> None:
    mode = text.mode
    for index in (0x0C, 0x0D, 0x0E, 0x0F):
        write_indexed(text, 0x3D4, index, 1)
    assert text.mode is mode
    write_indexed(text, 0x3D4, 0x09, 0x47)
    assert text.mode.rows == 50


# Time


@pytest.mark.parametrize(
    ("registers", "mhz", "line", "lines", "width", "height", "retrace"),
    [
        (COLOUR_80X25, "28.322", 900, 449, 720, 400, range(412, 414)),
        (COLOUR_40X25, "28.322", 900, 449, 720, 400, range(412, 414)),
        (COLOUR_80X43, "25.175", 800, 449, 640, 344, range(387, 389)),
        (COLOUR_600_LINES, "28.322", 900, 628, 720, 600, range(601, 605)),
    ],
)
def test_input_status_follows_the_beam(
    vga: Vga,
    clock: FakeClock,
    registers: Registers,
    mhz: str,
    line: int,
    lines: int,
    width: int,
    height: int,
    retrace: range,
) -> None:
    program(vga, registers)
    seen = set()
    for _ in range(3000):
        clock.advance(13_477)
        dots = Fraction(clock.now, 1000) * Fraction(mhz)
        y, x = divmod(int(dots) % (line * lines), line)
        expected = (x >= width or y >= height) | (y in retrace) << 3
        assert vga.read(0x3DA) == expected
        seen.add(expected)
    assert seen == {0, 1, 9}


def test_a_frame_of_text_takes_a_seventieth_of_a_second(text: Vga, clock: FakeClock) -> None:
    assert 1e9 / text.frame_time == pytest.approx(70.086, abs=0.001)
    rises: list[int] = []
    last = 0
    while len(rises) < 3:
        clock.advance(1000)
        now = text.read(0x3DA) & 8
        if now > last:
            rises.append(clock.now)
        last = now
    assert rises[2] - rises[1] == pytest.approx(text.frame_time, abs=1000)


def test_blinking_takes_sixteen_and_thirty_two_frames(text: Vga, clock: FakeClock) -> None:
    phases = []
    for _ in range(64):
        phases.append(text.blink_phase)
        clock.advance(text.frame_time)
    assert phases == [phase for phase in (0, 1, 2, 3) * 2 for _ in range(8)]


def test_unprogrammed_registers_can_be_polled(vga: Vga, clock: FakeClock) -> None:
    for _ in range(50):
        clock.advance(97)
        assert vga.read(0x3BA) & ~0x09 == 0
