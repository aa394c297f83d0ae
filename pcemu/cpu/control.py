"""Writes to CR0 and CR4 that a processor refuses, and the resume flag.

The engine takes any value. Its AMD-V intercepts, though, stop before every instruction that writes a control
register and report it like an exception (110h for CR0, 114h for CR4), in any mode. That costs some
microseconds, and programs like HIMEM enter and leave protected mode a hundred thousand times; so writes to
CR0 are only looked at once the guest has loaded CR3, without which it has no use for paging.

RF lets the instruction that an IRET returns to pass its code breakpoint. The engine lets all instructions of
that basic block pass, and of those that are chained to it. So while breakpoints are enabled every IRET ends
the slice, and the next one begins with a block of one instruction when RF is set.

The engine's TLB has no pages of 4 MiB, only pieces of them that INVLPG would drop one by one. So while
CR4.PSE is set INVLPG is intercepted, too, and drops everything.

Intel's Software Developer's Manual, volume 3, "Control registers" and "Resume flag".
"""

from __future__ import annotations

from collections.abc import Callable

from unicorn import x86_const

from pcemu.cpu.faults import GENERAL_PROTECTION, Fault
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    CR0_AM,
    CR0_CD,
    CR0_EM,
    CR0_ET,
    CR0_MP,
    CR0_NE,
    CR0_NW,
    CR0_PE,
    CR0_PG,
    CR0_TS,
    CR0_WP,
    CR3,
    CR4,
    CR4_DE,
    CR4_PGE,
    CR4_PSE,
    CR4_TSD,
    DR6_BREAKPOINTS,
    DR6_SINGLE_STEP,
    EFLAGS,
    EIP,
    FLAG_RF,
    HF_INHIBIT_IRQ,
    HF_INTERCEPT,
    HF_IO_BREAKPOINT,
    HFLAGS,
    EngineState,
)

INTERCEPT_BASE = 0x100  # vectors from here on are intercepts
_WRITE_CR0, _WRITE_CR3, _WRITE_CR4 = 0x110, 0x113, 0x114
_WRITES = 16  # bit of CR0 in the intercept word
_INTERCEPTED = (1 << 3 | 1 << 4) << _WRITES
_INTERCEPTED_WITH_CR3 = _INTERCEPTED | 1 << _WRITES

_IRET, _INVLPG = 0x174, 0x179
_INTERCEPT_IRET, _INTERCEPT_INVLPG = 1 << 20, 1 << 25
_DR7_ENABLED = 0xFF
_DR7_KINDS = 16  # first bit of the kinds: 0 is a code breakpoint

_CR0_DEFINED = (
    CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
)  # fmt: skip
_CR4_DEFINED = CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE

_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3))
_ESCAPE, _MOV_TO_CR = 0x0F, 0x22


class ControlRegisters:
    """Answers the intercepts."""

    def __init__(self, state: EngineState, mmu: Mmu, end_with_next_block: Callable[[], None]) -> None:
        self._state = state
        self._q, self._d = state.q, state.d
        self._intercepts = state.intercepts
        self._instructions = state.instruction_intercepts
        self._dr7 = state.debug + 7
        self._mmu = mmu
        self._end_with_next_block = end_with_next_block

    def arm(self) -> None:
        """Have writes intercepted and port accesses refusable; to be called before every run."""
        q, d = self._q, self._d
        d[HFLAGS] |= HF_INTERCEPT | HF_IO_BREAKPOINT
        self._arm_instructions()
        if q[EFLAGS] & FLAG_RF:
            d[HFLAGS] |= HF_INHIBIT_IRQ  # which makes a block of one instruction
        d[self._intercepts] = _INTERCEPTED_WITH_CR3 if q[CR3] else _INTERCEPTED

    def _arm_instructions(self) -> None:
        iret = _INTERCEPT_IRET if self._q[self._dr7] & _DR7_ENABLED else 0
        invlpg = _INTERCEPT_INVLPG if self._q[CR4] & CR4_PSE else 0
        self._d[self._instructions] = iret | invlpg

    def watch_resume_flag(self) -> None:
        """A breakpoint was met, in this slice perhaps the first since DR7 was written."""
        self._d[self._instructions] |= _INTERCEPT_IRET

    @property
    def only_code_breakpoints(self) -> bool:
        """Does DR6 tell of breakpoints at the instruction, and of nothing else?"""
        reasons, dr7 = self._q[self._dr7 - 1] & (DR6_BREAKPOINTS | DR6_SINGLE_STEP), self._q[self._dr7]
        if not reasons or reasons & DR6_SINGLE_STEP:
            return False
        return not any(reasons >> n & 1 and dr7 >> _DR7_KINDS + 4 * n & 3 for n in range(4))

    def pass_breakpoint(self) -> None:
        """Let one instruction pass its breakpoint, as RF does, and forget that it was met."""
        self._q[self._dr7 - 1] &= ~DR6_BREAKPOINTS
        self._q[EFLAGS] |= FLAG_RF
        self._d[HFLAGS] |= HF_INHIBIT_IRQ

    def intercepted(self, vector: int) -> bool:
        """Do what the instruction at CS:EIP does, or raise the Fault that it deserves; False: let it run."""
        q = self._q
        if vector in (_IRET, _INVLPG):
            if vector == _INVLPG:
                self._mmu.flush()
            self._d[self._instructions] = 0
            self._end_with_next_block()
            return False
        code = self._mmu.instruction()
        start = 0
        while code[start] in _PREFIXES:
            start += 1
        if code[start] != _ESCAPE or code[start + 1] != _MOV_TO_CR:
            # LMSW and CLTS cannot write anything that is refused: let the instruction run.
            self._d[self._intercepts] = 0
            return False
        value = q[code[start + 2] & 7] & 0xFFFFFFFF
        if vector == _WRITE_CR0:
            self._write_cr0(value)
        elif vector == _WRITE_CR3:
            self._state.write_register(x86_const.UC_X86_REG_CR3, value)
            self._d[self._intercepts] = _INTERCEPTED_WITH_CR3
        elif vector == _WRITE_CR4:
            self._write_cr4(value)
        q[EIP] += start + 3
        return True

    def _write_cr0(self, value: int) -> None:
        if (value & CR0_PG and not value & CR0_PE) or (value & CR0_NW and not value & CR0_CD):
            raise Fault(GENERAL_PROTECTION)
        self._state.write_register(x86_const.UC_X86_REG_CR0, value & _CR0_DEFINED | CR0_ET)

    def _write_cr4(self, value: int) -> None:
        if value & ~_CR4_DEFINED:
            raise Fault(GENERAL_PROTECTION)
        self._state.write_register(x86_const.UC_X86_REG_CR4, value)
        self._arm_instructions()
