"""Segment descriptors: 64 bits in the GDT, the LDT or the IDT, as two words.

Intel's Software Developer's Manual, volume 3, "Segment descriptors" and "Gate descriptors".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from pcemu.cpu.faults import Fault
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

ReadPair = Callable[[int], tuple[int, int]]  # Mmu.read_pair

_REMEMBERED = 1024  # descriptors, for the next time


class Descriptor(NamedTuple):
    """A segment's; ``flags`` is the second word, which is what the engine keeps, too.

    ``base``: linear address. ``limit``: offset of the last byte. ``kind``: S bit and type. ``dpl``: privilege
    level.
    """

    base: int
    limit: int
    flags: int
    kind: int
    dpl: int


class Gate(NamedTuple):
    """``kind``: S bit and type. ``dpl``: descriptor privilege level."""

    selector: int
    offset: int
    kind: int
    dpl: int
    present: int


@lru_cache(_REMEMBERED)
def segment(low: int, high: int) -> Descriptor:
    """What the two words of a segment descriptor say."""
    limit = low & 0xFFFF | high & 0xF0000
    return Descriptor(
        base=low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000,
        limit=limit << 12 | 0xFFF if high & GRANULAR else limit,
        flags=high,
        kind=high >> 8 & 0x1F,
        dpl=high >> 13 & 3,
    )


@lru_cache(_REMEMBERED)
def gate(low: int, high: int) -> Gate:
    """What the two words of a gate say; the upper half of a 16-bit gate's offset is not looked at."""
    kind = high >> 8 & 0x1F
    offset = (high & 0xFFFF0000 if kind & GATE_IS_32 else 0) | low & 0xFFFF
    return Gate(low >> 16, offset, kind, high >> 13 & 3, high & PRESENT)


def read_descriptor(
    state: EngineState, read_pair: ReadPair, selector: int, vector: int, external: int
) -> Descriptor:
    """What ``selector`` names; a fault of ``vector`` when it lies outside its table. Raises PageFault."""
    q, d = state.q, state.d
    base, limit = (q[LDT_BASE], d[LDT_LIMIT]) if selector & LOCAL else (q[GDT_BASE], d[GDT_LIMIT])
    index = selector & _INDEX
    if index + 7 > limit:
        raise Fault(vector, selector & SELECTOR_IN_ERROR | external)
    return segment(*read_pair(base + index))


def stack_has_room(offset: int, size: int, limit: int, flags: int) -> bool:
    """Do ``size`` bytes from ``offset`` on lie within a stack segment?"""
    last = offset + size - 1
    if flags & EXPAND_DOWN:
        return offset > limit and last <= (0xFFFFFFFF if flags & BIG else 0xFFFF)
    return last <= limit
