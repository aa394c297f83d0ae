"""The engine's processor state, seen as two arrays of words.

``q`` and ``d`` are the CPUX86State of QEMU, as Unicorn 2.1.4 builds it, in 64-bit and in 32-bit words. There
are two ways to them, and the rest of the package does not know which one it has:

* :class:`pcemu.cpu.live_state.LiveState` sees the engine's own memory (0.03 µs a word). It has to find it.
* :class:`pcemu.cpu.context_state.ContextState` sees a copy that the public API saves and restores around
  every hook and run, for hosts where the memory cannot be found.

Part of the layout is fixed (the indexes below); the rest is found by writing patterns through the public API.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from unicorn import x86_const

from pcemu.cpu.engine import Engine
from pcemu.errors import PcemuError

# 64-bit words
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
EIP = 16
EFLAGS = 17  # without the arithmetic flags and DF
CC_DST = 18  # what the arithmetic flags follow from: see flags.py
CC_SRC = 19  # the arithmetic flags themselves while CC_OP is CC_OP_EFLAGS
CR0, CR2, CR3, CR4 = 53, 55, 56, 57
LDT_BASE, TR_BASE, GDT_BASE, IDT_BASE = 42, 45, 48, 51
# 32-bit words
CC_OP = 42
DF = 43  # 1 or -1
HFLAGS = 44
LDT, LDT_LIMIT, LDT_FLAGS = 82, 86, 87
TR, TR_LIMIT, TR_FLAGS = 88, 92, 93
GDT_LIMIT, IDT_LIMIT = 98, 104

CC_OP_EFLAGS = 1

# Segment registers
ES, CS, SS, DS, FS, GS = range(6)
SELECTOR = tuple(46 + 6 * i for i in range(6))  # d
SEGMENT_BASE = tuple(24 + 3 * i for i in range(6))  # q
SEGMENT_LIMIT = tuple(50 + 6 * i for i in range(6))  # d
SEGMENT_FLAGS = tuple(51 + 6 * i for i in range(6))  # d: the second word of the descriptor

_SEGMENTS, _SEGMENT_SIZE = 184, 24  # bytes
_SEGMENT_AT = tuple(_SEGMENTS + i * _SEGMENT_SIZE for i in range(6))
_pack_segment = struct.Struct("<I4xQII").pack_into  # selector, base, limit, flags
_pack_code_and_stack = struct.Struct("<I4xQIII4xQII").pack_into
_pack_all_segments = struct.Struct("<24xI4xQIII4xQII72x").pack_into  # null selectors but for CS and SS
_CS_FLAGS, _SS_FLAGS = SEGMENT_FLAGS[CS], SEGMENT_FLAGS[SS]
_DS_BASE, _ES_BASE, _SS_BASE = SEGMENT_BASE[DS], SEGMENT_BASE[ES], SEGMENT_BASE[SS]

# What a delivery looks at, in one go: EIP, EFLAGS, CC_DST, CC_SRC, CC_OP, DF, HFLAGS, selector and flags of
# CS, selector, base, limit and flags of SS
LOOK = struct.Struct("<4Q8xIII28xI16xII4xQII").unpack_from
LOOK_AT = 8 * EIP
# What says where tables lie, in one go: base and limit of LDT, base, limit and flags of TR, base and limit
# of GDT and IDT, CR0, CR3, CR4
TABLES = struct.Struct("<QI12xQII8xQI12xQI4xQ16xQQ").unpack_from
TABLES_AT = 8 * LDT_BASE
# The selectors of ES, DS, FS and GS
LOOK_AT_DATA_SELECTORS = _SEGMENTS
DATA_SELECTORS = struct.Struct("<I68xI20xI20xI").unpack_from

# EFLAGS
FLAG_CF, FLAG_PF, FLAG_AF, FLAG_ZF, FLAG_SF = 0x1, 0x4, 0x10, 0x40, 0x80
FLAG_TF, FLAG_IF, FLAG_DF, FLAG_OF = 0x100, 0x200, 0x400, 0x800
FLAG_IOPL, IOPL_SHIFT = 0x3000, 12
FLAG_NT, FLAG_RF, FLAG_VM, FLAG_AC = 0x4000, 0x10000, 0x20000, 0x40000
ARITHMETIC_FLAGS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF

CR0_PE, CR0_MP, CR0_EM, CR0_TS, CR0_ET, CR0_NE = 1, 2, 4, 8, 0x10, 0x20
CR0_WP, CR0_AM, CR0_NW, CR0_CD, CR0_PG = 1 << 16, 1 << 18, 1 << 29, 1 << 30, 1 << 31
CR4_TSD, CR4_DE, CR4_PSE, CR4_PGE = 1 << 2, 1 << 3, 1 << 4, 1 << 7

# HFLAGS: what the engine's translations depend on
HF_CPL = 3
HF_INHIBIT_IRQ = 1 << 3  # the instruction after STI, MOV SS or POP SS
HF_CS32 = 1 << 4
HF_SS32 = 1 << 5
HF_ADDSEG = 1 << 6  # the bases of DS, ES and SS are not all zero
HF_TS = 1 << 11
HF_INTERCEPT = 1 << 21  # the intercepts below are looked at
_DERIVED = HF_CPL | HF_CS32 | HF_SS32 | HF_ADDSEG
HF_IO_BREAKPOINT = 1 << 24  # DR0 to DR3 are looked at after a port access

NO_EXCEPTION = 0xFFFFFFFF

Segment = tuple[int, int, int, int]  # selector, base, limit, flags

# Descriptor flags, in the second word
DESCRIPTOR_BIG = 1 << 22
DESCRIPTOR_DPL_SHIFT = 13

DR6_BREAKPOINTS, DR6_SINGLE_STEP = 0xF, 1 << 14
DR7_RESET = 0x400

GENERAL_REGISTERS = (
    x86_const.UC_X86_REG_EAX,
    x86_const.UC_X86_REG_ECX,
    x86_const.UC_X86_REG_EDX,
    x86_const.UC_X86_REG_EBX,
    x86_const.UC_X86_REG_ESP,
    x86_const.UC_X86_REG_EBP,
    x86_const.UC_X86_REG_ESI,
    x86_const.UC_X86_REG_EDI,
)
_DEBUG = (
    x86_const.UC_X86_REG_DR0,
    x86_const.UC_X86_REG_DR1,
    x86_const.UC_X86_REG_DR2,
    x86_const.UC_X86_REG_DR3,
)
_CONTROL_WORDS = (0x1A53, 0x0D6F)  # of the FPU; nothing else looks like both in turn


class StateNotFound(PcemuError):
    """The engine's state is not where this build of the engine should have it."""


class EngineState:
    """``q`` and ``d`` see the processor state as 64-bit and 32-bit words (indexes above), ``h`` as 16-bit.

    ``halted[0]``: 1 after HLT. ``invalid_address[0]``: the address of a refused TLB fill.
    ``software_interrupt``, ``error_code``, ``old_exception`` and the intercepts are indexes into d;
    ``next_eip`` and ``debug`` (DR0; DR7 is ``debug + 7``) into q; ``fpu_status`` into h.
    """

    halted: memoryview
    invalid_address: memoryview

    def __init__(self, engine: Engine, raw: memoryview) -> None:
        self._engine = engine
        self.raw = raw
        self.q = raw.cast("Q")
        self.d = raw.cast("I")
        self.h = raw.cast("H")

    # -- where things are -------------------------------------------------------------------------

    def locate(self) -> None:
        """Find what has no fixed place; StateNotFound when this is not the layout that was expected."""
        debug = self._find_debug_registers()
        self.debug = debug // 8
        self.error_code = (debug - 16) // 4
        self.software_interrupt = (debug - 12) // 4
        self.next_eip = (debug - 8) // 8
        self.old_exception = (debug + 96) // 4
        # The intercepts of AMD-V: bits of CR0 to CR8, reads in the low half, writes in the high half
        self.intercepts = (debug + 128) // 4
        self.instruction_intercepts = (debug + 120) // 4  # the first 32 of them
        self.fpu_status = self._find_fpu_control() - 1
        if self.d[self.old_exception] != NO_EXCEPTION:
            raise StateNotFound("the engine's exception state is not where it was expected")

    def _find_debug_registers(self) -> int:
        uc = self._engine.uc
        values = [0xD7000001 + i * 0x1111 for i in range(len(_DEBUG))]
        for register, value in zip(_DEBUG, values, strict=True):
            uc.reg_write(register, value)
        self.load()
        found = bytes(self.raw).find(struct.pack("<4Q", *values))
        for register in _DEBUG:
            uc.reg_write(register, 0)
        self.load()
        if found < 0:
            raise StateNotFound("the engine's debug registers were not found")
        return found

    def _find_fpu_control(self) -> int:
        uc = self._engine.uc
        saved = uc.reg_read(x86_const.UC_X86_REG_FPCW)
        places: list[set[int]] = []
        for value in _CONTROL_WORDS:
            uc.reg_write(x86_const.UC_X86_REG_FPCW, value)
            self.load()
            places.append({index for index, word in enumerate(self.h) if word == value})
        uc.reg_write(x86_const.UC_X86_REG_FPCW, saved)
        self.load()
        return only(sorted(set.intersection(*places)), "FPU control word")

    # -- keeping it true --------------------------------------------------------------------------

    def load(self) -> None:
        """Bring ``q`` and ``d`` up to date with the engine."""

    def store(self) -> None:
        """Let the engine have what was written to ``q`` and ``d``."""

    def run(self, address: int) -> int:
        """Execute from EIP ``address`` until something stops the run; 0, or Unicorn's error number."""
        return self._engine.run(address)

    def refuse(self, entry: memoryview, address: int, access: int, code: Callable[[], bytes]) -> bool:
        """Refuse the TLB fill of the page at ``address``; what the fill hook has to return.

        Either it is reported as an exception, and :meth:`stay` is to be called, or the run ends. ``code``
        reads the instruction.
        """
        return False

    def stay(self) -> bool:
        """A refused fill has been reported: do not end the run for it. False: it was stopped before."""
        return False

    def write_register(self, register: int, value: int) -> None:
        """Write a register whose change has effects inside the engine (CR0, CR3, CR4, EFLAGS)."""
        self.store()
        self._engine.write_register(register, value)
        self.load()

    def read_eflags(self) -> int:
        """EFLAGS as the engine computes them, for when the arithmetic flags are not in CC_SRC."""
        return self._engine.read_register(x86_const.UC_X86_REG_EFLAGS)

    @property
    def interruptible(self) -> bool:
        """True when an interrupt request would be taken now: IF set, and no shadow of STI or MOV SS."""
        return bool(self.q[EFLAGS] & FLAG_IF) and not self.d[HFLAGS] & HF_INHIBIT_IRQ

    # -- what belongs together --------------------------------------------------------------------

    def set_segment(self, segment: int, selector: int, base: int, limit: int, flags: int) -> None:
        """Load a segment register and all that the engine derives from it (CPL from SS, sizes, ADDSEG)."""
        self.store_segment(segment, selector, base, limit, flags)
        self.derive()

    def store_segment(self, segment: int, selector: int, base: int, limit: int, flags: int) -> None:
        """Load a segment register; :meth:`derive` is to follow."""
        _pack_segment(self.raw, _SEGMENT_AT[segment], selector, base, limit, flags)

    def store_code_and_stack(self, code: Segment, stack: Segment, clear_others: bool) -> None:
        """Load CS and SS, and perhaps null selectors into all others; :meth:`derive` is to follow."""
        if clear_others:
            _pack_all_segments(self.raw, _SEGMENTS, *code, *stack)
        else:
            _pack_code_and_stack(self.raw, _SEGMENT_AT[CS], *code, *stack)

    def derive(self) -> None:
        """Bring what the engine derives from the segment registers up to date."""
        q, d = self.q, self.d
        stack_flags = d[_SS_FLAGS]
        hidden = d[HFLAGS] & ~_DERIVED | stack_flags >> DESCRIPTOR_DPL_SHIFT & HF_CPL
        if stack_flags & DESCRIPTOR_BIG:
            hidden |= HF_SS32
        if d[_CS_FLAGS] & DESCRIPTOR_BIG:
            hidden |= HF_CS32
            if q[_DS_BASE] or q[_ES_BASE] or q[_SS_BASE] or not q[CR0] & CR0_PE or q[EFLAGS] & FLAG_VM:
                hidden |= HF_ADDSEG
        else:
            hidden |= HF_ADDSEG
        d[HFLAGS] = hidden

    def set_eflags(self, value: int) -> None:
        """Load EFLAGS as the engine keeps them: the arithmetic flags and DF apart."""
        q, d = self.q, self.d
        q[CC_SRC] = value & ARITHMETIC_FLAGS
        d[CC_OP] = CC_OP_EFLAGS
        d[DF] = 0xFFFFFFFF if value & FLAG_DF else 1
        q[EFLAGS] = value & ~(ARITHMETIC_FLAGS | FLAG_DF) & 0xFFFFFFFF | 2


def only(found: list[int], what: str) -> int:
    """The one element of ``found``; StateNotFound otherwise."""
    if len(found) != 1:
        raise StateNotFound(f"the engine's {what} was found {len(found)} times")
    return found[0]
