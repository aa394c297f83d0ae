"""The VHD format's structures on disk, declared once; what they mean is in the modules that use them.

All integers are big-endian; a sector is 512 bytes. From Microsoft's "Virtual Hard Disk Image Format
Specification", version 1.0 (2006), with what programs do in practice::

    fixed                   dynamic and differencing
    data                    footer (copy)      sector 0
    footer                  dynamic header     1024 bytes
                            parent locators' data (differencing)
                            BAT                4 bytes per block: the sector of its bitmap, or none
                            blocks             bitmap, padded to whole sectors, then data
                            footer             last sector of the file

Importing this costs 60 ms for construct: do it only when a VHD is at hand.
"""

from __future__ import annotations

from struct import Struct as Packer
from typing import Any, NamedTuple

from construct import Array, Bytes, Int8ub, Int16ub, Int32ub, Int64ub, Struct

SECTOR_SIZE = 512

FOOTER_COOKIE = b"conectix"
FOOTER_SIZE = 512
OLD_FOOTER_SIZE = 511  # before 2004: the same without its last byte
FEATURES_RESERVED = 0x00000002  # always set
FEATURES_TEMPORARY = 0x00000001
VERSION = 0x00010000
NO_OFFSET = 0xFFFFFFFFFFFFFFFF
TYPE_FIXED, TYPE_DYNAMIC, TYPE_DIFFERENCING = 2, 3, 4
TYPE_NAMES = {TYPE_FIXED: "fixed", TYPE_DYNAMIC: "dynamic", TYPE_DIFFERENCING: "differencing"}
EPOCH = 946684800  # times count seconds from 2000-01-01 UTC
# qemu takes the size from CHS unless one of a few creators made the file, Windows' own among them.
CREATOR_APPLICATION = b"win "
CREATOR_VERSION = 0x000A0000
CREATOR_HOST = b"Wi2k"

HEADER_COOKIE = b"cxsparse"
HEADER_SIZE = 1024
NO_BLOCK = 0xFFFFFFFF
BAT_ENTRY_SIZE = 4
PARENT_NAME_SIZE = 512

LOCATOR_COUNT = 8
LOCATOR_SIZE = 24
LOCATOR_NONE = b"\0\0\0\0"
LOCATOR_RELATIVE = b"W2ru"  # UTF-16LE, .\parent.vhd
LOCATOR_ABSOLUTE = b"W2ku"  # UTF-16LE
LOCATOR_MAC = b"MacX"  # UTF-8 file URL
LOCATOR_FINGERPRINT = b"pcFp"  # ours: what a raw parent looked like; others skip codes they do not know
LOCATOR_CACHE = b"pcCa"  # ours: the file is a cache, and of what

CHECKSUM_IN_FOOTER = 64
CHECKSUM_IN_HEADER = 36
MAX_SECTORS = 0xFF000000  # 2040 GiB

FOOTER = Struct(
    "cookie" / Bytes(8),
    "features" / Int32ub,
    "version" / Int32ub,
    "header_offset" / Int64ub,
    "time" / Int32ub,
    "creator" / Bytes(4),
    "creator_version" / Int32ub,
    "creator_host" / Bytes(4),
    "original_size" / Int64ub,
    "current_size" / Int64ub,
    "cylinders" / Int16ub,
    "heads" / Int8ub,
    "sectors_per_track" / Int8ub,
    "type" / Int32ub,
    "checksum" / Int32ub,
    "unique_id" / Bytes(16),
    "saved_state" / Int8ub,
    "reserved" / Bytes(427),
)

LOCATOR = Struct(
    "code" / Bytes(4),
    "data_space" / Int32ub,  # sectors by the specification, bytes by all programs
    "data_length" / Int32ub,
    "reserved" / Int32ub,
    "data_offset" / Int64ub,
)

HEADER = Struct(
    "cookie" / Bytes(8),
    "data_offset" / Int64ub,
    "bat_offset" / Int64ub,
    "version" / Int32ub,
    "bat_entries" / Int32ub,
    "block_size" / Int32ub,
    "checksum" / Int32ub,
    "parent_id" / Bytes(16),
    "parent_time" / Int32ub,
    "reserved1" / Int32ub,
    "parent_name" / Bytes(PARENT_NAME_SIZE),  # UTF-16BE
    "locators" / Array(LOCATOR_COUNT, LOCATOR),
    "reserved2" / Bytes(256),
)


class Footer(NamedTuple):
    """A footer's fields, in the order on disk."""

    cookie: bytes = FOOTER_COOKIE
    features: int = FEATURES_RESERVED
    version: int = VERSION
    header_offset: int = NO_OFFSET
    time: int = 0
    creator: bytes = CREATOR_APPLICATION
    creator_version: int = CREATOR_VERSION
    creator_host: bytes = CREATOR_HOST
    original_size: int = 0
    current_size: int = 0
    cylinders: int = 0
    heads: int = 0
    sectors_per_track: int = 0
    type: int = TYPE_FIXED
    checksum: int = 0
    unique_id: bytes = bytes(16)
    saved_state: int = 0
    reserved: bytes = bytes(427)

    def pack(self) -> bytes:
        """The 512 bytes, with their checksum."""
        return _sealed(_FOOTER.pack(*self), CHECKSUM_IN_FOOTER)


class Locator(NamedTuple):
    """Where one description of the parent's place lies in the file."""

    code: bytes = LOCATOR_NONE
    data_space: int = 0
    data_length: int = 0
    reserved: int = 0
    data_offset: int = 0


class Header(NamedTuple):
    """A dynamic header's fields, in the order on disk; of the locators, those in use."""

    cookie: bytes = HEADER_COOKIE
    data_offset: int = NO_OFFSET
    bat_offset: int = 0
    version: int = VERSION
    bat_entries: int = 0
    block_size: int = 0
    checksum: int = 0
    parent_id: bytes = bytes(16)
    parent_time: int = 0
    reserved1: int = 0
    parent_name: bytes = bytes(PARENT_NAME_SIZE)
    locators: tuple[Locator, ...] = ()
    reserved2: bytes = bytes(256)

    def pack(self) -> bytes:
        """The 1024 bytes, with their checksum."""
        locators = b"".join([_LOCATOR.pack(*locator) for locator in self.locators])
        before, behind = self[:_LOCATORS], self[_LOCATORS + 1 :]
        return _sealed(_HEADER.pack(*before, locators, *behind), CHECKSUM_IN_HEADER)


def _packer(declaration: Any) -> Packer:
    """What reads and writes a construct declaration fast: 1 µs for a footer, where construct takes 100.

    All but integers are left as bytes.
    """
    kinds = [field.subcon for field in declaration.subcons]
    codes = [getattr(kind, "fmtstr", f">{kind.sizeof()}s").removeprefix(">") for kind in kinds]
    return Packer(">" + "".join(codes))


_FOOTER, _HEADER, _LOCATOR = _packer(FOOTER), _packer(HEADER), _packer(LOCATOR)
_LOCATORS = Header._fields.index("locators")


def _sealed(packed: bytes, checksum_offset: int) -> bytes:
    """The same with the right checksum."""
    checksum = checksum_of(packed, checksum_offset).to_bytes(4, "big")
    return packed[:checksum_offset] + checksum + packed[checksum_offset + 4 :]


def unpack_footer(data: bytes | bytearray) -> Footer:
    """The fields of 512 (or, from old programs, 511) bytes, unchecked."""
    return Footer._make(_FOOTER.unpack(data.ljust(FOOTER_SIZE, b"\0")))


def unpack_header(data: bytes | bytearray) -> Header:
    """The fields of 1024 bytes, unchecked; the locators that are in use with them."""
    values = _HEADER.unpack(data)
    entries = _LOCATOR.iter_unpack(values[_LOCATORS])
    locators = tuple([Locator._make(each) for each in entries if each[0] != LOCATOR_NONE])
    return Header._make((*values[:_LOCATORS], locators, *values[_LOCATORS + 1 :]))


def checksum_of(data: bytes | bytearray, checksum_offset: int) -> int:
    """One's complement of the sum of all bytes but those of the checksum itself."""
    filled = data.translate(None, b"\0")  # without the zeros, most of it, that add nothing
    return ~(sum(filled) - sum(data[checksum_offset : checksum_offset + 4])) & 0xFFFFFFFF
