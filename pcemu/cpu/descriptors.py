"""Segment descriptors: 64 bits in the GDT, the LDT or the IDT, as two words.

Intel's Software Developer's Manual, volume 3, "Segment descriptors" and "Gate descriptors".
"""

from __future__ import annotations

from typing import NamedTuple

from pcemu.cpu.faults import Fault
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import GDT_BASE, GDT_LIMIT, LDT_BASE, LDT_LIMIT, EngineState

PRESENT = 0x8000
NOT_SYSTEM = 0x1000
CODE = 0x0800  # of a segment that is not a system segment
CONFORMING = 0x0400  # code
EXPAND_DOWN = 0x0400  # data
WRITABLE = 0x0200  # data
READABLE = 0x0200  # code
ACCESSED = 0x0100
BIG = 1 << 22
GRANULAR = 1 << 23
BUSY = 0x0200  # of a TSS

# System segment types, with the S bit (0) on top
TSS_16, LDT_TYPE, TSS_16_BUSY = 1, 2, 3
TASK_GATE, INTERRUPT_GATE_16, TRAP_GATE_16 = 5, 6, 7
TSS_32, TSS_32_BUSY, INTERRUPT_GATE_32, TRAP_GATE_32 = 9, 11, 14, 15
GATE_IS_32 = 8
GATE_IS_TRAP = 1
TSS_IS_32 = 8

LOCAL = 4  # of a selector: in the LDT
_INDEX = 0xFFF8
SELECTOR_IN_ERROR = 0xFFFC


class Descriptor(NamedTuple):
    """``flags`` is the second word, which is what the engine keeps, too."""

    low: int
    flags: int

    @property
    def base(self) -> int:
        """Linear address of the segment."""
        return self.low >> 16 | (self.flags & 0xFF) << 16 | self.flags & 0xFF000000

    @property
    def limit(self) -> int:
        """Offset of the last byte."""
        limit = self.low & 0xFFFF | self.flags & 0xF0000
        return limit << 12 | 0xFFF if self.flags & GRANULAR else limit

    @property
    def kind(self) -> int:
        """S bit and type."""
        return self.flags >> 8 & 0x1F

    @property
    def dpl(self) -> int:
        """Descriptor privilege level."""
        return self.flags >> 13 & 3


def read_descriptor(state: EngineState, mmu: Mmu, selector: int, vector: int, external: int) -> Descriptor:
    """What ``selector`` names; a fault of ``vector`` when it lies outside its table. Raises PageFault."""
    q, d = state.q, state.d
    base, limit = (q[LDT_BASE], d[LDT_LIMIT]) if selector & LOCAL else (q[GDT_BASE], d[GDT_LIMIT])
    index = selector & _INDEX
    if index + 7 > limit:
        raise Fault(vector, selector & SELECTOR_IN_ERROR | external)
    return Descriptor._make(mmu.read_pair(base + index))


def stack_has_room(offset: int, size: int, limit: int, flags: int) -> bool:
    """Do ``size`` bytes from ``offset`` on lie within a stack segment?"""
    last = offset + size - 1
    if flags & EXPAND_DOWN:
        return offset > limit and last <= (0xFFFFFFFF if flags & BIG else 0xFFFF)
    return last <= limit
