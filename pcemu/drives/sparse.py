"""The blocks of a dynamic or differencing VHD: where sectors lie, which are here, and how they get here.

A block starts with one bit per sector, then the data. The bits are kept in *pages* of at most 4096 sectors,
each a Python integer whose most significant bit is the page's first sector: that is the order of the bits
on disk, and a run of sectors is one mask.

Data is written at once; bits and BAT entries stay in memory until :meth:`SparseLayer.flush`, so that a crash
never shows a sector that was not written. The order, with two syncs however many writes there were::

    1. tail footer at the new end, data, bitmaps of new blocks    nothing refers to them yet
    2. sync
    3. BAT entries, bits in blocks that the BAT already had
    4. sync

Without the sync between, a BAT entry could reach the disk before its block, and whatever lay there, often
the old footer, would be taken for a bitmap. Bits and BAT have their space before the data they are about:
on a full disk a write may fail, but never the flush of those before.

A new block's data is a hole. One behind sectors that were just written gets its space at once, since it is
likely to be filled: that costs the host less than to find room for each write.

**Not implemented**: new blocks in the space of blocks that a crash left unused; compacting gets it back.
"""

from __future__ import annotations

import errno
import os
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pcemu.drives.drive import SECTOR_SIZE, Geometry
from pcemu.drives.geometry import default_geometry
from pcemu.drives.hostfile import HostFile
from pcemu.drives.vhd_header import VhdFacts, bitmap_size, end_of_structures, footer_geometry
from pcemu.drives.vhd_layout import BAT_ENTRY_SIZE, LOCATOR_CACHE, NO_BLOCK, TYPE_DIFFERENCING
from pcemu.errors import ImageFormatError

PAGE_SECTORS = 4096
MAX_PAGES = 1 << 15  # 20 MB of bits in memory; then they are written and forgotten
ALIGNMENT = 4096  # of block data in the file at least, for the host's pages
LARGE_ALIGNMENT = 32 << 10  # a guest's request that begins so takes the host one large page, not eight
MAX_RESERVED = 2 << 20  # of a block that is about to be filled
GAP_SHARE = 64  # of a block's size, how much alignment may make the file longer: by a hole
BAT_RUN = SECTOR_SIZE // BAT_ENTRY_SIZE
EMPTY = b"\0"


class SparseLayer:
    """One dynamic or differencing image, open and checked.

    Sectors that are not here are the affair of :class:`pcemu.drives.chain.Chain`, which reads; this class
    finds, and writes. ``warnings`` holds sentences for the user.
    """

    def __init__(self, file: HostFile, facts: VhdFacts) -> None:
        assert facts.header is not None and facts.bat is not None
        self.file = file
        self.footer = facts.footer
        self.header = facts.header
        self.locators = facts.locators
        self.warnings: list[str] = []
        if facts.tail_lost:
            self._admit_lost_tail()
        self.sectors = self.footer.current_size // SECTOR_SIZE
        self.block_sectors = self.header.block_size // SECTOR_SIZE
        self.page_sectors = min(self.block_sectors, PAGE_SECTORS)
        self.is_child = self.footer.type == TYPE_DIFFERENCING
        self._block_shift = self.block_sectors.bit_length() - 1
        self._page_shift = self.page_sectors.bit_length() - 1
        self._bitmap_size = bitmap_size(self.header.block_size)
        self._full_page = (1 << self.page_sectors) - 1
        self._alignment = max(ALIGNMENT, min(LARGE_ALIGNMENT, self.header.block_size // GAP_SHARE))
        if file.is_device:  # has no holes
            self._alignment = ALIGNMENT
        self._bat = facts.bat
        self._end = facts.end
        self._limit = 0  # on a block device, where the tail footer is and stays
        if file.is_device:
            self._end, self._limit = end_of_structures(facts.footer, facts.header, facts.bat), facts.end
        self._footer_bytes = EMPTY if file.read_only else self.footer.pack()
        self._pages: dict[int, int] = {}
        self._dirty_pages: set[int] = set()
        self._new_blocks: set[int] = set()  # not in the BAT on disk, where nothing can see them
        self._dirty_entries: set[int] = set()
        self._unsynced = False
        self._copy_stale = facts.copy_stale
        self._tidy = False

    def _admit_lost_tail(self) -> None:
        lost = f"{self.file.path}: the footer at its end is lost, its copy at the start is good"
        if not self.file.read_only:
            raise ImageFormatError(
                f"{lost}, expected both; open it read-only, or let `pcemu disk repair` restore the footer"
            )
        self.warnings.append(f"{lost}; `pcemu disk repair` restores it")

    @property
    def path(self) -> Path:
        """The image."""
        return Path(self.file.path)

    @property
    def geometry(self) -> Geometry:
        """What the footer says."""
        return footer_geometry(self.footer) or default_geometry(self.sectors)

    @property
    def unique_id(self) -> bytes:
        """The id by which children know this image."""
        return self.footer.unique_id

    @property
    def is_cache(self) -> bool:
        """True when this is what was read from a server: see pcemu.drives.remote."""
        return LOCATOR_CACHE in dict(self.locators)

    @property
    def read_only(self) -> bool:
        """True when writes are refused (PermissionError)."""
        return self.file.read_only

    @property
    def dirty(self) -> bool:
        """True when :meth:`flush` has something to do."""
        return self._unsynced or bool(self._dirty_pages)

    def locate(self, lba: int) -> int:
        """The offset in the file of sector ``lba``, or -1 when its block is not here."""
        entry = self._bat[lba >> self._block_shift]
        if entry == NO_BLOCK:
            return -1
        return entry * SECTOR_SIZE + self._bitmap_size + (lba & (self.block_sectors - 1)) * SECTOR_SIZE

    def owned(self, lba: int, count: int) -> int:
        """Which of ``count`` sectors from ``lba`` on are here: one bit each, the first the most significant.

        ``count`` is a power of two not above ``page_sectors``, ``lba`` a multiple of it.
        """
        if lba >= self.sectors or self._bat[lba >> self._block_shift] == NO_BLOCK:
            return 0
        bits = self._page(lba >> self._page_shift)
        if count != self.page_sectors:
            bits >>= self.page_sectors - (lba & (self.page_sectors - 1)) - count
            bits &= (1 << count) - 1
        beyond = lba + count - self.sectors
        return bits >> beyond << beyond if beyond > 0 else bits

    def owned_runs(self) -> Iterator[tuple[int, int, int]]:
        """All sectors that are here, ascending: (first sector, how many, offset in the file)."""
        for block in self.blocks():
            start = block << self._block_shift
            for base in range(start, min(start + self.block_sectors, self.sectors), self.page_sectors):
                offset = self.locate(base)
                for first, stop in bit_runs(self.owned(base, self.page_sectors), self.page_sectors):
                    yield base + first, stop - first, offset + first * SECTOR_SIZE

    def blocks(self) -> list[int]:
        """The numbers of the blocks that are here, ascending."""
        return np.flatnonzero(np.frombuffer(self._bat, np.uint32) != NO_BLOCK).tolist()

    def blocks_between(self, lba: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """The numbers of the blocks that are here and have sectors from ``lba`` to before ``end``."""
        first = lba >> self._block_shift
        part = self._bat[first : -(-end >> self._block_shift)]
        return np.flatnonzero(np.array(part, np.uint32) != NO_BLOCK) + first

    def is_empty(self) -> bool:
        """True when nothing was ever written."""
        return not self.blocks()

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> bool:
        """Write whole sectors inside the drive from ``lba`` on; the caller has checked the range.

        Returns False when all of them were here before; never for a dynamic image, whose blocks come whole.
        """
        self._check_writable()
        view = memoryview(data)
        end = lba + len(view) // SECTOR_SIZE
        new = not self.is_child
        self._unsynced = True
        while lba < end:
            page = lba >> self._page_shift
            stop = (page + 1) << self._page_shift
            part = view
            if stop < end:
                part, view = view[: (stop - lba) * SECTOR_SIZE], view[(stop - lba) * SECTOR_SIZE :]
            else:
                stop = end
            offset = self.locate(lba)
            if offset < 0 and not self._can_skip(part):
                self._allocate(lba >> self._block_shift)
                offset = self.locate(lba)
                if self._goes_on(lba):
                    self.file.reserve(offset, min(self.header.block_size, MAX_RESERVED))
            if offset >= 0:
                self.file.write(part, offset)
                if self._own(page, lba, stop):
                    new = True
            lba = stop
        if new:
            self._bound_memory()
        return new

    def discard(self, lba: int, count: int) -> None:
        """Make sectors read as zeros: holes in this file, that hide what ancestors have."""
        self._check_writable()
        end = lba + count
        self._unsynced = True
        while lba < end:
            page = lba >> self._page_shift
            stop = min(end, (page + 1) << self._page_shift)
            if self.locate(lba) < 0 and self.is_child:
                self._allocate(lba >> self._block_shift)
            offset = self.locate(lba)
            if offset >= 0:
                self.file.zero(offset, (stop - lba) * SECTOR_SIZE)
                self._own(page, lba, stop)
            lba = stop
        self._bound_memory()

    def flush(self) -> None:
        """Return when all that was written survives power loss."""
        if not self.dirty:
            return
        late = set()
        for page in sorted(self._dirty_pages):
            if self._block_of(page) in self._new_blocks:
                self._write_page(page)
            else:
                late.add(page)
        if late or self._dirty_entries:
            self.file.sync()
            # From here on these blocks may be seen: what they get next waits for a sync of its own.
            self._new_blocks.clear()
            self._dirty_pages = late
            for page in sorted(late):
                self._write_page(page)
            self._write_entries()
        self.file.sync()
        self._dirty_pages.clear()
        self._dirty_entries.clear()
        self._unsynced = False

    def close(self) -> None:
        """Flush, then let go of the file and its lock; the file is let go of even when flushing fails."""
        if self.file.fd >= 0:
            try:
                self.flush()
            finally:
                self.file.close()

    def _bound_memory(self) -> None:
        if len(self._dirty_pages) > MAX_PAGES // 2:
            self.flush()

    def _can_skip(self, part: memoryview) -> bool:
        """True for zeros where nothing is and nothing lies below: they are there already."""
        return not self.is_child and part[0] == 0 == part[-1] and not np.frombuffer(part, np.uint8).any()

    def _goes_on(self, lba: int) -> bool:
        """True at the start of a block when the sector before is here: its writer is likely to go on."""
        starts = lba > 0 and not lba & (self.block_sectors - 1)
        return starts and self.is_child and self.owned(lba - 1, 1) == 1

    def _own(self, page: int, lba: int, stop: int) -> bool:
        """Remember that the sectors from ``lba`` to before ``stop``, all in one page, are here.

        Returns whether any of them was not.
        """
        behind = ((page + 1) << self._page_shift) - stop
        mask = ((1 << (stop - lba)) - 1) << behind
        bits = self._pages.get(page)
        if bits is None:
            bits = self._page(page)
        if bits & mask == mask:
            return False
        self._pages[page] = bits | mask
        self._dirty_pages.add(page)
        return True

    def _page(self, page: int) -> int:
        """The bits of a page whose block is here."""
        bits = self._pages.get(page)
        if bits is None:
            size = self.page_sectors // 8
            bits = int.from_bytes(self.file.read_bytes(self._page_offset(page), size), "big")
            if not self.file.read_only:  # others are asked once for each block, by the chain's map
                self._remember(page, bits)
        return bits

    def _remember(self, page: int, bits: int) -> None:
        if len(self._pages) >= MAX_PAGES:
            self._pages = {each: self._pages[each] for each in self._dirty_pages}
        self._pages[page] = bits

    def _block_of(self, page: int) -> int:
        return page << self._page_shift >> self._block_shift

    def _page_offset(self, page: int) -> int:
        first = page << self._page_shift
        entry = self._bat[first >> self._block_shift]
        return entry * SECTOR_SIZE + (first & (self.block_sectors - 1)) // 8

    def _write_page(self, page: int) -> None:
        """A bitmap smaller than a sector is padded to one: what lay there before ends with it."""
        bits = self._pages[page].to_bytes(self.page_sectors // 8, "big")
        self.file.write(bits.ljust(SECTOR_SIZE, EMPTY), self._page_offset(page))

    def _write_entries(self) -> None:
        """The sectors of the BAT that have changed entries."""
        for run in sorted({block // BAT_RUN for block in self._dirty_entries}):
            part = pack_entries(self._bat[run * BAT_RUN : (run + 1) * BAT_RUN])
            self.file.write(part, self.header.bat_offset + run * SECTOR_SIZE)

    def _allocate(self, block: int) -> None:
        """Give a block its place at the end of the file, as a hole, with the footer behind it."""
        data = -(-(self._end + self._bitmap_size) // self._alignment) * self._alignment
        bitmap = data - self._bitmap_size
        end = data + self.header.block_size
        if bitmap // SECTOR_SIZE >= NO_BLOCK:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), self.file.path)
        if self._limit:
            if end > self._limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.file.path)
            old_footer_stop = end  # whatever was on the device: no bitmap is there yet
        else:
            old_footer_stop = self._end + len(self._footer_bytes)
            self._move_footer(old_footer_stop, bitmap, end)
        self._end = end
        self._bat[block] = bitmap // SECTOR_SIZE
        self._dirty_entries.add(block)
        self._new_blocks.add(block)
        per_block = self.block_sectors // self.page_sectors
        # In a dynamic image all: programs that look at the bits and programs that do not then agree.
        fill = 0 if self.is_child else self._full_page
        for page in range(block * per_block, (block + 1) * per_block):
            if fill or self._page_offset(page) < old_footer_stop:
                self._remember(page, fill)
                self._dirty_pages.add(page)
            elif per_block == 1:  # of larger blocks, only the pages that are touched; the others are a hole
                self._remember(page, fill)

    def _move_footer(self, old_stop: int, bitmap: int, end: int) -> None:
        """Write the tail footer at ``end``; the old one ends at ``old_stop``.

        And zeros at ``bitmap``, where bits will be: on a full disk there would be no room for them any more.
        """
        if not self._tidy:
            self._tidy_up(old_stop)
        try:
            self.file.write(self._footer_bytes, end)
            start = max(bitmap, old_stop)
            self.file.write(bytes(max(0, bitmap + self._bitmap_size - start)), start)
        except OSError:
            self.file.truncate(old_stop)  # the old footer is the last thing in the file again
            raise

    def _tidy_up(self, footer_stop: int) -> None:
        """Before the tail moves for the first time: what a crash or another program left must not matter."""
        if self._copy_stale:
            mend_copy(self.file, self._footer_bytes)
        if self.file.size() > footer_stop:  # part of a sector, which would get into the block
            self.file.truncate(footer_stop)
        self._tidy = True

    def _check_writable(self) -> None:
        if self.file.read_only:
            raise PermissionError(errno.EROFS, "the image was opened read-only", self.file.path)


def mend_copy(file: HostFile, footer: bytes) -> None:
    """Bring the footer's copy at the start up to date, which a crash left behind.

    Before the one at the end moves: were that lost, the copy would lead back to old structures.
    """
    file.write(footer, 0)
    file.sync()


def pack_entries(part: array[int]) -> bytes:
    """Entries of a BAT as they are on disk."""
    part = part[:]
    if sys.byteorder == "little":
        part.byteswap()
    return part.tobytes()


def bit_runs(bits: int, count: int) -> list[tuple[int, int]]:
    """The runs (first, behind the last) of set bits among ``count``; number 0 is the most significant."""
    if bits == (1 << count) - 1:
        return [(0, count)]
    changes = bits ^ bits >> 1  # set where a bit is not as the one before it
    flags = np.unpackbits(np.frombuffer(changes.to_bytes(-(-count // 8), "big"), np.uint8))
    edges = np.flatnonzero(flags).tolist()
    if bits & 1:
        edges.append(count)
    return list(zip(edges[::2], edges[1::2], strict=True))
