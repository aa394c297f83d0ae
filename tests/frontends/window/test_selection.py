"""Text marked with the mouse."""

from __future__ import annotations

import dataclasses

import pytest

from pcemu.devices.vga import Vga
from pcemu.frontends.window.selection import Selection
from pcemu.screen import TextScreen, capture
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import COLOUR_80X25, load_palette, program, put


@pytest.fixture
def screen() -> TextScreen:
    memory = memoryview(bytearray(0x20000))
    vga = Vga(FakeClock(), memory)
    program(vga, COLOUR_80X25)
    load_palette(vga)
    for row, text in enumerate((b"first line", b"", b"third \xb0\xdb line")):
        put(memory, row, 0, text)
    return capture(vga)


@pytest.mark.parametrize(
    ("anchor", "end", "text"),
    [
        ((0, 0), (0, 4), "first"),
        ((0, 4), (0, 0), "first"),
        ((0, 6), (2, 4), "line\n\nthird"),
        ((2, 6), (0, 6), "line\n\nthird ░"),
        ((0, 0), (0, 79), "first line"),
        ((2, 6), (2, 7), "░█"),
        ((20, 0), (30, 5), "\n\n\n\n"),
    ],
)
def test_text(screen: TextScreen, anchor: tuple[int, int], end: tuple[int, int], text: str) -> None:
    assert Selection(anchor, end).text(screen) == text


def test_the_mask_holds_the_cells_of_the_text() -> None:
    mask = Selection((1, 78), (2, 1)).mask(25, 80)
    assert mask.sum() == 4
    assert mask[1, 78:].all()
    assert mask[2, :2].all()
    assert (mask == Selection((2, 1), (1, 78)).mask(25, 80)).all()


def test_it_is_a_value() -> None:
    assert Selection((0, 0), (1, 1)) == dataclasses.replace(Selection((0, 0), (2, 2)), end=(1, 1))
