"""Geometries of bare disks, and of disks partitioned by others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.drives.drive import Geometry
from pcemu.drives.geometry import geometry_for


def chs(lba: int, heads: int, sectors: int) -> bytes:
    """The three bytes of a partition entry, clipped as partitioning programs do."""
    cylinder, rest = divmod(lba, heads * sectors)
    head, sector = divmod(rest, sectors)
    if cylinder > 1023:
        cylinder, head, sector = 1023, heads - 1, sectors - 1
    return bytes((head, (sector + 1) | cylinder >> 8 << 6, cylinder & 0xFF))


def table(heads: int, sectors: int, *partitions: tuple[int, int], kind: int = 0x06) -> bytes:
    """A boot sector whose table a program with this geometry would write; partitions are (start, count)."""
    sector = bytearray(512)
    sector[510:] = b"\x55\xaa"
    for i, (start, count) in enumerate(partitions):
        first = chs(start, heads, sectors)
        last = chs(start + count - 1, heads, sectors)
        numbers = start.to_bytes(4, "little") + count.to_bytes(4, "little")
        sector[446 + 16 * i : 462 + 16 * i] = b"\x80" + first + bytes([kind]) + last + numbers
    return bytes(sector)


@pytest.mark.parametrize(
    ("sectors", "expected"),
    [
        (1, (1, 1, 1)),
        (40, (1, 1, 40)),
        (2880, (2, 16, 63)),
        (130, (1, 2, 63)),
        (1008 * 1024, (1024, 16, 63)),
        (1008 * 1024 + 1007, (1024, 16, 63)),
        (16_514_064, (16383, 16, 63)),
        (1 << 33, (16383, 16, 63)),
    ],
)
def test_a_bare_disk_has_the_geometry_of_ata_drives(sectors: int, expected: tuple[int, int, int]) -> None:
    assert geometry_for(sectors, None) == expected
    assert geometry_for(sectors, bytes(512)) == expected


@pytest.mark.parametrize("shape", [(255, 63), (16, 63), (4, 17), (128, 63), (15, 32), (64, 32), (240, 63)])
def test_a_partition_that_ends_with_a_cylinder_tells_the_shape(shape: tuple[int, int]) -> None:
    heads, sectors = shape
    size = heads * sectors * 500
    first = table(heads, sectors, (sectors, size - sectors))
    assert geometry_for(size, first) == Geometry(500, heads, sectors)


def test_a_partition_inside_the_first_cylinder_ends_with_it() -> None:
    assert geometry_for(100_000, table(16, 63, (63, 945))) == Geometry(99, 16, 63)


def test_a_partition_that_ends_anywhere_is_solved_for_the_shape() -> None:
    # As Linux fdisk aligns them: on 1 MiB, whatever the cylinders.
    assert geometry_for(200_000, table(255, 63, (2048, 150_000))) == Geometry(12, 255, 63)


def test_a_partition_beyond_cylinder_1023_is_believed_when_its_start_fits() -> None:
    size = 40_000_000
    assert geometry_for(size, table(255, 63, (63, size - 63))) == Geometry(2489, 255, 63)


def test_tables_that_disagree_or_contradict_themselves_tell_nothing() -> None:
    default = geometry_for(500_000, None)
    mixed = bytearray(table(255, 63, (63, 160_650 - 63)))
    mixed[462:478] = table(64, 32, (200_704, 204_800))[446:462]
    assert geometry_for(500_000, bytes(mixed)) == default
    wrong = bytearray(table(255, 63, (63, 160_650 - 63)))
    wrong[446 + 8] += 1  # LBA of the start
    assert geometry_for(500_000, bytes(wrong)) == default


def test_what_is_no_partition_table_tells_nothing() -> None:
    good = table(255, 63, (63, 160_650 - 63))
    default = geometry_for(500_000, None)
    assert geometry_for(500_000, good).heads == 255
    assert geometry_for(500_000, good[:510] + b"\0\0") == default  # no signature
    assert geometry_for(500_000, good[:446] + b"\x12" + good[447:]) == default  # boot flag is code
    assert geometry_for(100_000, good) == geometry_for(100_000, None)  # partition behind the end
    assert geometry_for(500_000, table(255, 63, (63, 160_587), kind=0xEE)) == default  # GPT
    assert geometry_for(500_000, b"\x55\xaa") == default


@given(
    st.integers(2, 255),
    st.integers(1, 63),
    st.integers(1, 1023),
    st.data(),
)
def test_a_learned_shape_is_the_makers(heads: int, sectors: int, cylinders: int, data: st.DataObject) -> None:
    size = heads * sectors * cylinders
    start = data.draw(st.integers(1, size - 1))
    count = data.draw(st.integers(1, size - start))
    found = geometry_for(size, table(heads, sectors, (start, count)))
    assert found in (Geometry(cylinders, heads, sectors), geometry_for(size, None)) or (
        # Small partitions fit several shapes; then one that ends where they end is as good as the maker's.
        chs(start, found.heads, found.sectors) == chs(start, heads, sectors)
        and chs(start + count - 1, found.heads, found.sectors) == chs(start + count - 1, heads, sectors)
    )


@given(st.integers(1, 1 << 40), st.binary(min_size=512, max_size=512))
def test_no_contents_and_no_size_break_it(sectors: int, content: bytes) -> None:
    for first in (content, content[:510] + b"\x55\xaa", bytes(446) + content[:64] + b"\x55\xaa"):
        found = geometry_for(sectors, first)
        assert 1 <= found.cylinders <= 16383 and 1 <= found.heads <= 255 and 1 <= found.sectors <= 63
        assert found.cylinders * found.heads * found.sectors <= sectors
