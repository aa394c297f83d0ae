"""The flags that an interrupt pushes are those that PUSHF, the engine's own instruction, pushes."""

from __future__ import annotations

import random

import pytest

from pcemu.cpu.flags import UNKNOWN, arithmetic_flags
from tests.cpu.guest import Guest

CASES = 250
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
OPERATIONS = [
    *("add", "adc", "sub", "sbb", "cmp", "and", "or", "xor", "test"),
    *("inc", "dec", "neg", "shl", "shr", "sar", "rol", "mul", "imul"),
]
ONE_OPERAND = ("inc", "dec", "neg", "mul", "imul")
SHIFTS = ("shl", "shr", "sar", "rol")
REGISTERS = {8: ("al", "cl"), 16: ("ax", "cx"), 32: ("eax", "ecx")}

TABLE, RESULT, RECORD = 0x3000, 0x2000, 12


def instruction(operation: str, bits: int) -> str:
    left, right = REGISTERS[bits]
    if operation in ONE_OPERAND:
        return f"{operation} {left}"
    return f"{operation} {left}, {'cl' if operation in SHIFTS else right}"


@pytest.mark.parametrize("bits", REGISTERS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_interrupt_pushes_what_pushf_pushes(operation: str, bits: int) -> None:
    rng = random.Random(f"{operation}{bits}")
    operate = f"mov eax, [si]\nmov ecx, [si + 4]\nbt dword [si + 8], 0\n{instruction(operation, bits)}"
    guest = Guest(
        f"""
            mov word [0x84], service
            mov word [0x86], 0
            mov si, {TABLE}
            mov di, {RESULT}
            mov bx, {CASES}
        next:
            {operate}
            pushf
            pop word [di]
            {operate}
            int 0x21
            add di, 4
            add si, {RECORD}
            dec bx
            jnz next
            hlt
        service:
            mov bp, sp
            mov ax, [bp + 4]
            mov [di + 2], ax
            iret
        """
    )
    for case in range(CASES):
        values = [rng.choice([rng.choice(EDGES), rng.getrandbits(32)]) for _ in range(2)]
        if operation in SHIFTS:
            values[1] = rng.randrange(0, bits + 1)
        record = b"".join(value.to_bytes(4, "little") for value in (*values, rng.getrandbits(1)))
        guest.ram[TABLE + case * RECORD : TABLE + (case + 1) * RECORD] = record
    guest.run()
    for case in range(CASES):
        native, pushed = guest.word(RESULT + 4 * case), guest.word(RESULT + 4 * case + 2)
        record = guest.ram[TABLE + case * RECORD : TABLE + (case + 1) * RECORD]
        assert pushed == native, f"{operation} on {record.hex(' ', 4)}: {pushed:04X}, PUSHF {native:04X}"


def test_an_unknown_operation_is_left_to_the_engine() -> None:
    assert arithmetic_flags(0, 0, 0) == UNKNOWN
    assert arithmetic_flags(2, 0, 0) == UNKNOWN
