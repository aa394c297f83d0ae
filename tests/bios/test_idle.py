"""INT 16h lets the processor rest under a program that only polls for keys, and under no other."""

from __future__ import annotations

import pytest

from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble

STARTED, DONE = b"SD"
POLLS = 1500

PRINT = "mov ax, 0E2Eh\nmov bx, 7\nint 10h"
READ_SECTOR = "mov ax, 0201h\nmov bx, 8000h\nmov cx, 1\nmov dx, 80h\nint 13h"
COMPUTE = "mov cx, 20000\nloop $"
CALL_DOS = 10 * "int 1Ch\n"  # some interrupts, as DOS needs them for a call


def polling(between: str, mips: int = 100) -> float:
    """How much of its time a program rests that polls for keys with ``between`` in between."""
    program = assemble(
        f"""
            xor ax, ax
            mov es, ax
            mov ss, ax
            mov sp, 7C00h
            mov al, {STARTED}
            out 0E9h, al
            mov bp, {POLLS}
        again:
            mov ah, 1
            int 16h
            {between}
            dec bp
            jnz again
            mov al, {DONE}
            out 0E9h, al
            jmp $
            times 510 - ($ - $$) db 0
            dw 0AA55h
        """
    )
    output = bytearray()
    disk = MemoryDrive(program + bytes(512 * 2047))
    with Machine(MachineConfig(disks=[disk], debug=output.append, mips=mips)) as pc:
        pc.run_until(lambda: STARTED in output)
        start, halted = pc.clock.now, pc.execution.halted_ns
        pc.run_until(lambda: DONE in output)
        taken = pc.clock.now - start
        return (pc.execution.halted_ns - halted) / taken


@pytest.mark.parametrize("mips", [5, 100, 200])
def test_rests_under_a_program_that_waits_for_a_key(mips: int) -> None:
    assert polling("nop", mips) > 0.9


def test_rests_under_a_program_that_waits_for_a_key_or_a_time() -> None:
    """An editor that shows the time does more than a hundred instructions each time round."""
    assert polling(f"mov ah, 0\nint 1Ah\n{COMPUTE}") > 0.9


@pytest.mark.parametrize(
    "work", [PRINT, READ_SECTOR, COMPUTE, CALL_DOS], ids=["prints", "reads", "computes", "calls_dos"]
)
def test_does_not_hold_up_a_program_that(work: str) -> None:
    """DOS itself polls with every character that it prints and with every call, to find Ctrl-C."""
    assert polling(work) < 0.01
