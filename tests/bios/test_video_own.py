"""What our INT 10h does otherwise than SeaBIOS, or beyond it, held against the IBM technical reference.

Above each test stands its scenario: the test gets the answers to it, once from QEMU and once from pcemu.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.bios.video_guest import (
    BDA_LOW,
    BDA_LOW_SIZE,
    BUFFER,
    CRTC,
    GRAPHICS,
    MISC_OUTPUT,
    OUR_RUNS,
    ROM,
    SEQUENCER,
    Call,
    Found,
    Scenario,
    run_scenarios,
)
from tools.build_fonts import FONTS, parse_font

SCENARIOS: list[Callable[[Scenario], None]] = []


def scenario(build: Callable[[Scenario], None]) -> Callable[[Scenario], None]:
    SCENARIOS.append(build)
    return build


class Answers:
    """The answers of one run to one scenario, in order."""

    def __init__(self, found: list[Found]) -> None:
        self._rest = iter(found)

    def call(self) -> Call:
        found = next(self._rest)
        assert isinstance(found, Call)
        return found

    def bytes(self) -> bytes:
        found = next(self._rest)
        assert isinstance(found, bytes)
        return found

    def byte(self) -> int:
        (value,) = self.bytes()
        return value

    def rest(self) -> list[Found]:
        return list(self._rest)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scenario]:
    """Every scenario with the answers of both runs. A mode set after each lets the next start afresh."""
    scenarios = []
    for build in SCENARIOS:
        scenarios += [Scenario(build), Scenario(mode_3)]
    run_scenarios([Scenario(mode_3), *scenarios], OUR_RUNS, tmp_path_factory.mktemp("video"))
    return {s.name: s for s in scenarios}


def mode_3(s: Scenario) -> None:
    s.call(0x1202, 0x0030)
    s.call(0x0003)


@pytest.fixture(params=OUR_RUNS)
def answers(request: pytest.FixtureRequest, found: dict[str, Scenario]) -> Answers:
    """What the test's scenario, the function with its name, has found."""
    return Answers(found[request.function.__name__.removeprefix("test_")].found[request.param])


UNKNOWN = (0x0055, 0x4F00, 0x10FF, 0x1105, 0x1A02, 0x1C03, 0x1D00, 0xFE00)


@scenario
def unknown_functions_change_nothing(s: Scenario) -> None:
    s.call(0x0F00)
    for ax in UNKNOWN:
        s.call(ax, 0x1234, 0x5678, 0x0101)


def test_unknown_functions_change_nothing(answers: Answers) -> None:
    bda = answers.call().bda
    for ax in UNKNOWN:
        call = answers.call()
        assert (call.ax, call.bx, call.cx, call.dx) == (ax, 0x1234, 0x5678, 0x0101)
        assert call.bda == bda


@scenario
def dac_mask(s: Scenario) -> None:
    s.call(0x1018, 0x007F)
    s.call(0x1019)
    s.call(0x1018, 0x00FF)


def test_dac_mask(answers: Answers, request: pytest.FixtureRequest) -> None:
    answers.call()
    expected = 0 if "QEMU" in request.node.name else 0x7F  # QEMU's DAC has no mask to read back
    assert answers.call().bl == expected


CURSOR_SHAPES = {
    0x0607: (0x0D, 0x0E),  # the thin cursor, as IBM's table for 16-line cells has it
    0x0407: (0x08, 0x0F),  # the lower half
    0x0007: (0x00, 0x0F),  # the whole cell
    0x0D0E: (0x0D, 0x0E),  # not a CGA shape
    0x2000: (0x20, 0x00),  # off
}


@scenario
def cursor_emulation(s: Scenario) -> None:
    for cx in CURSOR_SHAPES:
        s.call(0x0100, 0, cx)
        s.index(CRTC, 0x0A, 2)
    s.call(0x1201, 0x0034)
    s.call(0x0100, 0, 0x0607)
    s.index(CRTC, 0x0A, 2)
    s.call(0x1200, 0x0034)


def test_cursor_emulation(answers: Answers) -> None:
    for cx, lines in CURSOR_SHAPES.items():
        assert answers.call().word(0x60) == cx
        assert tuple(answers.bytes()) == lines, f"{cx:04X}"
    answers.call()
    answers.call()
    assert tuple(answers.bytes()) == (6, 7), "emulation off"


FONT_BLOCKS = {0: (None, 16), 1: (0x1101, 14), 5: (0x1102, 8), 7: (0x1104, 16)}
BLOCK_OFFSETS = {0: 0x0000, 1: 0x4000, 5: 0x6000, 7: 0xE000}


@scenario
def rom_fonts_are_loaded_into_their_blocks(s: Scenario) -> None:
    for block, (ax, _) in FONT_BLOCKS.items():
        if ax is not None:
            s.call(ax, block)
        s.read_plane_2(BLOCK_OFFSETS[block], 8192)


def test_rom_fonts_are_loaded_into_their_blocks(answers: Answers) -> None:
    for block, (ax, height) in FONT_BLOCKS.items():
        if ax is not None:
            answers.call()
        plane = answers.bytes()
        loaded = b"".join(plane[char * 32 : char * 32 + height] for char in range(256))
        assert loaded == parse_font(FONTS / f"8x{height}.txt"), f"block {block}"


@scenario
def font_pointers(s: Scenario) -> None:
    for bh in range(8):
        s.call(0x1130, bh << 8)


def test_font_pointers(answers: Answers) -> None:
    rom = ROM.read_bytes()
    fonts = {height: parse_font(FONTS / f"8x{height}.txt") for height in (8, 14, 16)}
    high = fonts[8][128 * 8 :]
    none = b"\0"  # the list of glyphs that differ in cells 9 dots wide
    for expected in (high, fonts[16], fonts[14], fonts[8], high, none, fonts[16], none):
        call = answers.call()
        assert (call.cx, call.dl, call.es) == (16, 24, 0xF000)
        assert rom[call.bp : call.bp + len(expected)] == expected


ROWS = {  # text lines as 12h/30h wants them, font: rows, last scan line shown, lines per cell
    (2, 0x1114): (25, 399, 16),
    (2, 0x1111): (28, 391, 14),
    (2, 0x1112): (50, 399, 8),
    (1, 0x1112): (43, 343, 8),
    (1, 0x1111): (25, 349, 14),
    (0, 0x1112): (25, 399, 8),  # 200 lines, each shown twice
}


@scenario
def rows_fill_the_screen(s: Scenario) -> None:
    for lines, font in ROWS:
        s.call(0x1200 | lines, 0x0030)
        s.call(0x0003)
        s.call(font, 0)
        for register in (0x07, 0x12, 0x09):
            s.index(CRTC, register)
    s.call(0x1202, 0x0030)


def test_rows_fill_the_screen(answers: Answers) -> None:
    for (lines, _), (rows, last_line, height) in ROWS.items():
        assert answers.call().al == 0x12
        answers.call()
        call = answers.call()
        assert (call.bda[0x84] + 1, call.word(0x85)) == (rows, height)
        assert call.word(0x4C) >= rows * 80 * 2
        overflow, low, cell = (answers.byte() for _ in range(3))
        assert low | (overflow & 0x02) << 7 | (overflow & 0x40) << 3 == last_line
        assert (cell & 0x1F) + 1 == height
        assert bool(cell & 0x80) == (lines == 0)


@scenario
def switches_of_function_12h(s: Scenario) -> None:
    s.call(0x1201, 0x0036)
    s.index(SEQUENCER, 1)
    s.call(0x1200, 0x0036)
    s.index(SEQUENCER, 1)
    s.call(0x1201, 0x0031)
    s.call(0x1010, 0x0007, 0x1234, 0x0500)
    s.call(0x0003)
    s.call(0x1015, 0x0007)  # the mode set has left it
    s.call(0x1200, 0x0031)
    s.call(0x0003)
    s.call(0x1015, 0x0007)
    s.call(0x1003, 0x0000)
    s.call(0x1003, 0x0001)


def test_switches_of_function_12h(answers: Answers) -> None:
    assert answers.call().al == 0x12
    assert answers.byte() & 0x20, "the screen is off"
    assert answers.call().al == 0x12
    assert not answers.byte() & 0x20
    assert answers.call().bda[0x89] & 0x08
    answers.call()
    answers.call()
    kept = answers.call()
    assert (kept.dh, kept.ch, kept.cl) == (0x05, 0x12, 0x34)
    assert not answers.call().bda[0x89] & 0x08
    answers.call()
    loaded = answers.call()
    assert (loaded.dh, loaded.ch, loaded.cl) == (0x2A, 0x2A, 0x2A)
    assert answers.call().bda[0x65] == 0x09
    assert answers.call().bda[0x65] == 0x29


COMBINATIONS = {  # BX: index in the BIOS's table, BX as told afterwards
    0x0008: (0x0B, 0x0008),
    0x0108: (0x0C, 0x0801),  # the table has no order: the first adapter it names is the active one
    0x0801: (0x0C, 0x0801),
    0x0403: (0xFF, 0xFFFF),  # no such pair
}


@scenario
def display_combination(s: Scenario) -> None:
    for bx in COMBINATIONS:
        s.call(0x1A01, bx)
        s.call(0x1A00)
    s.call(0x1A01, 0x0008)


def test_display_combination(answers: Answers) -> None:
    for index, told in COMBINATIONS.values():
        call = answers.call()
        assert (call.al, call.bda[0x8A]) == (0x1A, index)
        call = answers.call()
        assert (call.al, call.bx) == (0x1A, told)
    assert answers.call().bda[0x8A] == 0x0B


@scenario
def state_information(s: Scenario) -> None:
    s.call(0x1112, 0x0000)
    s.call(0x1103, 0x0024)
    s.call(0x1B00, 0, di=0x40)
    s.dump(BUFFER, 0x40, 64)
    s.call(0x1B00, 1, di=0x40)  # no such state
    s.dump(BUFFER, 0x10, 8)


def test_state_information(answers: Answers) -> None:
    answers.call()
    answers.call()
    call = answers.call()
    assert call.al == 0x1B
    state = answers.bytes()
    offset, segment = struct.unpack_from("<2H", state)
    rom = ROM.read_bytes()
    assert segment == 0xF000
    assert rom[offset : offset + 3] == b"\xff\xe0\x0f", "modes 0-7, 0Dh-13h"
    assert rom[offset + 7] == 0b111, "200, 350 and 400 lines"
    assert state[4 : 4 + BDA_LOW_SIZE] == bytes(call.bda[BDA_LOW + i] for i in range(BDA_LOW_SIZE))
    assert state[0x22] == 50
    assert struct.unpack_from("<H2BH", state, 0x23) == (8, 8, 0, 16)  # cell, displays, colours
    assert state[0x29] == 4, "pages of 8 KiB"
    assert state[0x2A] == 2, "400 lines"
    assert tuple(state[0x2B:0x2D]) == (0, 5), "fonts that 24h chooses"
    assert state[0x2D] == 0x31, "every mode, cursor emulation, blink"
    assert state[0x31] == 3
    assert not any(state[0x32:])
    assert answers.call().al == 0x00


def dump_state(s: Scenario) -> None:
    s.call(0x0F00)
    s.index(CRTC, 0, 25)
    s.index(SEQUENCER, 1, 4)
    s.index(GRAPHICS, 0, 9)
    s.port(MISC_OUTPUT)
    s.call(0x1009, dx=0x100)
    s.dump(BUFFER, 0x100, 17)
    s.call(0x1017, 0, 256, 0x2000)
    s.dump(BUFFER, 0x2000, 768)
    s.dump(0, 0x1F * 4, 4)
    s.dump(0, 0x43 * 4, 4)


STATE_ANSWERS = 11
SAVE_ALL = 7


@scenario
def save_and_restore(s: Scenario) -> None:
    for parts in range(SAVE_ALL + 1):
        s.call(0x1C00, 0, parts)
    s.call(0x1112, 0)
    s.call(0x0200, 0, 0, 0x2A11)
    s.call(0x1000, 0x2A05)
    s.call(0x1010, 0x0055, 0x2A15, 0x3F00)
    s.call(0x1C01, 0x1000, SAVE_ALL)
    dump_state(s)
    s.call(0x0013)
    s.call(0x1120, 0, bp=0x123)
    s.call(0x1C02, 0x1000, SAVE_ALL)
    dump_state(s)


def test_save_and_restore(answers: Answers) -> None:
    blocks = [answers.call() for _ in range(SAVE_ALL + 1)]
    assert all(call.al == 0x1C for call in blocks)
    hardware, bda, dac = (blocks[part].bx for part in (1, 2, 4))
    assert hardware * 64 >= 0x46
    assert dac * 64 >= 0x304
    assert [call.bx for call in blocks] == [
        hardware * (parts & 1) + bda * (parts >> 1 & 1) + dac * (parts >> 2) for parts in range(SAVE_ALL + 1)
    ]
    for _ in range(4):
        answers.call()
    assert answers.call().al == 0x1C
    rest = answers.rest()
    saved, restored = rest[:STATE_ANSWERS], rest[-STATE_ANSWERS:]
    assert saved == restored


@scenario
def bell_rings_and_stops_by_itself(s: Scenario) -> None:
    s.port(0x61)
    s.teletype(b"\x07")
    s.port(0x61)
    s.wait(3)
    s.port(0x61)


def test_bell_rings_and_stops_by_itself(answers: Answers) -> None:
    assert answers.byte() & 0x03 == 0
    answers.call()
    assert answers.byte() & 0x03 == 0x03
    assert answers.byte() & 0x03 == 0


@scenario
def empty_string(s: Scenario) -> None:
    s.call(0x1301, 0x0007, 0, 0x0101, bp=0x20)
    s.screen()


def test_empty_string(answers: Answers) -> None:
    assert answers.call().word(0x50) == 0
