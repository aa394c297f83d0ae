"""Delivery of interrupts and exceptions in protected mode and from virtual 8086 mode.

Through the interrupt, trap and task gates of the IDT, with 16-bit and 32-bit frames, to the same or an inner
privilege level. IRET is native. Nothing is changed before everything has been looked at, so an exception on
the way leaves the interrupted program as it was, and is then delivered in its turn.

Intel's Software Developer's Manual, volume 3, "Interrupt and exception handling".

**Not implemented**: the virtual-mode extensions (CR4.VME), which CPUID does not promise; RF in the frame of
an interrupt between two iterations of a string instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct

from pcemu.cpu.descriptors import (
    BIG,
    CODE,
    CONFORMING,
    GATE_IS_32,
    GATE_IS_TRAP,
    INTERRUPT_GATE_16,
    INTERRUPT_GATE_32,
    NOT_SYSTEM,
    PRESENT,
    SELECTOR_IN_ERROR,
    TASK_GATE,
    TRAP_GATE_16,
    TRAP_GATE_32,
    WRITABLE,
    Descriptor,
    read_descriptor,
    stack_has_room,
)
from pcemu.cpu.faults import (
    CONTRIBUTORY,
    DOUBLE_FAULT,
    GENERAL_PROTECTION,
    INVALID_TSS,
    NOT_PRESENT,
    PAGE_FAULT,
    RESTARTED,
    STACK_FAULT,
    WITH_ERROR_CODE,
    Fault,
    PageFault,
    TripleFault,
)
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    CR2,
    CS,
    DS,
    EFLAGS,
    EIP,
    ES,
    ESP,
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    FS,
    GS,
    HF_CPL,
    HF_INHIBIT_IRQ,
    HFLAGS,
    IDT_BASE,
    IDT_LIMIT,
    NO_EXCEPTION,
    SEGMENT_BASE,
    SEGMENT_FLAGS,
    SEGMENT_LIMIT,
    SELECTOR,
    SS,
    EngineState,
)
from pcemu.cpu.tasks import Tasks

_IN_IDT, _EXTERNAL = 2, 1  # of an error code
_GATES = frozenset((TASK_GATE, INTERRUPT_GATE_16, TRAP_GATE_16, INTERRUPT_GATE_32, TRAP_GATE_32))
_INT_N = 0xCD
_WORDS = [Struct(f"<{count}H").pack for count in range(11)]
_DOUBLES = [Struct(f"<{count}I").pack for count in range(11)]


class Source(IntEnum):
    """What asked for the delivery."""

    EXCEPTION = 0
    SOFTWARE = 1  # INT n, INT3, INTO: EIP is already past it
    EXTERNAL = 2


class ProtectedDelivery:
    """Enters the handlers that the IDT names."""

    def __init__(self, state: EngineState, mmu: Mmu, tasks: Tasks, eflags: Callable[[], int]) -> None:
        self._state = state
        self._eflags = eflags
        self._q, self._d = state.q, state.d
        self._mmu = mmu
        self._tasks = tasks

    def deliver(self, vector: int, source: Source, error_code: int = 0) -> None:
        """Enter the handler of ``vector``, or of what goes wrong on the way. Raises TripleFault."""
        q, d = self._q, self._d
        d[self._state.old_exception] = NO_EXCEPTION  # the engine never does; it would see double faults
        first = vector if source == Source.EXCEPTION else None
        while True:
            try:
                self._enter(vector, source, error_code, self._eflags())
                return
            except Fault as fault:
                if isinstance(fault, PageFault):
                    q[CR2] = fault.address
                if source == Source.SOFTWARE:
                    self._step_back(vector)
                if first == DOUBLE_FAULT:
                    raise TripleFault from None
                source = Source.EXCEPTION
                if _is_double_fault(first, fault.vector):
                    first = vector = DOUBLE_FAULT
                    error_code = 0
                else:
                    first = vector = fault.vector
                    error_code = fault.error_code

    def _step_back(self, vector: int) -> None:
        """Point EIP to the INT instruction again, which could not be carried out."""
        q = self._q
        try:
            code = self._mmu.read(q[SEGMENT_BASE[CS]] + q[EIP] - 2, 2)
        except PageFault:
            code = b"\0\0"
        q[EIP] = q[EIP] - (2 if code == bytes((_INT_N, vector)) else 1) & 0xFFFFFFFF

    def _enter(self, vector: int, source: Source, error_code: int, eflags: int) -> None:
        q, d = self._q, self._d
        external = 0 if source == Source.SOFTWARE else _EXTERNAL
        index = vector * 8
        gate_error = index | _IN_IDT | external
        if index + 7 > d[IDT_LIMIT]:
            raise Fault(GENERAL_PROTECTION, gate_error)
        low, high = self._mmu.read_pair(q[IDT_BASE] + index)
        kind = high >> 8 & 0x1F
        if kind not in _GATES or (source == Source.SOFTWARE and high >> 13 & 3 < d[HFLAGS] & HF_CPL):
            raise Fault(GENERAL_PROTECTION, gate_error)
        if not high & PRESENT:
            raise Fault(NOT_PRESENT, gate_error)
        has_error = source == Source.EXCEPTION and vector in WITH_ERROR_CODE
        if source == Source.EXCEPTION and vector in RESTARTED:
            eflags |= FLAG_RF
        if kind == TASK_GATE:
            self._tasks.switch(low >> 16, external, eflags)
            if has_error:
                self._push_error_code(error_code, external)
            return
        offset = high & 0xFFFF0000 | low & 0xFFFF if kind & GATE_IS_32 else low & 0xFFFF
        words = [eflags, d[_CS_SELECTOR], q[EIP] & 0xFFFFFFFF]
        if has_error:
            words.append(error_code)
        self._enter_code(low >> 16, offset, kind, words, external)

    def _enter_code(self, selector: int, offset: int, kind: int, words: list[int], external: int) -> None:
        """Go to ``selector:offset`` with ``words`` on the stack of its level."""
        state, q, d = self._state, self._q, self._d
        level = d[HFLAGS] & HF_CPL
        code = self._code_segment(selector, level, external)
        new_level = level if code.flags & CONFORMING else code.dpl
        virtual = q[EFLAGS] & FLAG_VM
        stack: Descriptor | None = None
        if new_level < level:
            ss, esp, stack = self._inner_stack(new_level, external)
            words[:0] = (d[_SS_SELECTOR], q[ESP] & 0xFFFFFFFF)
            if virtual:
                words[:0] = [d[SELECTOR[segment]] for segment in (GS, FS, DS, ES)]
            base, limit, flags = stack.base, stack.limit, stack.flags
            stack_error = ss & SELECTOR_IN_ERROR | external
        else:
            if virtual:
                raise Fault(GENERAL_PROTECTION, selector & SELECTOR_IN_ERROR | external)
            esp = q[ESP]
            base, limit, flags = q[_SS_BASE], d[_SS_LIMIT], d[_SS_FLAGS]
            stack_error = external
        mask = 0xFFFFFFFF if flags & BIG else 0xFFFF
        words.reverse()
        if kind & GATE_IS_32:
            frame = _DOUBLES[len(words)](*words)
        else:
            frame = _WORDS[len(words)](*(word & 0xFFFF for word in words))
        top = esp - len(frame) & mask
        if not stack_has_room(top, len(frame), limit, flags):
            raise Fault(STACK_FAULT, stack_error)
        if offset > code.limit:
            raise Fault(GENERAL_PROTECTION, external)
        self._mmu.write(base + top, frame, user=new_level == 3)

        # From here on nothing can go wrong.
        q[EFLAGS] &= ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT | (0 if kind & GATE_IS_TRAP else FLAG_IF))
        d[HFLAGS] &= ~HF_INHIBIT_IRQ
        if stack is not None:
            if virtual:
                for segment in (ES, DS, FS, GS):
                    state.set_segment(segment, 0, 0, 0, 0)
            state.set_segment(SS, ss & ~3 | new_level, base, limit, flags)
        q[ESP] = esp & ~mask & 0xFFFFFFFF | top
        state.set_segment(CS, selector & ~3 | new_level, code.base, code.limit, code.flags)
        q[EIP] = offset

    def _code_segment(self, selector: int, level: int, external: int) -> Descriptor:
        """The handler's code segment."""
        if not selector & SELECTOR_IN_ERROR:
            raise Fault(GENERAL_PROTECTION, external)
        code = read_descriptor(self._state, self._mmu, selector, GENERAL_PROTECTION, external)
        error = selector & SELECTOR_IN_ERROR | external
        if code.flags & (NOT_SYSTEM | CODE) != NOT_SYSTEM | CODE or code.dpl > level:
            raise Fault(GENERAL_PROTECTION, error)
        if not code.flags & PRESENT:
            raise Fault(NOT_PRESENT, error)
        return code

    def _inner_stack(self, level: int, external: int) -> tuple[int, int, Descriptor]:
        """SS, ESP and the stack segment for an inner level, from the TSS."""
        ss, esp = self._tasks.inner_stack(level, external)
        error = ss & SELECTOR_IN_ERROR | external
        if not ss & SELECTOR_IN_ERROR or ss & 3 != level:
            raise Fault(INVALID_TSS, error)
        stack = read_descriptor(self._state, self._mmu, ss, INVALID_TSS, external)
        if stack.dpl != level or stack.flags & (NOT_SYSTEM | CODE | WRITABLE) != NOT_SYSTEM | WRITABLE:
            raise Fault(INVALID_TSS, error)
        if not stack.flags & PRESENT:
            raise Fault(STACK_FAULT, error)
        return ss, esp, stack

    def _push_error_code(self, error_code: int, external: int) -> None:
        """Push onto the stack of the task that was just entered."""
        q, d = self._q, self._d
        flags = d[_SS_FLAGS]
        mask = 0xFFFFFFFF if flags & BIG else 0xFFFF
        data = error_code.to_bytes(4 if self._tasks.is_32 else 2, "little")
        top = q[ESP] - len(data) & mask
        if not stack_has_room(top, len(data), d[_SS_LIMIT], flags):
            raise Fault(STACK_FAULT, external)
        self._mmu.write(q[_SS_BASE] + top, data, user=d[HFLAGS] & HF_CPL == 3)
        q[ESP] = q[ESP] & ~mask & 0xFFFFFFFF | top


_CS_SELECTOR, _SS_SELECTOR = SELECTOR[CS], SELECTOR[SS]
_SS_BASE, _SS_LIMIT, _SS_FLAGS = SEGMENT_BASE[SS], SEGMENT_LIMIT[SS], SEGMENT_FLAGS[SS]


def _is_double_fault(first: int | None, second: int) -> bool:
    """Are these two exceptions one double fault?"""
    if first == PAGE_FAULT:
        return second == PAGE_FAULT or second in CONTRIBUTORY
    return first in CONTRIBUTORY and second in CONTRIBUTORY
