"""IDIV of the smallest dividend: #DE as for any quotient that does not fit, never an end of the emulator."""

from __future__ import annotations

import pytest

from tests.cpu.guest import Guest
from tests.cpu.kernel import Board

WAYS = pytest.mark.parametrize("public", [False, True], ids=["live", "public"])

# Divisor: what sets it up, and the instruction
DIVISIONS = {
    "-1": ("mov ecx, -1", "idiv ecx"),
    "1": ("mov ecx, 1", "idiv ecx"),
    "0": ("xor ecx, ecx", "idiv ecx"),
    "the smallest": ("mov ecx, 0x80000000", "idiv ecx"),
    "EDX": ("nop", "idiv edx"),
    "EAX": ("nop", "idiv eax"),
    "memory": ("mov dword [0x5000], -1", "idiv dword [0x5000]"),
    "memory, with prefixes": ("mov dword [0x5000], -1", "es idiv dword [0x5000]"),
    "indexed": ("mov dword [0x5000], -1\nmov ebx, 0x1400", "idiv dword [ebx * 4]"),
    "in a loop": ("mov ecx, -1\nmov ebp, 5\n.again: dec ebp\njnz .again\njmp .on\n.on: nop", "idiv ecx"),
}


@WAYS
def test_the_smallest_dividend_is_a_divide_error(public: bool) -> None:
    code = ""
    for i, (before, division) in enumerate(DIVISIONS.values()):
        code += f"try_{i}:\nTRY\nmov edx, 0x80000000\nxor eax, eax\n"
        code += f"{before}\nfault_{i}: {division}\nEND_TRY\n"
    board = Board(code, public)
    lines = [[int(field, 16) for field in line.split()] for line in board.run().splitlines()]
    for i, (name, line) in enumerate(zip(DIVISIONS, lines, strict=True)):
        assert (line[0], line[2]) == (0, board.labels[f"fault_{i}"]), name
        assert line[4] & 0x10000, name


@WAYS
def test_registers_and_flags_stay_as_they_are(public: bool) -> None:
    code = """
        mov     word [idt], handler
        mov     edx, 0x80000000
        xor     eax, eax
        mov     ecx, -1
        stc
        idiv    ecx
        SAY     "never"
handler:
        call    hex
        mov     eax, edx
        call    hex
        mov     eax, ecx
        call    hex
        mov     eax, [esp + 8]
        and     eax, 0x8D5
        call    hex
"""
    assert Board(code, public).run().split() == ["00000000", "80000000", "FFFFFFFF", "00000045"]


@pytest.mark.usefixtures("state")
def test_narrow_divisions_of_the_same_registers_are_done() -> None:
    """EDX = 80000000h and EAX = 0, of which 16-bit instructions see zeros."""
    guest = Guest("""
        mov     edx, 0x80000000
        xor     eax, eax
        mov     cx, -1
        idiv    cx
        mov     [0x2000], edx
        mov     cl, -1
        idiv    cl
        mov     dword [0x2004], 0x600DF7F9      ; 'idiv cx' in an immediate
        jmp     end
        nop
end:
""")
    guest.run()
    assert (guest.word(0x2000), guest.word(0x2002), guest.word(0x2004)) == (0, 0x8000, 0xF7F9)


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(("dividend", "divide"), [
    ("mov edx, 0x80000000\nxor eax, eax", "idiv ecx"),
    ("mov dx, 0x8000\nxor ax, ax", "idiv cx"),
    ("mov ax, 0x8000", "idiv cl"),
])  # fmt: skip
def test_in_real_mode(dividend: str, divide: str) -> None:
    guest = Guest(f"""
        mov     word [0], handler
        mov     word [2], 0
        mov     ecx, -1
        {dividend}
fault:  {divide}
        hlt
handler:
        pop     word [0x2000]
""")
    guest.run()
    assert guest.word() == guest.labels["fault"]


@WAYS
def test_slices_and_time_are_as_without_the_hook(public: bool) -> None:
    """The second run finds the hooks in place; the first one did not."""
    code = """
        mov     ecx, 300
next:   mov     eax, ecx
        imul    eax, eax, 12345
        cdq
        mov     ebx, 7
        idiv    ebx
        add     esi, eax
        loop    next
"""
    board = Board(code, public)
    memory = bytes(board.ram[:0x20000])
    seen = []
    for _ in range(2):
        board.ram[: len(memory)] = memory
        board.cpu.reset()
        ticks = 0
        while not board.cpu.halted:
            board.cpu.run(50)
            ticks += board.cpu.ticks_used
        seen.append((ticks, board.cpu.registers))
    assert seen[0] == seen[1]
    assert seen[0][1].esi == sum(count * 12345 // 7 for count in range(1, 301))
