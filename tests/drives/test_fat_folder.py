"""Directories: which rows make a name, and which are none; against mtools, and a model of long names."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives.fat import ENTRY_SIZE, Volume
from pcemu.drives.fat_folder import parse_folder
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import FatImage

FILE, FOLDER, LABEL = 0x20, 0x10, 0x08
DATE, TIME = 0x5A21, 0x6543
STAMP = DATE << 16 | TIME


def slot(short: bytes, attributes: int = FILE, start: int = 0, size: int = 0, case: int = 0) -> bytes:
    """One usual entry."""
    high, low = divmod(start, 1 << 16)
    return struct.pack("<11sBB7xHHHHI", short, attributes, case, high, TIME, DATE, low, size)


def pieces(name: str, short: bytes) -> list[bytes]:
    """The entries of a long name, in the order of the disk; written from the specification alone."""
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    count = -(-len(units) // 26)
    if len(units) % 26:
        units = (units + b"\0\0").ljust(count * 26, b"\xff")
    found = []
    for number in range(count, 0, -1):
        text = units[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        head = struct.pack("<B10sBBB", order, text[:10], 0x0F, 0, checksum)
        found.append(head + text[10:22] + b"\0\0" + text[22:])
    return found


def named(name: str, short: bytes) -> bytes:
    return b"".join([*pieces(name, short), slot(short)])


def names(data: bytes) -> list[str]:
    return [entry.name for entry in parse_folder(data, True).entries]


def test_fields() -> None:
    data = slot(b"GAMES      ", FOLDER, 0x12345) + slot(b"README  TXT", FILE, 7, 70_000)
    folder, file = parse_folder(data, True).entries
    assert folder[:5] == ("GAMES", FOLDER, 0x12345, 0, STAMP) and folder.is_folder
    assert file == ("README.TXT", FILE, 7, 70_000, STAMP, b"README  TXT") and not file.is_folder
    assert parse_folder(data, False).entries[0].start == 0x2345  # FAT16 has other things there


@pytest.mark.parametrize(
    ("short", "case", "name"),
    [
        (b"README  TXT", 0x18, "readme.txt"),
        (b"README  TXT", 0x08, "readme.TXT"),
        (b"README  TXT", 0x10, "README.txt"),
        (b"NOEXT      ", 0x10, "NOEXT"),
        (b"\x05BC     D  ", 0, "σBC.D"),  # E5h, which deletes
        (b"\x81\x84      X  ", 0, "üä.X"),
    ],
)
def test_short_names(short: bytes, case: int, name: str) -> None:
    assert names(slot(short, case=case)) == [name]


def test_what_is_no_file() -> None:
    label, dots = (
        slot(b"MY DISK    ", LABEL),
        slot(b".          ", FOLDER, 5) + slot(b"..         ", FOLDER, 9),
    )
    folder = parse_folder(dots + label + slot(b"\xe5OLD       ") + slot(b"A          "), False)
    assert ([entry.name for entry in folder.entries], folder.label) == (["A"], "MY DISK")
    assert (folder.up, folder.garbage) == (9, False)
    assert parse_folder(label, False).up is None
    end = bytes(ENTRY_SIZE)
    assert names(slot(b"A          ") + end + slot(b"B          ")) == ["A"]  # nothing is behind the end
    assert parse_folder(b"", False).entries == ()


@pytest.mark.parametrize(
    "row", [slot(b"A*B        "), slot(b"A\nB        "), slot(b"  A        "), slot(b"A          ", 0xC0)]
)
def test_garbage_is_told_and_left_out(row: bytes) -> None:
    folder = parse_folder(row + slot(b"GOOD       "), False)
    assert folder.garbage and [entry.name for entry in folder.entries] == ["GOOD"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(
                min_codepoint=0x20, exclude_characters='"*/:<>?\\|\x7f', exclude_categories=("Cs", "Cn")
            ),
            min_size=1,
            max_size=60,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_long_names_of_any_characters(texts: list[str]) -> None:
    shorts = [f"FILE~{number}     ".encode() for number in range(len(texts))]
    data = b"".join(map(named, texts, shorts))
    assert names(data) == texts
    assert [entry.short for entry in parse_folder(data, True).entries] == shorts


def test_a_long_name_needs_all_of_its_pieces() -> None:
    short = b"ANAMET~1   "
    name = "A name that takes three pieces in all"
    rows = [*pieces(name, short), slot(short)]
    assert len(rows) == 4 and names(b"".join(rows)) == [name]
    stranger = slot(b"B          ")
    for broken in (
        rows[1:],  # the last piece is missing
        rows[:1] + rows[2:],
        rows[:2] + rows[3:],
        [rows[1], rows[0], *rows[2:]],
        [*rows[:3], slot(b"OTHER~1    ")],  # another's checksum
        [*rows[:3], b"\xe5" + rows[3][1:], stranger],  # its file was deleted
        [rows[0], b"\xe5" + rows[1][1:], *rows[2:]],
    ):
        (found,) = names(b"".join(broken))
        assert found in ("ANAMET~1", "OTHER~1", "B")
    assert names(b"".join(rows[:3])) == []  # nobody's


def test_a_changed_bit_in_a_piece_of_mtools(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 12, start=0)
    image.add("/A name that takes three pieces in all", b"x")
    volume = Volume(MemoryDrive(image.data()), 0)
    root = bytearray(volume.read(volume.layout.root_start, volume.layout.root_sectors))
    assert names(bytes(root)) == ["A name that takes three pieces in all"]
    at = root.find(b"\x43")
    for place in (at, at + 13):
        broken = bytearray(root)
        broken[place] ^= 1
        assert names(bytes(broken)) == ["ANAMET~1"]


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes(seed: int) -> None:
    """No file of what is found is behind the end, deleted, or without a name."""
    data = random.Random(seed).randbytes(64 * ENTRY_SIZE)
    rows = [data[at : at + ENTRY_SIZE] for at in range(0, len(data), ENTRY_SIZE)]
    found = parse_folder(data, bool(seed % 2))
    assert all(entry.name for entry in found.entries)
    assert {entry.short for entry in found.entries} <= {row[:11] for row in rows if row[0] not in (0, 0xE5)}
