"""Geometries of bare disks, and of disks partitioned by others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.drives.drive import Geometry
from pcemu.drives.geometry import geometry_for, logical_geometry
from pcemu.testing.memory_drive import MemoryDrive


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


# -- what software on the disk counts with --------------------------------------------------------------


def boot_sector(heads: int, per_track: int) -> bytes:
    """The start of a FAT volume's boot sector, as far as it tells a geometry."""
    boot = bytearray(512)
    boot[0:3] = b"\xeb\x3c\x90"
    boot[11:13] = (512).to_bytes(2, "little")
    boot[24:28] = per_track.to_bytes(2, "little") + heads.to_bytes(2, "little")
    boot[510:] = b"\x55\xaa"
    return bytes(boot)


def disk(sectors: int, **parts: bytes) -> MemoryDrive:
    """A drive with some sectors: ``s0=…, s63=…``."""
    drive = MemoryDrive(sectors)
    for name, content in parts.items():
        at = int(name[1:]) * 512
        drive.data[at : at + 512] = content
    return drive


def test_an_empty_disk_has_no_logical_geometry() -> None:
    assert logical_geometry(MemoryDrive(100_000)) is None


def test_the_table_counts_more_than_the_boot_sector() -> None:
    drive = disk(64 * 32 * 20, s0=table(64, 32, (32, 64 * 32 * 20 - 32)), s32=boot_sector(255, 63))
    assert logical_geometry(drive) == Geometry(20, 64, 32)


def test_the_active_partitions_boot_sector_tells_where_the_table_does_not() -> None:
    first = bytearray(table(64, 32, (32, 2016), (2048, 2048)))
    first[446] = 0  # the second one is active
    first[447:450] = first[451:454] = first[463:466] = first[467:470] = b"\xfe\xff\xff"  # "see the LBA"
    drive = disk(4096, s0=bytes(first), s32=boot_sector(4, 17), s2048=boot_sector(15, 32))
    assert logical_geometry(drive) == Geometry(8, 15, 32)


def test_a_volume_without_a_table_tells_by_its_boot_sector() -> None:
    assert logical_geometry(disk(2880, s0=boot_sector(2, 18))) == Geometry(80, 2, 18)


@pytest.mark.parametrize(("heads", "per_track"), [(0, 63), (256, 63), (16, 0), (16, 64), (255, 63)])
def test_a_boot_sector_may_tell_nonsense(heads: int, per_track: int) -> None:
    assert logical_geometry(disk(2880, s0=boot_sector(heads, per_track))) is None
