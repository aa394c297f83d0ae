"""The flags behind LOOPE and LOOPNE, whose count runs out or does not."""

from __future__ import annotations

import itertools

import pytest

from tests.cpu.guest import Guest
from tests.cpu.kernel import Board, Runner

LOOPS = ("loop", "loope", "loopne")
# What is compared in the same block, and what the flags come from before the block
COMPARISONS = ("cmp bx, 5", "test bl, 5", "dec bx", "sub ebx, 5", "add bh, bl", "shl bx, 1")
BEFORE = ("test edx, edx", "cmp edx, 1", "or edx, edx")
CASES = list(itertools.product(LOOPS, COMPARISONS, BEFORE, (1, 2, 3), (5, 6)))


def program(cases: list[tuple[str, str, str, int, int]]) -> str:
    """Says the arithmetic flags and ECX behind each loop, and does it twice over."""
    code = "mov ebp, 2\nagain:\n"
    for i, (loop, comparison, before, count, value) in enumerate(cases):
        code += f"""
        mov     ecx, {count}
        mov     ebx, {value}
        {before}
        jmp     in_{i}
back_{i}: nop
in_{i}: {comparison}
        {loop}  back_{i}
        pushfd
        pop     eax
        and     eax, 0x8C5
        call    hex
        mov     eax, ecx
        call    hex
        call    newline
"""
    return code + "dec ebp\njnz near again\n"


def outcome(case: tuple[str, str, str, int, int]) -> tuple[int, int]:
    """Carry, parity, zero, sign and overflow, and ECX: a model of our own."""
    loop, comparison, _, count, b = case
    flags = 0
    while True:
        name, _, operands = comparison.partition(" ")
        bits = 32 if "ebx" in operands else 8 if operands[:2] in ("bl", "bh") else 16
        mask, sign = (1 << bits) - 1, 1 << bits - 1
        carry = overflow = False
        if name in ("cmp", "sub"):
            result, carry = b - 5 & mask, b & mask < 5
            overflow = bool((b ^ 5) & (b ^ result) & sign)
        elif name == "test":
            result = b & 5 & mask
        elif name == "dec":
            result, carry, overflow = b - 1 & mask, carry_before(case, flags), b & mask == sign
        elif name == "add":
            left, right = b >> 8 & mask, b & mask
            result, carry = left + right & mask, left + right > mask
            overflow = bool(~(left ^ right) & (left ^ result) & sign)
        else:
            result, carry = b << 1 & mask, bool(b & sign)
            overflow = bool((b ^ result) & sign)
        parity = 0 if (result & 0xFF).bit_count() & 1 else 4
        flags = carry | parity | (0 if result else 0x40) | (0x80 if result & sign else 0) | overflow << 11
        if name == "add":
            b = b & ~0xFF00 | result << 8
        elif name not in ("cmp", "test"):
            b = b & ~mask | result
        count -= 1
        if not count or (loop == "loope" and result) or (loop == "loopne" and not result):
            return flags, count


def carry_before(case: tuple[str, str, str, int, int], flags: int) -> bool:
    """DEC keeps the carry: of what came before, which only CMP with 1 of zero sets."""
    return case[2].startswith("cmp") if not flags else bool(flags & 1)


@pytest.mark.parametrize("part", range(3))
def test_flags(runner: Runner, part: int) -> None:
    cases = CASES[part::3]
    expected = [f"{flags:08X} {count:08X}" for flags, count in map(outcome, cases)]
    assert runner.says("xor edx, edx\n" + program(cases)) == expected * 2


@pytest.mark.usefixtures("state")
def test_flags_in_16_bit_code() -> None:
    """CX counts, and the upper half of ECX is not looked at."""
    guest = Guest("""
        mov     ecx, 0x10001
        mov     bx, 6
        xor     dx, dx
        jmp     in
back:   nop
in:     cmp     bx, 5
        loopne  back
        setz    [0x2000]
        mov     [0x2002], ecx
""")
    guest.run()
    assert guest.word() == 0
    assert guest.word(0x2004) == 1


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_slices_and_time_are_as_without_the_hook(public: bool) -> None:
    """The second run finds the hook in place; the first one did not."""
    code = program(CASES[:30])
    board = Board("xor edx, edx\n" + code, public)
    memory = bytes(board.ram[:0x20000])
    spent = []
    for _ in range(2):
        board.ram[: len(memory)] = memory
        board.cpu.reset()
        ticks = 0
        while not board.cpu.halted:
            board.cpu.run(50)
            ticks += board.cpu.ticks_used
        spent.append(ticks)
    assert spent[0] == spent[1]
