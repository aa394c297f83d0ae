"""What the terminal is to show, cell by cell, and what it then shows: pyte tells, urwid is between."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from random import Random

import numpy as np
import pyte
import pytest

from pcemu.devices.vga import Vga
from pcemu.frontends.cells import CellGrid
from pcemu.frontends.terminal.canvas import OWN, Canvas, Look, looks, view_origin
from pcemu.frontends.terminal.display import Display
from pcemu.screen import TextScreen, capture
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import (
    COLOUR_40X25,
    COLOUR_80X25,
    COLOUR_80X50,
    MONO_80X25,
    load_palette,
    program,
    put,
    scribble,
    write_indexed,
)

# What pyte calls the 16 colours, in the order of the PC's attributes.
DARK = ["black", "blue", "green", "cyan", "red", "magenta", "brown", "white"]
COLOURS = DARK + [f"bright{name}" for name in DARK]
CRTC = 0x3D4


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(0x20000))


@pytest.fixture
def vga(memory: memoryview) -> Vga:
    vga = Vga(FakeClock(), memory)
    program(vga, COLOUR_80X25)
    load_palette(vga)
    return vga


class Terminal:
    """A pseudo terminal with pyte behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, colours: str = "") -> None:
        self._master, slave = os.openpty()
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLORTERM", colours)
        self._slave = io.TextIOWrapper(os.fdopen(slave, "r+b", 0))
        monkeypatch.setattr(sys, "stdin", self._slave)
        monkeypatch.setattr(sys, "stdout", self._slave)
        os.set_blocking(self._master, False)
        self.screen = pyte.Screen(80, 25)
        self._stream = pyte.ByteStream(self.screen)
        self.display = Display()
        self.display.open()
        self.taken()

    def close(self) -> None:
        self.display.close()
        self._slave.close()
        os.close(self._master)

    def taken(self) -> bytes:
        """What was sent since the last look."""
        data = b""
        try:
            while piece := os.read(self._master, 65536):
                data += piece
        except BlockingIOError:
            pass
        self._stream.feed(data.replace(b"\x1b[?4m", b""))  # which pyte cannot read
        return data

    def show(self, canvas: Canvas, screen: TextScreen) -> bytes:
        # A frame may be larger than what the pseudo terminal holds.
        sent, write = b"", os.write

        def piecewise(descriptor: int, data: bytes) -> int:
            nonlocal sent
            done = write(descriptor, data[:1024])
            sent += self.taken()
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", piecewise)
            self.display.show(canvas, looks(screen.mode))
        return sent + self.taken()

    def cells(self) -> list[tuple[str, str, str, bool]]:
        """Glyph, foreground, background and blinking of each cell."""
        found = (self.screen.buffer[row][column] for row in range(25) for column in range(80))
        return [(cell.data, normal(cell.fg), normal(cell.bg), cell.blink) for cell in found]


def normal(name: str) -> str:
    """pyte spells one bright colour in two ways."""
    return name.replace("bfightmagenta", "brightmagenta")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal(monkeypatch)
    yield terminal
    terminal.close()


def expected_cells(screen: TextScreen) -> list[tuple[str, str, str, bool]]:
    """The same from the snapshot, by the meaning of the attribute bits."""
    cells = []
    for code, attribute in zip(screen.cells[::2], screen.cells[1::2], strict=True):
        glyph = bytes([code]).decode("cp437")
        if code < 32 or code == 127:
            glyph = "⌂" if code == 127 else " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"[code]
        paper = attribute >> 4 & (7 if screen.blink else 15)
        blinks = bool(attribute & 0x80) and screen.blink
        cells.append((glyph, COLOURS[attribute & 15], COLOURS[paper], blinks))
    return cells


def canvas_of(screen: TextScreen) -> Canvas:
    canvas = Canvas(25, 80)
    canvas.put_screen(screen, (0, 0), (25, 80))
    return canvas


@pytest.mark.parametrize("blink", [True, False])
def test_every_character_in_every_colour(
    terminal: Terminal, vga: Vga, memory: memoryview, blink: bool
) -> None:
    vga.read(0x3DA)
    for value in (0x10, 0x0C if blink else 0x04, 0x20):  # attribute mode control
        vga.write(0x3C0, value)
    text = memory[0x18000 : 0x18000 + 4000]
    random = Random(1)
    for cell in range(2000):
        text[2 * cell], text[2 * cell + 1] = (cell % 256, random.randrange(256))
    screen = capture(vga)
    assert screen.blink is blink
    terminal.show(canvas_of(screen), screen)
    assert terminal.cells() == expected_cells(screen)


def test_only_changed_rows_are_sent(terminal: Terminal, vga: Vga, memory: memoryview) -> None:
    scribble(memory, 3)
    first = capture(vga)
    assert len(terminal.show(canvas_of(first), first)) > 2000
    assert terminal.show(canvas_of(first), first) == b""
    put(memory, 10, 5, b"changed", 0x1E)
    second = capture(vga, first)
    sent = terminal.show(canvas_of(second), second)
    assert b"changed" in sent
    assert len(sent) < 80 * 40  # one row, and no cell of it dearer than its colours
    assert terminal.cells() == expected_cells(second)


def test_the_cursor_has_its_place_and_shape(terminal: Terminal, vga: Vga) -> None:
    screen = capture(vga)
    for place, top, shape in ((5 * 80 + 7, 13, b"\x1b[3 q"), (24 * 80 + 79, 1, b"\x1b[1 q")):
        write_indexed(vga, CRTC, 0x0E, place >> 8)
        write_indexed(vga, CRTC, 0x0F, place & 0xFF)
        write_indexed(vga, CRTC, 0x0A, top)
        screen = capture(vga)
        assert shape in terminal.show(canvas_of(screen), screen)
        assert not terminal.screen.cursor.hidden
        assert (terminal.screen.cursor.y, terminal.screen.cursor.x) == divmod(place, 80)
    write_indexed(vga, CRTC, 0x0A, 0x20)
    screen = capture(vga)
    terminal.show(canvas_of(screen), screen)
    assert terminal.screen.cursor.hidden


def test_true_colours_are_the_guests_own(
    monkeypatch: pytest.MonkeyPatch, vga: Vga, memory: memoryview
) -> None:
    terminal = Terminal(monkeypatch, "truecolor")
    try:
        put(memory, 0, 0, b"brown", 0x06)
        screen = capture(vga)
        sent = terminal.show(canvas_of(screen), screen)
        assert b"38;2;170;85;0" in sent
    finally:
        terminal.close()


# -- without a terminal


def test_our_own_texts_lie_over_the_screen_and_hide_its_cursor(vga: Vga, memory: memoryview) -> None:
    scribble(memory, 5)
    screen = capture(vga)
    canvas = canvas_of(screen)
    assert canvas.cursor is not None
    grid = CellGrid(2, 10, 0x4E)
    grid.put(0, 0, "over")
    canvas.put(grid, (3, 75), modal=True)  # cut off at the edge
    assert canvas.cursor is None
    assert canvas.text.split("\n")[3][75:] == "over"
    assert canvas.runs(3)[-1] == (OWN + 0x4E, "over ")
    canvas.put(grid, (-1, 0))
    assert canvas.runs(0)[0] == (OWN + 0x4E, " " * 10)


def test_a_blanked_screen_is_black(vga: Vga, memory: memoryview) -> None:
    scribble(memory, 5)
    write_indexed(vga, 0x3C4, 1, 0x20)
    screen = capture(vga)
    assert screen.blanked
    canvas = canvas_of(screen)
    assert canvas.text.strip() == ""
    assert looks(screen.mode)[canvas.runs(0)[0][0]].paper == (0, 0, 0)
    assert canvas.cursor is None


@pytest.mark.parametrize(("mode", "size"), [(COLOUR_40X25, (25, 40)), (COLOUR_80X50, (50, 80))])
def test_other_sizes_of_text(vga: Vga, memory: memoryview, mode: object, size: tuple[int, int]) -> None:
    program(vga, mode)  # type: ignore[arg-type]
    load_palette(vga)
    scribble(memory, 5)
    screen = capture(vga)
    canvas = Canvas(60, 100)
    canvas.put_screen(screen, (0, 0), (60, 100))
    assert canvas.text.split("\n")[size[0] - 1][: size[1]].rstrip() == screen.line(size[0] - 1).rstrip()
    assert canvas.runs(size[0]) == [(OWN + 7, " " * 100)]


def test_underlined_in_monochrome(memory: memoryview) -> None:
    vga = Vga(FakeClock(), memory)
    program(vga, MONO_80X25)
    load_palette(vga)
    table = looks(capture(vga).mode)
    assert table[0x01].underline and not table[0x07].underline
    assert table[OWN + 0x1E] == Look((255, 255, 85), (0, 0, 170))


@pytest.mark.parametrize(
    ("cursor", "size", "before", "expected"),
    [
        ((0, 0), (25, 80), (0, 0), (0, 0)),
        ((24, 79), (50, 120), (0, 0), (0, 0)),
        ((24, 0), (10, 80), (0, 0), (15, 0)),
        ((5, 0), (10, 80), (15, 0), (5, 0)),
        ((12, 70), (10, 40), (5, 0), (5, 31)),
        ((12, 10), (10, 40), (5, 31), (5, 10)),
    ],
)
def test_a_part_with_the_cursor_is_shown(
    vga: Vga,
    cursor: tuple[int, int],
    size: tuple[int, int],
    before: tuple[int, int],
    expected: tuple[int, int],
) -> None:
    write_indexed(vga, CRTC, 0x0E, cursor[0] * 80 + cursor[1] >> 8)
    write_indexed(vga, CRTC, 0x0F, cursor[0] * 80 + cursor[1] & 0xFF)
    assert view_origin(capture(vga), size, before) == expected


def test_a_picture_in_half_blocks(vga: Vga) -> None:
    canvas = Canvas(26, 64)
    dots = np.zeros((200, 320, 3), np.uint8)
    dots[:100, :160] = 255, 0, 0
    dots[100:, 160:] = 0, 0, 255
    canvas.put_picture(dots)
    table = canvas.looks(capture(vga).mode)
    black, red, blue = ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (255, 0, 0)), ((0, 0, 255), (0, 0, 255))
    for row in range(24):
        left, right = (red, black) if row < 12 else (black, blue)
        runs = [(table[look], text) for look, text in canvas.runs(row)]
        assert runs == [(Look(*left), "▀" * 32), (Look(*right), "▀" * 32)]
    assert "▀" not in canvas.text.split("\n")[24]


@pytest.mark.parametrize("size", [(1, 1), (10, 40), (25, 80), (60, 40)])
def test_a_picture_fits_any_terminal(vga: Vga, size: tuple[int, int]) -> None:
    canvas = Canvas(*size)
    canvas.put_picture(np.random.default_rng(1).integers(0, 256, (400, 640, 3), np.uint8))
    table = canvas.looks(capture(vga).mode)
    assert all(look < len(table) for row in range(size[0]) for look, _ in canvas.runs(row))
