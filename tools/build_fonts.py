#!/usr/bin/env python3
"""Compile the readable font drawings in bios/fonts to the bytes that the ROM includes.

    tools/build_fonts.py FOLDER            write font8x16.bin, font8x14.bin, font8x8.bin to FOLDER
    tools/build_fonts.py --sheet PNG       draw every font as a 16×16 sheet, to look at

A compiled font is 256 glyphs of ``height`` bytes, top row first, the leftmost dot in bit 7: the layout that
INT 10h AX=1130h hands out and AX=1110h loads.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FONTS = Path(__file__).resolve().parent.parent / "bios" / "fonts"
HEIGHTS = (16, 14, 8)
WIDTH = 8
GLYPHS = 256

COMMENT = ";"
ROW = re.compile(r"[.#]+")
TITLE = re.compile(r"([0-9A-Fa-f]{2}) (\S+) (\S.*)")
FILE_NAME = re.compile(r"8x(\d+)\.txt")
TITLE_EXAMPLE = "a title such as '41 A LATIN CAPITAL LETTER A'"


class FontError(ValueError):
    """A drawing that cannot be compiled; the message names file, line, what was found and expected."""

    def __init__(self, path: Path, line: int, found: str, expected: str) -> None:
        super().__init__(f"{path}:{line}: found {found}, expected {expected}")


def parse_font(path: Path) -> bytes:
    """The 256 glyphs of a font file, ``height`` bytes each; the height is in the file's name (8x14.txt).

    Raises FontError for anything but every code 00-FF exactly once, each with all its rows.
    """
    named = FILE_NAME.fullmatch(path.name)
    if named is None:
        raise FontError(path, 0, f"the file name {path.name!r}", "a name such as 8x16.txt")
    height = int(named[1])

    first_seen: dict[int, int] = {}
    glyphs = bytearray(GLYPHS * height)
    last_line = 0
    for line, code, rows in _glyphs(path):
        if code in first_seen:
            raise FontError(path, line, f"glyph {code:02X} again", f"it once (line {first_seen[code]})")
        if len(rows) != height:
            raise FontError(path, line, f"glyph {code:02X} with {len(rows)} rows", f"{height} rows")
        first_seen[code] = line
        glyphs[code * height : (code + 1) * height] = rows
        last_line = line + height

    missing = sorted(set(range(GLYPHS)) - first_seen.keys())
    if missing:
        codes = " ".join(f"{code:02X}" for code in missing)
        raise FontError(path, last_line, f"the end without {codes}", "every code 00-FF")
    return bytes(glyphs)


def _glyphs(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Title line number, code and rows of each glyph in the order of the file."""
    title_line = code = 0
    rows: bytearray | None = None
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = text.rstrip()
        if not text or text.startswith(COMMENT):
            continue
        if title := TITLE.fullmatch(text):
            if rows is not None:
                yield title_line, code, bytes(rows)
            title_line, code, rows = line, int(title[1], 16), bytearray()
        elif not ROW.fullmatch(text):
            raise FontError(path, line, repr(text), f"{TITLE_EXAMPLE} or . and #")
        elif rows is None:
            raise FontError(path, line, "a row before any glyph", TITLE_EXAMPLE)
        elif len(text) != WIDTH:
            raise FontError(path, line, f"{len(text)} columns in {text!r}", f"{WIDTH} columns")
        else:
            rows.append(int(text.replace(".", "0").replace("#", "1"), 2))
    if rows is not None:
        yield title_line, code, bytes(rows)


def draw_sheet(fonts: list[bytes], target: Path, zoom: int = 4) -> None:
    """Write a PNG with all fonts side by side, 16 glyphs in a row, a one-dot grid between the cells."""
    from PIL import Image

    gap, paper, ink, grid = 1, 0x20, 0xFF, 0x60
    colours = [paper] * 255 + [ink]
    heights = [len(font) // GLYPHS for font in fonts]
    sheet_width = 16 * (WIDTH + gap) + gap
    size = (len(fonts) * sheet_width, 16 * (max(heights) + gap) + gap)
    sheet = Image.new("L", size, grid)
    for index, (font, height) in enumerate(zip(fonts, heights, strict=True)):
        for code in range(GLYPHS):
            dots = font[code * height : (code + 1) * height]
            glyph = Image.frombytes("1", (WIDTH, height), dots).convert("L").point(colours)
            row, column = divmod(code, 16)
            corner = (index * sheet_width + gap + column * (WIDTH + gap), gap + row * (height + gap))
            sheet.paste(glyph, corner)
    sheet.resize((size[0] * zoom, size[1] * zoom), Image.Resampling.NEAREST).save(target)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when everything was written, 1 when a drawing is wrong."""
    parser = argparse.ArgumentParser(description="Compile pcemu's fonts.")
    parser.add_argument("folder", type=Path, nargs="?", help="where font8x16.bin and the others go")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw all glyphs of all fonts")
    options = parser.parse_args(arguments)
    if options.folder is None and options.sheet is None:
        parser.error("nothing to do: give a folder, --sheet, or both")
    try:
        fonts = {height: parse_font(FONTS / f"8x{height}.txt") for height in HEIGHTS}
    except FontError as error:
        print(error, file=sys.stderr)
        return 1
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        for height, font in fonts.items():
            (options.folder / f"font8x{height}.bin").write_bytes(font)
    if options.sheet is not None:
        draw_sheet(list(fonts.values()), options.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
