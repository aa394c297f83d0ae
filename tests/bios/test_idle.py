"""INT 16h lets the processor rest under a program that only polls for keys, and under no other."""

from __future__ import annotations

import pytest

from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble

STARTED, DONE = b"SD"
POLLS = 2000

PRINT = "mov ax, 0E2Eh\nmov bx, 7\nint 10h"
READ_SECTOR = "mov ax, 0201h\nmov bx, 8000h\nmov cx, 1\nmov dx, 80h\nint 13h"
COMPUTE = "mov cx, 20000\nloop $"


def polling(between: str) -> float:
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
    with Machine(MachineConfig(disks=[disk], debug=output.append)) as pc:
        pc.run_until(lambda: STARTED in output)
        start, halted = pc.clock.now, pc.execution.halted_ns
        pc.run_until(lambda: DONE in output)
        taken = pc.clock.now - start
        return (pc.execution.halted_ns - halted) / taken


def test_rests_under_a_program_that_waits_for_a_key() -> None:
    assert polling("nop") > 0.99


def test_rests_under_a_program_that_waits_for_a_key_or_a_time() -> None:
    """An editor that shows the time does more than a hundred instructions each time round."""
    assert polling(f"mov ah, 0\nint 1Ah\n{COMPUTE}") > 0.9


@pytest.mark.parametrize("work", [PRINT, READ_SECTOR, COMPUTE], ids=["prints", "reads", "computes"])
def test_does_not_hold_up_a_program_that(work: str) -> None:
    """DOS polls with every character that it prints, many programs with every block that they copy."""
    assert polling(work) < 0.01
