"""The engine's processor state through the public API alone.

A saved context of Unicorn begins, after a header, with a copy of CPUX86State. So the same words as in
:class:`pcemu.cpu.live_state.LiveState` can be had by saving the context when a hook begins and restoring it
when the hook ends: 1 µs a hook more, on any host.

Two things are not in a context. HLT is told from a stop by the engine having been stopped by nobody. The
address of a page fault: a refused load goes to a physical address where nothing is mapped, which the engine
reports with its offset in the page; a store's address is worked out from the instruction (operands.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from pcemu.cpu.engine import FETCH, PERMIT_READ, REFUSED, WRITE, Engine
from pcemu.cpu.operands import store_address
from pcemu.cpu.state import CS, EIP, GENERAL_REGISTERS, SEGMENT_BASE, EngineState, StateNotFound
from pcemu.memory import PAGE_SIZE

_HEADER = 40  # bytes of a context in front of the copy
# A page of physical addresses above all memory: accesses to it are reported, with their offset.
_HOLE = 0x1_0001_0000


class ContextState(EngineState):
    """A copy of the state that is brought up to date before every hook and given back after it."""

    def __init__(self, engine: Engine) -> None:
        self._context, size = engine.new_context()
        size = (size - _HEADER) // 8 * 8
        address = self._context.value or 0
        super().__init__(engine, memoryview((ctypes.c_char * size).from_address(address + _HEADER)).cast("B"))
        self.halted = memoryview(bytearray(4)).cast("I")
        self.invalid_address = memoryview(bytearray(8)).cast("Q")
        self._refused: int | None = None
        self._faulted = False
        self._check()
        self.locate()
        engine.around_hooks = self._around
        engine.hook_unmapped(self._on_unmapped)

    def _check(self) -> None:
        saved = [self._engine.uc.reg_read(register) for register in GENERAL_REGISTERS]
        for i, register in enumerate(GENERAL_REGISTERS):
            self._engine.uc.reg_write(register, 0x5A000000 + i)
        self.load()
        if [self.q[i] for i in range(8)] != [0x5A000000 + i for i in range(8)]:
            raise StateNotFound("a saved context of the engine does not begin with the registers")
        for register, value in zip(GENERAL_REGISTERS, saved, strict=True):
            self._engine.uc.reg_write(register, value)
        self.load()

    def load(self) -> None:
        """Bring ``q`` and ``d`` up to date with the engine."""
        self._engine.save_context(self._context)

    def store(self) -> None:
        """Let the engine have what was written to ``q`` and ``d``."""
        self._engine.restore_context(self._context)

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def synchronised(*arguments: Any) -> Any:
            self.load()
            result = function(*arguments)
            self.store()
            return result

        return synchronised

    def run(self, address: int) -> int:
        """Execute from EIP ``address`` until something stops the run; 0, or Unicorn's error number."""
        engine = self._engine
        self.store()
        engine.stopped = False
        status = engine.run(address)
        self.load()
        if self._refused is not None:
            self._refused = None
            engine.flush_tlb()
            if self._faulted:
                self._faulted = False
                status = REFUSED
        self.halted[0] = status == 0 and not engine.stopped
        return status

    def refuse(self, entry: memoryview, address: int, access: int, code: Callable[[], bytes]) -> bool:
        """Refuse the TLB fill of the page at ``address``; what the fill hook has to return."""
        self._refused = address
        if access not in (FETCH, WRITE):
            entry[0] = _HOLE
            entry[1] = PERMIT_READ
            return True
        self._faulted = True
        exact = self.q[SEGMENT_BASE[CS]] + self.q[EIP] if access == FETCH else store_address(self, code())
        self.invalid_address[0] = address
        if exact is not None and exact & ~(PAGE_SIZE - 1) & 0xFFFFFFFF == address:
            self.invalid_address[0] = exact & 0xFFFFFFFF
        return False

    def _on_unmapped(self, uc: int, access: int, address: int, size: int, value: int, data: int) -> bool:
        if self._refused is not None:
            self.invalid_address[0] = self._refused | address & PAGE_SIZE - 1
            self._faulted = True
        return False
