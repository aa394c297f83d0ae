"""Graphics modes: a guest sets one by its BIOS and writes dots; the picture is worked out here once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcemu.frontends.cells import CellGrid
from pcemu.frontends.picture import NOT_DRAWN, render
from pcemu.frontends.window.painter import Painter
from pcemu.machine import Machine, MachineConfig
from tests.boot import boot_drive

DONE = "mov ax, 0x1234\nmov [0x7000], ax\nhlt\njmp $-1\n"
# Byte number n of the memory at SEGMENT becomes n + n / 256.
FILL = """
mov ax, {mode}
int 0x10
mov ax, {segment}
mov es, ax
xor di, di
next: mov ax, di
add al, ah
stosb
cmp di, {size}
jne next
xor ax, ax
mov ds, ax
"""
CYAN, MAGENTA, WHITE = (85, 255, 255), (255, 85, 255), (255, 255, 255)


def guest(mode: int, segment: int, size: int, more: str = "") -> Machine:
    """A machine whose guest has set the mode and filled its memory."""
    code = FILL.format(mode=mode, segment=segment, size=size) + more + DONE
    pc = Machine(MachineConfig(disks=[boot_drive(code)]))
    memory = pc.memory.view(range(0x7000, 0x7002))
    pc.run_until(lambda: bytes(memory) == b"\x34\x12")
    return pc


def value(offset: int) -> int:
    return offset + (offset >> 8) & 0xFF


def enlarged(dots: list[list[tuple[int, int, int]]], across: int, down: int) -> NDArray[np.uint8]:
    return np.array(dots, np.uint8).repeat(down, axis=0).repeat(across, axis=1)


def test_mode_13() -> None:
    with guest(0x13, 0xA000, 64000) as pc:
        colours = pc.vga.dac.rgb
        wanted = [[colours(value(320 * y + x)) for x in range(320)] for y in range(200)]
        assert (render(pc.screen) == enlarged(wanted, 2, 2)).all()
        assert pc.screen.text == ""


def test_mode_4() -> None:
    with guest(0x04, 0xB800, 16384) as pc:
        palette = [(0, 0, 0), CYAN, MAGENTA, WHITE]

        def dot(x: int, y: int) -> tuple[int, int, int]:
            byte = value(y % 2 * 8192 + y // 2 * 80 + x // 4)
            return palette[byte >> 6 - x % 4 * 2 & 3]

        wanted = [[dot(x, y) for x in range(320)] for y in range(200)]
        assert (render(pc.screen) == enlarged(wanted, 2, 2)).all()


def test_mode_6() -> None:
    with guest(0x06, 0xB800, 16384) as pc:

        def dot(x: int, y: int) -> tuple[int, int, int]:
            byte = value(y % 2 * 8192 + y // 2 * 80 + x // 8)
            return WHITE if byte >> 7 - x % 8 & 1 else (0, 0, 0)

        wanted = [[dot(x, y) for x in range(640)] for y in range(200)]
        assert (render(pc.screen) == enlarged(wanted, 1, 2)).all()


def test_a_screen_that_begins_elsewhere() -> None:
    start = "mov dx, 0x3D4\nmov ax, 0x500D\nout dx, ax\n"  # 50h × 4 bytes: a line
    with guest(0x13, 0xA000, 64000, start) as pc:
        colour = pc.vga.dac.rgb
        picture = render(pc.screen)
        assert tuple(picture[0, 0]) == colour(value(320))
        assert tuple(picture[398, 638]) == colour(0), "where nothing was written"


@pytest.mark.parametrize("mode", [0x0D, 0x0E, 0x10, 0x11, 0x12])
def test_modes_in_planes_say_that_they_are_not_drawn(mode: int) -> None:
    with guest(mode, 0xA000, 1024) as pc:
        picture = render(pc.screen)
        assert picture.shape[:2] == (pc.vga.mode.height, pc.vga.mode.width)
        grid = CellGrid(1, len(NOT_DRAWN), 0x07)
        grid.put(0, 0, NOT_DRAWN)
        dots = grid.dots()
        top, left = (picture.shape[0] - 16) // 2, (picture.shape[1] - dots.shape[1]) // 2
        assert (picture[top : top + 16, left : left + dots.shape[1]] == dots).all()


def test_back_to_text() -> None:
    with guest(0x13, 0xA000, 64000, "mov ax, 3\nint 0x10\nmov ax, 0x0E52\nint 0x10\n") as pc:
        assert pc.screen.text.strip() == "R"
        assert render(pc.screen).any()


def test_a_screenshot_and_the_windows_painter(tmp_path: Path) -> None:
    with guest(0x13, 0xA000, 64000) as pc:
        pc.screenshot(tmp_path / "shot.png")
        assert (np.asarray(Image.open(tmp_path / "shot.png")) == render(pc.screen)).all()
        canvases: list[NDArray[np.uint32]] = []

        def canvas(size: tuple[int, int]) -> NDArray[np.uint32]:
            canvases.append(np.zeros(size[::-1], np.uint32))
            return canvases[-1]

        painter = Painter(canvas, (16, 8, 0))
        assert [tuple(area) for area in painter.update(pc.screen, 0, None)] == [(0, 0, 640, 400)]
        assert painter.size == (640, 400)
        wanted = render(pc.screen).astype(np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32)
        assert (canvases[-1] == wanted).all()
        assert painter.update(pc.screen, 1, None) == []
        pc.memory.view(range(0xA0000, 0xA0001))[0] = 15
        assert painter.update(pc.screen, 1, None) != []
        assert canvases[-1][0, 0] == 0xFFFFFF
