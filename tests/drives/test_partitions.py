"""Partition tables: primary, logical, none at all, and garbage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.drives.partitions import Partition, drive_letters, read_partitions
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import FatImage


def test_primary_partition(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 16)
    table = read_partitions(MemoryDrive(image.data()))
    assert table.partitions == [Partition(1, 0x06, True, 63, 32768)]
    assert table.problems == []
    assert table.partitions[0].type_name == "FAT16"


def test_a_volume_without_a_table(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 12, start=0)
    assert read_partitions(MemoryDrive(image.data())).partitions == [Partition(0, 0, False, 0, 4096)]


def test_logical_partitions(tmp_path: Path) -> None:
    image = FatImage(tmp_path / "disk.img", 16)
    image.partition(2, 0x0F, 20000, 12000)
    image.partition(1, 0x06, 63, 900, record=20000)
    image.partition(2, 0x05, 1000, 2000, record=20000)
    image.partition(1, 0x01, 63, 800, record=21000)
    table = read_partitions(MemoryDrive(image.data()))
    assert [part[:1] + part[3:] for part in table.partitions] == [
        (1, 63, 32768),
        (5, 20063, 900),
        (6, 21063, 800),
    ]
    assert table.records == [0, 20000, 21000]
    assert drive_letters([table.partitions]) == [{1: "C:", 5: "D:", 6: "E:"}]


@pytest.mark.parametrize("link", [0, 1 << 30])
def test_a_chain_that_leads_nowhere(tmp_path: Path, link: int) -> None:
    image = FatImage(tmp_path / "disk.img", 16)
    image.partition(2, 0x0F, 20000, 12000)
    image.partition(2, 0x05, link, 2000, record=20000)
    table = read_partitions(MemoryDrive(image.data()))
    assert [part.number for part in table.partitions] == [1]
    assert len(table.problems) == 1


def test_letters_go_round_the_disks_first() -> None:
    first = [Partition(1, 6, False, 63, 9), Partition(2, 6, True, 99, 9), Partition(5, 6, False, 199, 9)]
    second = [Partition(1, 0x0C, True, 63, 9), Partition(2, 0x83, False, 99, 9)]
    assert drive_letters([first, second]) == [{2: "C:", 5: "E:", 1: "F:"}, {1: "D:"}]


@given(st.binary(min_size=512, max_size=512), st.booleans())
def test_garbage(record: bytes, signed: bool) -> None:
    if signed:
        record = record[:510] + b"\x55\xaa"
    drive = MemoryDrive(record * 200)
    for partition in read_partitions(drive).partitions:
        assert 0 <= partition.start < partition.start + partition.sectors <= drive.sectors
