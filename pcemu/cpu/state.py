"""Direct views of the engine's processor state.

A register through the public API costs 0.4 to 1.5 µs, through a view 0.03 µs, and some of what a PC
needs (halted or not, instructions executed, interrupt shadow) has no public name at all. So the state is
found once at start-up by experiment: write patterns through the API, look for them in memory, run a few
instructions, see what changed. Every find must be unique, else :class:`StateNotFound` is raised.

Layout of QEMU's CPUX86State as Unicorn 2.1.4 builds it for x86-64 hosts, in 64-bit words (``q``) and
32-bit words (``d``).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

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
IDT_BASE = 51
GDT_BASE = 48
# 32-bit words
CC_OP = 42
DF = 43  # 1 or -1
HFLAGS = 44
IDT_LIMIT = 104
GDT_LIMIT = 98

CC_OP_EFLAGS = 1

# Segment registers
ES, CS, SS, DS, FS, GS = range(6)
SELECTOR = tuple(46 + 6 * i for i in range(6))  # d
SEGMENT_BASE = tuple(24 + 3 * i for i in range(6))  # q
SEGMENT_LIMIT = tuple(50 + 6 * i for i in range(6))  # d
SEGMENT_FLAGS = tuple(51 + 6 * i for i in range(6))  # d

# EFLAGS
FLAG_CF, FLAG_PF, FLAG_AF, FLAG_ZF, FLAG_SF = 0x1, 0x4, 0x10, 0x40, 0x80
FLAG_TF, FLAG_IF, FLAG_DF, FLAG_OF = 0x100, 0x200, 0x400, 0x800
FLAG_NT, FLAG_RF, FLAG_VM, FLAG_AC = 0x4000, 0x10000, 0x20000, 0x40000
ARITHMETIC_FLAGS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF

CR0_PE = 1

# HFLAGS
HF_INHIBIT_IRQ = 1 << 3  # the instruction after STI, MOV SS or POP SS
HF_CS32 = 1 << 4
HF_SS32 = 1 << 5
HF_ADDSEG = 1 << 6

NO_EXCEPTION = 0xFFFFFFFF

_ENV_SIZE = 32768
_UC_SIZE = 4096
_SEARCH = 0x10000  # how far behind the start of CPUState the registers may be
_ATTEMPTS = 2
_CODE, _CODE_SIZE = 0x1000, 16  # where the experiments run
_GENERAL = (
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


class StateNotFound(PcemuError):
    """The engine's state is not where this build of the engine should have it."""


class EngineState:
    """``q`` and ``d`` see the processor state as 64-bit and 32-bit words (indexes above).

    ``halted[0]``: 1 after HLT. ``invalid_address[0]``: the address of a refused TLB fill.
    ``software_interrupt``, ``error_code``, ``old_exception`` are indexes into d, ``next_eip`` into q.
    ``stop_flags``: the addresses of a byte, a byte and a word; 1, 1 and FFFFh there, written at the start of
    a block, end the run before that block. ``flag_addresses``: of EFLAGS and HFLAGS.
    """

    def __init__(self, engine: Engine, ram: memoryview) -> None:
        finder = _Finder(engine, ram)
        env = finder.find_registers()
        raw = _view(env, _ENV_SIZE)
        self.raw = raw
        self.q = raw.cast("Q")
        self.d = raw.cast("I")
        debug_registers = finder.find_debug_registers(env)
        self.error_code = (debug_registers - 16) // 4
        self.software_interrupt = (debug_registers - 12) // 4
        self.next_eip = (debug_registers - 8) // 8
        self.old_exception = (debug_registers + 96) // 4
        if self.d[self.old_exception] != NO_EXCEPTION:
            raise StateNotFound("the engine's exception state is not where it was expected")
        self.halted = _view(finder.find_halted(), 4).cast("I")
        self.invalid_address = _view(finder.find_invalid_address(), 8).cast("Q")
        self.stop_flags = finder.find_stop_flags()
        self.flag_addresses = env + 8 * EFLAGS, env + 4 * HFLAGS
        finder.tidy()

    @property
    def interruptible(self) -> bool:
        """True when an interrupt request would be taken now: IF set, and no shadow of STI or MOV SS."""
        return bool(self.q[EFLAGS] & FLAG_IF) and not self.d[HFLAGS] & HF_INHIBIT_IRQ


def _view(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


class _Finder:
    """The experiments; reads this process' memory through /proc so that a wild pointer is no crash."""

    def __init__(self, engine: Engine, ram: memoryview) -> None:
        self._engine = engine
        self._ram = ram
        self._uc = engine.handle.value or 0
        self._cpu = self._cpu_size = 0  # CPUState, up to the registers
        self._memory = Path("/proc/self/mem")
        if not self._memory.exists():
            raise StateNotFound("this host has no /proc/self/mem to look for the engine's state in")
        self._file = os.open(self._memory, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _read(self, address: int, size: int) -> bytes:
        try:
            return os.pread(self._file, size, address)
        except OSError:
            return b""

    def find_registers(self) -> int:
        """The address of CPUX86State, which begins with the general registers.

        It is the end of CPUState, to which the last of the pointers in front of it leads.
        """
        uc = self._engine.uc
        saved = [uc.reg_read(register) for register in _GENERAL]
        values = [int.from_bytes(os.urandom(4), "little") | 1 for _ in _GENERAL]
        for register, value in zip(_GENERAL, values, strict=True):
            uc.reg_write(register, value)
        pattern = struct.pack("<8Q", *values)
        words = struct.unpack("<512Q", self._read(self._uc, _UC_SIZE))
        pointers = dict.fromkeys(word for word in words if word > 0x10000 and not word >> 47 and not word & 7)
        for pointer in pointers:
            offset = self._read(pointer, _SEARCH).find(pattern)
            if offset >= 0:
                break
        else:
            raise StateNotFound("the engine's registers were not found in memory")
        env: int = pointer + offset
        self._cpu = max(pointer for pointer in pointers if pointer < env)
        self._cpu_size = env - self._cpu
        uc.reg_write(_GENERAL[0], 0x12345677)
        if self._read(env, 4) != struct.pack("<I", 0x12345677):
            raise StateNotFound("the engine's registers were found as a copy only")
        for register, value in zip(_GENERAL, saved, strict=True):
            uc.reg_write(register, value)
        return env

    def find_debug_registers(self, env: int) -> int:
        """The offset of DR0 in CPUX86State."""
        uc = self._engine.uc
        values = [0xD7000001 + i * 0x1111 for i in range(4)]
        for register, value in zip(_DEBUG, values, strict=True):
            uc.reg_write(register, value)
        found = self._read(env, _ENV_SIZE).find(struct.pack("<4Q", *values))
        for register in _DEBUG:
            uc.reg_write(register, 0)
        if found < 0:
            raise StateNotFound("the engine's debug registers were not found in memory")
        return found

    def find_halted(self) -> int:
        """The address of CPUState.halted: 1 after a run that ended in HLT, 0 after one that did not."""
        self._load(b"\xf4\x90")
        states = []
        for _ in range(3):
            self._engine.run(_CODE)
            states.append(self._read(self._cpu, self._cpu_size))
            self._engine.run_stopped(_CODE + 1)
            states.append(self._read(self._cpu, self._cpu_size))
        words = zip(*(memoryview(state).cast("I") for state in states), strict=True)
        found = [4 * i for i, values in enumerate(words) if values == (1, 0, 1, 0, 1, 0)]
        return self._cpu + _only(found, "halted state")

    def find_invalid_address(self) -> int:
        """Where the engine leaves the address whose TLB fill was refused (the caller's hook refuses it)."""
        self._load(b"\x67\xa0" + struct.pack("<I", REFUSED_ADDRESS))
        self._engine.run(_CODE)
        after = self._read(self._uc, _UC_SIZE)
        found = [
            offset
            for offset in range(0, _UC_SIZE, 8)
            if struct.unpack_from("<Q", after, offset)[0] == REFUSED_ADDRESS
        ]
        return self._uc + _only(found, "invalid address")

    def find_stop_flags(self) -> tuple[int, int, int]:
        """What a stop from a hook writes: a byte in the uc struct, a byte and a word before the registers."""

        def look() -> tuple[bytes, bytes]:
            return self._read(self._uc, _UC_SIZE), self._read(self._cpu, self._cpu_size)

        self._load(b"\x90\xf4")
        written: set[tuple[int, int, int]] = set()  # 0 or 1: which of the two areas; offset; new value
        for attempt in range(_ATTEMPTS):  # other things change, too, but not every time
            before, after = self._engine.observe_stop(_CODE, look)
            changes = {
                (area, *change) for area in range(2) for change in _changes(before[area], after[area])
            }
            written = changes if attempt == 0 else written & changes
        request = [offset for area, offset, new in written if area == 0 and new == 1]
        exits = [offset for area, offset, new in written if area == 1 and new == 1]
        high = sorted(offset for area, offset, new in written if area == 1 and new == 0xFF)
        if len(high) != 2 or high[1] != high[0] + 1 or len(written) != 4:
            raise StateNotFound(f"the engine's stop flags are ambiguous: {sorted(written)}")
        cpu = self._cpu
        return self._uc + _only(request, "stop request"), cpu + _only(exits, "exit request"), cpu + high[0]

    def _load(self, code: bytes) -> None:
        self._ram[_CODE : _CODE + _CODE_SIZE] = code.ljust(_CODE_SIZE, b"\xf4")
        self._engine.drop_all_code()

    def tidy(self) -> None:
        """Leave no trace of the experiments in RAM."""
        self._ram[_CODE : _CODE + _CODE_SIZE] = bytes(_CODE_SIZE)


def _changes(before: bytes, after: bytes) -> Iterator[tuple[int, int]]:
    """Offset and new value of each byte that changed; the size is a multiple of 8."""
    words = zip(memoryview(before).cast("Q"), memoryview(after).cast("Q"), strict=True)
    for start in [8 * i for i, (old, new) in enumerate(words) if old != new]:
        for offset in range(start, start + 8):
            if before[offset] != after[offset]:
                yield offset, after[offset]


def _only(found: list[int], what: str) -> int:
    if len(found) != 1:
        raise StateNotFound(f"the engine's {what} was found {len(found)} times")
    return found[0]


# A linear address that nothing else in the experiment mentions; its page is refused while the search runs.
REFUSED_ADDRESS = 0x00FBC123
