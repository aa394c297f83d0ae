"""Task state segments: the I/O permission map, and task switches through gates.

JMP, CALL and IRET switch tasks natively; a task gate in the IDT is ours. Intel's Software Developer's Manual,
volume 3, "Task management", and volume 1, "I/O permission bit map".

**Not implemented**: the T bit (debug trap on a task switch); clearing the local breakpoints of DR7. The
engine's own switch reads the segment registers of a 16-bit TSS from wrong places.
"""

from __future__ import annotations

from struct import Struct

from unicorn import x86_const

from pcemu.cpu.descriptors import (
    ACCESSED,
    BUSY,
    CODE,
    CONFORMING,
    LDT_TYPE,
    LOCAL,
    NOT_SYSTEM,
    PRESENT,
    READABLE,
    SELECTOR_IN_ERROR,
    TSS_16,
    TSS_32,
    TSS_32_BUSY,
    TSS_IS_32,
    WRITABLE,
    Descriptor,
    read_descriptor,
)
from pcemu.cpu.faults import (
    GENERAL_PROTECTION,
    INVALID_TSS,
    NOT_PRESENT,
    STACK_FAULT,
    Fault,
    PageFault,
)
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    CR0,
    CR0_TS,
    CS,
    DF,
    DS,
    EFLAGS,
    EIP,
    ES,
    FLAG_DF,
    FLAG_IOPL,
    FLAG_NT,
    FLAG_VM,
    FS,
    GDT_BASE,
    GS,
    HF_CPL,
    HF_TS,
    HFLAGS,
    IOPL_SHIFT,
    LDT,
    LDT_BASE,
    LDT_FLAGS,
    LDT_LIMIT,
    SEGMENT_LIMIT,
    SELECTOR,
    SS,
    TR,
    TR_BASE,
    TR_FLAGS,
    TR_LIMIT,
    EngineState,
)

V86_FLAGS = 0xF300  # of every segment in virtual 8086 mode: present, DPL 3, writable data
_TSS_SIZE_32, _TSS_SIZE_16 = 104, 44
_IO_MAP_BASE = 0x66
_IS_32 = TSS_IS_32 << 8

_state_32 = Struct("<III8I")  # CR3, EIP, EFLAGS, general registers, at 1Ch
_selectors_32 = Struct("<HxxHxxHxxHxxHxxHxxH")  # ES … GS, LDT, at 48h
_state_16 = Struct("<HH8H")  # IP, FLAGS, general registers, at 0Eh
_selectors_16 = Struct("<HHHHH")  # ES, CS, SS, DS, LDT, at 22h
_word = Struct("<H")
_double = Struct("<I")


class Tasks:
    """The current task, by TR, and the way into another one."""

    def __init__(self, state: EngineState, mmu: Mmu) -> None:
        self._state = state
        self._q, self._d = state.q, state.d
        self._mmu = mmu
        mmu.on_task_fill = self._reload_instruction_pointer

    @property
    def is_32(self) -> bool:
        """True when TR holds a 32-bit TSS."""
        return bool(self._d[TR_FLAGS] & _IS_32)

    # -- I/O permission ---------------------------------------------------------------------------

    def io_permitted(self, port: int, size: int) -> bool:
        """May the program access ``size`` ports from ``port`` on? Raises PageFault."""
        flags, d = self._q[EFLAGS], self._d
        if not flags & FLAG_VM and d[HFLAGS] & HF_CPL <= (flags & FLAG_IOPL) >> IOPL_SHIFT:
            return True
        limit = d[TR_LIMIT]
        if d[TR_FLAGS] >> 8 & 0x1F not in (TSS_32, TSS_32_BUSY) or limit < _TSS_SIZE_32 - 1:
            return False
        base, mmu = self._q[TR_BASE], self._mmu
        place = _word.unpack(mmu.read(base + _IO_MAP_BASE, 2))[0] + (port >> 3)
        if place + 1 > limit:  # the processor always reads two bytes
            return False
        bits = _word.unpack(mmu.read(base + place, 2))[0] >> (port & 7)
        return not bits & (1 << size) - 1

    # -- task switches ----------------------------------------------------------------------------

    def switch(self, selector: int, external: int, eflags: int) -> None:
        """Enter the task of a gate; it returns by IRET with NT set, as from CALL.

        A fault before the commitment is one of the old task, any other one of the new task.
        """
        state, d = self._state, self._d
        if selector & LOCAL:
            raise Fault(INVALID_TSS, selector & SELECTOR_IN_ERROR | external)
        tss = read_descriptor(state, self._mmu.read_pair, selector, GENERAL_PROTECTION, external)
        error = selector & SELECTOR_IN_ERROR | external
        if tss.kind not in (TSS_16, TSS_32):
            raise Fault(GENERAL_PROTECTION, error)
        if not tss.flags & PRESENT:
            raise Fault(NOT_PRESENT, error)
        is_32 = bool(tss.kind & TSS_IS_32)
        if tss.limit < (_TSS_SIZE_32 if is_32 else _TSS_SIZE_16) - 1:
            raise Fault(INVALID_TSS, error)
        image = self._mmu.read(tss.base, _TSS_SIZE_32 if is_32 else _TSS_SIZE_16)
        self._save(eflags)
        self._mmu.write(tss.base, _word.pack(d[TR]))  # the way back
        self._mmu.write(self._q[GDT_BASE] + (selector & 0xFFF8) + 4, _double.pack(tss.flags | BUSY))
        self._q[CR0] |= CR0_TS
        d[HFLAGS] |= HF_TS
        d[TR], self._q[TR_BASE], d[TR_LIMIT] = selector, tss.base, tss.limit
        d[TR_FLAGS] = tss.flags & ~BUSY
        try:
            self._enter(image, is_32, external)
        except Fault as fault:
            fault.in_new_task = True
            raise

    def _save(self, eflags: int) -> None:
        """Write the old task's registers to its TSS."""
        q, d, base = self._q, self._d, self._q[TR_BASE]
        general = [q[register] & 0xFFFFFFFF for register in range(8)]
        selectors = [d[SELECTOR[segment]] for segment in range(6)]
        if self.is_32:
            self._mmu.write(base + 0x20, Struct("<10I").pack(q[EIP] & 0xFFFFFFFF, eflags, *general))
            for i, value in enumerate(selectors):
                self._mmu.write(base + 0x48 + 4 * i, _word.pack(value))
        else:
            low = [value & 0xFFFF for value in (q[EIP], eflags, *general)]
            self._mmu.write(base + 0x0E, _state_16.pack(*low))
            self._mmu.write(base + 0x22, Struct("<4H").pack(*selectors[:4]))

    def _enter(self, image: bytes, is_32: bool, external: int) -> None:
        """Load the registers of the new task."""
        state, q, d = self._state, self._q, self._d
        if is_32:
            cr3, eip, eflags, *general = _state_32.unpack_from(image, 0x1C)
            *selectors, local = _selectors_32.unpack_from(image, 0x48)
            if self._mmu.paging:
                state.write_register(x86_const.UC_X86_REG_CR3, cr3)
        else:
            eip, eflags, *low = _state_16.unpack_from(image, 0x0E)
            general = [q[i] & 0xFFFF0000 | value for i, value in enumerate(low)]
            *selectors, local = _selectors_16.unpack_from(image, 0x22)
            selectors += [0, 0]
        q[EIP] = eip
        state.set_eflags(eflags | FLAG_NT)
        for register, value in enumerate(general):
            q[register] = value
        d[LDT], q[LDT_BASE], d[LDT_LIMIT], d[LDT_FLAGS] = local, 0, 0, 0
        if eflags & FLAG_VM:
            for segment, selector in enumerate(selectors):
                state.set_segment(segment, selector, selector << 4, 0xFFFF, V86_FLAGS)
            return
        level = selectors[CS] & 3
        for segment, selector in enumerate(selectors):
            state.set_segment(segment, selector, 0, 0, level << 13)
        self._load_ldt(local, external)
        for segment in (CS, SS, ES, DS, FS, GS):
            self._load(segment, selectors[segment], level, external)
        if eip > d[SEGMENT_LIMIT[CS]]:
            raise Fault(GENERAL_PROTECTION, external)

    def _load_ldt(self, selector: int, external: int) -> None:
        error = selector & SELECTOR_IN_ERROR | external
        if selector & LOCAL:
            raise Fault(INVALID_TSS, error)
        if not selector & SELECTOR_IN_ERROR:
            return
        ldt = read_descriptor(self._state, self._mmu.read_pair, selector, INVALID_TSS, external)
        if ldt.kind != LDT_TYPE or not ldt.flags & PRESENT:
            raise Fault(INVALID_TSS, error)
        d = self._d
        self._q[LDT_BASE], d[LDT_LIMIT], d[LDT_FLAGS] = ldt.base, ldt.limit, ldt.flags

    def _load(self, segment: int, selector: int, level: int, external: int) -> None:
        """Load a segment register of the new task, which runs at ``level``."""
        error = selector & SELECTOR_IN_ERROR | external
        if not selector & SELECTOR_IN_ERROR:
            if segment in (CS, SS):
                raise Fault(INVALID_TSS, error)
            return
        descriptor = read_descriptor(self._state, self._mmu.read_pair, selector, INVALID_TSS, external)
        if not _fits(descriptor, segment, selector & 3, level):
            raise Fault(INVALID_TSS, error)
        if not descriptor.flags & PRESENT:
            raise Fault(STACK_FAULT if segment == SS else NOT_PRESENT, error)
        flags = descriptor.flags | ACCESSED
        self._state.set_segment(segment, selector, descriptor.base, descriptor.limit, flags)

    def _reload_instruction_pointer(self) -> None:
        """Undo what the engine does to EIP and flags when a native task switch touches a new page."""
        q, d, base = self._q, self._d, self._q[TR_BASE]
        try:
            if self.is_32:
                eip, eflags = Struct("<II").unpack(self._mmu.read(base + 0x20, 8))
            else:
                eip, eflags = Struct("<HH").unpack(self._mmu.read(base + 0x0E, 4))
        except PageFault:
            return
        q[EIP] = eip
        q[CC_SRC] = eflags & ARITHMETIC_FLAGS
        d[CC_OP] = CC_OP_EFLAGS
        d[DF] = 0xFFFFFFFF if eflags & FLAG_DF else 1


def _fits(descriptor: Descriptor, segment: int, rpl: int, level: int) -> bool:
    """May the new task, at ``level``, have this segment in this register?"""
    flags, dpl = descriptor.flags, descriptor.dpl
    if not flags & NOT_SYSTEM:
        return False
    if segment == CS:
        return bool(flags & CODE) and (dpl <= level if flags & CONFORMING else dpl == level)
    if segment == SS:
        return not flags & CODE and bool(flags & WRITABLE) and dpl == level == rpl
    if flags & CODE and not flags & READABLE:
        return False
    return bool(flags & CODE and flags & CONFORMING) or (dpl >= level and dpl >= rpl)
