"""Reading a VHD's footer, header and BAT: every field is checked before anything uses it.

What is wrong raises ImageFormatError with the file, the field, what was found, what was expected, and how
to go on. Nothing here writes.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

from pcemu.drives import vhd_layout as layout
from pcemu.drives.drive import Geometry
from pcemu.drives.hostfile import HostFile
from pcemu.drives.probe import Ends
from pcemu.drives.vhd_layout import (
    BAT_ENTRY_SIZE,
    FOOTER_SIZE,
    HEADER_SIZE,
    NO_BLOCK,
    SECTOR_SIZE,
    Footer,
    Header,
    Locator,
)
from pcemu.errors import ImageAccessError, ImageFormatError

MIN_BLOCK_SIZE = 4096
MAX_BLOCK_SIZE = 256 << 20
MAX_BAT_ENTRIES = 1 << 23
MAX_LOCATOR_SIZE = 1 << 16
MAX_TOGETHER = 1 << 11  # entries of a BAT that is checked with others
FAR_APART = 33  # bits to shift an image's number by, so that its sectors are nowhere near the next image's
Sizes = TypeVar("Sizes", int, np.ndarray[tuple[int], np.dtype[np.int64]])
NO_ENTRY = np.uint32(NO_BLOCK)  # numpy compares with it faster than with a Python integer
DAMAGED = "the file is damaged: restore it from a copy"


class Structures(NamedTuple):
    """What an image's footer and header say, checked; its BAT is not read yet."""

    ends: Ends
    footer: Footer
    header: Header | None  # None for a fixed image
    locators: list[tuple[bytes, bytes]]  # code and data, of a differencing image
    start: int  # byte behind the last structure: blocks usually come after it
    end: int  # byte before which all blocks must end: the tail footer's place, or the end of the file
    tail_lost: bool  # the footer at the end is lost, this one is the copy at the start

    @property
    def file(self) -> HostFile:
        """The image."""
        return self.ends.file

    @property
    def copy_stale(self) -> bool:
        """True when the footer's copy at the start is another one, or none."""
        ends, length = self.ends, min(FOOTER_SIZE, self.ends.size - self.end)
        return not self.tail_lost and ends.read(0, length) != ends.read(self.end, length)


class VhdFacts(NamedTuple):
    """What an image's structures say, checked; as in :class:`Structures` but for the end."""

    footer: Footer
    header: Header | None
    locators: list[tuple[bytes, bytes]]
    bat: array[int] | None  # None for a fixed image
    end: int  # where the structures and data end, and the tail footer begins or should
    tail_lost: bool
    copy_stale: bool = False


class Blocks(NamedTuple):
    """An image's BAT, with what is needed to check it."""

    path: str
    footer: Footer
    header: Header
    bat: array[int]
    start: int  # byte behind the last structure: blocks usually come after it
    end: int  # byte before which all must end


def refuse(path: str, field: str, found: object, expected: object, advice: str = DAMAGED) -> NoReturn:
    """Raise ImageFormatError in the words that all checks use."""
    raise ImageFormatError(f"{path}: {field} is {found}, expected {expected}; {advice}")


def read_facts(ends: Ends) -> VhdFacts:
    """Read and check the footer and, for a dynamic or differencing image, its header, locators and BAT."""
    return facts_of([read_structures(ends)])[0]


def read_structures(ends: Ends) -> Structures:
    """As :func:`read_facts`, all but the BAT; for who has many images, and gives all to :func:`facts_of`."""
    for offset, length in ends.footer_places():
        footer = _footer_in(ends.read(offset, length))
        if footer is not None:
            return _structures(ends, footer, offset, tail_lost=False)
    footer = _footer_in(ends.read(0, min(FOOTER_SIZE, ends.size)))
    if footer is None:
        _refuse_footer(ends)
    return _structures(ends, footer, ends.size, tail_lost=True)


def _structures(ends: Ends, footer: Footer, end: int, *, tail_lost: bool) -> Structures:
    path = ends.file.path
    _check_footer(path, footer)
    if footer.type == layout.TYPE_FIXED:
        if tail_lost:  # a fixed image has no copy at its start, so this is a sector of its data
            expected = "one as the fixed VHD has that is in its first sector"
            refuse(path, "its end", "no VHD footer", expected)
        if footer.current_size > end:
            found = f"{footer.current_size} bytes"
            refuse(path, "the disk's size", found, f"at most {end}, as the file has")
        return Structures(ends, footer, None, [], 0, end, tail_lost)
    header, start = _read_header(ends, footer, end)
    locators = [
        (each.code, bytes(ends.read(each.data_offset, each.data_length)))
        for each in _locators(footer, header)
    ]
    if not ends.file.read_only and layout.LOCATOR_CACHE in dict(locators):
        raise ImageAccessError(
            f"{path}: is the cache of an image on a server, which is read-only, expected another "
            f"image to write to; save changes as a branch, or convert it to an image of its own"
        )
    return Structures(ends, footer, header, locators, start, end, tail_lost)


def facts_of(images: Sequence[Structures]) -> list[VhdFacts]:
    """Read the BATs of images, and check them."""
    bats = [None if each.header is None else _read_bat(each.ends, each.header) for each in images]
    check_blocks_of([
        Blocks(each.file.path, each.footer, each.header, bat, each.start, each.end)
        for each, bat in zip(images, bats, strict=True)
        if each.header is not None and bat is not None
    ])
    return list(map(_facts, images, bats))


def _facts(image: Structures, bat: array[int] | None) -> VhdFacts:
    _, footer, header, locators, _, end, tail_lost = image
    if header is None or bat is None:
        return VhdFacts(footer, None, [], None, end, tail_lost)
    if tail_lost:
        end = end_of_structures(footer, header, bat)
    return VhdFacts(footer, header, locators, bat, end, tail_lost, image.copy_stale)


def _refuse_footer(ends: Ends) -> NoReturn:
    for offset, length in [*ends.footer_places(), (0, min(FOOTER_SIZE, ends.size))]:
        data = ends.read(offset, length)
        if data.startswith(layout.FOOTER_COOKIE) and length >= layout.OLD_FOOTER_SIZE:
            stored = int.from_bytes(data[64:68], "big")
            actual = layout.checksum_of(data, layout.CHECKSUM_IN_FOOTER)
            field = f"the checksum of the footer at byte {offset}"
            refuse(ends.file.path, field, f"{stored:#010x}", f"{actual:#010x}")
    advice = "it is no VHD: open it as a raw image"
    refuse(ends.file.path, "its end", "no VHD footer", "the word 'conectix'", advice)


def _footer_in(data: bytes | bytearray) -> Footer | None:
    """The footer that ``data`` is, unchecked but for its checksum; None when it is none."""
    if len(data) < layout.OLD_FOOTER_SIZE or not data.startswith(layout.FOOTER_COOKIE):
        return None
    footer = layout.unpack_footer(data)
    return footer if footer.checksum == layout.checksum_of(data, layout.CHECKSUM_IN_FOOTER) else None


def _check_footer(path: str, footer: Footer) -> None:
    if footer.version >> 16 != layout.VERSION >> 16:
        refuse(path, "the footer's version", f"{footer.version:#010x}", f"{layout.VERSION:#010x}",
               "it is newer than this program: convert it with the one that made it")
    if footer.type not in layout.TYPE_NAMES:
        refuse(path, "the disk type", footer.type, "2 (fixed), 3 (dynamic) or 4 (differencing)")
    size = footer.current_size
    if size == 0 or size % SECTOR_SIZE:
        refuse(path, "the disk's size", f"{size} bytes", f"a multiple of {SECTOR_SIZE}, not 0")
    if size > layout.MAX_SECTORS * SECTOR_SIZE:
        refuse(path, "the disk's size", f"{size} bytes", f"at most {layout.MAX_SECTORS * SECTOR_SIZE}")


def _read_header(ends: Ends, footer: Footer, end: int) -> tuple[Header, int]:
    """The dynamic header of an image whose structures end before byte ``end``, and where they do."""
    path = ends.file.path
    offset = footer.header_offset
    if offset % SECTOR_SIZE or offset < FOOTER_SIZE or offset + HEADER_SIZE > end:
        refuse(path, "the dynamic header's place", offset, f"a multiple of {SECTOR_SIZE} before byte {end}")
    data = ends.read(offset, HEADER_SIZE)
    header = layout.unpack_header(data)
    if header.cookie != layout.HEADER_COOKIE:
        refuse(path, "the dynamic header's cookie", bytes(header.cookie), layout.HEADER_COOKIE)
    actual = layout.checksum_of(data, layout.CHECKSUM_IN_HEADER)
    if header.checksum != actual:
        refuse(path, "the dynamic header's checksum", f"{header.checksum:#010x}", f"{actual:#010x}")
    return header, _check_header(path, footer, header, end)


def _check_header(path: str, footer: Footer, header: Header, end: int) -> int:
    """Returns the byte behind the last structure."""
    if header.version >> 16 != layout.VERSION >> 16:
        refuse(path, "the dynamic header's version", f"{header.version:#010x}", f"{layout.VERSION:#010x}",
               "it is newer than this program: convert it with the one that made it")
    block = header.block_size
    if block & (block - 1) or not MIN_BLOCK_SIZE <= block <= MAX_BLOCK_SIZE:
        refuse(path, "the block size", block, f"a power of two from {MIN_BLOCK_SIZE} to {MAX_BLOCK_SIZE}",
               "this program cannot use such an image: convert it with the program that made it")
    needed = -(-footer.current_size // block)
    if not needed <= header.bat_entries <= MAX_BAT_ENTRIES:
        refuse(path, "the number of BAT entries", header.bat_entries, f"{needed} to {MAX_BAT_ENTRIES}")
    bat_end = header.bat_offset + header.bat_entries * BAT_ENTRY_SIZE
    if header.bat_offset % SECTOR_SIZE or header.bat_offset < FOOTER_SIZE or bat_end > end:
        refuse(path, "the BAT's place", f"{header.bat_offset} to {bat_end}",
               f"from a multiple of {SECTOR_SIZE} behind the footer to before byte {end}")
    start = footer.header_offset
    if header.bat_offset < start + HEADER_SIZE and start < bat_end:
        refuse(path, "the BAT's place", header.bat_offset, f"one outside the dynamic header at {start}")
    stop = max(bat_end, start + HEADER_SIZE)
    for locator in _locators(footer, header):
        first, last = locator.data_offset, locator.data_offset + locator.data_length
        if locator.data_length > MAX_LOCATOR_SIZE or first < FOOTER_SIZE or last > end:
            refuse(path, f"the place of parent locator {locator.code!r}", f"{first} to {last}",
                   f"at most {MAX_LOCATOR_SIZE} bytes between bytes {FOOTER_SIZE} and {end}")
        stop = max(stop, last)
    return stop


def _span(block_size: Sizes) -> Sizes:
    """Sectors that a block and its bitmap take."""
    return (bitmap_size(block_size) + block_size) // SECTOR_SIZE


def bitmap_size(block_size: Sizes) -> Sizes:
    """Bytes that a block's bitmap takes, in whole sectors."""
    return -(-(block_size // SECTOR_SIZE // 8) // SECTOR_SIZE) * SECTOR_SIZE


def _read_bat(ends: Ends, header: Header) -> array[int]:
    """The BAT's entries, unchecked."""
    bat = array("I", ends.read(header.bat_offset, header.bat_entries * BAT_ENTRY_SIZE))
    if sys.byteorder == "little":
        bat.byteswap()
    return bat


def check_blocks_of(images: Sequence[Blocks]) -> None:
    """Refuse images in which a block lies outside the file, or on another thing.

    When all are as usual one look is enough: for small BATs numpy's price is by the call, not by the entry.
    """
    small = [each for each in images if len(each.bat) <= MAX_TOGETHER]
    fine = bool(small) and _lie_apart(small)
    for image in images:
        if not fine or len(image.bat) > MAX_TOGETHER:
            _check_blocks(image)


def _lie_apart(images: Sequence[Blocks]) -> bool:
    """True when in all images all blocks lie behind the structures, inside the file, and apart."""
    entries = np.frombuffer(b"".join([each.bat for each in images]), np.uint32)
    used = (entries != NO_ENTRY).nonzero()[0]
    facts = [(len(each.bat), each.header.block_size, each.start, each.end) for each in images]
    lengths, sizes, starts, ends = np.array(facts, np.int64).T
    limits = (_span(sizes), -(-starts // SECTOR_SIZE), ends // SECTOR_SIZE - _span(sizes))
    counts = used.searchsorted(lengths.cumsum())  # of those used in the images so far
    counts[1:] -= counts[:-1]  # in each
    spans, lowest, highest = [each.repeat(counts) for each in limits]
    starts = entries[used].astype(np.int64)
    if (starts < lowest).any() or (starts > highest).any():
        return False
    starts += (np.arange(len(images), dtype=np.int64) << FAR_APART).repeat(counts)
    starts.sort()  # inside each image
    return bool((starts[1:] - starts[:-1] >= spans[:-1]).all())


def _check_blocks(image: Blocks) -> None:
    """As :func:`check_blocks_of`, for one."""
    path, footer, header, bat, start, end = image
    entries = np.frombuffer(bat, np.uint32)
    used = entries[entries != NO_ENTRY]
    if not used.size:
        return
    used.sort()
    span = _span(header.block_size)
    limit = end // SECTOR_SIZE - span
    last = used.item(-1)
    if last > limit:
        index = int(np.flatnonzero(entries == last)[0])
        expected = f"at most {limit}, to end inside the file" if limit > 0 else "none: the file is too short"
        refuse(path, f"BAT entry {index}", f"sector {last}", expected)
    if used.item(0) * SECTOR_SIZE < start:  # else all lie behind those, as usual
        _check_apart(path, entries, used, span, structures(footer, header))
    if used.size > 1:
        closest = int((used[1:] - used[:-1]).argmin())
        first, second = used.item(closest), used.item(closest + 1)
        if second - first < span:
            index = int(np.flatnonzero(entries == second)[-1])
            refuse(path, f"BAT entry {index}", f"sector {second}", f"one outside the block at sector {first}")


def _check_apart(
    path: str,
    entries: np.ndarray[tuple[int], np.dtype[np.uint32]],
    used: np.ndarray[tuple[int], np.dtype[np.uint32]],
    span: int,
    places: list[tuple[str, int, int]],
) -> None:
    """No block of ``span`` sectors lies on one of ``places``."""
    for name, start, stop in places:
        first, last = start // SECTOR_SIZE, -(-stop // SECTOR_SIZE)
        before = int(np.searchsorted(used, last)) - 1
        if before >= 0 and int(used[before]) + span > first:
            index = int(np.flatnonzero(entries == used[before])[0])
            found = f"sector {used[before]}"
            refuse(path, f"BAT entry {index}", found, f"one outside the {name} at sector {first}")


def _locators(footer: Footer, header: Header) -> tuple[Locator, ...]:
    """Those that mean something: only a differencing image has a parent."""
    return header.locators if footer.type == layout.TYPE_DIFFERENCING else ()


def structures(footer: Footer, header: Header) -> list[tuple[str, int, int]]:
    """(name, first byte, byte behind) of all that is neither block nor tail footer."""
    places = [
        ("footer's copy", 0, FOOTER_SIZE),
        ("dynamic header", footer.header_offset, footer.header_offset + HEADER_SIZE),
        ("BAT", header.bat_offset, header.bat_offset + header.bat_entries * BAT_ENTRY_SIZE),
    ]
    for each in _locators(footer, header):
        places.append(("parent locator", each.data_offset, each.data_offset + each.data_length))
    return places


def end_of_structures(footer: Footer, header: Header, bat: array[int]) -> int:
    """The first sector's offset behind all blocks and structures: the tail footer's place."""
    entries = np.frombuffer(bat, np.uint32)
    used = entries[entries != NO_ENTRY]
    end = max([stop for _, _, stop in structures(footer, header)])
    if used.size:
        end = max(end, int(used.max()) * SECTOR_SIZE + bitmap_size(header.block_size) + header.block_size)
    return -(-end // SECTOR_SIZE) * SECTOR_SIZE


def footer_geometry(footer: Footer) -> Geometry | None:
    """What a footer says; None when it says nothing."""
    geometry = Geometry(footer.cylinders, footer.heads, footer.sectors_per_track)
    return geometry if all(geometry) else None
