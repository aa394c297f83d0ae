"""Hooks in front of instructions that the engine gets wrong (loops.py, division.py).

The instructions are found when the engine has translated a block that has one. That block is then translated
anew, with the hook, before it runs. Bytes that only look like the instruction get a hook in vain: the engine
asks for hooks at the beginning of instructions only.

Most of the time there is nothing to do for a hook, which machine code can tell in a few nanoseconds, where
the host is an x86-64 with the System V calling convention.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Callable, Iterable
from typing import Any

from pcemu.cpu.engine import Engine
from pcemu.cpu.faults import PageFault
from pcemu.cpu.live_state import LiveState
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.slices import NativeCounter
from pcemu.cpu.state import ARITHMETIC_FLAGS, EFLAGS, FLAG_DF, EngineState

# The engine puts these into EFLAGS for a hook, where they are not kept otherwise.
KEPT_APART = ARITHMETIC_FLAGS | FLAG_DF

# rcx = the three words: addresses of EFLAGS and of a register, of the hook in Python
_FORGET_FLAGS = bytes.fromhex(
    "488b01"  # mov rax, [rcx]
    "81202af3ffff"  # and dword [rax], ~KEPT_APART
    "488b4108"  # mov rax, [rcx+8]
)
_GO_ON = bytes.fromhex("ff6110")  # jmp [rcx+16]


class _Block(ctypes.Structure):
    """What the engine tells of a translated block: ``uc_tb``."""

    _fields_ = (
        ("address", ctypes.c_uint64),  # linear
        ("instructions", ctypes.c_uint16),
        ("size", ctypes.c_uint16),  # bytes
    )


_block_at = _Block.from_address


class InstructionHook:
    """``function(uc, address, size, data)`` in front of instructions; it has to clear :data:`KEPT_APART`.

    ``test``: x86-64 machine code that is given rax = address of ``register`` in the engine's state, and
    either returns, when there is nothing to do, or runs off its end.
    """

    def __init__(
        self, engine: Engine, state: EngineState, function: Callable[..., None], register: int, test: bytes
    ) -> None:
        self.function: Any = engine.code_hook(function)
        self._words = (ctypes.c_uint64 * 3)()
        self.data = ctypes.addressof(self._words)
        if isinstance(state, LiveState) and NativeCounter.fits_host():
            registers = ctypes.addressof(ctypes.c_char.from_buffer(state.raw))
            self._python = self.function
            hook = ctypes.cast(self._python, ctypes.c_void_p).value
            self._words[:] = [registers + 8 * EFLAGS, registers + 8 * register, hook or 0]
            self._code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._code.write(_FORGET_FLAGS + test + _GO_ON)
            self.function = ctypes.addressof(ctypes.c_char.from_buffer(self._code))


class Translations:
    """``retranslate``: called when the block that would run next has to be translated anew."""

    def __init__(self, engine: Engine, mmu: Mmu, retranslate: Callable[[], None]) -> None:
        self._engine = engine
        self._mmu = mmu
        self._retranslate = retranslate
        self._watched: list[tuple[Callable[[bytes], Iterable[int]], InstructionHook]] = []
        self._opcodes = b""
        self._suspicious = re.compile(b"").search
        self._hooked: set[int] = set()
        engine.hook_translations(self._on_translated)

    def watch(self, opcodes: bytes, find: Callable[[bytes], Iterable[int]], hook: InstructionHook) -> None:
        """Put ``hook`` in front of the instructions at the offsets that ``find`` tells of a block's code.

        ``find`` is asked about code that has one of ``opcodes`` in it, and perhaps about other code.
        """
        self._watched.append((find, hook))
        self._opcodes += opcodes
        self._suspicious = re.compile(b"[" + re.escape(self._opcodes) + b"]").search

    def _on_translated(self, uc: int, block: int, previous: int, data: int) -> None:
        translated = _block_at(block)
        address, size = translated.address, translated.size
        try:
            code = self._mmu.read(address, size)
        except PageFault:
            return
        if self._suspicious(code) is None:  # as nearly all of the thousands of blocks of a boot
            return
        found = False
        for find, hook in self._watched:
            for offset in find(code):
                place = address + offset & 0xFFFFFFFF
                if place not in self._hooked:
                    self._hooked.add(place)
                    self._engine.hook_code_at(place, hook.function, hook.data)
                    found = True
        if found:
            self._engine.drop_code(address, address + size)
            self._retranslate()
