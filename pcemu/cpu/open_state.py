"""Which way to the engine's state: views of its memory where they can be had, else the public API alone."""

from __future__ import annotations

import os

from unicorn import x86_const

from pcemu.cpu.context_state import ContextState
from pcemu.cpu.engine import Engine
from pcemu.cpu.live_state import LiveState
from pcemu.cpu.state import CR0_ET, EngineState, StateNotFound

# Set to "public": do without views of the engine's memory, as on hosts where it cannot be found.
STATE_VARIABLE = "PCEMU_CPU_STATE"


def open_state(engine: Engine, ram: memoryview, public: bool | None = None) -> EngineState:
    """The state of ``engine``, which is put into real mode; ``public`` None: as the environment says."""
    if public is None:
        public = os.environ.get(STATE_VARIABLE) == "public"
    uc = engine.uc
    uc.reg_write(x86_const.UC_X86_REG_CR0, CR0_ET)
    for segment in (x86_const.UC_X86_REG_CS, x86_const.UC_X86_REG_SS, x86_const.UC_X86_REG_DS):
        uc.reg_write(segment, 0)
    if not public:
        try:
            return LiveState(engine, ram)
        except StateNotFound:
            pass
    return ContextState(engine)
