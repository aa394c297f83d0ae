"""Address translation: what the engine's TLB is filled with.

With its own TLB the engine takes the slow path on every store, since any page might hold code. Filling
the TLB ourselves, with EXEC only for pages that were fetched from, makes stores to all others fast, and
the fill is also the place where paging, the A20 gate and the write protection of ROM belong.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from pcemu.cpu.engine import (
    FETCH,
    PERMIT_EXEC,
    PERMIT_READ,
    PERMIT_WRITE,
    WRITE,
    Engine,
    tlb_entry,
)
from pcemu.cpu.faults import PageFault
from pcemu.cpu.paging import PageTables
from pcemu.cpu.state import (
    CR0,
    CR0_PE,
    CS,
    EIP,
    GDT_BASE,
    GDT_LIMIT,
    HF_CPL,
    HFLAGS,
    LDT_BASE,
    LDT_LIMIT,
    SEGMENT_BASE,
    SEGMENT_FLAGS,
    TR_BASE,
    TR_LIMIT,
    EngineState,
)
from pcemu.memory import PAGE_SIZE, ROM_AREA, TOP_ROM

PAGE_SHIFT = 12
A20_BIT = 1 << 20
_ALL_BITS = 0xFFFFFFFF
_PAGE_MASK = PAGE_SIZE - 1
_PERMIT_ALL = PERMIT_READ | PERMIT_WRITE | PERMIT_EXEC
# Writes to ROM go to a page that nobody reads: one above all memory that a guest can have.
WRITE_SINK = 0x1_0000_0000

_TOP_START, _TOP_FIRST = TOP_ROM.start, TOP_ROM.start >> PAGE_SHIFT

INSTRUCTION_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
# Instructions that read descriptors or the TSS on their own behalf
_SELECTOR_OPCODES = frozenset((0x07, 0x17, 0x1F, 0x8E, 0x9A, 0xC4, 0xC5, 0xCA, 0xCB, 0xCF, 0xEA, 0xFF))
_SELECTOR_OPCODES_0F = frozenset((0x00, 0x02, 0x03, 0xA1, 0xA9, 0xB2, 0xB4, 0xB5))
_ESCAPE = 0x0F
_MAX_INSTRUCTION = 15
_SYSTEM_TABLES = ((GDT_BASE, GDT_LIMIT), (LDT_BASE, LDT_LIMIT), (TR_BASE, TR_LIMIT))

_pair: Callable[..., tuple[int, int]] = Struct("<II").unpack_from
_LAST_PAIR = PAGE_SIZE - 8


class Mmu:
    """Fills the TLB, reads and writes guest memory at linear addresses for the rest of the package, and keeps
    translated code true when the host writes to guest memory.

    ``read_only``: physical addresses in ``ram`` that the guest cannot write to.
    ``page_fault``: the error code of the fill that was refused, until somebody takes it.
    ``on_task_fill``: called for an access in the middle of a native task switch (tasks.py). ``on_mode``: told
    when protected mode was entered or left, before the next instruction: that empties the TLB. ``on_a20``:
    told when address line 20 was let through or not. ``words``: RAM in words of 32 bits.
    """

    def __init__(self, engine: Engine, state: EngineState, ram: memoryview, read_only: range) -> None:
        self._engine = engine
        self._state = state
        self._q, self._d = state.q, state.d
        self._ram = ram
        self._size = len(ram)
        self._rom_start, self._rom_stop = read_only.start >> PAGE_SHIFT, read_only.stop >> PAGE_SHIFT
        self._last_pair = self._size - 8
        # Below this a page is RAM for sure: no ROM, no end
        self._conventional_end = min(self._size, ROM_AREA.start)
        self.tables = PageTables(state, ram, read_only)
        self.words = self.tables.words
        self._look_up = self.tables.look_up
        self._entries: dict[int, memoryview] = {}
        self._fetched: set[int] = set()  # physical pages that may hold translated code
        self._mask = _ALL_BITS
        self._identity = False
        self.page_fault: int | None = None
        self._mode = 0
        self.on_task_fill: Callable[[], None] = lambda: None
        self.on_mode: Callable[[bool], None] = lambda protected: None
        self.on_a20: Callable[[], None] = lambda: None
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
            self._mask = self.tables.address_mask = mask
            self._engine.flush_tlb()
            self.on_a20()

    @property
    def paging(self) -> bool:
        """True when CR0.PG is set."""
        return bool(self._q[CR0] >> 31)

    # -- the engine's TLB -------------------------------------------------------------------------

    def _fill(self, uc: int, address: int, access: int, entry: int, data: int) -> bool:
        """Called by the engine for a page that its TLB does not know; False raises a page fault."""
        words = self._entries.get(entry)
        if words is None:  # they are at few addresses
            words = self._entries[entry] = tlb_entry(entry)
        self.fills += 1
        address &= _ALL_BITS
        if self._identity:
            words[0] = address
            words[1] = _PERMIT_ALL
            return True
        linear, writable = address, True
        cr0 = self._q[CR0]
        if cr0 & CR0_PE != self._mode:
            self._mode = cr0 & CR0_PE
            self.on_mode(bool(self._mode))
        if self._mode:
            if access != FETCH and not self._d[_CS_FLAGS]:
                self.on_task_fill()
            if cr0 >> 31:
                user = self._d[HFLAGS] & HF_CPL == 3
                found = self._look_up(address, access == WRITE, user)
                if found is None and user and access != FETCH:
                    found = self._look_up_for_system(address, access)
                if found is None:
                    self.page_fault = self.tables.error_code
                    return self._state.refuse(words, address, access, self.instruction)
                linear, writable = found
        physical = linear & self._mask if linear < _TOP_START else linear
        page = physical >> PAGE_SHIFT
        if access == FETCH and page not in self._fetched:
            self._fetched.add(page)
            # Another linear address of this page may be in the TLB as writable without EXEC: code changed
            # through it would go unseen.
            self._engine.flush_tlb()
        if self._rom_start <= page < self._rom_stop or page >= _TOP_FIRST:
            if access == WRITE:
                words[0] = WRITE_SINK
                words[1] = PERMIT_WRITE
            else:
                words[0] = physical
                words[1] = PERMIT_READ | PERMIT_EXEC
            return True
        words[0] = physical
        permissions = PERMIT_READ | PERMIT_WRITE if writable else PERMIT_READ
        words[1] = permissions | PERMIT_EXEC if page in self._fetched else permissions
        return True

    def _look_up_for_system(self, address: int, access: int) -> tuple[int, bool] | None:
        """The engine does not say which accesses of a user's instruction are the processor's own."""
        error_code = self.tables.error_code
        if self._is_system_access(address):
            return self._look_up(address, access == WRITE, False)
        self.tables.error_code = error_code  # reading the instruction may have met a fault, too
        return None

    def _is_system_access(self, page: int) -> bool:
        q, d = self._q, self._d
        if not any(q[base] & ~_PAGE_MASK <= page <= q[base] + d[limit] for base, limit in _SYSTEM_TABLES):
            return False
        opcodes = iter(self.instruction())
        opcode = next((byte for byte in opcodes if byte not in INSTRUCTION_PREFIXES), 0)
        if opcode == _ESCAPE:
            return next(opcodes, 0) in _SELECTOR_OPCODES_0F
        return opcode in _SELECTOR_OPCODES

    def flush(self) -> None:
        """Empty the TLB."""
        self._engine.flush_tlb()

    # -- guest memory for the host ----------------------------------------------------------------

    def physical(self, linear: int, write: bool = False, user: bool = False) -> int:
        """The physical address behind a linear one; raises PageFault."""
        if self._q[CR0] >> 31:
            linear &= _ALL_BITS
            found = self._look_up(linear, write, user)
            if found is None:
                raise PageFault(linear, self.tables.error_code)
            linear = found[0]
        return linear & self._mask if linear < _TOP_START else linear

    def shadow_end(self, physical: int) -> int:
        """Where the shadow RAM that ``physical``, below 1 MiB, is in ends; ``physical`` where is none."""
        start, stop = self._rom_start << PAGE_SHIFT, self._rom_stop << PAGE_SHIFT
        if ROM_AREA.start <= physical < start:
            return start
        return ROM_AREA.stop if stop <= physical else physical

    def instruction(self) -> bytes:
        """The bytes at CS:EIP, as many as an instruction may have; fewer where its page ends."""
        q = self._q
        address = q[_CS_BASE] + q[EIP] & _ALL_BITS
        if not q[CR0] >> 31:
            physical = address & self._mask
            if physical + _MAX_INSTRUCTION <= self._size:
                return self._ram[physical : physical + _MAX_INSTRUCTION].tobytes()
        try:
            code = self.read(address, min(_MAX_INSTRUCTION, PAGE_SIZE - (address & _PAGE_MASK)))
        except PageFault:
            return b""
        try:
            return code + self.read(address + len(code), _MAX_INSTRUCTION - len(code))
        except PageFault:
            return code

    def read_pair(self, linear: int) -> tuple[int, int]:
        """Two 32-bit words, such as a descriptor; raises PageFault."""
        linear &= _ALL_BITS
        if linear & _PAGE_MASK <= _LAST_PAIR:
            address = linear
            if self._q[CR0] >> 31:
                found = self._look_up(linear, False, False)
                if found is None:
                    raise PageFault(linear, self.tables.error_code)
                address = found[0]
            physical = address & self._mask
            if physical <= self._last_pair:
                return _pair(self._ram, physical)
        return _pair(self.read(linear, 8))

    def words_behind(self, linear: int) -> tuple[int, ...]:
        """Where in :attr:`words` all is that :meth:`read_pair` has just looked at for ``linear``.

        Nothing where that cannot be told: outside of RAM, between two words, with unusual page tables.
        """
        linear &= _ALL_BITS
        if linear & 3 or linear & _PAGE_MASK > _LAST_PAIR:
            return ()
        entries: tuple[int, ...] = ()
        if self._q[CR0] >> 31:
            entries = self.tables.words_behind(linear)
            if not entries:
                return ()
        physical = self.physical(linear)
        return (*entries, physical >> 2, (physical >> 2) + 1) if physical <= self._last_pair else ()

    def read(self, linear: int, size: int, user: bool = False) -> bytes:
        """Memory at a linear address; all ones where there is none. Raises PageFault."""
        linear &= _ALL_BITS
        if (linear & _PAGE_MASK) + size <= PAGE_SIZE:
            if not self._q[CR0] >> 31:  # as new blocks are read by thousands in a boot
                start = linear & self._mask
                if start + size <= self._size:
                    return self._ram[start : start + size].tobytes()
            return self._get(self.physical(linear, False, user), size)
        parts = _pages(linear, size)
        return b"".join([self._get(self.physical(at, False, user), length) for at, length in parts])

    def _get(self, physical: int, size: int) -> bytes:
        part = self._ram[physical : physical + size].tobytes()
        return part if len(part) == size else part.ljust(size, b"\xff")

    def write(self, linear: int, data: bytes, user: bool = False) -> None:
        """Write to memory at a linear address, or not at all when it raises PageFault.

        For stack frames and the like: code that is translated from there stays as it is.
        """
        linear &= _ALL_BITS
        size = len(data)
        if (linear & _PAGE_MASK) + size <= PAGE_SIZE:
            address = linear
            if self._q[CR0] >> 31:
                found = self._look_up(linear, True, user)
                if found is None:
                    raise PageFault(linear, self.tables.error_code)
                address = found[0]
            physical = address & self._mask
            if physical < self._conventional_end:
                self._ram[physical : physical + size] = data
            else:
                self._put(self.physical(linear, True, user), data)
            return
        places = [(self.physical(at, True, user), length) for at, length in _pages(linear, size)]
        done = 0
        for physical, length in places:
            self._put(physical, data[done : done + length])
            done += length

    def _put(self, physical: int, data: bytes) -> None:
        end = physical + len(data)
        if end <= self._size and not self._rom_start <= physical >> PAGE_SHIFT < self._rom_stop:
            self._ram[physical:end] = data

    # -- translated code --------------------------------------------------------------------------

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
            engine.drop_code(max(start, first), min(stop, first + PAGE_SIZE))
        self._identity = False
        engine.flush_tlb()

    def forget_code(self) -> None:
        """Start afresh after a reset: nothing is translated, no page has been fetched from."""
        self._fetched.clear()
        self._engine.drop_all_code()
        self._engine.flush_tlb()


_CS_BASE, _CS_FLAGS = SEGMENT_BASE[CS], SEGMENT_FLAGS[CS]


def _pages(linear: int, size: int) -> list[tuple[int, int]]:
    """The parts of [linear, linear + size) that lie in one page each."""
    parts = []
    while size > 0:
        linear &= _ALL_BITS
        length = min(size, PAGE_SIZE - (linear & _PAGE_MASK))
        parts.append((linear, length))
        linear += length
        size -= length
    return parts
