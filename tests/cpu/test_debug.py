"""Single steps and breakpoints: #DB with DR6 and the right address."""

from __future__ import annotations

import pytest

from tests.cpu.kernel import Board, Runner, program

SINGLE_STEP, BREAKPOINT_0, BREAKPOINT_1 = 0x4000, 1, 2
TRAP_FLAG = 0x100

# A handler that says where, DR6 and RF, and goes on with the instruction (RF set)
STEPPER = """
        jmp     begin
stepped:
        push    eax
        mov     eax, [esp + 4]
        call    hex
        mov     eax, dr6
        and     eax, 0x400F
        call    hex
        mov     eax, [esp + 12]
        and     eax, 0x100
        call    hex
        call    newline
        xor     eax, eax
        mov     dr6, eax
        or      dword [esp + 12], 0x10000
        pop     eax
        iretd
begin:  mov     word [idt + 8], stepped
"""


def numbers(lines: list[str]) -> list[list[int]]:
    """The hexadecimal numbers of each line."""
    return [[int(field, 16) for field in line.split()] for line in lines]


def test_single_steps(runner: Runner) -> None:
    code = STEPPER + """
        mov     ecx, 2
        push    dword 0x102
        popfd
one:    inc     eax
two:    mov     ebx, [resume]
three:  loop    three
four:   push    dword 2
five:   popfd
six:    nop
"""
    labels = program(code)[1]
    # The instruction behind POPF is the first that is followed by a trap; so is the POPF that ends it.
    stops = ["two", "three", "three", "four", "five", "six"]
    assert numbers(runner.says(code)) == [
        [labels[name], SINGLE_STEP, 0 if name == "six" else TRAP_FLAG] for name in stops
    ]


def test_an_interrupt_clears_the_trap_flag(runner: Runner) -> None:
    code = STEPPER + """
        mov     word [idt + 0x20 * 8], handler
        push    dword 0x102
        popfd
        int     0x20
after:  nop
last:   push    dword 2
end:    popfd
none:   jmp     finish
handler:
        nop
        nop
        iretd
"""
    labels = program(code)[1]
    seen = [line[0] for line in numbers(runner.says(code))]
    assert seen == [labels["last"], labels["end"], labels["none"]]


def test_code_breakpoints(runner: Runner) -> None:
    code = STEPPER + """
        mov     eax, first
        mov     dr0, eax
        mov     eax, second
        mov     dr1, eax
        mov     eax, third
        mov     dr2, eax
        mov     eax, 0x70B              ; L0, G0, L1, GE and LE; DR2 is not enabled
        mov     dr7, eax
        mov     ecx, 3
first:  inc     ebx
second: inc     edx
third:  inc     esi
        loop    first
        mov     eax, 0x700
        mov     dr7, eax
        mov     ecx, 1
        loop    first
        mov     eax, ebx
        call    hex
        mov     eax, dr7
        call    hex
        call    newline
"""
    code = code.replace("mov     ecx, 3\n", "xor     ebx, ebx\n        mov     ecx, 3\n")
    labels = program(code)[1]
    hits = [[labels["first"], BREAKPOINT_0, 0], [labels["second"], BREAKPOINT_1, 0]] * 3
    assert numbers(runner.says(code)) == [*hits, [3, 0x700]]


def test_debug_registers_4_and_5(runner: Runner) -> None:
    """DR4 and DR5 are DR6 and DR7, but with CR4.DE they are not there."""
    code = """
        mov     eax, 0x700
        mov     dr7, eax
        mov     eax, dr5
        call    hex
        call    newline
        mov     eax, 8
        mov     cr4, eax
        TRY
fault:  mov     eax, dr5
        END_TRY
        xor     eax, eax
        mov     cr4, eax
"""
    labels = program(code)[1]
    first, second = numbers(runner.says(code))
    assert first == [0x700]
    assert second[:3] == [6, 0, labels["fault"]]


def test_an_io_breakpoint_comes_after_the_access(runner: Runner) -> None:
    code = STEPPER + """
        mov     eax, 8
        mov     cr4, eax
        mov     eax, 0x80
        mov     dr0, eax
        mov     eax, 0x20703
        mov     dr7, eax
        in      al, 0x81
        nop
        in      al, 0x80
after:  nop
        mov     eax, 0x700
        mov     dr7, eax
        in      al, 0x80
"""
    labels = program(code)[1]
    assert numbers(runner.says(code)) == [[labels["after"], BREAKPOINT_0, 0]]


REPEATED = STEPPER + """
        mov     eax, op
        mov     dr0, eax
        mov     eax, after
        mov     dr1, eax
        mov     eax, 0x70B
        mov     dr7, eax
        mov     edi, 0x5000
        mov     ecx, 5
        mov     al, 1
op:     rep     stosb
after:  nop
        mov     eax, 0x700
        mov     dr7, eax
        mov     eax, edi
        call    hex
        call    newline
"""


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_a_breakpoint_at_a_repeated_instruction_is_met_once(public: bool) -> None:
    """RF lasts until the last repetition is done; on QEMU only for the first."""
    board = Board(REPEATED, public)
    assert numbers(board.run().splitlines()) == [
        [board.labels["op"], BREAKPOINT_0, 0],
        [board.labels["after"], BREAKPOINT_1, 0],
        [0x5005],
    ]


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_an_interrupt_between_repetitions_leaves_rf_in_its_frame(public: bool) -> None:
    """So that a breakpoint at the instruction is not met again; before the first one RF is clear."""
    code = """
        sti
        mov     edi, 0x10000
        mov     ecx, 0x1000
op:     rep     stosb
        cli
        jmp     finish
"""
    board = Board(f"GATE 0x20, CODE32, stub_32, 0x8E\n{code}", public)
    board.cpu.run(2000)
    while board.cpu.registers.eip != board.labels["op"] or board.cpu.registers.ecx == 0x1000:
        board.cpu.run(1)
    board.cpu.interrupt(0x20)
    flags = numbers(board.run().splitlines())[-1][4]
    assert flags & 0x10000
