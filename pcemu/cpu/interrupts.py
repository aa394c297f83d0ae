"""Delivery of interrupts and exceptions: the engine reports them, what follows is ours.

Real mode: through the interrupt vector table that IDTR points to (address 0 after reset). IRET is native.
Protected mode: protected.py.
"""

from __future__ import annotations

from struct import Struct

from pcemu.cpu.faults import DOUBLE_FAULT, GENERAL_PROTECTION, Fault, PageFault, TripleFault
from pcemu.cpu.flags import arithmetic_flags
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.protected import ProtectedDelivery, Source
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
_push_frame = Struct("<HHH").pack_into  # IP, CS, FLAGS
_read_vector = Struct("<HH").unpack_from  # offset, segment
_VECTOR_SIZE = 4


class Interrupts:
    """Delivers vectors to the guest; EIP is already where the handler shall return to.

    ``ram``: guest RAM from physical 0.
    """

    def __init__(self, state: EngineState, ram: memoryview, mmu: Mmu, tasks: Tasks) -> None:
        self._state = state
        self._old_exception = state.old_exception
        self._q = state.q
        self._d = state.d
        self._ram = ram
        self._mmu = mmu
        self._protected = ProtectedDelivery(state, mmu, tasks, self.eflags)
        # Above this a frame may meet ROM, the A20 gate or the end of RAM: the careful way.
        self._simple = min(len(ram), ROM_AREA.start) - 6

    def eflags(self) -> int:
        """EFLAGS as the guest would see them."""
        q, d = self._q, self._d
        operation, arithmetic = d[CC_OP], q[CC_SRC]
        if operation == CC_OP_EFLAGS:
            arithmetic &= ARITHMETIC_FLAGS
        else:
            arithmetic = arithmetic_flags(operation, q[CC_DST], arithmetic)
            if arithmetic < 0:
                return self._state.read_eflags()
        return q[EFLAGS] | arithmetic | (0 if d[DF] == 1 else FLAG_DF)

    def deliver(self, vector: int) -> None:
        """Enter the handler of what the engine has just reported. Raises TripleFault."""
        q, d = self._q, self._d
        if q[CR0] & CR0_PE:
            state = self._state
            source = Source.SOFTWARE if d[state.software_interrupt] else Source.EXCEPTION
            self._protected.deliver(vector, source, d[state.error_code])
            return
        self._deliver_real(vector)

    def deliver_external(self, vector: int) -> None:
        """Enter the handler of an interrupt request. Raises TripleFault."""
        if self._q[CR0] & CR0_PE:
            self._protected.deliver(vector, Source.EXTERNAL)
        else:
            self._deliver_real(vector)

    def deliver_fault(self, fault: Fault) -> None:
        """Enter the handler of an exception that was found on this side. Raises TripleFault."""
        if isinstance(fault, PageFault):
            self._q[CR2] = fault.address
        if self._q[CR0] & CR0_PE:
            self._protected.deliver(fault.vector, Source.EXCEPTION, fault.error_code)
        else:
            self._deliver_real(fault.vector)

    def _deliver_real(self, vector: int) -> None:
        q, d = self._q, self._d
        if vector * 4 + 3 > d[IDT_LIMIT]:
            # The #GP of a short IVT, the #DF of that and the shutdown of that: all miss the table alike
            # unless it is just long enough for them.
            vector = next(
                (v for v in (GENERAL_PROTECTION, DOUBLE_FAULT) if v * 4 + 3 <= d[IDT_LIMIT]), -1
            )
            if vector < 0:
                raise TripleFault
        d[self._old_exception] = NO_EXCEPTION  # the engine never does; it would see double faults
        flags = self.eflags()
        sp = q[ESP] - 6 & 0xFFFF
        frame = q[_SS_BASE] + sp
        if sp <= 0xFFFA and frame <= self._simple:
            _push_frame(self._ram, frame, q[EIP] & 0xFFFF, d[_CS_SELECTOR], flags & 0xFFFF)
        else:
            self._push_wrapping(sp, (q[EIP], d[_CS_SELECTOR], flags))
        q[ESP] = q[ESP] & ~0xFFFF | sp
        q[EFLAGS] = flags & _KEPT
        table = q[IDT_BASE]
        if table:
            ip, cs = _read_vector(self._mmu.read(table + vector * 4, _VECTOR_SIZE))
        else:
            ip, cs = _read_vector(self._ram, vector * 4)
        d[_CS_SELECTOR] = cs
        q[_CS_BASE] = cs << 4
        q[EIP] = ip

    def _push_wrapping(self, sp: int, words: tuple[int, ...]) -> None:
        base = self._q[_SS_BASE]
        for word in words:
            self._mmu.write(base + sp, (word & 0xFFFF).to_bytes(2, "little"))
            sp = sp + 2 & 0xFFFF
