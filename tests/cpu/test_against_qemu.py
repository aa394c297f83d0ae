"""Random arithmetic, with jumps, loops and repeated instructions between, compared with QEMU.

The engine's flags are worked out late and from what the last operation left, so it matters what comes in
between: loops whose count runs out, shifts by zero, repetitions of nothing. ``PCEMU_PROOF=full`` tries more.
"""

from __future__ import annotations

import random

import pytest

from tests.conftest import require
from tests.cpu.kernel import Board, qemu_says
from tests.drives.proof import scaled

PROGRAMS = scaled(2, 60)
STEPS = 150
REGISTERS = (("al", "bl", "dl", "ah", "bh", "dh"), ("ax", "bx", "dx"), ("eax", "ebx", "edx"))
CONDITIONS = ("c", "z", "s", "o", "p", "be", "l", "le")

# Fills 256 bytes for string instructions; then each step's registers and defined flags are said.
START = """
        jmp     begin
tell:   pushfd
        pushad
        mov     eax, [esp + 32]
        and     eax, 0x8C5              ; CF, PF, ZF, SF, OF
        call    hex
        mov     ecx, 8
        mov     esi, esp
.next:  lodsd
        call    hex
        loop    .next
        call    newline
        popad
        popfd
        ret
begin:  mov     edi, 0x5000
        mov     ecx, 64
        mov     eax, 0x12345
.fill:  stosd
        imul    eax, eax, 1103515245
        add     eax, 12345
        loop    .fill
"""


def arithmetic(draw: random.Random) -> str:
    """An instruction that defines all flags but AF, or leaves some alone."""
    size = draw.randrange(3)
    first, second = draw.choice(REGISTERS[size]), draw.choice(REGISTERS[size])
    if draw.random() < 0.25:
        return f"{draw.choice(('inc', 'dec', 'neg'))} {first}"
    operation = draw.choice(("add", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "or"))
    number = draw.choice((0, 1, 5, 0x7F, draw.randrange(0x100 << 8 * size)))
    return f"{operation} {first}, {draw.choice((second, number))}"


def interlude(draw: random.Random, label: str) -> str:
    """Something that ends a block, or may leave the flags alone."""
    register = draw.choice(draw.choice(REGISTERS))
    shift = draw.choice(("shl", "shr", "sar", "rol", "ror", "rcl", "rcr"))
    condition = draw.choice(CONDITIONS)
    scan = f"{draw.choice(('repe', 'repne'))} {draw.choice(('cmpsb', 'cmpsw', 'scasb', 'scasd'))}"
    loop, count = draw.choice(("loop", "loope", "loopne")), draw.randrange(3)
    return draw.choice(
        (
            f"mov ecx, {draw.choice((0, 32))}\n{shift} {register}, cl",
            f"mov ecx, {count}\nmov esi, 0x5000\nmov edi, 0x5040\n{scan}",
            f"mov ecx, {count}\njecxz {label}\nnop\n{label}:",
            f"mov ecx, {count + 1}\n{label}: {arithmetic(draw)}\n{loop} {label}",
            f"j{condition} {label}\n{arithmetic(draw)}\n{label}:",
            f"call {label}_called\njmp {label}\n{label}_called: ret\n{label}:",
            f"mov ecx, {count}\nmov edi, 0x5100\nrep stosb",
            f"cmov{condition} eax, ebx\nset{condition} dl",
            "pushfd\npopfd",
            "lahf\nsahf",
        )
    )


def program(seed: int) -> tuple[str, list[str]]:
    """The program, and its steps."""
    draw = random.Random(seed)
    steps = []
    for i in range(STEPS):
        first, middle = arithmetic(draw), interlude(draw, f"first_{i}")
        steps.append("\n".join((first, middle, arithmetic(draw), interlude(draw, f"second_{i}"))))
    values = "".join(f"mov {register}, {draw.randrange(1 << 32)}\n" for register in ("eax", "ebx", "edx"))
    return START + values + "\ncall tell\n".join((*steps, "")), steps


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_random_programs_do_the_same(seed: int) -> None:
    code, steps = program(seed)
    expected = qemu_says(code)
    require(expected is not None, "qemu-system-i386")
    assert expected is not None
    lines = Board(code).run(1_000_000).splitlines()
    for step, ours, theirs in zip(steps, lines, expected.splitlines(), strict=True):
        assert ours == theirs, step
