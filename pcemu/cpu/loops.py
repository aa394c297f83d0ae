"""LOOPE and LOOPNE: a mistake of the engine, kept from happening.

When the count of LOOPE or LOOPNE runs out, the engine leaves CC_OP as it was when the block began, although
the operands of a later comparison in the block are in place: the flags that the next instruction sees are
wrong (JEMMEX takes the first page of expanded memory for missing). It does nothing wrong when CC_OP is
CC_OP_EFLAGS already and CC_SRC has the flags. So a hook in front of each of these instructions puts them so.
With a hook the engine also brings CC_OP up to date, which is all that is needed behind AND, OR, XOR and TEST.

The instructions are found when the engine has translated a block that ends in one. That block is then
translated anew, with the hook, before it runs. Bytes that only look like the instruction get a hook in vain:
the engine asks for hooks at the beginning of instructions only.

While the count is not 1 machine code lets the hook pass, where the host is an x86-64 with the System V
calling convention: programs that wait for a device execute the instruction a million times.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

from pcemu.cpu.engine import Engine
from pcemu.cpu.faults import PageFault
from pcemu.cpu.flags import LOGIC_OPERATIONS, whole_eflags
from pcemu.cpu.live_state import LiveState
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.slices import NativeCounter
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_DST,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    DF,
    ECX,
    EFLAGS,
    FLAG_DF,
    EngineState,
)

_LOOP_LENGTH = 2
_LOOPNE, _LOOPE = 0xE0, 0xE1
_KEPT_APART = ARITHMETIC_FLAGS | FLAG_DF

# rcx = the three words: addresses of EFLAGS and ECX, of the hook in Python
_X86_64_SYSTEM_V = bytes.fromhex(
    "488b01"  # mov rax, [rcx]
    "81202af3ffff"  # and dword [rax], ~(arithmetic flags and DF), which the engine has put there
    "488b4108"  # mov rax, [rcx+8]
    "66833801"  # cmp word [rax], 1
    "7403"  # je last
    "c3"  # ret
    "9090"
    "ff6110"  # last: jmp [rcx+16]
)


class _Block(ctypes.Structure):
    """What the engine tells of a translated block: ``uc_tb``."""

    _fields_ = (
        ("address", ctypes.c_uint64),  # linear
        ("instructions", ctypes.c_uint16),
        ("size", ctypes.c_uint16),  # bytes
    )


_block_at = _Block.from_address


class LoopFlags:
    """``retranslate``: called when the block that would run next has to be translated anew."""

    def __init__(self, engine: Engine, state: EngineState, mmu: Mmu, retranslate: Callable[[], None]) -> None:
        self._engine = engine
        self._state = state
        self._q, self._d = state.q, state.d
        self._mmu = mmu
        self._retranslate = retranslate
        self._hooked: set[int] = set()
        self._function: Any = engine.code_hook(self._before_loop)
        self._words = (ctypes.c_uint64 * 3)()
        if isinstance(state, LiveState) and NativeCounter.fits_host():
            self._function = self._native(state)
        engine.hook_translations(self._on_translated)

    def _native(self, state: LiveState) -> int:
        """The address of the machine code."""
        registers = ctypes.addressof(ctypes.c_char.from_buffer(state.raw))
        hook = ctypes.cast(self._function, ctypes.c_void_p).value
        self._python = self._function
        self._words[:] = [registers + 8 * EFLAGS, registers + 8 * ECX, hook or 0]
        self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._code.write(_X86_64_SYSTEM_V)
        return ctypes.addressof(ctypes.c_char.from_buffer(self._code))

    def _on_translated(self, uc: int, block: int, previous: int, data: int) -> None:
        translated = _block_at(block)
        size = translated.size
        last = translated.address + size - _LOOP_LENGTH & 0xFFFFFFFF
        if size <= _LOOP_LENGTH or last in self._hooked:
            return
        try:
            opcode = self._mmu.read(last, 1)[0]
        except PageFault:
            return
        if opcode in (_LOOPNE, _LOOPE):
            self._hooked.add(last)
            self._engine.hook_code_at(last, self._function, ctypes.addressof(self._words))
            self._engine.drop_code(last, last + 1)
            self._retranslate()

    def _before_loop(self, uc: int, address: int, size: int, data: int) -> None:
        """Put the flags where the engine will not lose them."""
        q, d = self._q, self._d
        q[EFLAGS] &= ~_KEPT_APART  # the engine has put them there for the hook
        if d[CC_OP] in LOGIC_OPERATIONS:
            return
        flags = whole_eflags(self._state, q[EFLAGS], q[CC_DST], q[CC_SRC], d[CC_OP], d[DF])
        q[CC_SRC] = flags & ARITHMETIC_FLAGS
        d[CC_OP] = CC_OP_EFLAGS
