"""Unicorn as it comes, as a peer: no slices, no virtual TLB, no devices.

Of pcemu only the few lines that open the engine and add hooks are used.
"""

from __future__ import annotations

import time
from mmap import mmap

from unicorn import x86_const

from pcemu.cpu.engine import Engine
from tools.benchmarks.guests import BODY, BODY_SECTORS, ORIGIN
from tools.benchmarks.marks import PORT, Marks

MEMORY = 1 << 20
MANY = 1 << 40


def run_guest(image: bytes, *, count: bool) -> Marks:
    """Run a guest behind its boot sector, with ``count`` under Unicorn's own count of instructions."""
    engine = Engine()
    memory = mmap(-1, MEMORY)
    program = image[: BODY - ORIGIN + BODY_SECTORS * 512]
    memory[ORIGIN : ORIGIN + len(program)] = program
    engine.map_buffer(0, memory)
    uc = engine.uc
    uc.reg_write(x86_const.UC_X86_REG_CR0, 0x10)
    for segment in (x86_const.UC_X86_REG_CS, x86_const.UC_X86_REG_DS, x86_const.UC_X86_REG_SS):
        uc.reg_write(segment, 0)
    uc.reg_write(x86_const.UC_X86_REG_ESP, ORIGIN)
    marks = Marks(time.thread_time)

    def on_in(uc: int, port: int, size: int, data: int) -> int:
        return 0

    def on_out(uc: int, port: int, size: int, value: int, data: int) -> None:
        if port == PORT:
            marks.set(value)
            if marks.ended:
                engine.stop()

    engine.hook_ports(on_in, on_out)
    uc.emu_start(BODY, MANY, count=MANY if count else 0)
    return marks
