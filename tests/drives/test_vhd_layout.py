"""The structures on disk: packed as an independent reader expects them, field by field, and back."""

from __future__ import annotations

from typing import Any

import pytest

from pcemu.drives import vhd_layout as layout
from pcemu.drives.vhd_layout import FOOTER, HEADER, Footer, Header, Locator, checksum_of
from tests.drives.independent_vhd import footer_in, header_in, make_footer, make_header

ID = bytes(range(16))
SIZE = 40 << 30


def footer() -> Footer:
    """With a value of its own in each field."""
    return Footer(
        header_offset=512, time=1, original_size=SIZE, current_size=SIZE + 512, cylinders=2, heads=3,
        sectors_per_track=4, type=layout.TYPE_DYNAMIC, unique_id=ID, saved_state=5,
    )  # fmt: skip


def header(**fields: Any) -> Header:
    return Header(bat_offset=1536, bat_entries=9, block_size=4096, parent_id=ID)._replace(**fields)


def test_a_footer_is_read_by_another_program_s_rules() -> None:
    packed = footer().pack()
    assert len(packed) == layout.FOOTER_SIZE
    found = footer_in(packed)
    assert found is not None
    assert (found.features, found.version, found.header_offset, found.time) == (2, 0x10000, 512, 1)
    assert (found.creator, found.creator_version, found.host) == (b"win ", 0x000A0000, b"Wi2k")
    assert (found.original_size, found.size) == (SIZE, SIZE + 512)
    assert (found.cylinders, found.heads, found.per_track) == (2, 3, 4)
    assert (found.type, found.id, found.saved, found.reserved) == (3, ID, 5, bytes(427))


def test_another_program_s_footer_is_packed_as_it_was() -> None:
    for kind, where in ((2, layout.NO_OFFSET), (3, 512), (4, 1536)):
        made = make_footer(kind, SIZE, ID, where)
        read = layout.unpack_footer(made)
        assert (read.type, read.header_offset, read.current_size) == (kind, where, SIZE)
        assert read.pack() == made


def test_a_footer_of_511_bytes_is_the_same_without_its_last() -> None:
    made = make_footer(2, SIZE, ID)
    assert layout.unpack_footer(made[:511]) == layout.unpack_footer(made)


def test_a_header_is_read_by_another_program_s_rules() -> None:
    locators = (Locator(b"W2ru", 512, 20, 0, 2048), Locator(b"pcFp", 512, 48, 0, 2560))
    packed = header(parent_time=7, parent_name=b"n" * 512, locators=locators).pack()
    assert len(packed) == layout.HEADER_SIZE
    found = header_in(packed)
    assert (found.unused, found.bat_offset, found.version) == (layout.NO_OFFSET, 1536, 0x10000)
    assert (found.entries, found.block_size, found.parent_id) == (9, 4096, ID)
    assert (found.parent_time, found.parent_name) == (7, b"n" * 512)
    assert found.locators[:24] == b"W2ru" + bytes.fromhex("00000200 00000014 00000000 0000000000000800")
    assert found.locators[24:28] == b"pcFp" and not any(found.locators[48:])
    assert layout.unpack_header(packed)._replace(checksum=0).locators == locators


def test_another_program_s_header_is_packed_as_it_was() -> None:
    entry = (b"W2ru", 512, 20, 2048)
    made = make_header(9, 4096, 1536, ID, "parent.vhd", [entry])
    read = layout.unpack_header(made)
    assert (read.bat_entries, read.block_size, read.bat_offset, read.parent_id) == (9, 4096, 1536, ID)
    assert read.parent_name.decode("utf-16-be").rstrip("\0") == "parent.vhd"
    assert read.locators == (Locator(b"W2ru", 512, 20, 0, 2048),)
    assert read.pack() == made


def test_the_declaration_says_the_same() -> None:
    """What packs fast is made from it; construct itself is the second opinion."""
    assert (FOOTER.sizeof(), HEADER.sizeof()) == (layout.FOOTER_SIZE, layout.HEADER_SIZE)
    parsed = FOOTER.parse(footer().pack())
    assert all(parsed[name] == value for name, value in footer()._asdict().items() if name != "checksum")
    parsed = HEADER.parse(header().pack())
    assert (parsed.bat_offset, parsed.bat_entries, parsed.block_size) == (1536, 9, 4096)
    assert all(locator.code == layout.LOCATOR_NONE for locator in parsed.locators)


@pytest.mark.parametrize("place", [0, 63, 64, 67, 68, 511])
def test_the_checksum_covers_all_but_itself(place: int) -> None:
    packed = bytearray(footer().pack())
    before = checksum_of(packed, layout.CHECKSUM_IN_FOOTER)
    assert before == int.from_bytes(packed[64:68], "big")
    packed[place] = packed[place] + 1 & 0xFF
    assert (checksum_of(packed, layout.CHECKSUM_IN_FOOTER) == before) is (64 <= place < 68)
