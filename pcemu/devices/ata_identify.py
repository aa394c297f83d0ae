"""What an ATA hard disk says of itself: the 256 words of IDENTIFY DEVICE.

Words 0-255 as in ATA/ATAPI-6 (T13/1410D), section 8.15; a few obsolete ones that DOS programs show are
filled too. The drive has no DMA, so words 62, 63, 88 and bit 8 of word 49 are zero.
"""

from __future__ import annotations

from typing import NamedTuple

from pcemu.devices.ata_pio import BUFFER_SECTORS
from pcemu.drives.drive import SECTOR_SIZE, Geometry

MAX_MULTIPLE = 128  # sectors per DRQ block: one block carries the 64 KiB that INT 13h moves at most
MAX_CHS_SECTORS = 16_514_064  # 16383 x 16 x 63, all that CHS words may tell
MAX_LBA28_SECTORS = 0x0FFF_FFFF
FIRMWARE = "1.0"

FIXED_DRIVE = 0x0040
COMPLETE_WITHOUT_SPIN_UP = 0xC837
BUFFER_DUAL_PORTED_READ_CACHE = 3
ECC_BYTES = 4
MULTIPLE_LIMIT_VALID = 0x8000
DOUBLEWORD_IO = 0x0001
CAPABILITY_LBA = 0x0200
CAPABILITY_IORDY = 0x0800 | 0x0400  # supported, may be disabled
CAPABILITIES_VALID = 0x4000
PIO_MODE_2 = 0x0200
WORDS_54_58_VALID = 0x0001
WORDS_64_70_VALID = 0x0002
MULTIPLE_VALID = 0x0100
PIO_MODES_3_AND_4 = 0x0003
CYCLE_TIME_PIO_4 = 120  # ns
ATA_3_TO_6 = 0x0078
# Words 82 and 85.
SET_NOP = 0x4000
SET_LOOK_AHEAD = 0x0040
SET_WRITE_CACHE = 0x0020
SET_POWER_MANAGEMENT = 0x0008
# Words 83 and 86.
SET_FLUSH_CACHE_EXT = 0x2000
SET_FLUSH_CACHE = 0x1000
SET_LBA48 = 0x0400
WORD_VALID = 0x4000
INTEGRITY_SIGNATURE = 0xA5


class Identity(NamedTuple):
    """What :func:`identify` has to know of a drive; its geometries have 16 heads at most."""

    sectors: int
    default: Geometry
    current: Geometry
    serial: str
    model: str
    multiple: int
    write_cache: bool
    look_ahead: bool


def identify(drive: Identity) -> bytes:
    """The 512 bytes that IDENTIFY DEVICE transfers."""
    words = [0] * 256
    words[0] = FIXED_DRIVE
    words[1], words[3], words[6] = drive.default
    words[2] = COMPLETE_WITHOUT_SPIN_UP
    # Unformatted bytes of a track and of a sector: obsolete since ATA-2, but Bochs' BIOS wants the latter
    words[4], words[5] = SECTOR_SIZE * drive.default.sectors, SECTOR_SIZE
    words[10:20] = _text(drive.serial, 10)
    words[20:23] = BUFFER_DUAL_PORTED_READ_CACHE, BUFFER_SECTORS, ECC_BYTES
    words[23:27] = _text(FIRMWARE, 4)
    words[27:47] = _text(drive.model, 20)
    words[47] = MULTIPLE_LIMIT_VALID | MAX_MULTIPLE
    words[48] = DOUBLEWORD_IO
    words[49] = CAPABILITY_LBA | CAPABILITY_IORDY
    words[50] = CAPABILITIES_VALID
    words[51] = PIO_MODE_2
    words[53] = WORDS_54_58_VALID | WORDS_64_70_VALID
    words[54:57] = drive.current
    words[57:59] = _number(drive.current.cylinders * drive.current.heads * drive.current.sectors, 2)
    words[59] = MULTIPLE_VALID | drive.multiple if drive.multiple else 0
    words[60:62] = _number(min(drive.sectors, MAX_LBA28_SECTORS), 2)
    words[64] = PIO_MODES_3_AND_4
    words[67] = words[68] = CYCLE_TIME_PIO_4
    words[80] = ATA_3_TO_6
    words[82] = SET_NOP | SET_LOOK_AHEAD | SET_WRITE_CACHE | SET_POWER_MANAGEMENT
    words[83] = WORD_VALID | SET_FLUSH_CACHE_EXT | SET_FLUSH_CACHE | SET_LBA48
    words[84] = WORD_VALID
    words[85] = (
        SET_NOP
        | SET_POWER_MANAGEMENT
        | (SET_LOOK_AHEAD if drive.look_ahead else 0)
        | (SET_WRITE_CACHE if drive.write_cache else 0)
    )
    words[86] = SET_FLUSH_CACHE_EXT | SET_FLUSH_CACHE | SET_LBA48
    words[87] = WORD_VALID
    words[100:104] = _number(drive.sectors, 4)
    words[255] = INTEGRITY_SIGNATURE
    data = bytearray(b"".join(word.to_bytes(2, "little") for word in words))
    data[511] = -sum(data) & 0xFF
    return bytes(data)


def _text(text: str, words: int) -> list[int]:
    """ASCII padded with spaces; the first character of each pair is the word's high byte."""
    data = text.encode("ascii", "replace").ljust(2 * words)[: 2 * words]
    return [high << 8 | low for high, low in zip(data[::2], data[1::2], strict=True)]


def _number(value: int, words: int) -> list[int]:
    """A number as words, the low one first."""
    return [value >> 16 * i & 0xFFFF for i in range(words)]
