"""A second VHD reader, and a maker of small images, for checking the engine: they share no code with it.

Written from the format's figures alone (big-endian, sectors of 512 bytes). Works on anything that has
``size`` and ``read(offset, size)``: real files, files as a crash left them, bytes. It reads one sector after
the other and keeps nothing, so that there is little in it to be wrong.
"""

from __future__ import annotations

import os
import posixpath
import struct
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

SECTOR = 512
ZEROS = bytes(SECTOR)
NOWHERE = 0xFFFFFFFF
ALL_ONES = 0xFFFFFFFFFFFFFFFF
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427s")
HEADER = struct.Struct(">8sQQIIII16sII512s192s256s")
LOCATOR = struct.Struct(">4sIIIQ")


class Broken(Exception):
    """The image breaks a rule of the format, or does not say what it must."""


class Readable(Protocol):
    """A file: its size, and up to ``size`` bytes from ``offset`` on."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes: ...


class BytesFile:
    """A file that is a row of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Part of it."""
        return self.data[offset : offset + size]


class PathFile:
    """A file on the host, kept open."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self._fd)

    @property
    def size(self) -> int:
        """As it is now."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Part of it."""
        return os.pread(self._fd, size, offset)


def files_in(folder: Path) -> dict[str, PathFile]:
    """All files of a folder, by name."""
    return {path.name: PathFile(path) for path in folder.iterdir() if path.is_file()}


class Footer(NamedTuple):
    """The fields of a footer."""

    cookie: bytes
    features: int
    version: int
    header_offset: int
    time: int
    creator: bytes
    creator_version: int
    host: bytes
    original_size: int
    size: int
    cylinders: int
    heads: int
    per_track: int
    type: int
    checksum: int
    id: bytes
    saved: int
    reserved: bytes


class Header(NamedTuple):
    """The fields of a dynamic header."""

    cookie: bytes
    unused: int
    bat_offset: int
    version: int
    entries: int
    block_size: int
    checksum: int
    parent_id: bytes
    parent_time: int
    reserved: int
    parent_name: bytes
    locators: bytes
    rest: bytes


@lru_cache(maxsize=4096)
def footer_in(data: bytes) -> Footer | None:
    """The footer in 512 bytes; None when these are none."""
    if len(data) != SECTOR or not data.startswith(b"conectix") or checksum(data, 64) != data[64:68]:
        return None
    return Footer(*FOOTER.unpack(data))


@lru_cache(maxsize=4096)
def header_in(data: bytes) -> Header:
    """The dynamic header in 1024 bytes."""
    if len(data) != 1024 or not data.startswith(b"cxsparse"):
        raise Broken(f"no dynamic header, but {data[:8]!r}")
    if checksum(data, 36) != data[36:40]:
        raise Broken("the dynamic header's checksum is wrong")
    return Header(*HEADER.unpack(data))


def checksum(data: bytes, place: int) -> bytes:
    """The complement of the sum of all bytes, the four at ``place`` left out."""
    return (0xFFFFFFFF - (sum(data) - sum(data[place : place + 4]))).to_bytes(4, "big")


class RawImage:
    """A raw file as the ultimate parent."""

    def __init__(self, file: Readable) -> None:
        self.file = file
        self.sectors = file.size // SECTOR

    def sector(self, lba: int) -> bytes | None:
        """Always here, as far as the file goes."""
        return self.file.read(lba * SECTOR, SECTOR) if lba < self.sectors else None


class VhdImage:
    """One VHD, its structure checked: raises Broken. ``tail_lost``: only the copy of its footer is good."""

    def __init__(self, file: Readable, name: str = "image") -> None:
        self.file = file
        self.name = name
        whole = file.size // SECTOR * SECTOR
        tail = footer_in(file.read(whole - SECTOR, SECTOR)) if whole else None
        copy = footer_in(file.read(0, SECTOR))
        self.tail_lost = tail is None
        self.end = whole - (0 if tail is None else SECTOR)
        footer = tail or copy
        if footer is None:
            raise Broken(f"{name}: no footer, neither at the end nor at the start")
        if footer.type not in (FIXED, DYNAMIC, DIFFERENCING) or footer.version != 0x10000:
            raise Broken(f"{name}: type {footer.type}, version {footer.version:#x}")
        if not footer.features & 2 or footer.size % SECTOR or not footer.size:
            raise Broken(f"{name}: features {footer.features}, size {footer.size}")
        self.footer = footer
        self.type = footer.type
        self.sectors = footer.size // SECTOR
        self.bat: tuple[int, ...] = ()
        if self.type == FIXED:
            if footer.header_offset != ALL_ONES or self.end != footer.size:
                raise Broken(f"{name}: a fixed image of {footer.size} bytes in {file.size}")
            return
        self.footers_differ = tail != copy  # while an image gets new structures, and after a crash then
        self._read_table(footer)

    def _read_table(self, footer: Footer) -> None:
        header = self.header = header_in(self.file.read(footer.header_offset, 1024))
        size = header.block_size
        if header.version != 0x10000 or size < SECTOR or size & (size - 1):
            raise Broken(f"{self.name}: header version {header.version:#x}, blocks of {size}")
        if header.entries * size < footer.size:
            raise Broken(f"{self.name}: {header.entries} blocks of {size} do not hold {footer.size}")
        self.bitmap_size = -(-size // SECTOR // 8 // SECTOR) * SECTOR
        self.per_block = size // SECTOR
        table = self.file.read(header.bat_offset, header.entries * 4)
        if len(table) != header.entries * 4:
            raise Broken(f"{self.name}: the BAT ends at {len(table)} bytes")
        self.bat = struct.unpack(f">{header.entries}I", table)
        self._check_places(footer, header)

    def _check_places(self, footer: Footer, header: Header) -> None:
        used = [
            (0, SECTOR, "footer copy"),
            (footer.header_offset, footer.header_offset + 1024, "header"),
            (header.bat_offset, header.bat_offset + 4 * header.entries, "BAT"),
        ]
        if self.type == DIFFERENCING:
            used += [(at, at + length, code.decode("latin-1")) for code, length, at in self.locators()]
        length = self.bitmap_size + header.block_size
        for block, entry in enumerate(self.bat):
            if entry != NOWHERE:
                used.append((entry * SECTOR, entry * SECTOR + length, f"block {block}"))
        used.sort()
        for (_, stop, one), (start, _, other) in pairwise(used):
            if start < stop:
                raise Broken(f"{self.name}: {one} up to {stop} and {other} from {start} overlap")
        if used[-1][1] > self.end:
            raise Broken(f"{self.name}: {used[-1][2]} ends at {used[-1][1]}, behind {self.end}")

    def locators(self) -> list[tuple[bytes, int, int]]:
        """(code, length, offset) of the parent locators in use."""
        found = []
        for code, _, length, _, offset in LOCATOR.iter_unpack(self.header.locators):
            if code != bytes(4):
                found.append((code, length, offset))
        return found

    def parent_path(self) -> str:
        """Where the parent is, from the folder of this image."""
        for code, length, offset in self.locators():
            if code == b"W2ru":
                path = self.file.read(offset, length).decode("utf-16-le")
                return posixpath.normpath(path.replace("\\", "/"))
        return self.header.parent_name.decode("utf-16-be").partition("\0")[0]

    def has(self, lba: int) -> bool:
        """The sector's bit; False without a block."""
        entry = self.bat[lba // self.per_block]
        if entry == NOWHERE:
            return False
        bit = lba % self.per_block
        at = entry * SECTOR + bit // 8
        return bool(self.file.read(at, 1)[0] & (0x80 >> bit % 8))

    def stored(self, lba: int) -> bytes:
        """What the file has in the sector's place, whatever its bit says; its block must be there."""
        at = self.bat[lba // self.per_block] * SECTOR + self.bitmap_size + lba % self.per_block * SECTOR
        data = self.file.read(at, SECTOR)
        if len(data) != SECTOR:
            raise Broken(f"{self.name}: sector {lba} lies behind the end of the file")
        return data

    def sector(self, lba: int) -> bytes | None:
        """The sector's content; None when a parent must be asked, or there are zeros when there is none."""
        if lba >= self.sectors:
            return None
        if self.type == FIXED:
            return self.file.read(lba * SECTOR, SECTOR)
        return self.stored(lba) if self.has(lba) else None

    def check_hidden_zeros(self) -> None:
        """In a dynamic image, sectors without a bit must be zeros: some programs do not look at the bits."""
        for lba in range(self.sectors if self.type == DYNAMIC else 0):
            if self.bat[lba // self.per_block] != NOWHERE and not self.has(lba) and self.stored(lba) != ZEROS:
                raise Broken(f"{self.name}: sector {lba} has no bit but data")


Image = RawImage | VhdImage


class ImageChain:
    """An image with its parents, found by name among ``files``; those in ``raw`` are raw images."""

    def __init__(self, files: Mapping[str, Readable], name: str, raw: Collection[str] = ()) -> None:
        self.images: list[Image] = []
        names: list[str] = []
        while True:
            if name in names:
                raise Broken(f"{name} is its own ancestor")
            names.append(name)
            if name not in files:
                raise Broken(f"{name} is missing")
            image: Image = RawImage(files[name]) if name in raw else VhdImage(files[name], name)
            if self.images and isinstance(image, VhdImage):
                child = self.images[-1]
                assert isinstance(child, VhdImage)
                if child.header.parent_id != image.footer.id:
                    raise Broken(f"{name} is not the parent that {names[-2]} was made for")
            self.images.append(image)
            if isinstance(image, RawImage) or image.type != DIFFERENCING:
                break
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), image.parent_path()))
        self.sectors = self.images[0].sectors

    def sector(self, lba: int) -> bytes:
        """What the guest reads."""
        for image in self.images:
            data = image.sector(lba)
            if data is not None:
                return data
        return ZEROS

    def content(self) -> bytes:
        """The whole drive."""
        return b"".join(map(self.sector, range(self.sectors)))


def chs(sectors: int) -> tuple[int, int, int]:
    """The geometry that the format computes for a size: cylinders, heads, sectors per track."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    track, heads = 17, max(4, (sectors // 17 + 1023) // 1024)
    if heads > 16 or sectors // 17 >= heads * 1024:
        track, heads = 31, 16
        if sectors // 31 >= heads * 1024:
            track = 63
    return sectors // track // heads, heads, track


def make_footer(kind: int, size: int, unique_id: bytes, header_offset: int = SECTOR) -> bytes:
    """A footer; its geometry is made up for sizes too small for one."""
    cylinders, heads, track = chs(size // SECTOR)
    where = ALL_ONES if kind == FIXED else header_offset
    made = (b"conectix", 2, 0x10000, where, 0, b"win ", 0xA0000, b"Wi2k", size, size)
    data = FOOTER.pack(*made, max(1, cylinders), heads, track, kind, 0, unique_id, 0, bytes(427))
    return data[:64] + checksum(data, 64) + data[68:]


def make_header(
    entries: int,
    block_size: int,
    bat_offset: int,
    parent_id: bytes = bytes(16),
    parent_name: str = "",
    locators: Sequence[tuple[bytes, int, int, int]] = (),
) -> bytes:
    """A dynamic header; ``locators`` are (code, space, length, offset)."""
    packed = b"".join(LOCATOR.pack(code, space, length, 0, at) for code, space, length, at in locators)
    name = parent_name.encode("utf-16-be")
    made = (b"cxsparse", ALL_ONES, bat_offset, 0x10000, entries, block_size, 0, parent_id, 0, 0)
    data = HEADER.pack(*made, name, packed, b"")  # pads with zeros
    return data[:36] + checksum(data, 36) + data[40:]


def make_fixed(size: int, unique_id: bytes, sectors: Mapping[int, bytes]) -> bytes:
    """A fixed VHD."""
    return _flat(size, sectors) + make_footer(FIXED, size, unique_id)


def make_raw(size: int, sectors: Mapping[int, bytes]) -> bytes:
    """A raw image."""
    return _flat(size, sectors)


def make_sparse(
    size: int,
    unique_id: bytes,
    sectors: Mapping[int, bytes],
    *,
    block_size: int = 4096,
    parent_id: bytes | None = None,
    parent_name: str = "",
) -> bytes:
    """A dynamic VHD; a differencing one when there is a parent, beside it under ``parent_name``."""
    kind = DYNAMIC if parent_id is None else DIFFERENCING
    entries = -(-size // block_size)
    at = 3 * SECTOR
    locators, locator_data = [], b""
    if parent_id is not None:
        path = (".\\" + parent_name).encode("utf-16-le")
        space = -(-len(path) // SECTOR) * SECTOR
        locators = [(b"W2ru", space, len(path), at)]
        locator_data = path.ljust(space, b"\0")
    bat_offset = at + len(locator_data)
    bat_size = -(-entries * 4 // SECTOR) * SECTOR
    per_block = block_size // SECTOR
    bitmap_size = -(-per_block // 8 // SECTOR) * SECTOR
    bat = [NOWHERE] * entries
    blocks = b""
    for block in sorted({lba // per_block for lba in sectors}):
        bat[block] = (bat_offset + bat_size + len(blocks)) // SECTOR
        bits, data = bytearray(bitmap_size), b""
        for bit in range(per_block):
            content = sectors.get(block * per_block + bit)
            if content is not None:
                bits[bit // 8] |= 0x80 >> bit % 8
            data += content or ZEROS
        blocks += bytes(bits) + data
    footer = make_footer(kind, size, unique_id)
    header = make_header(entries, block_size, bat_offset, parent_id or bytes(16), parent_name, locators)
    table = struct.pack(f">{entries}I", *bat).ljust(bat_size, b"\xff")
    return footer + header + locator_data + table + blocks + footer


def _flat(size: int, sectors: Mapping[int, bytes]) -> bytes:
    data = bytearray(size)
    for lba, content in sectors.items():
        data[lba * SECTOR : (lba + 1) * SECTOR] = content
    return bytes(data)
