"""All registers at once: as a debugger shows them, and as a reset leaves them.

Intel's Software Developer's Manual, volume 3, "Processor state after reset".
"""

from __future__ import annotations

from typing import NamedTuple

from unicorn import x86_const

from pcemu.cpu.cpuid import RESET_EDX
from pcemu.cpu.state import (
    CR0_ET,
    CR2,
    CR3,
    CS,
    DR7_RESET,
    DS,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    EIP,
    ES,
    ESI,
    ESP,
    FS,
    GDT_BASE,
    GDT_LIMIT,
    GS,
    HF_INHIBIT_IRQ,
    HFLAGS,
    IDT_BASE,
    IDT_LIMIT,
    LDT,
    LDT_BASE,
    LDT_FLAGS,
    LDT_LIMIT,
    NO_EXCEPTION,
    SELECTOR,
    SS,
    TR,
    TR_BASE,
    TR_FLAGS,
    TR_LIMIT,
    EngineState,
)

_DATA_SEGMENT, _CODE_SEGMENT = 0x9300, 0x9B00  # descriptor flags after reset
_LDT_SEGMENT, _TSS_SEGMENT = 0x8200, 0x8B00
_UC_CR0, _UC_CR4 = x86_const.UC_X86_REG_CR0, x86_const.UC_X86_REG_CR4
_UC_EFLAGS = x86_const.UC_X86_REG_EFLAGS


class Registers(NamedTuple):
    """The registers as a debugger shows them."""

    eax: int
    ebx: int
    ecx: int
    edx: int
    esi: int
    edi: int
    ebp: int
    esp: int
    eip: int
    eflags: int
    cs: int
    ds: int
    es: int
    ss: int
    fs: int
    gs: int


def read_registers(state: EngineState, eflags: int) -> Registers:
    """All registers at this instant; the guest's EFLAGS are not all in the state."""
    q, d = state.q, state.d
    general = (q[register] & 0xFFFFFFFF for register in (EAX, EBX, ECX, EDX, ESI, EDI, EBP, ESP, EIP))
    segments = (d[SELECTOR[segment]] for segment in (CS, DS, ES, SS, FS, GS))
    return Registers._make((*general, eflags, *segments))


def reset_registers(state: EngineState) -> None:
    """The state after the RESET pin: real mode, about to execute at FFFFFFF0."""
    q, d = state.q, state.d
    for register, value in ((_UC_CR0, CR0_ET), (_UC_CR4, 0), (_UC_EFLAGS, 2)):
        state.write_register(register, value)
    for word in (*range(8), CR2, CR3):
        q[word] = 0
    q[EDX] = RESET_EDX
    for segment in (ES, SS, DS, FS, GS):
        state.set_segment(segment, 0, 0, 0xFFFF, _DATA_SEGMENT)
    state.set_segment(CS, 0xF000, 0xFFFF0000, 0xFFFF, _CODE_SEGMENT)
    q[GDT_BASE], d[GDT_LIMIT] = 0, 0xFFFF
    q[IDT_BASE], d[IDT_LIMIT] = 0, 0xFFFF
    d[LDT], q[LDT_BASE], d[LDT_LIMIT], d[LDT_FLAGS] = 0, 0, 0xFFFF, _LDT_SEGMENT
    d[TR], q[TR_BASE], d[TR_LIMIT], d[TR_FLAGS] = 0, 0, 0xFFFF, _TSS_SEGMENT
    d[HFLAGS] &= ~HF_INHIBIT_IRQ
    d[state.old_exception] = NO_EXCEPTION
    q[state.debug + 7] = DR7_RESET
    q[EIP] = 0xFFF0
