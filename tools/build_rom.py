#!/usr/bin/env python3
"""Build the BIOS: bios/*.asm and bios/fonts/*.txt become bios/pcemu-bios.rom.

    tools/build_rom.py             build and replace bios/pcemu-bios.rom
    tools/build_rom.py --check     build, compare with bios/pcemu-bios.rom, exit 1 when they differ

bios/font8x16.bin goes with it: the font of the ROM that pcemu draws its own texts in.

Needs nasm. The same sources give the same bytes everywhere: nothing of the host gets into the ROM.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIOS = ROOT / "bios"
ROM = BIOS / "pcemu-bios.rom"
FONT = BIOS / "font8x16.bin"
ROM_SIZE = 0x10000
CHECKSUM = ROM_SIZE - 1
ERASED = b"\xff"

sys.path.insert(0, str(ROOT))
from tools import build_fonts  # noqa: E402  (a script's folder is on the path, the project's is not)
from tools.assembling import BuildError, assemble, checking, deliver  # noqa: E402


def build() -> bytes:
    """The ROM that the sources make, 64 KiB with its checksum. Raises BuildError and FontError."""
    with tempfile.TemporaryDirectory() as folder:
        fonts = Path(folder)
        for height in build_fonts.HEIGHTS:
            font = build_fonts.parse_font(build_fonts.FONTS / f"8x{height}.txt")
            (fonts / f"font8x{height}.bin").write_bytes(font)
        rom = bytearray(assemble(BIOS / "bios.asm", includes=[fonts]))
    if len(rom) != ROM_SIZE:
        raise BuildError(f"the ROM has {len(rom)} bytes, expected {ROM_SIZE}")
    if rom[CHECKSUM] != 0:
        raise BuildError(f"byte {CHECKSUM:#x} is {rom[CHECKSUM]:#04x}, expected 0: the checksum goes there")
    rom[CHECKSUM] = -sum(rom) & 0xFF
    return bytes(rom)


def build_font() -> bytes:
    """The font of pcemu's own texts. Raises FontError."""
    return build_fonts.parse_font(build_fonts.FONTS / "8x16.txt")


def free_space(rom: bytes) -> int:
    """The longest run of erased bytes: what is left for code."""
    return max(len(run) for run in re.findall(ERASED + b"*", rom))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the ROM was built (and, with --check, is the one that is kept)."""
    check = checking("Build pcemu's BIOS.", arguments)
    try:
        rom = build()
        status = deliver({ROM: rom, FONT: build_font()}, check, "tools/build_rom.py")
    except (BuildError, build_fonts.FontError) as error:
        print(error, file=sys.stderr)
        return 1
    if not check:
        print(f"{free_space(rom)} bytes of the ROM are free in one piece")
    return status


if __name__ == "__main__":
    sys.exit(main())
