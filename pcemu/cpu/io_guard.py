"""Refusing port accesses: the engine itself lets every program access every port.

When the port hook finds that the program may not (tasks.py), the instruction has to be left without effect
and the rest of its basic block must not run. The engine has one exact way out behind a port access: an I/O
breakpoint of the debug registers. So the hook sets one on the port, the engine raises #DB behind the
instruction, and that #DB is turned into the refusal: all registers as they were before it, and #GP.

**Not implemented**: INS has written a zero to its destination before it was refused.
"""

from __future__ import annotations

from pcemu.cpu.engine import Engine
from pcemu.cpu.faults import Fault
from pcemu.cpu.state import EIP, HF_IO_BREAKPOINT, HFLAGS, EngineState

_SAVED_REGISTERS = range(8)
_IO_BREAKPOINT_0 = 2 << 16 | 2  # of DR7: DR0 is global and catches one port


class IoGuard:
    """``refused``: a refused access waits for the instruction's end."""

    def __init__(self, engine: Engine, state: EngineState) -> None:
        self._engine = engine
        self._state = state
        self._q, self._d = state.q, state.d
        debug = state.debug
        self._debug_registers = (debug, debug + 6, debug + 7)
        self.refused: Fault | None = None
        self._saved: dict[int, int] = {}

    def refuse(self, port: int, fault: Fault) -> None:
        """Called by the port hook: give the guest ``fault`` instead of the access."""
        q, (dr0, dr6, dr7) = self._q, self._debug_registers
        if self.refused is not None:
            return
        self.refused = fault
        self._saved = {index: q[index] for index in (*_SAVED_REGISTERS, EIP, dr0, dr6, dr7)}
        q[dr0] = port
        q[dr7] = q[dr7] & ~0xF0000 | _IO_BREAKPOINT_0
        if not self._d[HFLAGS] & HF_IO_BREAKPOINT:
            # The guest wrote DR7 in this very slice, which turned the breakpoints' check off.
            self._engine.stop()

    def refuse_next(self, fault: Fault) -> None:
        """Called by a hook in front of an instruction: give the guest ``fault`` instead of it."""
        self.refused, self._saved = fault, {}
        self._engine.stop()  # is exact there

    def settle(self) -> Fault:
        """Put everything back to before the instruction; the fault that is to be delivered."""
        fault, self.refused = self.refused, None
        assert fault is not None
        for index, value in self._saved.items():
            self._q[index] = value
        return fault
