"""The renderer against a second one that goes from the registers to the picture dot by dot.

:func:`dot` reads the register files and guest memory itself and shares nothing with the product but those.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from pcemu.devices.vga import Vga
from pcemu.errors import UsageError
from pcemu.frontends.picture import draw_cells, render, save_png
from pcemu.screen import capture
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
    scribble,
    write_indexed,
)

Colour = tuple[int, ...]


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(0x20000))


@pytest.fixture
def vga(memory: memoryview) -> Vga:
    vga = Vga(FakeClock(), memory)
    program(vga, COLOUR_80X25)
    load_palette(vga)
    return vga


def dot(vga: Vga, memory: memoryview, phase: int, x: int, y: int) -> Colour:
    """The colour at column x of scan line y."""
    crtc, attribute, maps = vga.crtc, vga.attribute, vga.sequencer[3]
    clocking, control = vga.sequencer[1], attribute[0x10]
    if clocking & 0x08:
        x //= 2
    if crtc[0x09] & 0x80:
        y //= 2
    column, x = divmod(x, 8 if clocking & 1 else 9)
    row, y = divmod(y, crtc[0x09] % 32 + 1)
    address = crtc[0x0C] * 256 + crtc[0x0D] + row * crtc[0x13] * 2 + column
    at = (0x18000 if vga.misc & 1 else 0x10000) + address * 2 % 0x8000
    char, attr = memory[at], memory[at + 1]

    a, b = (maps & 0x0C) >> 2 | (maps & 0x20) >> 3, maps & 0x03 | (maps & 0x10) >> 2
    font = (0, 16, 32, 48, 8, 24, 40, 56)[a if attr & 0x08 else b] * 1024
    bits = memory[font + char * 32 + y]
    lit = bool(bits & 0x80 >> x)
    if x == 8:
        lit = bool(bits & 1 and control & 0x04 and 0xC0 <= char <= 0xDF)
    if y == crtc[0x14] % 32 and attr & 0x77 == 0x01:
        lit = True
    paper = attr >> 4
    if control & 0x08:
        paper &= 7
        if attr & 0x80 and phase in (2, 3):
            lit = False
    if (
        address == crtc[0x0E] * 256 + crtc[0x0F]
        and not crtc[0x0A] & 0x20
        and crtc[0x0A] % 32 <= y <= crtc[0x0B] % 32
        and phase in (0, 2)
    ):
        lit = True
    index = attribute[(attr & 15 if lit else paper) & attribute[0x12]] & 0x3F
    if control & 0x80:
        index = index & 0x0F | (attribute[0x14] & 3) << 4
    index = (index | (attribute[0x14] & 12) << 4) & vga.dac.mask
    return tuple(v * 4 + v // 16 for v in vga.dac.colours[index * 3 : index * 3 + 3])


def small(registers: Registers, columns: int, lines: int) -> Registers:
    """The same mode with fewer columns and scan lines, so that each dot can be checked."""
    return registers.with_crtc({0x01: columns - 1, 0x13: columns // 2, 0x12: lines - 1, 0x07: 0x1D})


@pytest.mark.parametrize("phase", range(4))
@pytest.mark.parametrize(
    "registers",
    [
        small(COLOUR_80X25, 12, 48),
        small(COLOUR_40X25, 8, 32),
        small(COLOUR_80X28, 10, 42),
        small(COLOUR_80X43, 20, 24),
        small(COLOUR_80X50, 12, 24),
        small(MONO_80X25, 14, 48),
        small(COLOUR_80X25, 12, 40),  # Half of the third row.
        small(COLOUR_80X25.with_crtc({0x09: 0xC7, 0x0A: 1, 0x0B: 5}), 10, 48),  # Double scanned.
    ],
    ids=["80x25", "40x25", "28 rows", "43 rows", "50 rows", "mono", "cut row", "double scan"],
)
def test_every_dot_of_each_mode(vga: Vga, memory: memoryview, registers: Registers, phase: int) -> None:
    scribble(memory, seed=phase)
    program(vga, registers)
    load_palette(vga)
    text = 0x18000 if registers.misc & 1 else 0x10000
    memory[text : text + 12] = b"\xc0\x07\xdf\x8f\x41\x01\x41\x89\xbf\x07\xe0\x17"
    write_indexed(vga, 0x3D4 if registers.misc & 1 else 0x3B4, 0x0F, 5)
    compare(vga, memory, phase)


@pytest.mark.parametrize("seed", range(16))
def test_every_dot_of_random_registers(vga: Vga, memory: memoryview, seed: int) -> None:
    random = Random(seed)
    scribble(memory, seed)
    program(vga, small(COLOUR_80X25, random.randint(1, 9), random.randint(8, 40)))
    vga.write(0x3C8, 0)
    for value in random.randbytes(768):
        vga.write(0x3C9, value)
    vga.write(0x3C6, random.choice((0xFF, 0xFF, 0x7B)))
    bottom = random.randrange(32)
    for index, value in (
        (0x09, random.choice((0, 0x80)) | random.randrange(32)),
        (0x0A, random.randint(0, bottom)),
        (0x0B, bottom),
        (0x0C, random.randrange(256)),
        (0x0D, random.randrange(256)),
        (0x13, random.randint(5, 60)),
        (0x14, random.randrange(32)),
    ):
        write_indexed(vga, 0x3D4, index, value)
    cursor = vga.start_address + random.randrange(12) & 0xFFFF
    write_indexed(vga, 0x3D4, 0x0E, cursor >> 8)
    write_indexed(vga, 0x3D4, 0x0F, cursor & 0xFF)
    write_indexed(vga, 0x3C4, 0x01, random.choice((0x00, 0x01, 0x08, 0x09)))
    write_indexed(vga, 0x3C4, 0x03, random.randrange(64))
    vga.read(0x3DA)
    for index in range(16):
        vga.write(0x3C0, index)
        vga.write(0x3C0, random.randrange(64))
    for index, value in ((0x10, random.randrange(256) & 0xEE), (0x12, random.randrange(16))):
        vga.write(0x3C0, index)
        vga.write(0x3C0, value)
    vga.write(0x3C0, 0x34)
    vga.write(0x3C0, random.randrange(16))
    compare(vga, memory, random.randrange(4))


def compare(vga: Vga, memory: memoryview, phase: int) -> None:
    picture = render(capture(vga), phase)
    height, width = picture.shape[:2]
    dots = [[dot(vga, memory, phase, x, y) for x in range(width)] for y in range(height)]
    expected = np.array(dots, np.uint8)
    assert len(np.unique(expected)) > 1
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(
    ("registers", "height", "width"),
    [
        (COLOUR_80X25, 400, 720),
        (COLOUR_40X25, 400, 720),
        (COLOUR_80X28, 392, 720),
        (COLOUR_80X43, 344, 640),
        (COLOUR_80X50, 400, 720),
    ],
)
def test_whole_pictures_have_the_size_of_the_mode(
    vga: Vga, memory: memoryview, registers: Registers, height: int, width: int
) -> None:
    scribble(memory)
    program(vga, registers)
    picture = render(capture(vga))
    assert picture.shape == (height, width, 3)
    random = Random(1)
    for _ in range(500):
        x, y = random.randrange(width), random.randrange(height)
        assert tuple(picture[y, x]) == dot(vga, memory, 0, x, y)


def test_a_glyph_appears_as_drawn(vga: Vga, memory: memoryview) -> None:
    memory[0x41 * 32 : 0x41 * 32 + 4] = b"\x81\x42\x24\x18"
    put(memory, 1, 2, b"A", 0x1E)
    picture = render(capture(vga))[16:20, 18:27]
    yellow, blue = (0xFF, 0xFF, 0x55), (0, 0, 0xAA)
    art = ["#......#.", ".#....#..", "..#..#...", "...##...."]
    assert [[tuple(p) for p in line] for line in picture] == [
        [yellow if c == "#" else blue for c in line] for line in art
    ]


def test_nothing_but_plane_2_makes_glyphs(vga: Vga, memory: memoryview) -> None:
    put(memory, 0, 0, bytes(range(256)), 0x0F)
    write_indexed(vga, 0x3D4, 0x0A, 0x20)
    assert not render(capture(vga)).any()


def test_a_blanked_picture_is_black(vga: Vga, memory: memoryview) -> None:
    scribble(memory)
    assert render(capture(vga)).any()
    write_indexed(vga, 0x3C4, 1, 0x20)
    assert render(capture(vga)).shape == (400, 720, 3)
    assert not render(capture(vga)).any()


def test_a_screen_that_was_never_programmed_is_black(memory: memoryview) -> None:
    scribble(memory)
    assert not render(capture(Vga(FakeClock(), memory))).any()


@pytest.mark.parametrize("phase", range(4))
def test_cells_drawn_alone_match_the_whole(vga: Vga, memory: memoryview, phase: int) -> None:
    scribble(memory)
    write_indexed(vga, 0x3D4, 0x0F, 83)
    screen = capture(vga)
    whole = render(screen, phase)
    rows, columns = np.array([0, 1, 24, 7]), np.array([0, 3, 79, 40])
    cells = draw_cells(screen, phase, rows, columns)
    assert cells.shape == (4, 16, 9, 3)
    for cell, row, column in zip(cells, rows, columns, strict=True):
        np.testing.assert_array_equal(cell, whole[16 * row : 16 * row + 16, 9 * column : 9 * column + 9])


def test_png_holds_the_picture_and_leaves_nothing_else(tmp_path: Path, vga: Vga, memory: memoryview) -> None:
    scribble(memory)
    picture = render(capture(vga))
    path = tmp_path / "shot.png"
    path.write_bytes(b"an older file")
    save_png(picture, path)
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert list(tmp_path.iterdir()) == [path]


def test_png_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    folder = tmp_path / "folder.png"
    folder.mkdir()
    for path in (tmp_path / "missing" / "shot.png", folder, Path("/dev/null/shot.png")):
        with pytest.raises(UsageError, match=f"{path}: cannot write the screenshot: "):
            save_png(picture, path)
    with pytest.raises(UsageError, match="cannot write"):
        save_png(picture, "")
    assert list(tmp_path.iterdir()) == [folder]
