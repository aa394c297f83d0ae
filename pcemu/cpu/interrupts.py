"""Delivery of interrupts and exceptions: the engine reports them, what follows is ours.

Real mode: through the interrupt vector table that IDTR points to (address 0 after reset). IRET is native.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from pcemu.cpu.flags import arithmetic_flags
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_DST,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    CR0,
    CR0_PE,
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

DIVIDE_ERROR, DEBUG, NMI, BREAKPOINT, OVERFLOW, BOUND, INVALID_OPCODE = range(7)
DOUBLE_FAULT = 8
GENERAL_PROTECTION = 13

# What stays in EFLAGS: IF, TF, AC and RF are cleared, the arithmetic flags and DF have places of their own.
_KEPT = 0xFFFFFFFF & ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF | ARITHMETIC_FLAGS | FLAG_DF)
_CS_SELECTOR, _CS_BASE, _SS_BASE = SELECTOR[CS], SEGMENT_BASE[CS], SEGMENT_BASE[SS]
_push_frame = Struct("<HHH").pack_into  # IP, CS, FLAGS
_push_word = Struct("<H").pack_into
_read_vector = Struct("<HH").unpack_from  # offset, segment


class TripleFault(Exception):
    """The processor shut down: a fault while delivering a double fault."""


class Interrupts:
    """Delivers vectors to the guest.

    ``ram``: guest RAM from physical 0; ``physical``: linear to physical address; ``read_eflags``: the
    engine's own computation of EFLAGS, for when the arithmetic flags are not where they usually are.
    """

    def __init__(
        self,
        state: EngineState,
        ram: memoryview,
        physical: Callable[[int], int],
        read_eflags: Callable[[], int],
    ) -> None:
        self._old_exception = state.old_exception
        self._q = state.q
        self._d = state.d
        self._ram = ram
        self._physical = physical
        self._read_eflags = read_eflags
        # A frame that ends above this may wrap in the 20-bit address space or leave RAM: the careful way.
        self._simple = min(len(ram), 0xFFF00) - 6

    def eflags(self) -> int:
        """EFLAGS as the guest would see them."""
        q, d = self._q, self._d
        operation, arithmetic = d[CC_OP], q[CC_SRC]
        if operation == CC_OP_EFLAGS:
            arithmetic &= ARITHMETIC_FLAGS
        else:
            arithmetic = arithmetic_flags(operation, q[CC_DST], arithmetic)
            if arithmetic < 0:
                return self._read_eflags()
        return q[EFLAGS] | arithmetic | (0 if d[DF] == 1 else FLAG_DF)

    def deliver(self, vector: int) -> None:
        """Enter the handler of ``vector``; EIP is already where the handler shall return to."""
        q, d = self._q, self._d
        if q[CR0] & CR0_PE:
            self._deliver_protected(vector)
            return
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
        ip, cs = _read_vector(self._ram, self._physical(table + vector * 4) if table else vector * 4)
        d[_CS_SELECTOR] = cs
        q[_CS_BASE] = cs << 4
        q[EIP] = ip

    def _push_wrapping(self, sp: int, words: tuple[int, ...]) -> None:
        base = self._q[_SS_BASE]
        for word in words:
            address = self._physical(base + sp)
            if address + 2 <= len(self._ram):
                _push_word(self._ram, address, word & 0xFFFF)
            sp = sp + 2 & 0xFFFF

    def _deliver_protected(self, vector: int) -> None:
        """Delivery through an IDT is not built: a guest that needs it shuts down, with the reason told."""
        raise TripleFault
