"""Writes to CR0 and CR4 that a processor refuses, and CR0.NE.

The engine takes any value. Its AMD-V intercepts, though, stop before every instruction that writes a control
register and report it like an exception (110h for CR0, 114h for CR4), in any mode.

Intel's Software Developer's Manual, volume 3, "Control registers".
"""

from __future__ import annotations

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
    CR4_DE,
    CR4_PGE,
    CR4_PSE,
    CR4_TSD,
    EIP,
    HF_INTERCEPT,
    HF_IO_BREAKPOINT,
    HFLAGS,
    EngineState,
)

INTERCEPT_BASE = 0x100  # vectors from here on are intercepts
_WRITE_CR0, _WRITE_CR4 = 0x110, 0x114
_WRITES = 16  # bit of CR0 in the intercept word
_INTERCEPTED = (1 << 0 | 1 << 4) << _WRITES

_CR0_DEFINED = (
    CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG
)  # fmt: skip
_CR4_DEFINED = CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE

_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3))
_MOV_TO_CR = b"\x0f\x22"


class ControlRegisters:
    """Answers the intercepts."""

    def __init__(self, state: EngineState, mmu: Mmu) -> None:
        self._state = state
        self._q, self._d = state.q, state.d
        self._mmu = mmu

    def arm(self) -> None:
        """Have writes intercepted and port accesses refusable; to be called before every run."""
        d = self._d
        d[HFLAGS] |= HF_INTERCEPT | HF_IO_BREAKPOINT
        d[self._state.intercepts] = _INTERCEPTED

    def intercepted(self, vector: int) -> None:
        """Do what the instruction at CS:EIP does, or raise the Fault that it deserves."""
        q = self._q
        code = self._mmu.instruction()
        start = next((i for i, byte in enumerate(code) if byte not in _PREFIXES), 0)
        if code[start : start + 2] != _MOV_TO_CR:
            # LMSW and CLTS cannot write anything that is refused: let the instruction run.
            self._d[self._state.intercepts] = 0
            return
        value = q[code[start + 2] & 7] & 0xFFFFFFFF
        if vector == _WRITE_CR0:
            self._write_cr0(value)
        elif vector == _WRITE_CR4:
            self._write_cr4(value)
        q[EIP] += start + 3

    def _write_cr0(self, value: int) -> None:
        if (value & CR0_PG and not value & CR0_PE) or (value & CR0_NW and not value & CR0_CD):
            raise Fault(GENERAL_PROTECTION)
        self._state.write_register(x86_const.UC_X86_REG_CR0, value & _CR0_DEFINED | CR0_ET)

    def _write_cr4(self, value: int) -> None:
        if value & ~_CR4_DEFINED:
            raise Fault(GENERAL_PROTECTION)
        self._state.write_register(x86_const.UC_X86_REG_CR4, value)
