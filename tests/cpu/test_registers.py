"""All registers at once: what RESET leaves in them, and that a debugger sees what the guest set."""

from __future__ import annotations

import struct

import pytest

from tests.assembler import assemble_with_labels
from tests.cpu.guest import RESULTS, START, Guest

pytestmark = pytest.mark.usefixtures("state")

# Intel, "Processor state after reset"; EDX tells the processor, family 6, model 3, stepping 3.
AFTER_RESET = {
    "eip": 0xFFF0, "eflags": 2, "cs": 0xF000, "ds": 0, "es": 0, "ss": 0, "fs": 0, "gs": 0,
    "eax": 0, "ebx": 0, "ecx": 0, "edx": 0x633, "esi": 0, "edi": 0, "ebp": 0, "esp": 0,
}  # fmt: skip
SET = """
        mov     eax, 0x11111111
        mov     ebx, 0x22222222
        mov     ecx, 0x33333333
        mov     edx, 0x44444444
        mov     esi, 0x55555555
        mov     edi, 0x66666666
        mov     ebp, 0x77777777
        mov     esp, 0x88888888
        push    word 0x101
        pop     es
        mov     ds, si
        mov     fs, di
        mov     gs, bp
        std
        stc
        hlt
"""
SHOW_THE_REST = f"""
        sidt    [{RESULTS:#x}]
        sgdt    [{RESULTS + 8:#x}]
        mov     eax, cr0
        mov     [{RESULTS + 16:#x}], eax
        mov     eax, cr4
        mov     [{RESULTS + 20:#x}], eax
        mov     eax, dr7
        mov     [{RESULTS + 24:#x}], eax
        hlt
"""


def test_the_debuggers_registers_are_the_guests() -> None:
    found = Guest(SET).run().cpu.registers
    assert [found.eax, found.ebx, found.ecx, found.edx, found.esi, found.edi, found.ebp] == [
        digit * 0x11111111 for digit in range(1, 8)
    ]
    assert (found.es, found.ds, found.fs, found.gs, found.ss) == (0x101, 0x5555, 0x6666, 0x7777, 0)
    assert (found.esp, found.cs) == (0x88888888, 0)
    assert found.eflags & 0x401 == 0x401  # DF, CF


def test_a_reset_leaves_nothing_of_what_the_guest_set() -> None:
    guest = Guest("""
        lidt    [table]
        lgdt    [table]
        mov     eax, 0x700
        mov     dr7, eax
        mov     eax, 0x10
        mov     cr4, eax
""" + SET + "table: dw 0x1234\n dd 0x5678\n")
    guest.run().cpu.reset()
    assert guest.cpu.registers._asdict() == AFTER_RESET
    assert not (guest.cpu.halted or guest.cpu.protected)
    code, _ = assemble_with_labels(SHOW_THE_REST)
    guest.ram[START : START + len(code)] = code
    guest.run()
    assert bytes(guest.ram[RESULTS : RESULTS + 6]) == bytes.fromhex("ffff 00000000")
    assert bytes(guest.ram[RESULTS + 8 : RESULTS + 14]) == bytes.fromhex("ffff 00000000")
    assert struct.unpack_from("<3I", guest.ram, RESULTS + 16) == (0x10, 0, 0x400)
