"""New disks: sizes, kinds and geometries as DOS and BIOSes have them, and volumes that others find sound."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fat import Volume
from pcemu.drives.fat_format import (
    Shape,
    System,
    format_volume,
    geometry_of,
    label_bytes,
    partition_disk,
    shape_of,
    system_of,
)
from pcemu.drives.fat_tree import Tree
from pcemu.drives.partitions import read_partitions
from pcemu.errors import UsageError
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import run
from tests.drives.test_fat_writer import GIB, SIZES, STAMP, Disk, disk

__all__ = ["disk"]  # the fixture


def test_a_new_volume_is_empty_and_sound(disk: Disk) -> None:
    disk.check()
    assert "NEW DISK" in run("mlabel", "-s", "-i", f"{disk.path}@@{disk.start * SECTOR_SIZE}", "::")
    (partition,) = read_partitions(disk.drive).partitions
    assert (partition.start, partition.sectors, partition.active) == (disk.start, disk.sectors, True)
    tree = Tree(Volume(disk.drive, disk.start, disk.sectors))
    assert not tree.problems and not tree.root and tree.label == "NEW DISK"


@pytest.mark.parametrize(
    ("size", "kind", "cluster"),
    [
        (2 << 20, 12, 4096),
        (20 << 20, 16, 2048),
        (500 << 20, 16, 8192),
        (513 << 20, 32, 4096),
        (100 * GIB, 32, 8192),
    ],
)
def test_usual_shapes(size: int, kind: int, cluster: int) -> None:
    shape = shape_of(size // SECTOR_SIZE, None)
    assert (shape.kind, shape.cluster_sectors * SECTOR_SIZE) == (kind, cluster)


@pytest.mark.parametrize(("size", "kind"), [(3 * GIB, 16), (2 << 20, 16), (200 << 20, 12), (30 << 20, 32)])
def test_impossible_shapes(size: int, kind: int) -> None:
    with pytest.raises(UsageError, match=f"FAT{kind}.*--size"):
        shape_of(size // SECTOR_SIZE, kind)


def test_two_gibibytes_are_a_little_much_for_fat16(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", 16, 2 * GIB)
    assert "FAT16" in run("minfo", "-i", f"{disk.path}@@{disk.start * SECTOR_SIZE}", "::")
    assert disk.sectors * SECTOR_SIZE > 2 * GIB * 0.99


@pytest.mark.parametrize(
    ("size", "heads"), [(504 << 20, 16), (505 << 20, 32), (1 * GIB, 64), (4 * GIB, 255), (99 * GIB, 255)]
)
def test_geometries_are_those_of_bioses(size: int, heads: int) -> None:
    assert geometry_of(size)[1:] == (heads, 63)


@pytest.mark.parametrize(
    ("size", "kind", "expected"),
    [
        (3 << 20, 12, 0x01),
        (20 << 20, 16, 0x04),
        (100 << 20, 16, 0x06),
        (80 << 20, 32, 0x0B),
    ],
)
def test_types_of_partitions(size: int, kind: int, expected: int) -> None:
    drive = MemoryDrive(size // SECTOR_SIZE)
    partition_disk(drive, kind, b"")
    assert read_partitions(drive).partitions[0].type == expected


def test_far_out_partitions_are_found_by_number(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", None, 20 * GIB)
    assert read_partitions(disk.drive).partitions[0].type == 0x0C
    first = bytearray(SECTOR_SIZE)
    disk.drive.read(0, first)
    assert first[446 + 5 : 446 + 8] == b"\xfe\xff\xff"


def test_a_system_keeps_its_code_and_nothing_else() -> None:
    drive = MemoryDrive(SIZES[16] // SECTOR_SIZE)
    start, sectors, geometry, shape = partition_disk(drive, None, b"")
    system = System(16, b"\xeb\x3c\x90OLDSYSTM" + b"\xaa" * 51 + b"C" * 448 + b"\x55\xaa")
    format_volume(drive, start, sectors, shape, geometry, code=system, label="", serial=1, stamp=STAMP)
    boot = drive.data[start * SECTOR_SIZE : (start + 1) * SECTOR_SIZE]
    assert boot[:11] == b"\xeb\x3c\x90OLDSYSTM" and boot[62:510] == b"C" * 448
    assert b"\xaa" not in boot[11:62] and b"NO NAME    FAT16   " in boot[11:62]
    assert struct.unpack_from("<I", boot, 28) == (start,)


@pytest.mark.parametrize("size", [SECTOR_SIZE, 512 << 10])
def test_a_disk_that_is_too_small(size: int) -> None:
    drive = MemoryDrive(size // SECTOR_SIZE)
    with pytest.raises(UsageError, match="too small"):
        partition_disk(drive, None, b"")
    assert not any(drive.data)


@pytest.mark.parametrize("label", ["", "TWELVE CHARS", "a/b", "ü"])
def test_labels_that_cannot_be(label: str) -> None:
    with pytest.raises(UsageError, match="label"):
        label_bytes(label)


def clusters_of(sectors: int, shape: Shape) -> int:
    """As the specification counts them."""
    root = 0 if shape.kind == 32 else 32
    reserved = 32 if shape.kind == 32 else 1
    return (sectors - reserved - 2 * shape.fat_sectors - root) // shape.cluster_sectors


@settings(max_examples=200, deadline=None)
@given(st.integers(1 << 11, 400 * GIB // SECTOR_SIZE), st.sampled_from((None, 12, 16, 32)))
def test_a_fat_has_all_clusters(sectors: int, kind: int | None) -> None:
    try:
        shape = shape_of(sectors, kind)
    except UsageError:
        assert kind is not None
        return
    assert kind in (None, shape.kind)
    assert (clusters_of(sectors, shape) + 2) * shape.kind <= shape.fat_sectors * SECTOR_SIZE * 8
    assert shape.cluster_sectors in (1, 2, 4, 8, 16, 32, 64)


@pytest.mark.parametrize(("kind", "least", "most"), [(12, 1, 4084), (16, 4085, 65524), (32, 65525, 1 << 28)])
def test_no_volume_comes_near_an_edge_between_the_kinds(kind: int, least: int, most: int) -> None:
    """The number of clusters makes the kind; close to the edges not all programs count alike."""
    found = set()
    for edge, per in product((4085, 65525), (1, 2, 4, 8, 64)):
        for clusters in range(edge - 40, edge + 1200, 3):
            with suppress(UsageError):
                found.add(clusters_of(clusters * per, shape_of(clusters * per, kind)))
    assert found
    assert least + 8 < min(found) or kind == 12
    assert max(found) < most - 8


def test_the_boot_sector_of_one_volume_starts_another(disk: Disk) -> None:
    kind = Volume(disk.drive, disk.start).layout.kind
    system = system_of(disk.drive, disk.start, disk.sectors)
    drive = MemoryDrive(2 * SIZES[kind] // SECTOR_SIZE)
    start, sectors, geometry, shape = partition_disk(drive, kind, b"")
    format_volume(drive, start, sectors, shape, geometry, code=system, label="", serial=1, stamp=STAMP)
    again = system_of(drive, start, sectors)
    end = {12: 62, 16: 62, 32: 90}[kind]
    assert again.kind == system.kind == kind
    assert again.boot_sector[end:] == system.boot_sector[end:]
    assert again.boot_sector[11:end] != system.boot_sector[11:end]  # twice as large
    if kind == 32:
        backup = drive.data[(start + 6) * SECTOR_SIZE : (start + 7) * SECTOR_SIZE]
        assert backup == again.boot_sector
