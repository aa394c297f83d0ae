"""INT 10h against an independent VGA BIOS: one guest, run on our ROM (in QEMU and in pcemu) and on SeaBIOS.

What each operation finds must be equal everywhere, but for the fields in DIFFERENT_BDA. What SeaBIOS does not
do, or does otherwise on purpose, is tested in test_video_own.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bios.video_guest import (
    BUFFER,
    CRTC,
    GRAPHICS,
    MISC_OUTPUT,
    MONO_TEXT,
    OUR_RUNS,
    SEQUENCER,
    TEXT,
    Found,
    Scenario,
    run_qemu_with_its_bios,
    run_scenarios,
)

SEABIOS = "SeaBIOS in QEMU"

DIFFERENT_BDA = {
    0x65: "SeaBIOS does not keep the image of the CGA's mode register",
    0x66: "SeaBIOS does not keep the image of the CGA's palette register",
    0x8A: "SeaBIOS keeps the display code itself, IBM an index into the table of combinations",
}

SCENARIOS: list[Callable[[Scenario], None]] = []


def scenario(build: Callable[[Scenario], None]) -> Callable[[Scenario], None]:
    SCENARIOS.append(build)
    return build


@scenario
def modes(s: Scenario) -> None:
    for mode in (0, 1, 2, 3, 0x83, 7, 3):
        s.call(mode)
        s.call(0x0F00)
        s.call(0x0300)
        s.dump(MONO_TEXT if mode == 7 else TEXT, 0, 64)


@scenario
def cursor_and_pages(s: Scenario) -> None:
    s.call(0x0003)
    for page, position in enumerate((0x0000, 0x1234, 0x184F, 0x0501)):
        s.call(0x0200, page << 8, 0, position)
    for page in range(5):
        s.call(0x0300, page << 8)
    s.index(CRTC, 0x0C, 4)
    for page in (1, 3, 2, 0):
        s.call(0x0500 | page)
        s.index(CRTC, 0x0C, 4)
        s.call(0x0F00)
    s.call(0x0200, 0, 0, 0x1900)  # below the screen: hidden
    s.index(CRTC, 0x0E, 2)
    s.call(0x0100, 0, 0x2607)
    s.call(0x0300)
    s.index(CRTC, 0x0A, 1)
    s.call(0x0100, 0, 0x0D0E)
    s.index(CRTC, 0x0A, 2)


def fill_screen(s: Scenario, rows: int = 25, columns: int = 80) -> None:
    cells = bytes(b for cell in range(rows * columns) for b in (cell % 251, cell // columns))
    s.poke(TEXT, 0, cells)


@scenario
def scrolling(s: Scenario) -> None:
    s.call(0x0003)
    windows = [(0x0000, 0x184F), (0x0505, 0x0A10), (0x0000, 0x0000), (0x1803, 0x1806), (0x0203, 0x0A03)]
    for ul, lr in windows:
        for ax in (0x0601, 0x0701, 0x0603, 0x0703, 0x0600, 0x0630, 0x0719):
            if ax == 0x0601:
                fill_screen(s)
            s.call(ax, 0x1F00, ul, lr)
            s.screen()
    fill_screen(s)
    s.call(0x0602, 0x2E00, 0x0A0A, 0x3070)  # reaches beyond the screen
    s.screen()
    s.call(0x0602, 0x2E00, 0x0A0A, 0x0505)  # no window
    s.screen()
    s.call(0x0501)  # the other page scrolls
    s.call(0x0702, 0x4100, 0x0000, 0x184F)
    s.screen(8192)


@scenario
def cells(s: Scenario) -> None:
    s.call(0x0003)
    s.call(0x0200, 0, 0, 0x034E)
    s.call(0x0941, 0x001E, 5)  # runs into the next line
    s.call(0x0800)
    s.call(0x0200, 0, 0, 0x0350)
    s.call(0x0800)
    s.call(0x0A42, 0x0070, 3)
    s.call(0x0943, 0x0055, 0)  # nothing
    s.call(0x0200, 0x0200, 0, 0x0102)
    s.call(0x0944, 0x0231, 2)  # a page that is not shown
    s.call(0x0800, 0x0200)
    s.screen(16384)


@scenario
def teletype(s: Scenario) -> None:
    s.call(0x0003)
    s.teletype(b"Hello\r\nworld\b\bXY\n\n\rZ\x07\x00\x1b\xff")
    s.screen()
    s.index(CRTC, 0x0E, 2)
    s.call(0x0200, 0, 0, 0x004D)
    s.teletype(b"wrap around")
    s.call(0x0200, 0, 0, 0x0200)
    s.teletype(b"\b\b<")
    s.call(0x0200, 0, 0, 0x184D)
    s.teletype(b"scroll\r\nagain\nand again")
    s.screen()
    s.index(CRTC, 0x0E, 2)
    for row in range(5):  # cell 256 lies in row 3: the high half of the CRTC's cursor changes
        s.call(0x0200, 0, 0, row << 8 | 14)
        s.teletype(b"ab")
        s.index(CRTC, 0x0E, 2)
    s.call(0x0502)
    s.teletype(b"page 2")
    s.call(0x0200, 0x0200, 0, 0x184E)
    s.teletype(b"end")
    s.index(CRTC, 0x0C, 4)
    s.dump(TEXT, 0x2000, 4000)
    s.call(0x0001)
    s.call(0x0200, 0, 0, 0x1826)
    s.teletype(b"40 columns\rX")
    s.screen(2000)
    s.call(0x0007)
    s.call(0x0200, 0, 0, 0x184E)
    s.teletype(b"mono")
    s.dump(MONO_TEXT, 0, 4000)


@scenario
def strings(s: Scenario) -> None:
    s.call(0x0003)
    s.poke(BUFFER, 0x20, b"plain\r\nlines\b!")
    s.poke(BUFFER, 0x40, bytes(b for i, c in enumerate(b"coloured") for b in (c, 0x10 + i)))
    s.call(0x0200, 0, 0, 0x0203)
    for mode, offset, length in ((0, 0x20, 14), (1, 0x20, 14), (2, 0x40, 8), (3, 0x40, 8)):
        s.call(0x1300 | mode, 0x004E, length, 0x0A4B + (mode << 8), bp=offset)
        s.call(0x0300)
        s.screen()
    s.call(0x1301, 0x0102, 5, 0x0404, bp=0x20)  # on page 1
    s.call(0x0300, 0x0100)
    s.screen(8192)
    s.call(0x1301, 0x0007, 7, 0x184D, bp=0x20)  # scrolls
    s.screen()


@scenario
def palette(s: Scenario) -> None:
    s.call(0x0003)
    for register in range(0x15):
        s.call(0x1007, register)
    s.call(0x1008)
    s.call(0x1000, 0x2A05)
    s.call(0x1007, 0x0005)
    s.call(0x1001, 0x0900)
    s.call(0x1008)
    s.call(0x1009, dx=0x100)
    s.dump(BUFFER, 0x100, 17)
    s.poke(BUFFER, 0x200, bytes(range(0x20, 0x30)) + b"\x03")
    s.call(0x1002, dx=0x200)
    s.call(0x1009, dx=0x100)
    s.dump(BUFFER, 0x100, 17)
    for blink in (0, 1):
        s.call(0x1003, blink)
        s.call(0x1007, 0x0010)
    s.call(0x1017, 0, 64, 0x300)
    s.dump(BUFFER, 0x300, 192)
    s.call(0x1010, 0x0011, 0x2A15, 0x3F00)
    s.call(0x1015, 0x0011)
    s.poke(BUFFER, 0x600, bytes(range(30)))
    s.call(0x1012, 0x0080, 10, 0x600)
    s.call(0x1017, 0x007F, 12, 0x700)
    s.dump(BUFFER, 0x703, 33)
    s.call(0x101B, 0x0080, 10)
    s.call(0x1017, 0x0080, 10, 0x700)
    s.dump(BUFFER, 0x700, 30)
    s.call(0x1018, 0x007F)  # QEMU's DAC has no mask to read back
    s.call(0x1018, 0x00FF)
    for bx in (0x0100, 0x0701, 0x0000, 0x0201):
        s.call(0x1013, bx)
        s.call(0x101A)
    s.call(0x1013, 0x0001)
    s.call(0x0013)
    s.call(0x1017, 0, 248, 0x300)
    s.dump(BUFFER, 0x300, 248 * 3)
    for mode in (7, 4):
        s.call(mode)
        s.call(0x1017, 0, 64, 0x300)
        s.dump(BUFFER, 0x300, 192)
    s.call(0x0003)


@scenario
def fonts(s: Scenario) -> None:
    s.call(0x0003)
    glyphs = bytes(i * 7 & 0xFF for i in range(4 * 20))
    s.poke(BUFFER, 0, glyphs)
    s.call(0x1100, 0x1402, 4, 0x0080, bp=0)
    s.call(0x1103, 0x0008)
    s.index(SEQUENCER, 3)
    s.index(SEQUENCER, 2)
    s.index(SEQUENCER, 4)
    s.index(GRAPHICS, 4, 3)
    s.call(0x1103, 0x0000)
    s.read_plane_2(0x8000 + 0x80 * 32 - 32, 6 * 32)
    for font in (1, 2, 4):
        s.call(0x1100 | font, 0x0005)
    for height in (0x10, 0x08, 0x0E):
        s.call(0x1110, height << 8, 4, 0x0080, bp=0)
    s.call(0x0003)
    s.call(0x0013)
    s.call(0x1120, 0, bp=0x123)
    s.dump(0, 0x1F * 4, 4)
    s.call(0x1121, 0x0002, 16, bp=0x456)
    s.dump(0, 0x43 * 4, 4)
    s.call(0x1121, 0x0000, 8, 30, bp=0x456)
    for font in (0x1122, 0x1123, 0x1124):
        s.call(font, 0x0003)
    s.call(0x0003)


@scenario
def rows(s: Scenario) -> None:
    for font in (0x1112, 0x1111, 0x1114, 0x1112):
        s.call(0x0003)
        s.call(font, 0)
        s.call(0x0F00)
        s.index(CRTC, 0x09)
        s.call(0x0200, 0, 0, 0x1800)
        s.teletype(b"\n\n\n\n>")
        s.screen(8000)


@scenario
def alternate(s: Scenario) -> None:
    s.call(0x0003)
    s.call(0x1200, 0x0010)
    for line in (0, 1, 2):
        s.call(0x1200 | line, 0x0030)
    for bl in (0x32, 0x33, 0x34):
        for al in (1, 0):
            s.call(0x1200 | al, bl)
            s.port(MISC_OUTPUT)
    s.call(0x1A00)
    s.call(0x1B00, 0, di=0x40)
    s.dump(BUFFER, 0x44, 0x1C)


@scenario
def registers(s: Scenario) -> None:
    for mode in (3, 1, 4, 6, 0x0D, 0x0E, 0x10, 0x11, 0x12, 0x13):
        s.call(mode)
        s.index(SEQUENCER, 1, 4)
        s.port(MISC_OUTPUT)
        s.index(CRTC, 0, 0x0A)
        s.index(CRTC, 0x10, 9)
        s.index(GRAPHICS, 0, 7)
        s.index(GRAPHICS, 8)
        s.call(0x1009, dx=0x100)
        s.dump(BUFFER, 0x100, 16)
    s.call(0x0003)


@scenario
def ignored(s: Scenario) -> None:
    s.call(0x0003)
    for ax in (0x0C01, 0x1400, 0xFE00, 0xFFFF):
        s.call(ax, 0x0000, 0x1234, 0x0101)
    s.screen()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scenario]:
    """Every scenario with the answers of all runs."""
    scenarios = [Scenario(build) for build in SCENARIOS]
    run_scenarios(scenarios, {**OUR_RUNS, SEABIOS: run_qemu_with_its_bios}, tmp_path_factory.mktemp("video"))
    return {s.name: s for s in scenarios}


def comparable(found: Found) -> object:
    if isinstance(found, bytes):
        return found
    bda = {f"{address:02X}": value for address, value in found.bda.items() if address not in DIFFERENT_BDA}
    registers = {name: f"{value:08X}" for name, value in found.registers.items()}
    return {**registers, "ds": found.ds, "es": found.es, "bda": bda}


@pytest.mark.parametrize("run", OUR_RUNS)
@pytest.mark.parametrize("name", [build.__name__ for build in SCENARIOS])
def test_equals_the_other_bios(found: dict[str, Scenario], name: str, run: str) -> None:
    s = found[name]
    last_call = ""
    for number, (what, _) in enumerate(s.answers):
        last_call = what if what.startswith("INT") else last_call
        ours, theirs = comparable(s.found[run][number]), comparable(s.found[SEABIOS][number])
        assert ours == theirs, f"operation {number}: {what}, after {last_call}"
