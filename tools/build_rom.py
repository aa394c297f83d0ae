#!/usr/bin/env python3
"""Build the BIOS: bios/*.asm and bios/fonts/*.txt become bios/pcemu-bios.rom.

    tools/build_rom.py             build and replace bios/pcemu-bios.rom
    tools/build_rom.py --check     build, compare with bios/pcemu-bios.rom, exit 1 when they differ

bios/font8x16.bin goes with it: the font of the ROM that pcemu draws its own texts in.

Needs nasm. The same sources give the same bytes everywhere: nothing of the host gets into the ROM.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
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


class BuildError(Exception):
    """The ROM cannot be built; the message says why."""


def build() -> bytes:
    """The ROM that the sources make, 64 KiB with its checksum. Raises BuildError and FontError."""
    nasm = shutil.which("nasm")
    if nasm is None:
        raise BuildError("nasm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        fonts = Path(folder)
        for height in build_fonts.HEIGHTS:
            font = build_fonts.parse_font(build_fonts.FONTS / f"8x{height}.txt")
            (fonts / f"font8x{height}.bin").write_bytes(font)
        target = fonts / "bios.rom"
        command = [nasm, "-f", "bin", "-Wall", "-Werror", "-I", f"{BIOS}/", "-I", f"{fonts}/"]
        run = subprocess.run(
            [*command, "-o", str(target), "bios.asm"], cwd=BIOS, capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            raise BuildError(f"nasm refuses bios/bios.asm:\n{run.stderr.rstrip()}")
        rom = bytearray(target.read_bytes())
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


def difference(built: bytes, kept: bytes) -> str | None:
    """Where two files differ first, in words; None when they are equal."""
    if built == kept:
        return None
    if len(built) != len(kept):
        return f"it has {len(kept)} bytes, the build {len(built)}"
    first = next(i for i in range(len(built)) if built[i] != kept[i])
    return f"first at offset {first:#06x}: found {kept[first]:#04x}, the build has {built[first]:#04x}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the ROM was built (and, with --check, is the one that is kept)."""
    parser = argparse.ArgumentParser(description="Build pcemu's BIOS.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    try:
        built = {ROM: build(), FONT: build_font()}
    except (BuildError, build_fonts.FontError) as error:
        print(error, file=sys.stderr)
        return 1
    if not options.check:
        for path, data in built.items():
            path.write_bytes(data)
        rom = built[ROM]
        print(f"{ROM.relative_to(ROOT)}: {len(rom)} bytes, {free_space(rom)} of them free in one piece")
        return 0
    return max([check(path, data) for path, data in built.items()])


def check(path: Path, built: bytes) -> int:
    """Say whether the file is what was built; 0 when it is."""
    name = f"bios/{path.name}"
    if not path.exists():
        print(f"{name} is missing; run tools/build_rom.py", file=sys.stderr)
        return 1
    found = difference(built, path.read_bytes())
    if found is not None:
        print(f"{name} is not what the sources build ({found}); run tools/build_rom.py", file=sys.stderr)
        return 1
    print(f"{name} is what the sources build")
    return 0


if __name__ == "__main__":
    sys.exit(main())
