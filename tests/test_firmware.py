"""What the board tells its firmware."""

from __future__ import annotations

import datetime
import os
import struct
from pathlib import Path

import pytest

from pcemu.clock import Clock
from pcemu.devices.fw_cfg import FwCfg
from pcemu.devices.rtc import Mc146818
from pcemu.drives.drive import SECTOR_SIZE, Drive, Geometry
from pcemu.drives.raw import RawDrive
from pcemu.firmware import configuration, fill_cmos, translation
from pcemu.irq import IrqLine
from pcemu.memory import MEBIBYTE

NONE, LBA, LARGE = 0, 1, 2
CYLINDER = 16 * 63


def blank(folder: Path, sectors: int) -> Drive:
    path = folder / f"{sectors}.img"
    path.touch()
    os.truncate(path, sectors * SECTOR_SIZE)
    return RawDrive(path, read_only=True)


def cmos(mebibytes: int, *disks: Drive | None) -> list[int]:
    rtc = Mc146818(Clock(), IrqLine(lambda level: None), datetime.datetime(2000, 1, 1))
    fill_cmos(rtc, mebibytes * MEBIBYTE, disks)
    return [rtc.peek(index) for index in range(0x80)]


def read(device: FwCfg, key: int, size: int) -> bytes:
    device.write(0, key)
    return bytes(device.read(1) for _ in range(size))


@pytest.mark.parametrize(
    ("mebibytes", "above_1", "above_16"),
    [(2, 1024, 0), (16, 15360, 0), (64, 64512, 768), (2048, 65535, 32512)],
)
def test_cmos_tells_the_memory(mebibytes: int, above_1: int, above_16: int) -> None:
    found = cmos(mebibytes)
    assert found[0x15] | found[0x16] << 8 == 640
    assert found[0x17] | found[0x18] << 8 == found[0x30] | found[0x31] << 8 == above_1
    assert found[0x34] | found[0x35] << 8 == above_16


def test_cmos_has_a_checksum(tmp_path: Path) -> None:
    found = cmos(32, blank(tmp_path, 4096))
    assert sum(found[0x10:0x2E]) == found[0x2E] << 8 | found[0x2F]


def test_cmos_tells_of_coprocessor_and_boot_order_but_of_no_floppy() -> None:
    found = cmos(32)
    assert found[0x14] == 0x02
    assert found[0x3D] == 0x02
    assert found[0x10] == 0


@pytest.mark.parametrize(
    ("cylinders", "expected"),
    [(1, NONE), (1024, NONE), (1025, LARGE), (8192, LARGE), (8193, LBA), (16383, LBA)],
)
def test_translation_of_a_blank_disk_goes_by_its_size(tmp_path: Path, cylinders: int, expected: int) -> None:
    assert translation(blank(tmp_path, cylinders * CYLINDER), None) == expected


@pytest.mark.parametrize(
    ("heads", "cylinders", "expected"),
    [
        (16, 500, NONE),
        (16, 1000, NONE),
        (32, 1000, LARGE),
        (32, 600, LARGE),
        (255, 1000, LBA),
        (128, 1023, LARGE),
        (17, 500, NONE),  # what no firmware does: by size
    ],
)
def test_translation_leads_to_the_geometry_that_the_disk_was_made_with(
    tmp_path: Path, heads: int, cylinders: int, expected: int
) -> None:
    disk = blank(tmp_path, heads * cylinders * 63)
    assert translation(disk, Geometry(cylinders, heads, 63)) == expected


def test_cmos_has_two_bits_of_translation_for_each_disk(tmp_path: Path) -> None:
    disks = [blank(tmp_path, sectors) for sectors in (1025 * CYLINDER, 8193 * CYLINDER, 100)]
    assert cmos(32, disks[0], None, *disks[1:])[0x39] == LARGE | LBA << 4


def test_fw_cfg_describes_the_machine() -> None:
    device = configuration(48 * MEBIBYTE, None)
    assert read(device, 0x03, 8) == struct.pack("<Q", 48 * MEBIBYTE)
    assert read(device, 0x05, 2) == read(device, 0x0F, 2) == b"\x01\x00", "one processor"
    assert read(device, 0x0E, 2) == bytes(2), "no boot menu to wait for"
    assert read(device, 0x19, 4) == struct.pack(">I", 1)
    assert read(device, 0x20, 20) == struct.pack("<QQI", 0, 48 * MEBIBYTE, 1)


def test_fw_cfg_has_the_vga_bios_as_a_file() -> None:
    device = configuration(2 * MEBIBYTE, b"rom")
    directory = read(device, 0x19, 4 + 2 * 64)
    assert b"vgaroms/" in directory
    assert read(device, 0x21, 4) == b"rom\0"
