"""Delivery of interrupts and exceptions: the engine reports them, what follows is ours.

Real mode: through the interrupt vector table that IDTR points to (address 0 after reset). IRET is native.
Protected mode: protected.py.
"""

from __future__ import annotations

from struct import Struct

from pcemu.cpu.faults import (
    DOUBLE_FAULT,
    GENERAL_PROTECTION,
    NO_DEVICE,
    PAGE_FAULT,
    Fault,
    PageFault,
    TripleFault,
)
from pcemu.cpu.flags import whole_eflags
from pcemu.cpu.gates import Source
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.protected import ProtectedDelivery
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_DST,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    CR0,
    CR0_PE,
    CR2,
    CS,
    DF,
    EFLAGS,
    EIP,
    ESP,
    FLAG_AC,
    FLAG_DF,
    FLAG_IF,
    FLAG_RF,
    FLAG_TF,
    IDT_BASE,
    IDT_LIMIT,
    LOOK_AT,
    NO_EXCEPTION,
    SEGMENT_BASE,
    SELECTOR,
    SS,
    EngineState,
)
from pcemu.cpu.tasks import Tasks
from pcemu.memory import ROM_AREA

# What stays in EFLAGS: IF, TF, AC and RF are cleared, the arithmetic flags and DF have places of their own.
_KEPT = 0xFFFFFFFF & ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF | ARITHMETIC_FLAGS | FLAG_DF)
_CS_SELECTOR, _CS_BASE, _SS_BASE = SELECTOR[CS], SEGMENT_BASE[CS], SEGMENT_BASE[SS]
# EIP, EFLAGS, CC_DST, CC_SRC, CC_OP, DF, selector of CS, base of SS
_look = Struct("<4Q8xII32xI28xQ").unpack_from
_push_frame = Struct("<HHH").pack_into  # IP, CS, FLAGS
_read_vector = Struct("<HH").unpack_from  # offset, segment
_VECTOR_SIZE = 4
_EXCEPTION, _SOFTWARE, _EXTERNAL = Source


class Interrupts:
    """Delivers vectors to the guest; EIP is already where the handler shall return to.

    ``ram``: guest RAM from physical 0.
    """

    def __init__(self, state: EngineState, ram: memoryview, mmu: Mmu, tasks: Tasks) -> None:
        self._state = state
        self._raw = state.raw
        self._old_exception = state.old_exception
        self._software_interrupt, self._error_code = state.software_interrupt, state.error_code
        self._q = state.q
        self._d = state.d
        self._ram = ram
        self._mmu = mmu
        self._protected = ProtectedDelivery(state, mmu, tasks)
        # Of real mode: vector, CS and EIP
        self.last_exception: tuple[int, int, int] | None = None
        # Above this a frame may meet ROM, the A20 gate or the end of RAM: the careful way.
        self._simple = min(len(ram), ROM_AREA.start) - 6

    def eflags(self) -> int:
        """EFLAGS as the guest would see them."""
        q, d = self._q, self._d
        return whole_eflags(self._state, q[EFLAGS], q[CC_DST], q[CC_SRC], d[CC_OP], d[DF])

    def deliver(self, vector: int) -> None:
        """Enter the handler of what the engine has just reported. Raises TripleFault."""
        if self._q[CR0] & CR0_PE:
            d = self._d
            source = _SOFTWARE if d[self._software_interrupt] else _EXCEPTION
            self._protected.deliver(vector, source, d[self._error_code])
        else:
            if vector <= NO_DEVICE and not self._d[self._software_interrupt]:
                self._note(vector)
            self._deliver_real(vector)

    def deliver_external(self, vector: int) -> None:
        """Enter the handler of an interrupt request. Raises TripleFault."""
        if self._q[CR0] & CR0_PE:
            self._protected.deliver(vector, _EXTERNAL)
        else:
            self._deliver_real(vector)

    def deliver_fault(self, fault: Fault) -> None:
        """Enter the handler of an exception that was found on this side. Raises TripleFault."""
        if isinstance(fault, PageFault):
            self.deliver_page_fault(fault.address, fault.error_code)
        elif self._q[CR0] & CR0_PE:
            self._protected.deliver(fault.vector, _EXCEPTION, fault.error_code)
        else:
            self._note(fault.vector)
            self._deliver_real(fault.vector)

    def deliver_page_fault(self, address: int, error_code: int) -> None:
        """Enter the handler of page faults. Raises TripleFault."""
        self._q[CR2] = address
        self._protected.deliver(PAGE_FAULT, _EXCEPTION, error_code)

    def _note(self, vector: int) -> None:
        self.last_exception = vector, self._d[_CS_SELECTOR], self._q[EIP] & 0xFFFFFFFF

    def _deliver_real(self, vector: int) -> None:
        q, d = self._q, self._d
        if vector * 4 + 3 > d[IDT_LIMIT]:
            vector = self._second(vector)
        d[self._old_exception] = NO_EXCEPTION  # the engine never does; it would see double faults
        ip, flags, result, operand, operation, direction, cs, stack = _look(self._raw, LOOK_AT)
        if operation == CC_OP_EFLAGS and direction == 1:
            flags |= operand & ARITHMETIC_FLAGS
        else:
            flags = whole_eflags(self._state, flags, result, operand, operation, direction)
        esp = q[ESP]
        sp = esp - 6 & 0xFFFF
        frame = stack + sp
        if sp <= 0xFFFA and frame <= self._simple:
            _push_frame(self._ram, frame, ip & 0xFFFF, cs, flags & 0xFFFF)
        else:
            self._push_wrapping(sp, (ip, cs, flags))
        q[ESP] = esp & ~0xFFFF | sp
        q[EFLAGS] = flags & _KEPT
        table = q[IDT_BASE]
        if table:
            ip, cs = _read_vector(self._mmu.read(table + vector * 4, _VECTOR_SIZE))
        else:
            ip, cs = _read_vector(self._ram, vector * 4)
        d[_CS_SELECTOR] = cs
        q[_CS_BASE] = cs << 4
        q[EIP] = ip

    def _second(self, vector: int) -> int:
        """What comes of ``vector``, which the vector table has no place for.

        The #GP of that, the #DF of that and the shutdown of that: all miss the table alike unless it is just
        long enough for them.
        """
        for second in (GENERAL_PROTECTION, DOUBLE_FAULT):
            if second * 4 + 3 <= self._d[IDT_LIMIT]:
                return second
        raise TripleFault(vector)

    def _push_wrapping(self, sp: int, words: tuple[int, ...]) -> None:
        base = self._q[_SS_BASE]
        for word in words:
            self._mmu.write(base + sp, (word & 0xFFFF).to_bytes(2, "little"))
            sp = sp + 2 & 0xFFFF
