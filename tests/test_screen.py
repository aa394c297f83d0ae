"""The screen model: what a snapshot says, that it stays as it is, and when two are the same."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from pcemu.devices.vga import Vga
from pcemu.screen import CP437, capture, decode
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import (
    COLOUR_40X25,
    COLOUR_80X25,
    COLOUR_80X50,
    load_palette,
    program,
    put,
    scribble,
    write_indexed,
)

# The names that Unicode gives to the glyphs of the codes 1–31 and 127.
CONTROL_GLYPHS = """WHITE SMILING FACE, BLACK SMILING FACE, BLACK HEART SUIT, BLACK DIAMOND SUIT,
BLACK CLUB SUIT, BLACK SPADE SUIT, BULLET, INVERSE BULLET, WHITE CIRCLE, INVERSE WHITE CIRCLE, MALE SIGN,
FEMALE SIGN, EIGHTH NOTE, BEAMED EIGHTH NOTES, WHITE SUN WITH RAYS, BLACK RIGHT-POINTING POINTER,
BLACK LEFT-POINTING POINTER, UP DOWN ARROW, DOUBLE EXCLAMATION MARK,
PILCROW SIGN, SECTION SIGN, BLACK RECTANGLE, UP DOWN ARROW WITH BASE, UPWARDS ARROW,
DOWNWARDS ARROW, RIGHTWARDS ARROW, LEFTWARDS ARROW, RIGHT ANGLE, LEFT RIGHT ARROW, BLACK UP-POINTING TRIANGLE,
BLACK DOWN-POINTING TRIANGLE, HOUSE"""


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(0x20000))


@pytest.fixture
def vga(memory: memoryview) -> Vga:
    vga = Vga(FakeClock(), memory)
    program(vga, COLOUR_80X25)
    load_palette(vga)
    return vga


def place_cursor(vga: Vga, address: int) -> None:
    write_indexed(vga, 0x3D4, 0x0E, address >> 8)
    write_indexed(vga, 0x3D4, 0x0F, address & 0xFF)


def test_code_page_437() -> None:
    assert len(CP437) == len(set(CP437)) + 1 == 256  # 0 and 32 are both blank.
    names = " ".join(CONTROL_GLYPHS.split()).split(", ")
    assert [unicodedata.name(c) for c in CP437[1:32] + CP437[127]] == names
    assert CP437[32:127].encode("ascii") == bytes(range(32, 127))
    assert CP437[128:].encode("cp437") == bytes(range(128, 256))
    assert decode(b"\x00\x03\x80\xdb") == " ♥Ç█"


def test_each_glyph_is_one_column_wide_and_harmless() -> None:
    for glyph in CP437:
        assert unicodedata.east_asian_width(glyph) not in "WF"
        assert unicodedata.category(glyph) not in ("Cc", "Cf", "Mn")


def test_text_has_rows_without_trailing_blanks(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"C:\\>dir  ")
    put(memory, 2, 10, b"\xc9\xcd\xbb")
    put(memory, 24, 79, b"!")
    screen = capture(vga)
    assert screen.text.split("\n") == ["C:\\>dir", "", " " * 10 + "╔═╗", *[""] * 21, " " * 79 + "!"]
    assert (screen.line(2), screen.line(-1)) == (" " * 10 + "╔═╗", " " * 79 + "!")
    with pytest.raises(IndexError):
        screen.line(25)


def test_arrays_of_characters_and_attributes(vga: Vga, memory: memoryview) -> None:
    put(memory, 3, 5, b"AB", 0x4E)
    screen = capture(vga)
    assert screen.chars.shape == screen.attributes.shape == (25, 80)
    assert screen.chars.dtype == screen.attributes.dtype == np.uint8
    assert screen.chars[3, 4:8].tolist() == [0, 0x41, 0x42, 0]
    assert screen.attributes[3, 4:8].tolist() == [0, 0x4E, 0x4E, 0]


def test_a_snapshot_does_not_change(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"before")
    screen = capture(vga)
    put(memory, 0, 0, b"after ")
    program(vga, COLOUR_40X25)
    scribble(memory)
    assert screen.line(0) == "before"
    assert (screen.rows, screen.columns) == (25, 80)


@pytest.mark.parametrize(
    ("address", "row", "column", "visible"),
    [(0, 0, 0, True), (85, 1, 5, True), (1999, 24, 79, True), (2000, 25, 0, False)],
)
def test_cursor_position(vga: Vga, address: int, row: int, column: int, visible: bool) -> None:
    place_cursor(vga, address)
    cursor = capture(vga).cursor
    assert (cursor.row, cursor.column, cursor.visible) == (row, column, visible)
    assert (cursor.top, cursor.bottom) == (13, 14)


def test_cursor_is_relative_to_the_start_address(vga: Vga) -> None:
    write_indexed(vga, 0x3D4, 0x0D, 80)
    place_cursor(vga, 165)
    assert (capture(vga).cursor.row, capture(vga).cursor.column) == (1, 5)
    place_cursor(vga, 79)
    assert not capture(vga).cursor.visible


def test_cursor_right_of_the_screen_is_not_visible(vga: Vga) -> None:
    write_indexed(vga, 0x3D4, 0x13, 0x50)  # Rows of 160 cells, of which 80 show.
    place_cursor(vga, 160 + 80)
    cursor = capture(vga).cursor
    assert (cursor.row, cursor.column, cursor.visible) == (1, 80, False)
    write_indexed(vga, 0x3D4, 0x13, 0)
    assert not capture(vga).cursor.visible


@pytest.mark.parametrize(
    ("start", "end", "visible"),
    [(0x0D, 0x0E, True), (0x2D, 0x0E, False), (0x0E, 0x0D, False), (0x10, 0x1F, False)],
)
def test_cursor_shapes_that_do_not_show(vga: Vga, start: int, end: int, visible: bool) -> None:
    write_indexed(vga, 0x3D4, 0x0A, start)
    write_indexed(vga, 0x3D4, 0x0B, end)
    assert capture(vga).cursor.visible is visible


def test_fonts_are_part_of_the_snapshot(vga: Vga, memory: memoryview) -> None:
    memory[0:0x2000] = b"\x11" * 0x2000
    memory[0x4000:0x6000] = b"\x22" * 0x2000
    assert capture(vga).fonts == (b"\x11" * 0x2000, b"\x11" * 0x2000)
    write_indexed(vga, 0x3C4, 3, 0x04)
    assert capture(vga).fonts == (b"\x11" * 0x2000, b"\x22" * 0x2000)


def test_nothing_changed_gives_the_same_snapshot(vga: Vga, memory: memoryview) -> None:
    first = capture(vga)
    assert capture(vga) is not first
    assert capture(vga, first) is first
    write_indexed(vga, 0x3D4, 0x09, 0x4F)  # Written again, the same value.
    assert capture(vga, first) is first
    memory[0x18000 + 4000] = 1  # Beyond the screen.
    assert capture(vga, first) is first


def test_every_visible_change_gives_a_new_snapshot(vga: Vga, memory: memoryview) -> None:
    def glyph() -> None:
        memory[5] ^= 1

    def cell() -> None:
        memory[0x18000 + 3999] ^= 1

    def cursor() -> None:
        place_cursor(vga, 7)

    def colour() -> None:
        vga.write(0x3C8, 7)
        for value in (1, 2, 3):
            vga.write(0x3C9, value)

    def mode() -> None:
        program(vga, COLOUR_80X50)

    screen = capture(vga)
    for change in (glyph, cell, cursor, colour, mode):
        change()
        screen, before = capture(vga, screen), screen
        assert screen is not before, change.__name__
        assert screen != before


def test_graphics_modes_have_no_text(vga: Vga, memory: memoryview) -> None:
    scribble(memory)
    attribute = bytearray(COLOUR_80X25.attribute)
    attribute[0x10] = 0x41
    program(vga, replace(COLOUR_80X25, attribute=bytes(attribute)))
    screen = capture(vga)
    assert screen.graphics
    assert (screen.text, screen.rows, screen.columns) == ("", 0, 0)
    assert screen.chars.shape == (0, 0)
    assert not screen.cursor.visible


def test_blanked_screen_keeps_its_text(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"hidden")
    write_indexed(vga, 0x3C4, 1, 0x20)
    screen = capture(vga)
    assert screen.blanked
    assert not screen.cursor.visible
    assert screen.line(0) == "hidden"


def test_blink_says_what_attribute_bit_7_does(vga: Vga) -> None:
    assert capture(vga).blink
    vga.read(0x3DA)
    vga.write(0x3C0, 0x30)
    vga.write(0x3C0, 0x04)
    assert not capture(vga).blink


def test_waiting_for_text_imports_no_numpy() -> None:
    code = "import sys, pcemu.screen; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
