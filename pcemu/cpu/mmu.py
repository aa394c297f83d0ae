"""Address translation: what the engine's TLB is filled with.

With its own TLB the engine takes the slow path on every store, since any page might hold code. Filling
the TLB ourselves, with EXEC only for pages that were fetched from, makes stores to all others fast, and
the fill is also the place where the A20 gate and the write protection of ROM belong (and paging).
"""

from __future__ import annotations

import ctypes

from pcemu.cpu.engine import FETCH, PERMIT_EXEC, PERMIT_READ, PERMIT_WRITE, WRITE, Engine
from pcemu.memory import ROM_AREA, TOP_ROM

PAGE_SHIFT = 12
A20_BIT = 1 << 20
_ALL_BITS = 0xFFFFFFFF
_PERMIT_ALL = PERMIT_READ | PERMIT_WRITE | PERMIT_EXEC
# Writes to ROM go to a page that nobody reads: one above all memory that a guest can have.
WRITE_SINK = 0x1_0000_0000

_ROM_FIRST, _ROM_LAST = ROM_AREA.start >> PAGE_SHIFT, (ROM_AREA.stop - 1) >> PAGE_SHIFT
_TOP_FIRST = TOP_ROM.start >> PAGE_SHIFT


class Mmu:
    """Fills the TLB, and keeps translated code true when the host writes to guest memory."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._entries: dict[int, memoryview] = {}
        self._fetched: set[int] = set()  # physical pages that may hold translated code
        self._mask = _ALL_BITS
        self._identity = False
        self.refused_page: int | None = None
        self.fills = 0
        engine.hook_tlb_fill(self._fill)

    @property
    def a20(self) -> bool:
        """True when address line 20 is let through."""
        return self._mask == _ALL_BITS

    @a20.setter
    def a20(self, enabled: bool) -> None:
        mask = _ALL_BITS if enabled else _ALL_BITS & ~A20_BIT
        if mask != self._mask:
            self._mask = mask
            self._engine.flush_tlb()

    def physical(self, linear: int) -> int:
        """The physical address behind a linear one; the ROM at the top answers whatever A20 is."""
        return linear & self._mask if linear < TOP_ROM.start else linear

    def _fill(self, uc: int, address: int, access: int, entry: int, data: int) -> bool:
        """Called by the engine for a page that its TLB does not know; False raises a page fault."""
        words = self._entries.get(entry)
        if words is None:  # struct uc_tlb_entry { uint64_t paddr; int perms; }, at few addresses
            words = memoryview((ctypes.c_char * 16).from_address(entry)).cast("B").cast("Q")
            self._entries[entry] = words
        self.fills += 1
        address &= _ALL_BITS
        if self._identity:
            words[0] = address
            words[1] = _PERMIT_ALL
            return True
        physical = self.physical(address)
        page = physical >> PAGE_SHIFT
        if access == FETCH and page not in self._fetched:
            self._fetched.add(page)
            # Another linear address of this page may be in the TLB as writable without EXEC: code changed
            # through it would go unseen.
            self._engine.flush_tlb()
        if _ROM_FIRST <= page <= _ROM_LAST or page >= _TOP_FIRST:
            if access == WRITE:
                words[0] = WRITE_SINK
                words[1] = PERMIT_WRITE
            else:
                words[0] = physical
                words[1] = PERMIT_READ | PERMIT_EXEC
            return True
        if address & ~0xFFF == self.refused_page:
            return False
        words[0] = physical
        words[1] = _PERMIT_ALL if page in self._fetched else PERMIT_READ | PERMIT_WRITE
        return True

    def memory_written(self, start: int, size: int) -> None:
        """The host wrote physical [start, start + size): drop code that was translated from there."""
        stop = start + size
        pages = range(start >> PAGE_SHIFT, (stop - 1 >> PAGE_SHIFT) + 1)
        stale = self._fetched.intersection(pages)
        if not stale:
            return
        engine = self._engine
        self._identity = True  # drop_code() takes a linear address: make it mean the physical one
        engine.flush_tlb()
        for page in stale:
            first = page << PAGE_SHIFT
            engine.drop_code(max(start, first), min(stop, first + (1 << PAGE_SHIFT)))
        self._identity = False
        engine.flush_tlb()

    def forget_code(self) -> None:
        """Start afresh after a reset: nothing is translated, no page has been fetched from."""
        self._fetched.clear()
        self._engine.drop_all_code()
        self._engine.flush_tlb()
