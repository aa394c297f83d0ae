"""The ROM image: is it what the sources build, and does it keep the layout of IBM's?"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import require
from tools import build_fonts, build_rom
from tools.assembling import difference

ROM = build_rom.ROM.read_bytes()
JMP_NEAR = 0xE9
JMP_FAR = 0xEA
IRET = 0xCF
ENTRY_POINTS = {
    "POST": 0xE05B,
    "NMI": 0xE2C3,
    "INT 13h": 0xE3FE,
    "INT 19h": 0xE6F2,
    "INT 14h": 0xE739,
    "INT 16h": 0xE82E,
    "INT 09h": 0xE987,
    "INT 17h": 0xEFD2,
    "INT 10h": 0xF065,
    "INT 12h": 0xF841,
    "INT 11h": 0xF84D,
    "INT 15h": 0xF859,
    "INT 1Ah": 0xFE6E,
    "INT 08h": 0xFEA5,
    "INT 05h": 0xFF54,
}


def target(entry: int) -> int:
    """Where the jump at the offset ``entry`` leads."""
    opcode: int
    distance: int
    opcode, distance = struct.unpack_from("<Bh", ROM, entry)
    assert opcode == JMP_NEAR
    return (entry + 3 + distance) & 0xFFFF


def test_kept_rom_is_what_the_sources_build() -> None:
    require(shutil.which("nasm") is not None, "nasm")
    assert difference(build_rom.build(), ROM) is None


def test_the_font_of_pcemus_own_texts_is_the_roms() -> None:
    font = build_rom.FONT.read_bytes()
    assert font == build_rom.build_font()
    assert font in ROM


def test_size_and_checksum() -> None:
    assert len(ROM) == 0x10000
    assert sum(ROM) % 256 == 0


def test_entry_points_jump_into_the_code() -> None:
    targets = {name: target(entry) for name, entry in ENTRY_POINTS.items()}
    assert all(0 < offset < min(ENTRY_POINTS.values()) for offset in targets.values())
    assert len(set(targets.values())) == len(targets)


def test_reset_jumps_to_post() -> None:
    assert struct.unpack_from("<BHH", ROM, 0xFFF0) == (JMP_FAR, target(ENTRY_POINTS["POST"]), 0xF000)


def test_fixed_data() -> None:
    assert ROM[0xFFFE] == 0xFC  # model: AT
    assert ROM[0xFF53] == IRET
    date = ROM[0xFFF5:0xFFFD].decode("ascii")
    month, day, year = map(int, date.split("/"))
    assert date == f"{month:02}/{day:02}/{year:02}"
    assert 1 <= month <= 12 and 1 <= day <= 31
    assert b"pcemu BIOS" in ROM


def test_low_glyphs_of_the_8x8_font() -> None:
    font = build_fonts.parse_font(build_fonts.FONTS / "8x8.txt")
    assert ROM[0xFA6E : 0xFA6E + 128 * 8] == font[: 128 * 8]


def test_baud_rate_divisors() -> None:
    divisors = struct.unpack_from("<8H", ROM, 0xE729)
    rates = (110, 150, 300, 600, 1200, 2400, 4800, 9600)
    for divisor, rate in zip(divisors, rates, strict=True):
        assert abs(115_200 / divisor / rate - 1) < 0.001


@pytest.fixture
def other_rom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """Makes the tool compare with these bytes, or find no file."""
    require(shutil.which("nasm") is not None, "nasm")

    def place(content: bytes | None) -> None:
        path = tmp_path / "pcemu-bios.rom"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(build_rom, "ROM", path)

    return place


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (ROM[:-1], "it has 65535 bytes, the build 65536"),
        (ROM[:0x1234] + bytes([ROM[0x1234] ^ 0xFF]) + ROM[0x1235:], "first at offset 0x1234"),
    ],
)
def test_check_names_the_difference(
    content: bytes | None,
    message: str,
    other_rom: Callable[[bytes | None], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other_rom(content)
    assert build_rom.main(["--check"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_missing_assembler_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert build_rom.main(["--check"]) == 1
    assert capsys.readouterr().err == "nasm is not installed\n"
