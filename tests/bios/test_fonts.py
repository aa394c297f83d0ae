"""The fonts: complete, joined where lines join, within their lines, and refused with file and line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from tools.build_fonts import FONTS, GLYPHS, HEIGHTS, FontError, main, parse_font

Glyph = tuple[str, ...]
"""The rows of a glyph, top first, as strings of 0 and 1."""

PICTURES = "☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
BLANKS = {0x00: ("NUL", "BLANK"), 0x20: ("SP", "SPACE"), 0xFF: ("NBSP", "NO-BREAK SPACE")}


def cp437(code: int) -> str:
    """What the PC shows for a code: the pictures too, which Python's codec leaves as control characters."""
    if 0x01 <= code <= 0x1F:
        return PICTURES[code - 1]
    return "⌂" if code == 0x7F else bytes([code]).decode("cp437")


CODES = {cp437(code): code for code in range(GLYPHS)}
BOXES = [character for character in CODES if unicodedata.name(character, "").startswith("BOX DRAWINGS")]
LETTERS = [character for character in CODES if character.isalpha()]
ACCENTED = [c for c in LETTERS if unicodedata.normalize("NFD", c) != c]


def font(height: int) -> dict[str, Glyph]:
    """A compiled font as drawings by character."""
    data = parse_font(FONTS / f"8x{height}.txt")
    return {
        character: tuple(f"{byte:08b}" for byte in data[code * height : (code + 1) * height])
        for character, code in CODES.items()
    }


DRAWN = {height: font(height) for height in HEIGHTS}
every_height = pytest.mark.parametrize("height", HEIGHTS)


def inked(glyph: Glyph) -> list[int]:
    """The rows that have a dot."""
    return [row for row, dots in enumerate(glyph) if "1" in dots]


def column(glyph: Glyph, x: int) -> str:
    return "".join(row[x] for row in glyph)


# The whole set


@every_height
def test_compiles_to_256_glyphs(height: int) -> None:
    assert len(parse_font(FONTS / f"8x{height}.txt")) == 256 * height


@every_height
def test_titles_give_the_character_of_code_page_437_and_its_unicode_name(height: int) -> None:
    text = (FONTS / f"8x{height}.txt").read_text(encoding="utf-8")
    titles = re.findall(r"^([0-9A-F]{2}) (\S+) (.+)$", text, re.MULTILINE)
    for code in range(GLYPHS):
        symbol, name = BLANKS.get(code) or (cp437(code), unicodedata.name(cp437(code)))
        assert titles[code] == (f"{code:02X}", symbol, name)


@every_height
def test_only_the_blank_glyphs_look_alike(height: int) -> None:
    by_drawing: dict[Glyph, set[int]] = {}
    for character, glyph in DRAWN[height].items():
        by_drawing.setdefault(glyph, set()).add(CODES[character])
    assert [codes for codes in by_drawing.values() if len(codes) > 1] == [set(BLANKS)]
    assert not inked(DRAWN[height]["\0"])


# Letters


class Lines(NamedTuple):
    """The rows that letters hang on; descenders end at the last of them."""

    ascender: int
    capital: int
    x_height: int
    baseline: int
    descender: int


LINES = {16: Lines(2, 3, 5, 11, 14), 14: Lines(1, 2, 4, 10, 13), 8: Lines(0, 0, 2, 6, 7)}


def extent(height: int, characters: Iterable[str]) -> set[tuple[int, int]]:
    """The different (first, last) inked rows of these glyphs."""
    return {(rows[0], rows[-1]) for rows in (inked(DRAWN[height][c]) for c in characters)}


@every_height
def test_letters_keep_to_their_lines(height: int) -> None:
    lines = LINES[height]
    assert extent(height, "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789") == {(lines.capital, lines.baseline)}
    assert extent(height, "acemnorsuvwxzαεσπτ") == {(lines.x_height, lines.baseline)}
    assert extent(height, "bdfhikl") == {(lines.ascender, lines.baseline)}
    assert extent(height, "gpqy") == {(lines.x_height, lines.descender)}
    assert extent(height, "j") == {(lines.ascender, lines.descender)}


@every_height
@pytest.mark.parametrize("character", LETTERS)
def test_no_letter_goes_below_the_descenders(height: int, character: str) -> None:
    assert inked(DRAWN[height][character])[-1] <= LINES[height].descender


@every_height
@pytest.mark.parametrize("character", [*LETTERS, *"0123456789"])
def test_letters_leave_the_last_column_to_the_gap(height: int, character: str) -> None:
    assert "1" not in column(DRAWN[height][character], 7)


@pytest.mark.parametrize("height", [16, 14])
@pytest.mark.parametrize("character", [c for c in ACCENTED if c.islower()])
def test_an_accented_letter_is_its_base_letter_from_the_x_height_to_the_baseline(
    height: int, character: str
) -> None:
    lines, glyphs = LINES[height], DRAWN[height]
    base = glyphs[unicodedata.normalize("NFD", character)[0]]
    body = slice(lines.x_height, lines.baseline + 1)
    assert glyphs[character][body] == base[body]
    assert glyphs[character] != base


@pytest.mark.parametrize("character", [c for c in ACCENTED if c.isupper() and c != "Å"])
def test_the_accent_of_a_capital_is_over_or_under_the_whole_capital(character: str) -> None:
    lines, glyphs = LINES[16], DRAWN[16]
    body = slice(lines.capital, lines.baseline + 1)
    assert glyphs[character][body] == glyphs[unicodedata.normalize("NFD", character)[0]][body]


@every_height
def test_accents_stand_above_their_letter(height: int) -> None:
    top = LINES[height].x_height
    for character in "éâäàåêëèïîìôöòûùÿáíóúñ":
        assert inked(DRAWN[height][character])[0] < top - 1


@pytest.mark.parametrize("character", "ABCMQWXYZabcgjmpqwxyz0189αΩ")
def test_the_8x14_letters_are_the_8x16_ones_one_row_higher(character: str) -> None:
    assert DRAWN[14][character] == DRAWN[16][character][1:15]


# Lines and blocks


def arms(character: str) -> dict[str, str]:
    """Where a box character connects, by its Unicode name: side to LIGHT or DOUBLE.

    "DOWN SINGLE AND HORIZONTAL DOUBLE" has a style for each arm, "DOUBLE DOWN AND LEFT" one for all.
    """
    words = unicodedata.name(character).removeprefix("BOX DRAWINGS ").split()
    common = words.pop(0) if words[0] in ("LIGHT", "DOUBLE") else None
    sides = {"VERTICAL": ("UP", "DOWN"), "HORIZONTAL": ("LEFT", "RIGHT")}
    found = {}
    for index, word in enumerate(words):
        if word in ("UP", "DOWN", "LEFT", "RIGHT", *sides):
            style = common or words[index + 1]
            found.update(dict.fromkeys(sides.get(word, (word,)), "DOUBLE" if style == "DOUBLE" else "LIGHT"))
    return found


def edge(glyph: Glyph, side: str) -> str:
    """The dots that touch the neighbour on that side."""
    return {"UP": glyph[0], "DOWN": glyph[-1], "LEFT": column(glyph, 0), "RIGHT": column(glyph, 7)}[side]


STRAIGHT = {("LIGHT", True): "│", ("DOUBLE", True): "║", ("LIGHT", False): "─", ("DOUBLE", False): "═"}


def test_all_box_characters_of_the_code_page_are_recognized() -> None:
    assert len(BOXES) == 40
    assert arms("┌") == {"DOWN": "LIGHT", "RIGHT": "LIGHT"}
    assert arms("╟") == {"UP": "DOUBLE", "DOWN": "DOUBLE", "RIGHT": "LIGHT"}
    assert {len(arms(character)) for character in BOXES} == {2, 3, 4}


@every_height
@pytest.mark.parametrize("character", BOXES)
def test_box_lines_meet_at_the_edges_of_the_cells(height: int, character: str) -> None:
    glyphs = DRAWN[height]
    for side in ("UP", "DOWN", "LEFT", "RIGHT"):
        touching = edge(glyphs[character], side)
        style = arms(character).get(side)
        if style is None:
            assert "1" not in touching
        else:
            straight = glyphs[STRAIGHT[style, side in ("UP", "DOWN")]]
            opposite = {"UP": "DOWN", "DOWN": "UP", "LEFT": "RIGHT", "RIGHT": "LEFT"}[side]
            assert touching == edge(straight, opposite)


@every_height
@pytest.mark.parametrize("character", BOXES)
def test_box_lines_run_unbroken_between_the_edges(height: int, character: str) -> None:
    glyph = DRAWN[height][character]
    dots = {(x, y) for y, row in enumerate(glyph) for x, dot in enumerate(row) if dot == "1"}
    strokes = 0
    while dots:
        stroke = reachable(next(iter(dots)), dots)
        columns, rows = {x for x, _ in stroke}, {y for _, y in stroke}
        assert (0 in columns) + (7 in columns) + (0 in rows) + (height - 1 in rows) >= 2
        dots -= stroke
        strokes += 1
    assert strokes == 1 or "DOUBLE" in arms(character).values()


def reachable(start: tuple[int, int], dots: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The dots that are joined to ``start`` without a gap."""
    seen, todo = {start}, [start]
    while todo:
        x, y = todo.pop()
        near = {(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)} & dots - seen
        seen |= near
        todo += near
    return seen


@every_height
def test_single_and_double_lines_differ(height: int) -> None:
    glyphs = DRAWN[height]
    assert glyphs["─"][0:2] == glyphs["═"][0:2] == ("00000000",) * 2
    assert len(re.findall("1+", column(glyphs["─"], 4))) == 1
    assert len(re.findall("1+", column(glyphs["═"], 4))) == 2
    assert len(re.findall("1+", glyphs["│"][0])) == 1
    assert len(re.findall("1+", glyphs["║"][0])) == 2


@every_height
def test_half_blocks_are_exact_halves(height: int) -> None:
    glyphs, half = DRAWN[height], height // 2
    full, empty = ("11111111",), ("00000000",)
    assert glyphs["█"] == full * height
    assert glyphs["▄"] == empty * half + full * half
    assert glyphs["▀"] == full * half + empty * half
    assert glyphs["▌"] == ("11110000",) * height
    assert glyphs["▐"] == ("00001111",) * height


@every_height
def test_shades_are_a_quarter_a_half_and_three_quarters(height: int) -> None:
    glyphs = DRAWN[height]
    dots = [sum(row.count("1") for row in glyphs[shade]) for shade in "░▒▓"]
    assert dots == [2 * height, 4 * height, 6 * height]


@every_height
def test_the_halves_of_the_integral_meet(height: int) -> None:
    assert edge(DRAWN[height]["⌠"], "DOWN") == edge(DRAWN[height]["⌡"], "UP") != "00000000"


# The compiler


def drawing(code: int, rows: Iterable[str] = ("........",) * 8) -> str:
    return "\n".join([f"{code:02X} x NAME", *rows]) + "\n"


def write(folder: Path, *parts: str) -> Path:
    path = folder / "8x8.txt"
    path.write_text("; header\n" + "".join(parts), encoding="utf-8")
    return path


def test_the_leftmost_dot_is_bit_7_and_the_top_row_comes_first(tmp_path: Path) -> None:
    rows = ["#.......", "......##", *["........"] * 5, ".#.#.#.#"]
    path = write(tmp_path, *(drawing(code) for code in range(255)), drawing(255, rows))
    assert parse_font(path) == bytes(255 * 8) + bytes([0x80, 0x03, 0, 0, 0, 0, 0, 0x55])


@pytest.mark.parametrize(
    ("parts", "line", "message"),
    [
        ([drawing(0), drawing(0)], 11, "found glyph 00 again, expected it once (line 2)"),
        ([drawing(0), drawing(1, ["........"] * 7)], 11, "found glyph 01 with 7 rows, expected 8 rows"),
        ([drawing(0, ["........"] * 9)], 2, "found glyph 00 with 9 rows, expected 8 rows"),
        ([drawing(0, ["......."] * 8)], 3, "found 7 columns in '.......', expected 8 columns"),
        ([drawing(0, ["........", "...x...."])], 4, "found '...x....', expected a title such as"),
        (["........\n"], 2, "found a row before any glyph, expected a title such as"),
        ([drawing(code) for code in range(254)], 2287, "found the end without FE FF, expected every code"),
    ],
)
def test_a_wrong_drawing_is_refused_with_file_and_line(
    tmp_path: Path, parts: list[str], line: int, message: str
) -> None:
    path = write(tmp_path, *parts)
    with pytest.raises(FontError) as refusal:
        parse_font(path)
    assert str(refusal.value).startswith(f"{path}:{line}: {message}")


def test_a_file_name_without_a_height_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FontError, match=r"expected a name such as 8x16\.txt"):
        parse_font(tmp_path / "font.txt")


def test_main_writes_the_three_fonts(tmp_path: Path) -> None:
    assert main([str(tmp_path / "out")]) == 0
    for height in HEIGHTS:
        built = (tmp_path / "out" / f"font8x{height}.bin").read_bytes()
        assert built == parse_font(FONTS / f"8x{height}.txt")


def test_the_sheet_shows_every_dot(tmp_path: Path) -> None:
    assert main(["--sheet", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        white = sheet.histogram()[255]
    dots = sum(row.count("1") for glyphs in DRAWN.values() for glyph in glyphs.values() for row in glyph)
    assert white == dots * 4 * 4
