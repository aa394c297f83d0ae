"""Names of files for FAT: what may be one, its short name of 8 + 3 characters, and its directory entries.

A name that is short already is kept as that, with the two bits that Windows NT introduced where it is in
small letters. Any other name becomes a long one, in pieces of 13 UTF-16 units, with a short one like
``LONGNA~1.TXT``. The layout of the entries is told in fat_folder.py.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container
from itertools import chain
from typing import NamedTuple

import numpy as np

from pcemu.drives.fat import ENTRY_SIZE
from pcemu.drives.fat_folder import (
    LAST_PIECE,
    LONG_NAME,
    LOWER_BASE,
    LOWER_EXTENSION,
    PIECE_LENGTH,
    SHORT_LENGTH,
    short_checksums,
)
from pcemu.errors import UsageError

BASE_LENGTH = 8
EXTENSION_LENGTH = 3
MAX_UNITS = 255
FEW = 4
MAX_TAIL = 999_999
FORBIDDEN = frozenset('"*/:<>?\\|\x7f') | {chr(code) for code in range(0x20)}
SHORT_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CLOCK$"] + [f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)]
)
STAND_IN = "_"  # for what a short name cannot hold
PIECE = struct.Struct("<B10sBBB12sH4s")


class ShortName(NamedTuple):
    """``raw``: eleven bytes; ``case``: the bits of small letters; ``is_alias``: it needs a long one too."""

    raw: bytes
    case: int
    is_alias: bool


def check_name(name: str) -> str:
    """``name``, when a file on a FAT volume may be called that; UsageError."""
    problem = ""
    if not name or name.strip(". ") == "":
        problem = "it has no letter"
    elif bad := sorted(FORBIDDEN.intersection(name)):
        problem = f"it holds {bad[0]!r}"
    elif name[-1] in ". ":
        problem = "it ends in a dot or a blank"
    elif len(name.encode("utf-16-le", "surrogatepass")) > 2 * MAX_UNITS:
        problem = f"it is longer than {MAX_UNITS} characters"
    elif any("\ud800" <= letter < "\ue000" for letter in name):
        problem = "it is no Unicode"
    elif name.partition(".")[0].rstrip().upper() in DEVICES:
        problem = "DOS has a device of that name"
    if problem:
        raise UsageError(f"{name!r}: cannot be the name of a file for DOS, as {problem}; give it another")
    return name


def short_name(name: str, taken: Container[bytes]) -> ShortName:
    """A short name for ``name`` that is not among ``taken``."""
    base, dot, extension = name.rpartition(".") if "." in name else (name, "", "")
    upper = name.upper()
    fits = (
        0 < len(base) <= BASE_LENGTH
        and (not dot or 0 < len(extension) <= EXTENSION_LENGTH)
        and SHORT_LETTERS.issuperset((base + extension).upper())
    )
    raw = _pack(*upper.rpartition(".")[::2]) if dot else _pack(upper, "")
    if fits and name.isascii() and raw not in taken and _one_case(base) and _one_case(extension):
        case = LOWER_BASE * base.islower() | LOWER_EXTENSION * extension.islower()
        return ShortName(raw, case, False)
    if not base.strip(". "):  # .profile: what looks like an extension is the name
        base, extension = extension, ""
    stem, tail = _letters(base) or STAND_IN, _letters(extension)[:EXTENSION_LENGTH]
    plain = _pack(stem[:BASE_LENGTH], tail)
    if len(stem) <= BASE_LENGTH and fits and plain not in taken:  # only its letters are of both cases
        return ShortName(plain, 0, True)
    # As Windows does it: many names that begin alike would make counting slow.
    hashed = f"{stem[:2]}{zlib.crc32(name.encode()) & 0xFFFF:04X}"
    counted = [(stem, number) for number in range(1, FEW + 1)]
    for start, number in chain(counted, ((hashed, number) for number in range(1, MAX_TAIL + 1))):
        end = f"~{number}"
        raw = _pack(start[: BASE_LENGTH - len(end)] + end, tail)
        if raw not in taken:
            return ShortName(raw, 0, True)
    raise UsageError(f"{name!r}: no short name is left for it, expected fewer files like it in one directory")


def _one_case(text: str) -> bool:
    return text in (text.upper(), text.lower())


def _letters(text: str) -> str:
    kept = (letter for letter in text.upper() if letter not in ". ")
    return "".join(letter if letter in SHORT_LETTERS else STAND_IN for letter in kept)


def _pack(base: str, extension: str) -> bytes:
    padded = f"{base[:BASE_LENGTH]:<{BASE_LENGTH}}{extension[:EXTENSION_LENGTH]:<{EXTENSION_LENGTH}}"
    return padded.encode("ascii", "replace")


def long_pieces(name: str, short: bytes) -> bytes:
    """The entries of a long name, in the order in which they stand before the short one's."""
    (checksum,) = short_checksums(np.frombuffer(short, np.uint8).reshape(1, SHORT_LENGTH))
    units = name.encode("utf-16-le")
    size = 2 * PIECE_LENGTH
    if len(units) % size:
        units += b"\0\0"
    units = units.ljust(-(-len(units) // size) * size, b"\xff")
    count = len(units) // size
    pieces = []
    for number in range(count, 0, -1):
        part = units[(number - 1) * size : number * size]
        first = number | (LAST_PIECE if number == count else 0)
        fields = (first, part[:10], LONG_NAME, 0, int(checksum), part[10:22], 0, part[22:])
        pieces.append(PIECE.pack(*fields))
    assert PIECE.size == ENTRY_SIZE
    return b"".join(pieces)
