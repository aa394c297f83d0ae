"""What the board tells its firmware: CMOS RAM as a set-up program would leave it, and fw_cfg.

Firmware of an AT reads the CMOS alone. Firmware for virtual machines reads more there than IBM ever defined,
and asks fw_cfg, which can hold what the CMOS has no room for: adapter ROMs, a map of memory.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

from pcemu.devices.ata_drive import ata_geometry
from pcemu.devices.fw_cfg import BOOT_MENU, MAX_PROCESSORS, NUMA, PROCESSORS, RAM_SIZE, FwCfg
from pcemu.devices.rtc import Mc146818
from pcemu.drives.drive import Drive, Geometry
from pcemu.drives.geometry import logical_geometry
from pcemu.memory import MEBIBYTE

MAX_CYLINDERS = 1024  # that INT 13h can name

# CMOS RAM as AT firmware reads it
CMOS_SHUTDOWN = 0x0F
CMOS_EQUIPMENT = 0x14
CMOS_BASE_KIB = 0x15
CMOS_EXTENDED_KIB = (0x17, 0x30)
CMOS_DISK_TYPES = 0x12  # of the first two disks, a nibble each; 15 says that the byte below has it
CMOS_DISKS = ((0x19, 0x1B), (0x1A, 0x24), (0x52, 0x40), (0x53, 0x49))  # type, and the geometry's nine bytes
EQUIPMENT_COPROCESSOR = 0x02
DISK_TYPE_USER = 47  # the geometry is not in the ROM's list, but in the CMOS
FDPT_CONTROL_RETRY, FDPT_CONTROL_HEADS = 0xC0, 0x08  # the drive does its own retries; more than 8 heads

# … and as Bochs' and QEMU's does besides
CMOS_ABOVE_16_MIB = 0x34  # in 64 KiB units
CMOS_TRANSLATION = 0x39  # two bits for each disk
CMOS_BOOT_ORDER = 0x3D  # a nibble for each device, the first one lowest
BOOT_HARD_DISK = 2
TRANSLATION_NONE, TRANSLATION_LBA, TRANSLATION_LARGE = 0, 1, 2
MAX_LARGE_HEADS = 128
LBA_HEADS, LBA_SECTORS = 255, 63

# fw_cfg's files
FILE_MEMORY_MAP = "etc/e820"
FILE_VIDEO_ROM = "vgaroms/vgabios.bin"
E820_RAM = 1


def fill_cmos(rtc: Mc146818, memory: int, disks: Sequence[Drive | None]) -> None:
    """Set all bytes that firmware reads; ``memory`` in bytes, up to four ``disks``."""
    words = {CMOS_BASE_KIB: 640, CMOS_ABOVE_16_MIB: max(0, memory - 16 * MEBIBYTE) >> 16}
    for index in CMOS_EXTENDED_KIB:
        words[index] = min((memory - MEBIBYTE) >> 10, 0xFFFF)
    for index, value in words.items():
        rtc.poke(index, value & 0xFF)
        rtc.poke(index + 1, value >> 8)
    rtc.poke(CMOS_EQUIPMENT, EQUIPMENT_COPROCESSOR)
    rtc.poke(CMOS_BOOT_ORDER, BOOT_HARD_DISK)
    _fill_disks(rtc, disks)
    rtc.update_checksum()


def _fill_disks(rtc: Mc146818, disks: Sequence[Drive | None]) -> None:
    """What a set-up program would ask for: the geometry of each disk, where the disk itself tells."""
    types = translations = 0
    for index, (disk, (kind, place)) in enumerate(zip(disks, CMOS_DISKS, strict=False)):
        if disk is None:
            continue
        geometry = None
        with contextlib.suppress(OSError):  # the guest will hear of it
            geometry = logical_geometry(disk)
        translations |= translation(disk, geometry) << 2 * index
        if geometry is None:
            continue  # the BIOS has rules of its own
        types |= (0xF0, 0x0F, 0, 0)[index]
        cylinders = min(MAX_CYLINDERS, geometry.cylinders)
        control = FDPT_CONTROL_RETRY | (FDPT_CONTROL_HEADS if geometry.heads > 8 else 0)
        # Cylinders, heads, write precompensation (none), control byte, landing zone, sectors per track.
        area = struct.pack("<HBHBHB", cylinders, geometry.heads, 0xFFFF, control, cylinders, geometry.sectors)
        rtc.poke(kind, DISK_TYPE_USER)
        for offset, value in enumerate(area):
            rtc.poke(place + offset, value)
    rtc.poke(CMOS_DISK_TYPES, types)
    rtc.poke(CMOS_TRANSLATION, translations)


def translation(disk: Drive, wanted: Geometry | None) -> int:
    """How firmware shall come from the geometry that the drive tells to one that INT 13h can use.

    The way that leads to the ``wanted`` heads and sectors; where none does, the usual one for the size.
    """
    ways = {way: _translated(disk, way) for way in (TRANSLATION_NONE, TRANSLATION_LARGE, TRANSLATION_LBA)}
    for way, shape in ways.items():
        if wanted is not None and shape == (wanted.heads, wanted.sectors):
            return way
    for way, (heads, sectors) in ways.items():
        if disk.sectors <= MAX_CYLINDERS * heads * sectors:
            return way
    return TRANSLATION_LBA


def _translated(disk: Drive, way: int) -> tuple[int, int]:
    """(heads, sectors per track) that a way of translation leads to."""
    cylinders, heads, sectors = ata_geometry(disk)
    if way == TRANSLATION_LARGE:
        while cylinders > MAX_CYLINDERS and heads < MAX_LARGE_HEADS:
            cylinders //= 2
            heads *= 2
    elif way == TRANSLATION_LBA:
        sectors = LBA_SECTORS
        needed = disk.sectors // (sectors * MAX_CYLINDERS)
        heads = next((power for power in (16, 32, 64, 128) if needed <= power), LBA_HEADS)
    return heads, sectors


def configuration(memory: int, video_rom: bytes | None) -> FwCfg:
    """The fw_cfg of a machine with one processor and ``memory`` bytes of RAM."""
    items = {
        RAM_SIZE: memory.to_bytes(8, "little"),
        PROCESSORS: (1).to_bytes(2, "little"),
        MAX_PROCESSORS: (1).to_bytes(2, "little"),
        NUMA: bytes(8),
        BOOT_MENU: bytes(2),
    }
    files = {FILE_MEMORY_MAP: struct.pack("<QQI", 0, memory, E820_RAM)}
    if video_rom is not None:
        files[FILE_VIDEO_ROM] = video_rom
    return FwCfg(items, files)
