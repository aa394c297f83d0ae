"""LOOPE and LOOPNE: a mistake of the engine, kept from happening.

When the count of LOOPE or LOOPNE runs out, the engine leaves CC_OP as it was when the block began, although
the operands of a later comparison in the block are in place: the flags that the next instruction sees are
wrong (JEMMEX takes the first page of expanded memory for missing). It does nothing wrong when CC_OP is
CC_OP_EFLAGS already and CC_SRC has the flags. So a hook in front of each of these instructions puts them so.
With a hook the engine also brings CC_OP up to date, which is all that is needed behind AND, OR, XOR and TEST.

While the count is not 1 machine code lets the hook pass: programs that wait for a device execute the
instruction a million times.
"""

from __future__ import annotations

from pcemu.cpu.engine import Engine
from pcemu.cpu.flags import LOGIC_OPERATIONS, whole_eflags
from pcemu.cpu.state import (
    ARITHMETIC_FLAGS,
    CC_DST,
    CC_OP,
    CC_OP_EFLAGS,
    CC_SRC,
    DF,
    ECX,
    EFLAGS,
    EngineState,
)
from pcemu.cpu.translations import KEPT_APART, InstructionHook, Translations

_LOOP_LENGTH = 2
_LOOPNE, _LOOPE = 0xE0, 0xE1

# rax = address of ECX
_RETURN_UNLESS_LAST = bytes.fromhex(
    "66833801"  # cmp word [rax], 1
    "7401"  # je last
    "c3"  # ret
)


class LoopFlags:
    """Watches the blocks that end in LOOPE or LOOPNE."""

    def __init__(self, engine: Engine, state: EngineState, translations: Translations) -> None:
        self._state = state
        self._q, self._d = state.q, state.d
        hook = InstructionHook(engine, state, self._before_loop, ECX, _RETURN_UNLESS_LAST)
        translations.watch(bytes((_LOOPNE, _LOOPE)), _loop, hook)

    def _before_loop(self, uc: int, address: int, size: int, data: int) -> None:
        """Put the flags where the engine will not lose them."""
        q, d = self._q, self._d
        q[EFLAGS] &= ~KEPT_APART
        if d[CC_OP] in LOGIC_OPERATIONS:
            return
        flags = whole_eflags(self._state, q[EFLAGS], q[CC_DST], q[CC_SRC], d[CC_OP], d[DF])
        q[CC_SRC] = flags & ARITHMETIC_FLAGS
        d[CC_OP] = CC_OP_EFLAGS


def _loop(code: bytes) -> tuple[int, ...]:
    """The offset of a LOOPE or LOOPNE behind other instructions of its block."""
    offset = len(code) - _LOOP_LENGTH
    return (offset,) if offset > 0 and code[offset] in (_LOOPNE, _LOOPE) else ()
