"""Terminal frames, read back by pyte: what a terminal shows after them must be what the guest shows."""

from __future__ import annotations

import re
from random import Random

import pyte
import pytest

from pcemu.devices.vga import Vga
from pcemu.frontends.ansi import diff
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


class Terminal:
    """A terminal of its own making: pyte, and what it shows."""

    def __init__(self, columns: int = 80, rows: int = 25) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.shown: TextScreen | None = None

    def show(self, screen: TextScreen) -> str:
        """Bring the terminal up to date; returns what was sent."""
        sent = diff(self.shown, screen)
        self.stream.feed(sent)
        self.shown = screen
        return sent

    def cells(self) -> list[tuple[str, str, str, bool]]:
        """Glyph, foreground, background and blinking of each cell."""
        size = self.screen
        found = (size.buffer[row][column] for row in range(size.lines) for column in range(size.columns))
        return [(cell.data, normal(cell.fg), normal(cell.bg), cell.blink) for cell in found]

    def cursor(self) -> tuple[int, int] | None:
        cursor = self.screen.cursor
        return None if cursor.hidden else (cursor.y, cursor.x)


def normal(name: str) -> str:
    """pyte spells one bright colour in two ways."""
    return name.replace("bfightmagenta", "brightmagenta")


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


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(0x20000))


@pytest.fixture
def vga(memory: memoryview) -> Vga:
    vga = Vga(FakeClock(), memory)
    program(vga, COLOUR_80X25)
    load_palette(vga)
    return vga


def set_mode_control(vga: Vga, value: int) -> None:
    vga.read(0x3DA)
    vga.write(0x3C0, 0x30)
    vga.write(0x3C0, value)


@pytest.mark.parametrize("mode_control", [0x0C, 0x04], ids=["blinking", "bright backgrounds"])
def test_all_glyphs_and_attributes(vga: Vga, memory: memoryview, mode_control: int) -> None:
    scribble(memory)
    for code in range(256):
        put(memory, code // 64, code % 64, bytes([code]), code)
    set_mode_control(vga, mode_control)
    terminal = Terminal()
    terminal.show(capture(vga))
    assert terminal.cells() == expected_cells(capture(vga))


@pytest.mark.parametrize("seed", range(6))
def test_changes_bring_the_terminal_up_to_date(vga: Vga, memory: memoryview, seed: int) -> None:
    random = Random(seed)
    scribble(memory, seed)
    terminal = Terminal()
    for _ in range(12):
        for _ in range(random.choice((0, 1, 5, 100))):
            memory[0x18000 + random.randrange(4000)] = random.randrange(256)
        if random.random() < 0.2:
            write_indexed(vga, 0x3D4, 0x0D, random.randrange(256))
        if random.random() < 0.2:
            set_mode_control(vga, random.choice((0x0C, 0x04)))
        if random.random() < 0.2:
            write_indexed(vga, 0x3C4, 1, random.choice((0x00, 0x00, 0x20)))
        write_indexed(vga, 0x3D4, 0x0A, random.choice((0x0D, 0x2D)))
        write_indexed(vga, 0x3D4, 0x0F, random.randrange(256))
        screen = capture(vga, terminal.shown)
        terminal.show(screen)
        if screen.blanked:
            assert {cell[0] for cell in terminal.cells()} == {" "}
            assert {cell[2] for cell in terminal.cells()} == {"black"}
        else:
            assert terminal.cells() == expected_cells(screen)
        place = (screen.cursor.row, screen.cursor.column)
        assert terminal.cursor() == (place if screen.cursor.visible else None)


def test_nothing_is_sent_when_nothing_changed(vga: Vga, memory: memoryview) -> None:
    scribble(memory)
    screen = capture(vga)
    assert diff(screen, screen) == ""
    memory[0] ^= 1  # A dot of the font, which no terminal shows.
    assert capture(vga) != screen
    assert diff(screen, capture(vga)) == ""


def test_only_changed_cells_are_sent(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"x" * 2000)
    before = capture(vga)
    put(memory, 5, 10, b"AB", 0x1F)
    put(memory, 5, 20, b"C", 0x1F)
    put(memory, 24, 79, b"D", 0x1F)
    sent = diff(before, capture(vga))
    assert "".join(re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", sent)) == "ABCD"
    assert re.findall(r"\x1b\[(\d+;\d+)H", sent) == ["6;11", "6;21", "25;80", "1;1"]


def test_cursor_moves_alone_send_no_cells(vga: Vga) -> None:
    before = capture(vga)
    write_indexed(vga, 0x3D4, 0x0F, 82)
    assert diff(before, capture(vga)) == "\x1b[2;3H\x1b[3 q\x1b[?25h"
    write_indexed(vga, 0x3D4, 0x0A, 0x20)
    assert diff(before, capture(vga)) == "\x1b[?25l"


def test_block_cursor(vga: Vga) -> None:
    write_indexed(vga, 0x3D4, 0x0A, 0)
    assert "\x1b[1 q" in diff(None, capture(vga))


def test_other_modes_start_afresh(vga: Vga, memory: memoryview) -> None:
    scribble(memory)
    terminal = Terminal(80, 50)
    terminal.show(capture(vga))
    program(vga, COLOUR_80X50)
    terminal.show(capture(vga))
    assert terminal.cells() == expected_cells(capture(vga))
    program(vga, COLOUR_40X25)
    terminal.show(capture(vga))
    assert terminal.screen.display[0][40:].strip() == ""
    assert terminal.screen.display[25].strip() == ""
    set_mode_control(vga, 0x41)
    terminal.show(capture(vga))
    assert "".join(terminal.screen.display).strip() == ""
    assert terminal.cursor() is None


def test_small_terminals_show_a_part(vga: Vga, memory: memoryview) -> None:
    for row in range(25):
        put(memory, row, 0, b"row %2d" % row + b"." * 73)
    write_indexed(vga, 0x3D4, 0x0E, 24 * 80 >> 8)
    write_indexed(vga, 0x3D4, 0x0F, 24 * 80 + 3 & 0xFF)
    screen = capture(vga)
    terminal = Terminal(60, 20)
    terminal.stream.feed(diff(None, screen, size=(20, 60)))
    assert terminal.screen.display == [f"row {row:2}".ljust(60, ".") for row in range(20)]
    assert terminal.cursor() is None
    terminal.stream.feed(diff(None, screen, size=(20, 60), top=5))
    assert terminal.screen.display == [f"row {row:2}".ljust(60, ".") for row in range(5, 25)]
    assert terminal.cursor() == (19, 3)
    put(memory, 6, 1, b"O")
    terminal.stream.feed(diff(screen, capture(vga), size=(20, 60), top=5))
    assert terminal.screen.display[1].startswith("rOw  6")


def test_changed_palette_shows_the_nearest_colours(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, b"A", 0x07)
    vga.write(0x3C8, 7)
    for value in (0x3F, 0x10, 0x12):
        vga.write(0x3C9, value)
    terminal = Terminal()
    terminal.show(capture(vga))
    assert terminal.cells()[0] == ("A", "brightred", "black", False)
    load_palette(vga)
    terminal.show(capture(vga))
    assert terminal.cells()[0] == ("A", "white", "black", False)


def test_mono_underlines_and_uses_greys(memory: memoryview) -> None:
    vga = Vga(FakeClock(), memory)
    program(vga, MONO_80X25)
    for index, level in ((0x08, 0x2A), (0x18, 0x3F)):
        vga.write(0x3C8, index)
        for _ in range(3):
            vga.write(0x3C9, level)
    memory[0x10000:0x10008] = b"a\x07b\x01c\x0fd\x70"
    terminal = Terminal()
    terminal.show(capture(vga))
    cells = [terminal.screen.buffer[0][column] for column in range(4)]
    assert [(cell.data, cell.fg, cell.bg, cell.underscore) for cell in cells] == [
        ("a", "white", "black", False),
        ("b", "white", "black", True),
        ("c", "brightwhite", "black", False),
        ("d", "black", "white", False),
    ]
