"""The directories of a FAT volume: rows of 32-byte entries, with long names.

A file with a long name has entries of its own for that in front of its usual one: 13 characters each, the
last piece first, tied to the short name by a checksum::

    short entry   0 name (11), 11 attributes, 12 case, 20 first cluster, high (2), 22 time (2), 24 date (2),
                  26 first cluster, low (2), 28 size (4)
    long entry    0 number of the piece (40h: the last), 1 five characters, 11 the attributes 0Fh,
                  13 checksum, 14 six characters, 28 two characters

Large directories are the rule on a full disk, so that columns are worked on as a whole, with numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcemu.drives.fat import ENTRY_SIZE

SLOT = np.dtype(
    [
        *[("short", "V11"), ("attributes", "u1"), ("case", "u1"), ("created", "V7"), ("high", "<u2")],
        *[("time", "<u2"), ("date", "<u2"), ("low", "<u2"), ("size", "<u4")],
    ]
)
ATTRIBUTE_READ_ONLY = 0x01
ATTRIBUTE_LABEL = 0x08
ATTRIBUTE_FOLDER = 0x10
ATTRIBUTE_ARCHIVE = 0x20
ATTRIBUTES = 0x3F
LONG_NAME = 0x0F
ATTRIBUTES_AT, PIECE_CHECKSUM_AT = 11, 13
DELETED = 0xE5
STANDS_FOR_E5 = 0x05
LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
LAST_PIECE = 0x40
PIECE_BYTES = np.r_[1:11, 14:26, 28:32]
PIECE_LENGTH = 13
SHORT_LENGTH = 11
FIRST_SURROGATE = "\ud800"
DOT, DOT_DOT = b".          ", b"..         "
CODE_PAGE = "cp437"
_STAND_IN, _LETTER_E5 = bytes((STANDS_FOR_E5,)).decode(CODE_PAGE), bytes((DELETED,)).decode(CODE_PAGE)

_NEVER_IN_NAMES = np.zeros(256, np.bool_)
_NEVER_IN_NAMES[:0x20] = True
_NEVER_IN_NAMES[np.frombuffer(b'"*/:<>?\\|\x7f', np.uint8)] = True
_NEVER_IN_LONG_NAMES = _NEVER_IN_NAMES.copy()
_NEVER_IN_LONG_NAMES[[0, 0x7F]] = False  # NUL ends a name

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Entry(NamedTuple):
    """A file or folder. ``stamp`` is date and time of the last write as FAT packs them, date first.

    ``start`` is its first cluster, 0 for an empty file. ``short`` are the eleven bytes of its short name.
    """

    name: str
    attributes: int
    start: int
    size: int
    stamp: int
    short: bytes

    @property
    def is_folder(self) -> bool:
        """True for a directory."""
        return bool(self.attributes & ATTRIBUTE_FOLDER)


class Folder(NamedTuple):
    """The content of one directory; ``garbage`` is true when something in it can be no entry.

    ``up`` is what the ``..`` entry gives as the parent's first cluster, None without one.
    """

    entries: tuple[Entry, ...]
    label: str
    up: int | None
    garbage: bool


def parse_folder(data: bytes, is_32: bool) -> Folder:
    """The entries in the bytes of a directory."""
    end = data[::ENTRY_SIZE].find(0)
    rows = np.frombuffer(data, np.uint8).reshape(-1, ENTRY_SIZE)[: end if end >= 0 else None]
    attributes = rows[:, ATTRIBUTES_AT]
    deleted = rows[:, 0] == DELETED
    long = ((attributes & ATTRIBUTES) == LONG_NAME) & ~deleted
    usual = ~long & ~deleted
    places = np.flatnonzero(usual)
    shorts = rows[places, :SHORT_LENGTH]
    fields = np.ascontiguousarray(rows[places]).view(SLOT).ravel()
    starts = fields["low"].astype(np.int64)
    if is_32:
        starts |= fields["high"].astype(np.int64) << 16
    clean = _clean(shorts) & (fields["attributes"] & ~np.uint8(ATTRIBUTES) == 0)
    names = _names(rows, long, places, shorts, fields["case"])
    stamps = fields["date"].astype(np.int64) << 16 | fields["time"]
    all_shorts = shorts.tobytes()
    columns = (fields["attributes"], starts, fields["size"], stamps, clean)
    entries: list[Entry] = []
    label, up, garbage = "", None, False
    at = 0
    for name, attribute, start, size, stamp, good in zip(names, *(c.tolist() for c in columns), strict=True):
        short = all_shorts[at : at + SHORT_LENGTH]
        at += SHORT_LENGTH
        if attribute & ATTRIBUTE_LABEL:
            label = label or short.decode(CODE_PAGE).rstrip()
        elif short == DOT_DOT:
            up = start
        elif not good:
            garbage = True
        elif short != DOT:
            entries.append(Entry(name, attribute, start, size, stamp, short))
    return Folder(tuple(entries), label, up, garbage)


def _clean(shorts: Bytes) -> Flags:
    """Which short names hold nothing but what a name may hold."""
    letters = shorts.copy()
    first = letters[:, 0]
    first[first == STANDS_FOR_E5] = DELETED
    bad = _NEVER_IN_NAMES[letters]
    bad[:, 0] |= first == ord(" ")
    clean: Flags = bad.sum(axis=1) == 0
    return clean


class _LongNames(NamedTuple):
    """``text`` holds all pieces in order; entry i has ``lengths[i]`` characters of it, valid or not."""

    text: str
    lengths: list[int]
    valid: list[bool]


def _names(rows: Bytes, long: Flags, places: Numbers, shorts: Bytes, case: Bytes) -> list[str]:
    """The names of the entries at ``places``: the long one where there is a valid one."""
    text = shorts.tobytes().decode(CODE_PAGE)
    found = _long_names(rows, long, places, shorts)
    names = []
    at = 0
    for number, (length, valid, its_case) in enumerate(
        zip(found.lengths, found.valid, case.tolist(), strict=True)
    ):
        name = found.text[at : at + length].partition("\0")[0] if valid else ""
        at += length
        names.append(name or _short_name(text[number * SHORT_LENGTH :][:SHORT_LENGTH], its_case))
    return [_joined(name) if name and max(name) >= FIRST_SURROGATE else name for name in names]


def _long_names(rows: Bytes, long: Flags, places: Numbers, shorts: Bytes) -> _LongNames:
    pieces = np.flatnonzero(long)
    # A piece belongs to the first entry behind it that is no piece; that may be a deleted one, or none.
    ends = np.append(np.flatnonzero(~long), len(rows))
    owners = ends[np.searchsorted(ends, pieces)]
    numbers = np.searchsorted(places, owners)
    kept = np.append(places, -1)[numbers] == owners
    pieces, owners, numbers = pieces[kept], owners[kept], numbers[kept]
    counts = np.bincount(numbers, minlength=len(places))

    units = np.ascontiguousarray(rows[pieces][:, PIECE_BYTES]).view("<u2")
    first = ~np.append(False, long)[pieces]
    wrong = rows[pieces, 0] != (owners - pieces) | np.where(first, LAST_PIECE, 0)
    wrong |= rows[pieces, PIECE_CHECKSUM_AT] != short_checksums(shorts)[numbers]
    wrong |= (_NEVER_IN_LONG_NAMES[np.minimum(units, 0xFF)] & (units < 0x100)).any(axis=1)
    valid = np.bincount(numbers[wrong], minlength=len(places)) == 0

    ordered = np.empty_like(units)
    ordered[(np.cumsum(counts) - counts)[numbers] + owners - pieces - 1] = units
    text = ordered.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return _LongNames(text, (counts * PIECE_LENGTH).tolist(), (valid & (counts > 0)).tolist())


def _joined(name: str) -> str:
    """A name in which pairs of surrogates have become one character each."""
    return name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def short_checksums(shorts: Bytes) -> Bytes:
    """What long names' entries keep of the short ones, for each row of eleven bytes."""
    value = np.zeros(len(shorts), np.uint8)
    for column in shorts.T:
        value = (value << 7 | value >> 1) + column
    return value


def _short_name(text: str, case: int) -> str:
    """``README.TXT`` from eleven characters; ``case`` tells which parts Windows shows in small letters."""
    base, extension = text[:8].rstrip(), text[8:].rstrip()
    if base[:1] == _STAND_IN:
        base = _LETTER_E5 + base[1:]
    if case & LOWER_BASE:
        base = base.lower()
    if case & LOWER_EXTENSION:
        extension = extension.lower()
    return f"{base}.{extension}" if extension else base
