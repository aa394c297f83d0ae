"""The painter against :func:`render`, which draws all anew: whatever happens, both agree to the dot."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from pcemu.devices.vga import Vga
from pcemu.frontends.picture import render
from pcemu.frontends.window.layout import Rect
from pcemu.frontends.window.painter import Painter
from pcemu.frontends.window.selection import Selection
from pcemu.screen import TextScreen, capture
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import (
    COLOUR_40X25,
    COLOUR_80X25,
    COLOUR_80X43,
    COLOUR_80X50,
    MONO_80X25,
    load_palette,
    program,
    scribble,
    write_indexed,
)

COLOUR_TEXT = 0x18000
MODES = [COLOUR_80X25, COLOUR_40X25, COLOUR_80X43, COLOUR_80X50, MONO_80X25]
SHIFTS = (16, 8, 0)


class Window:
    """What a user would see: the parts of the picture that the painter said had changed."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(0x20000))
        self.vga = Vga(FakeClock(), self.memory)
        self.areas: list[Rect] = []
        self._screen: TextScreen | None = None
        self.painter = Painter(self._canvas, SHIFTS)

    def _canvas(self, size: tuple[int, int]) -> NDArray[np.uint32]:
        self._pixels = np.full(size[::-1], 0xABCDEF, np.uint32)
        self.seen = np.zeros((size[1], size[0]), np.uint32)
        return self._pixels

    def update(self, phase: int = 0, selection: Selection | None = None) -> None:
        self._screen = capture(self.vga, self._screen)
        self.areas = self.painter.update(self._screen, phase, selection)
        for x, y, width, height in self.areas:
            part = np.s_[y : y + height, x : x + width]
            self.seen[part] = self._pixels[part]

    def expect(self, phase: int = 0, selection: Selection | None = None) -> None:
        screen = capture(self.vga)
        dots = render(screen, phase)
        if selection is not None:
            marked = selection.mask(screen.rows, screen.columns)
            lines, width = screen.mode.cell_height, screen.mode.width // screen.columns
            inverted = marked.repeat(lines, axis=0).repeat(width, axis=1)[: screen.mode.height]
            dots[inverted] ^= 255
        seen = np.stack([self.seen >> shift & 0xFF for shift in SHIFTS], axis=-1)
        assert seen.shape == dots.shape
        assert (seen == dots).all()

    def poke(self, row: int, column: int, char: int, attribute: int) -> None:
        at = COLOUR_TEXT + 2 * (row * 80 + column)
        self.memory[at : at + 2] = bytes((char, attribute))


@pytest.fixture
def window() -> Window:
    window = Window()
    program(window.vga, COLOUR_80X25)
    load_palette(window.vga)
    scribble(window.memory, 1)
    return window


def move_cursor(vga: Vga, address: int) -> None:
    write_indexed(vga, 0x3D4, 0x0E, address >> 8)
    write_indexed(vga, 0x3D4, 0x0F, address & 0xFF)


@pytest.mark.parametrize("seed", range(4))
def test_any_history_ends_with_the_picture_that_there_is(window: Window, seed: int) -> None:
    random = Random(seed)
    for step in range(60):
        what = random.randrange(12)
        if what == 0:
            program(window.vga, random.choice(MODES))
            load_palette(window.vga)
        elif what == 1:
            window.memory[random.randrange(0x2000)] = random.randrange(256)  # a glyph
        elif what == 2:
            scribble(window.memory, step)
        elif what == 3:
            window.vga.write(0x3C8, random.randrange(16))
            window.vga.write(0x3C9, random.randrange(64))
        elif what in (4, 5):
            move_cursor(window.vga, random.randrange(2100))
        else:
            for _ in range(random.randrange(1, 40)):
                at = random.randrange(COLOUR_TEXT, COLOUR_TEXT + 4000)
                window.memory[at] = random.randrange(256)
        phase = random.randrange(4)
        ends = sorted((random.randrange(25), random.randrange(40)) for _ in range(2))
        selection = Selection(ends[0], ends[1]) if random.random() < 0.3 else None
        window.update(phase, selection)
        window.expect(phase, selection)


def test_nothing_new_is_nothing_to_draw(window: Window) -> None:
    window.update()
    assert window.areas == [Rect(0, 0, 720, 400)]
    window.update()
    assert window.areas == []


def test_one_character_is_one_cell(window: Window) -> None:
    window.update()
    window.poke(3, 10, 0x41, 0x1F)
    window.update()
    assert window.areas == [Rect(90, 48, 9, 16)]
    window.expect()


def test_rows_that_do_not_touch_are_drawn_apart(window: Window) -> None:
    window.update()
    for row in (2, 3, 20):
        window.poke(row, row, 0x41 + row, 0x1F)
    window.update()
    assert window.areas == [Rect(18, 32, 18, 32), Rect(180, 320, 9, 16)]


def test_a_blinking_cursor_is_one_cell(window: Window) -> None:
    write_indexed(window.vga, 0x3D4, 0x0A, 0x00)
    write_indexed(window.vga, 0x3D4, 0x0B, 0x0F)
    move_cursor(window.vga, 85)
    for row in range(25):
        for column in range(80):
            window.poke(row, column, 0x20, 0x07)
    window.update(0)
    window.update(1)
    assert window.areas == [Rect(45, 16, 9, 16)]


def test_a_blanked_screen_is_black_and_comes_back(window: Window) -> None:
    window.update()
    clocking = window.vga.sequencer[1]
    write_indexed(window.vga, 0x3C4, 1, clocking | 0x20)
    window.update()
    assert not window.seen.any()
    window.update(1)
    assert window.areas == []
    write_indexed(window.vga, 0x3C4, 1, clocking)
    window.update(1)
    window.expect(1)


def test_a_machine_that_was_just_switched_on_shows_nothing() -> None:
    window = Window()
    window.update()
    assert window.painter.size == (720, 400)
    assert not window.seen.any()
