"""Names of files on FAT, long and short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.drives.fat_folder import LOWER_BASE, LOWER_EXTENSION, parse_folder
from pcemu.drives.fat_names import check_name, long_pieces, short_name
from pcemu.drives.fat_writer import ENTRY
from pcemu.errors import UsageError


def raw(text: str) -> bytes:
    """``README.TXT`` as the eleven bytes of an entry."""
    base, _, extension = text.partition(".")
    return f"{base:<8}{extension:<3}".encode()


@pytest.mark.parametrize(
    ("name", "short", "case", "is_alias"),
    [
        ("README.TXT", "README.TXT", 0, False),
        ("readme.txt", "README.TXT", LOWER_BASE | LOWER_EXTENSION, False),
        ("README.txt", "README.TXT", LOWER_EXTENSION, False),
        ("makefile", "MAKEFILE", LOWER_BASE, False),
        ("1.2", "1.2", 0, False),
        ("ReadMe.txt", "README.TXT", 0, True),
        ("a long name.html", "ALONGN~1.HTM", 0, True),
        ("archive.tar.gz", "ARCHIV~1.GZ", 0, True),
        (".profile", "PROFIL~1", 0, True),
        ("..x", "X~1", 0, True),
        ("[x]+y.c", "_X__Y~1.C", 0, True),
        ("äöü.txt", "___~1.TXT", 0, True),
        ("file with space", "FILEWI~1", 0, True),
    ],
)
def test_short_names(name: str, short: str, case: int, is_alias: bool) -> None:
    assert short_name(name, ()) == (raw(short), case, is_alias)


def test_numbers_tell_equal_short_names_apart() -> None:
    taken: set[bytes] = set()
    for number in range(1, 1100):
        found = short_name(f"document number {number}.txt", taken)
        assert found.raw not in taken
        taken.add(found.raw)
    assert raw("DOCUME~4.TXT") in taken and raw("DOCUME~5.TXT") not in taken


def test_a_short_name_that_is_taken_becomes_a_long_one() -> None:
    assert short_name("README.TXT", {raw("README.TXT")}) == (raw("README~1.TXT"), 0, True)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "no letter"),
        ("...", "no letter"),
        ("a:b", "':'"),
        ("a\nb", r"'\\n'"),
        ("dir/file", "'/'"),
        ("dot.", "dot or a blank"),
        ("blank ", "dot or a blank"),
        ("x" * 256, "255"),
        ("nul", "device"),
        ("Com1.txt", "device"),
        ("bad\udcff", "Unicode"),
    ],
)
def test_names_that_cannot_be(name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check_name(name)


@given(st.text(min_size=1, max_size=120))
def test_every_name_is_read_back_as_it_was(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return
    short = short_name(name, ())
    pieces = long_pieces(name, short.raw) if short.is_alias else b""
    entry = ENTRY.pack(short.raw, 0x20, short.case, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    folder = parse_folder(pieces + entry + bytes(32), is_32=False)
    assert [each.name for each in folder.entries] == [name]
    assert not folder.garbage
