"""Slices: how the engine is made to stop at an exact place, and how virtual time is counted.

The engine's own count of instructions costs a call for each of them: a loop that runs 1,400 M instructions
a second falls to 80 M. So what is counted here is *bytes of code* (ticks), once for each basic block: before
a block runs, its length is taken from the slice's budget; when nothing is left, the run ends before that
block. There nothing is half done, all registers are in place, and it is also where a PC may take an
interrupt, since STI, POPF and IRET end a block. The same program ends its slices at the same instructions
every time.

The same look before each block serves interrupt requests: while one waits, the run ends before the first
block where the guest would take it, so that a guest with interrupts off runs on at full speed.

The counting is done by 72 bytes of machine code where the host is an x86-64 with the System V calling
convention, and by a Python function elsewhere, with the same results.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from typing import Protocol

from pcemu.cpu.engine import Engine
from pcemu.cpu.live_state import LiveState
from pcemu.cpu.state import EngineState

_BUDGET, _ADDRESS, _SIZE, _STOP_REQUEST, _EXIT_WORD, _EXIT_REQUEST, _REQUEST, _EFLAGS, _HFLAGS = range(9)

# rdi = uc, rsi = address of the block, edx = its size, rcx = the nine words
_X86_64_SYSTEM_V = bytes.fromhex(
    "4883793000"  # cmp qword [rcx+48], 0     does a request wait?
    "7516"  # jne waiting
    "488b01"  # count: mov rax, [rcx]     budget
    "4885c0"  # test rax, rax
    "7e21"  # jle stop
    "4829d0"  # sub rax, rdx
    "488901"  # mov [rcx], rax
    "48897108"  # mov [rcx+8], rsi        address
    "895110"  # mov [rcx+16], edx         size
    "c3"  # ret
    "488b4138f6400102"  # waiting: mov rax, [rcx+56]; test byte [rax+1], 2        IF
    "74e0"  # jz count
    "488b4140f60008"  # mov rax, [rcx+64]; test byte [rax], 8     shadow of STI or MOV SS
    "75d7"  # jnz count
    "488b4118c60001"  # stop: mov rax, [rcx+24]; mov byte [rax], 1
    "488b412066c700ffff"  # mov rax, [rcx+32]; mov word [rax], 0xFFFF
    "488b4128c60001"  # mov rax, [rcx+40]; mov byte [rax], 1
    "c3"  # ret
)


class SliceCounter(Protocol):
    """``budget[0]``: ticks left in the slice; whoever lowers it ends the slice earlier."""

    budget: memoryview

    @property
    def block(self) -> tuple[int, int]:
        """Linear address and size in bytes of the block that is running."""
        ...

    def set_request(self, level: bool) -> None:
        """Does an interrupt request wait? If so, the run ends where it can be taken."""
        ...


class NativeCounter:
    """Counts in machine code: 1 ns a block."""

    def __init__(self, engine: Engine, state: LiveState) -> None:
        self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._code.write(_X86_64_SYSTEM_V)
        self._memory = (ctypes.c_int64 * 9)()
        words = memoryview(self._memory).cast("B").cast("q")
        words[_STOP_REQUEST], words[_EXIT_REQUEST], words[_EXIT_WORD] = state.stop_flags
        words[_EFLAGS], words[_HFLAGS] = state.flag_addresses
        self.budget = words
        entry = ctypes.addressof(ctypes.c_char.from_buffer(self._code))
        engine.hook_blocks(entry, ctypes.addressof(self._memory))

    @staticmethod
    def fits_host() -> bool:
        """True where the machine code is the host's."""
        return platform.machine() in ("x86_64", "AMD64") and sys.platform != "win32"

    @property
    def block(self) -> tuple[int, int]:
        """Linear address and size in bytes of the block that is running."""
        words = self.budget
        return words[_ADDRESS], words[_SIZE]

    def set_request(self, level: bool) -> None:
        """Does an interrupt request wait? If so, the run ends where it can be taken."""
        self.budget[_REQUEST] = level


class PythonCounter:
    """Counts in Python: some hundred ns a block, on any host."""

    def __init__(self, engine: Engine, state: EngineState) -> None:
        self._engine = engine
        self._state = state
        self._request = False
        self.budget = memoryview(bytearray(8)).cast("q")
        self.block = (0, 0)
        engine.hook_blocks(self._count)

    def set_request(self, level: bool) -> None:
        """Does an interrupt request wait? If so, the run ends where it can be taken."""
        self._request = level

    def _taken(self) -> bool:
        self._state.load()
        return self._state.interruptible

    def _count(self, uc: int, address: int, size: int, data: int) -> None:
        budget = self.budget
        if budget[0] > 0 and not (self._request and self._taken()):
            budget[0] -= size
            self.block = (address, size)
        else:
            self._engine.stop()


def slice_counter(engine: Engine, state: EngineState) -> SliceCounter:
    """The fastest counter that this host can have."""
    if isinstance(state, LiveState) and NativeCounter.fits_host():
        return NativeCounter(engine, state)
    return PythonCounter(engine, state)
