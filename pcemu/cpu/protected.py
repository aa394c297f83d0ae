"""Delivery of interrupts and exceptions in protected mode and from virtual 8086 mode.

Where the IDT leads to is found by gates.py; here that way is taken: with 16-bit and 32-bit frames, to the
same or an inner privilege level, or into another task. IRET is native. Nothing is changed before everything
has been looked at, so an exception on the way leaves the interrupted program as it was, and is then delivered
in its turn.

Intel's Software Developer's Manual, volume 3, "Interrupt and exception handling".

**Not implemented**: the virtual-mode extensions (CR4.VME), which CPUID does not promise.
"""

from __future__ import annotations

from struct import Struct

from pcemu.cpu.descriptors import BIG, EXPAND_DOWN, SELECTOR_IN_ERROR, stack_has_room
from pcemu.cpu.faults import (
    CONTRIBUTORY,
    DOUBLE_FAULT,
    GENERAL_PROTECTION,
    PAGE_FAULT,
    STACK_FAULT,
    Fault,
    PageFault,
    TripleFault,
)
from pcemu.cpu.flags import whole_eflags
from pcemu.cpu.gates import Gates, Source, TaskPassage, external
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_OP_EFLAGS,
    CR2,
    CS,
    DATA_SELECTORS,
    EFLAGS,
    EIP,
    ESP,
    FLAG_RF,
    FLAG_VM,
    HF_CPL,
    HF_INHIBIT_IRQ,
    HFLAGS,
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

_EXCEPTION, _SOFTWARE = Source.EXCEPTION, Source.SOFTWARE
_INT_N = 0xCD
_WORDS = [Struct(f"<{count}H").pack for count in range(11)]
_DOUBLES = [Struct(f"<{count}I").pack for count in range(11)]


class ProtectedDelivery:
    """Enters the handlers that the IDT names."""

    def __init__(self, state: EngineState, mmu: Mmu, tasks: Tasks) -> None:
        self._state = state
        self._raw, self._q, self._d = state.raw, state.q, state.d
        self._old_exception = state.old_exception
        self._mmu = mmu
        self._tasks = tasks
        self._find_passage = Gates(state, mmu).find

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
                self._enter(first, _EXCEPTION, error_code)
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
        """Go where the gate of ``vector`` leads, with a frame on the stack of its level. Raises Fault."""
        state, q, d = self._state, self._q, self._d
        (ip, flags, result, operand, operation, direction, hidden,
         cs, cs_flags, ss, base, limit, stack_flags) = LOOK(self._raw, LOOK_AT)  # fmt: skip
        if operation == CC_OP_EFLAGS and direction == 1:
            eflags = flags | operand & ARITHMETIC_FLAGS
        else:
            eflags = whole_eflags(state, flags, result, operand, operation, direction)
        virtual = flags & FLAG_VM
        passage = self._find_passage(vector, source, hidden & HF_CPL, virtual)
        if passage.resume:
            eflags |= FLAG_RF
        if isinstance(passage, TaskPassage):
            self._enter_task(passage, source, eflags, error_code)
            return
        code, offset, level, inner, esp, is_32, kept, has_error, _ = passage
        words = [ip & 0xFFFFFFFF, cs, eflags]
        if has_error:
            words.insert(0, error_code)
        if inner is None:
            esp = q[ESP] & 0xFFFFFFFF
        else:
            words += q[ESP] & 0xFFFFFFFF, ss
            if virtual:
                words += DATA_SELECTORS(self._raw, LOOK_AT_DATA_SELECTORS)
            _, base, limit, stack_flags = inner
        if is_32:
            frame = _DOUBLES[len(words)](*words)
        else:
            frame = _WORDS[len(words)](*[word & 0xFFFF for word in words])
        size = len(frame)
        mask = 0xFFFFFFFF if stack_flags & BIG else 0xFFFF
        top = esp - size & mask
        room = top + size - 1 <= limit and not stack_flags & EXPAND_DOWN
        if not room and not stack_has_room(top, size, limit, stack_flags):
            selector = inner[0] & SELECTOR_IN_ERROR if inner else 0
            raise Fault(STACK_FAULT, selector | external(source))
        if offset > code[2]:
            raise Fault(GENERAL_PROTECTION, external(source))
        try:
            self._mmu.write(base + top, frame, level == 3)
        except PageFault:
            self._push_each(base + top, frame, 4 if is_32 else 2, level == 3)

        # From here on nothing can go wrong.
        q[EFLAGS] = flags & kept
        q[ESP] = esp & ~mask | top
        q[EIP] = offset
        d[HFLAGS] = hidden & ~HF_INHIBIT_IRQ
        if inner:
            state.store_code_and_stack(code, inner, bool(virtual))
            state.derive()
        else:
            state.store_segment(CS, *code)
            if (code[3] ^ cs_flags) & BIG:
                state.derive()

    def _push_each(self, start: int, frame: bytes, width: int, user: bool) -> None:
        """Push word by word, as a processor does: so CR2 gets the place of the first that fails."""
        for at in range(len(frame) - width, -1, -width):
            self._mmu.write(start + at, frame[at : at + width], user)

    def _enter_task(self, passage: TaskPassage, source: Source, eflags: int, error_code: int) -> None:
        self._tasks.switch(passage.selector, external(source), eflags)
        if passage.has_error:
            self._push_error_code(error_code, source)

    def _push_error_code(self, error_code: int, source: Source) -> None:
        """Push onto the stack of the task that was just entered."""
        q, d = self._q, self._d
        flags = d[_SS_FLAGS]
        mask = 0xFFFFFFFF if flags & BIG else 0xFFFF
        data = error_code.to_bytes(4 if self._tasks.is_32 else 2, "little")
        top = q[ESP] - len(data) & mask
        if not stack_has_room(top, len(data), d[_SS_LIMIT], flags):
            raise Fault(STACK_FAULT, external(source))
        self._mmu.write(q[_SS_BASE] + top, data, user=d[HFLAGS] & HF_CPL == 3)
        q[ESP] = q[ESP] & ~mask & 0xFFFFFFFF | top


_SS_BASE, _SS_LIMIT, _SS_FLAGS = SEGMENT_BASE[SS], SEGMENT_LIMIT[SS], SEGMENT_FLAGS[SS]


def _is_double_fault(first: int | None, second: int) -> bool:
    """Are these two exceptions one double fault?"""
    if first == PAGE_FAULT:
        return second == PAGE_FAULT or second in CONTRIBUTORY
    return first in CONTRIBUTORY and second in CONTRIBUTORY
