"""IDIV of the smallest dividend: a mistake of the engine that would end the emulator.

The engine divides the 64 bits of EDX:EAX on the host before it looks whether the quotient fits. For
8000000000000000h by -1 the host's own processor raises an exception, and the whole program is gone. So a hook
in front of each 32-bit IDIV looks for that dividend. Its quotient never fits, whatever the divisor is: the
guest gets the divide error at once.

**Not implemented**: a divisor in an absent page is a page fault first.
"""

from __future__ import annotations

from collections.abc import Callable

from pcemu.cpu.engine import Engine
from pcemu.cpu.faults import DIVIDE_ERROR, Fault
from pcemu.cpu.mmu import INSTRUCTION_PREFIXES, Mmu
from pcemu.cpu.state import EAX, EDX, EFLAGS, HF_CS32, HFLAGS, EngineState
from pcemu.cpu.translations import KEPT_APART, InstructionHook, Translations

_GROUP_3, _IDIV = 0xF7, 7 << 3
_EXTENSION = 7 << 3  # of ModRM, for the instructions of a group
_OPERAND_SIZE = 0x66
_SMALLEST = 0x80000000

# rax = address of EAX
_RETURN_UNLESS_SMALLEST = bytes.fromhex(
    "833800"  # cmp dword [rax], 0
    "7509"  # jne other
    "81781000000080"  # cmp dword [rax+16], 0x80000000     EDX
    "7401"  # je smallest
    "c3"  # other: ret
)


class Division:
    """Watches the blocks with an IDIV. ``refuse``: gives the guest a fault instead of the instruction."""

    def __init__(
        self,
        engine: Engine,
        state: EngineState,
        mmu: Mmu,
        translations: Translations,
        refuse: Callable[[Fault], None],
    ) -> None:
        self._q, self._d = state.q, state.d
        self._mmu = mmu
        self._refuse = refuse
        hook = InstructionHook(engine, state, self._before_division, EAX, _RETURN_UNLESS_SMALLEST)
        translations.watch(bytes((_GROUP_3,)), _divisions, hook)

    def _before_division(self, uc: int, address: int, size: int, data: int) -> None:
        q = self._q
        q[EFLAGS] &= ~KEPT_APART
        if q[EAX] & 0xFFFFFFFF == 0 and q[EDX] & 0xFFFFFFFF == _SMALLEST and self._is_wide():
            self._refuse(Fault(DIVIDE_ERROR))

    def _is_wide(self) -> bool:
        """Is this really a 32-bit IDIV?"""
        wide = bool(self._d[HFLAGS] & HF_CS32)
        code = self._mmu.instruction()
        for at, byte in enumerate(code):
            if byte not in INSTRUCTION_PREFIXES:
                is_division = code[at : at + 1] == b"\xf7" and code[at + 1] & _EXTENSION == _IDIV
                return is_division and wide != (_OPERAND_SIZE in code[:at])
        return False


def _divisions(code: bytes) -> list[int]:
    """The offsets where an IDIV may begin."""
    found: list[int] = []
    at = code.find(_GROUP_3)
    while 0 <= at < len(code) - 1:
        if code[at + 1] & _EXTENSION == _IDIV:
            start = at
            found.append(start)
            while start and code[start - 1] in INSTRUCTION_PREFIXES:
                start -= 1
                found.append(start)
        at = code.find(_GROUP_3, at + 1)
    return found
