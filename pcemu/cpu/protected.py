"""Delivery of interrupts and exceptions in protected mode and from virtual 8086 mode.

Through the interrupt, trap and task gates of the IDT, with 16-bit and 32-bit frames, to the same or an inner
privilege level. IRET is native. Nothing is changed before everything has been looked at, so an exception on
the way leaves the interrupted program as it was, and is then delivered in its turn.

Intel's Software Developer's Manual, volume 3, "Interrupt and exception handling".

**Not implemented**: the virtual-mode extensions (CR4.VME), which CPUID does not promise.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from pcemu.cpu.descriptors import (
    BIG,
    CODE,
    CONFORMING,
    EXPAND_DOWN,
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
    Gate,
    gate,
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
from pcemu.cpu.flags import whole_eflags
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_DST,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    CR2,
    CS,
    DATA_SELECTORS,
    DF,
    EFLAGS,
    EIP,
    ESP,
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    HF_CPL,
    HF_INHIBIT_IRQ,
    HFLAGS,
    IDT_BASE,
    IDT_LIMIT,
    LOOK,
    LOOK_AT,
    LOOK_AT_DATA_SELECTORS,
    NO_EXCEPTION,
    SEGMENT_BASE,
    SEGMENT_FLAGS,
    SEGMENT_LIMIT,
    SS,
    EngineState,
)
from pcemu.cpu.tasks import Tasks

_IN_IDT, _EXTERNAL = 2, 1  # of an error code
_GATES = frozenset((TASK_GATE, INTERRUPT_GATE_16, TRAP_GATE_16, INTERRUPT_GATE_32, TRAP_GATE_32))
_INT_N = 0xCD
_CODE_SEGMENT = NOT_SYSTEM | CODE
_DATA_SEGMENT = NOT_SYSTEM | WRITABLE
_WORDS = [Struct(f"<{count}H").pack for count in range(11)]
_DOUBLES = [Struct(f"<{count}I").pack for count in range(11)]


class Source(IntEnum):
    """What asked for the delivery."""

    EXCEPTION = 0
    SOFTWARE = 1  # INT n, INT3, INTO: EIP is already past it
    EXTERNAL = 2


class ProtectedDelivery:
    """Enters the handlers that the IDT names."""

    def __init__(self, state: EngineState, mmu: Mmu, tasks: Tasks) -> None:
        self._state = state
        self._raw, self._q, self._d = state.raw, state.q, state.d
        self._old_exception = state.old_exception
        self._mmu = mmu
        self._tasks = tasks

    def deliver(self, vector: int, source: Source, error_code: int = 0) -> None:
        """Enter the handler of ``vector``, or of what goes wrong on the way. Raises TripleFault."""
        self._d[self._old_exception] = NO_EXCEPTION  # the engine never does; it would see double faults
        try:
            self._enter(vector, source, error_code)
        except Fault as fault:
            if source is _SOFTWARE and not fault.in_new_task:
                self._step_back(vector)
            self._deliver_second(vector, source is _EXCEPTION, fault)

    def _deliver_second(self, vector: int, is_exception: bool, fault: Fault) -> None:
        """Enter the handler of what went wrong during the delivery of ``vector``."""
        first = vector if is_exception else None
        while True:
            if isinstance(fault, PageFault):
                self._q[CR2] = fault.address
            if first == DOUBLE_FAULT:
                raise TripleFault(vector)
            if _is_double_fault(first, fault.vector):
                first, error_code = DOUBLE_FAULT, 0
            else:
                first, error_code = fault.vector, fault.error_code
            try:
                self._enter(first, Source.EXCEPTION, error_code)
                return
            except Fault as another:
                fault = another

    def _step_back(self, vector: int) -> None:
        """Point EIP to the INT instruction again, which could not be carried out."""
        q = self._q
        try:
            code = self._mmu.read(q[SEGMENT_BASE[CS]] + q[EIP] - 2, 2)
        except PageFault:
            code = b"\0\0"
        q[EIP] = q[EIP] - (2 if code == bytes((_INT_N, vector)) else 1) & 0xFFFFFFFF

    def _enter(self, vector: int, source: Source, error_code: int) -> None:
        d = self._d
        external = 0 if source is _SOFTWARE else _EXTERNAL
        index = vector * 8
        if index + 7 > d[IDT_LIMIT]:
            raise Fault(GENERAL_PROTECTION, index | _IN_IDT | external)
        entry = gate(*self._mmu.read_pair(self._q[IDT_BASE] + index))
        if entry.kind not in _GATES or (source is _SOFTWARE and entry.dpl < d[HFLAGS] & HF_CPL):
            raise Fault(GENERAL_PROTECTION, index | _IN_IDT | external)
        if not entry.present:
            raise Fault(NOT_PRESENT, index | _IN_IDT | external)
        resume = has_error = False
        if source is _EXCEPTION:
            resume, has_error = vector in RESTARTED, vector in WITH_ERROR_CODE
        if entry.kind != TASK_GATE:
            self._enter_code(entry, (error_code,) if has_error else (), resume, external)
            return
        q = self._q
        eflags = whole_eflags(self._state, q[EFLAGS], q[CC_DST], q[CC_SRC], d[CC_OP], d[DF])
        self._tasks.switch(entry.selector, external, eflags | FLAG_RF if resume else eflags)
        if has_error:
            self._push_error_code(error_code, external)

    def _enter_code(self, entry: Gate, error: tuple[int, ...], resume: bool, external: int) -> None:
        """Go where a gate leads, with a frame on the stack of its level that begins with ``error``."""
        state, q, d = self._state, self._q, self._d
        selector, offset, kind, _, _ = entry
        (ip, flags, result, operand, operation, direction, hidden,
         cs, cs_flags, ss, base, limit, stack_flags) = LOOK(self._raw, LOOK_AT)  # fmt: skip
        if operation == CC_OP_EFLAGS and direction == 1:
            eflags = flags | operand & ARITHMETIC_FLAGS
        else:
            eflags = whole_eflags(state, flags, result, operand, operation, direction)
        level = hidden & HF_CPL
        code = self._code_segment(selector, level, external)
        new_level = level if code.flags & CONFORMING else code.dpl
        virtual = flags & FLAG_VM
        esp = q[ESP] & 0xFFFFFFFF
        words = [*error, ip & 0xFFFFFFFF, cs, eflags | FLAG_RF if resume else eflags]
        if virtual and new_level:  # nor through a conforming segment
            raise Fault(GENERAL_PROTECTION, selector & SELECTOR_IN_ERROR | external)
        inner = new_level < level
        if inner:
            words += esp, ss
            if virtual:
                words += DATA_SELECTORS(self._raw, LOOK_AT_DATA_SELECTORS)
            ss, esp, stack = self._inner_stack(new_level, external)
            base, limit, stack_flags = stack.base, stack.limit, stack.flags
            stack_error = ss & SELECTOR_IN_ERROR | external
        else:
            stack_error = external
        if kind & GATE_IS_32:
            frame = _DOUBLES[len(words)](*words)
        else:
            frame = _WORDS[len(words)](*[word & 0xFFFF for word in words])
        mask = 0xFFFFFFFF if stack_flags & BIG else 0xFFFF
        top = esp - len(frame) & mask
        room = top + len(frame) - 1 <= limit and not stack_flags & EXPAND_DOWN
        if not room and not stack_has_room(top, len(frame), limit, stack_flags):
            raise Fault(STACK_FAULT, stack_error)
        if offset > code.limit:
            raise Fault(GENERAL_PROTECTION, external)
        self._mmu.write(base + top, frame, new_level == 3)

        # From here on nothing can go wrong.
        q[EFLAGS] = flags & (_KEPT_BY_TRAP if kind & GATE_IS_TRAP else _KEPT)
        q[ESP] = esp & ~mask | top
        q[EIP] = offset
        d[HFLAGS] = hidden & ~HF_INHIBIT_IRQ
        segment = selector & ~3 | new_level, code.base, code.limit, code.flags
        if inner:
            stack_segment = ss & ~3 | new_level, base, limit, stack_flags
            state.store_code_and_stack(segment, stack_segment, bool(virtual))
            state.derive()
        else:
            state.store_segment(CS, *segment)
            if (code.flags ^ cs_flags) & BIG:
                state.derive()

    def _code_segment(self, selector: int, level: int, external: int) -> Descriptor:
        """The handler's code segment."""
        if not selector & SELECTOR_IN_ERROR:
            raise Fault(GENERAL_PROTECTION, external)
        code = read_descriptor(self._state, self._mmu, selector, GENERAL_PROTECTION, external)
        if code.flags & _CODE_SEGMENT != _CODE_SEGMENT or code.dpl > level:
            raise Fault(GENERAL_PROTECTION, selector & SELECTOR_IN_ERROR | external)
        if not code.flags & PRESENT:
            raise Fault(NOT_PRESENT, selector & SELECTOR_IN_ERROR | external)
        return code

    def _inner_stack(self, level: int, external: int) -> tuple[int, int, Descriptor]:
        """SS, ESP and the stack segment for an inner level, from the TSS."""
        ss, esp = self._tasks.inner_stack(level, external)
        error = ss & SELECTOR_IN_ERROR | external
        if not ss & SELECTOR_IN_ERROR or ss & 3 != level:
            raise Fault(INVALID_TSS, error)
        stack = read_descriptor(self._state, self._mmu, ss, INVALID_TSS, external)
        if stack.dpl != level or stack.flags & (_CODE_SEGMENT | WRITABLE) != _DATA_SEGMENT:
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


_EXCEPTION, _SOFTWARE = Source.EXCEPTION, Source.SOFTWARE
_KEPT_BY_TRAP = 0xFFFFFFFF & ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT)
_KEPT = _KEPT_BY_TRAP & ~FLAG_IF
_SS_BASE, _SS_LIMIT, _SS_FLAGS = SEGMENT_BASE[SS], SEGMENT_LIMIT[SS], SEGMENT_FLAGS[SS]


def _is_double_fault(first: int | None, second: int) -> bool:
    """Are these two exceptions one double fault?"""
    if first == PAGE_FAULT:
        return second == PAGE_FAULT or second in CONTRIBUTORY
    return first in CONTRIBUTORY and second in CONTRIBUTORY
