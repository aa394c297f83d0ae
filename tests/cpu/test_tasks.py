"""Task switches: through gates of the IDT (ours) and by JMP, CALL and IRET (the engine's)."""

from __future__ import annotations

import pytest

from tests.cpu.kernel import Runner, program

# Prepare TSS32_B to run `task` with a stack of its own.
TASK_B = """
        mov     dword [tss_b + 0x20], task
        mov     dword [tss_b + 0x24], 0x2
        mov     dword [tss_b + 0x28], 0xAAAA0000        ; EAX
        mov     dword [tss_b + 0x38], 0x6400            ; ESP
        mov     dword [tss_b + 0x44], 0xDDDD0000        ; EDI
        mov     dword [tss_b + 0x48], DATA32            ; ES, CS, SS, DS, FS, GS
        mov     dword [tss_b + 0x4C], CODE32
        mov     dword [tss_b + 0x50], DATA32
        mov     dword [tss_b + 0x54], DATA32
        mov     dword [tss_b + 0x58], 0
        mov     dword [tss_b + 0x5C], 0
        mov     dword [tss_b + 0x60], LDT_SEL
        mov     dword [tss_b + 0x64], 0x680000
"""
# Says: EAX, EDI, ESP, TR, link, NT, TS, busy bits of both tasks
SHOW = """
show:   call    hex
        mov     eax, edi
        call    hex
        mov     eax, esp
        call    hex
        str     eax
        call    hex
        movzx   eax, word [tss_b]
        call    hex
        pushfd
        pop     eax
        and     eax, 0x4000
        call    hex
        mov     eax, cr0
        and     eax, 8
        call    hex
        movzx   eax, byte [gdt + TSS32 + 5]
        call    hex
        movzx   eax, byte [gdt + TSS32_B + 5]
        call    hex
        call    newline
        ret
"""


def numbers(lines: list[str]) -> list[list[int]]:
    """The hexadecimal numbers of each line."""
    return [[int(field, 16) for field in line.split()] for line in lines]


def test_interrupt_through_a_task_gate_and_back(runner: Runner) -> None:
    code = TASK_B + f"""
        mov     word [idt + 0x20 * 8 + 2], TSS32_B
        mov     byte [idt + 0x20 * 8 + 5], 0x85
        mov     eax, 0x11110000
        mov     edi, 0x22220000
        stc
        sti
        int     0x20
back:   pushfd
        pop     ebx
        cli
        call    show
        mov     eax, ebx
        and     eax, 0x4201             ; NT, IF, CF
        call    hex
        mov     eax, [tss + 0x20]       ; EIP of the interrupted task
        call    hex
        mov     eax, [tss_b + 0x20]     ; and of the handler
        call    hex
        call    newline
        int     0x20                    ; again: it goes on behind its IRET
        jmp     finish
{SHOW}
task:   call    show
        clts
        mov     edi, 0xDDDD0001
        iretd
again:  SAY     "again"
        iretd
"""
    labels = program(code)[1]
    lines = runner.says(code)
    task, interrupted, addresses = numbers(lines[:3])
    assert task == [0xAAAA0000, 0xDDDD0000, 0x63FC, 0x40, 0x18, 0x4000, 8, 0x8B, 0x8B]
    assert interrupted == [0x11110000, 0x22220000, 0x6FFC, 0x18, 0x18, 0, 8, 0x8B, 0x89]
    assert addresses == [0x201, labels["back"], labels["again"]]
    assert lines[3] == "again"


def test_jump_and_call_to_a_task(runner: Runner) -> None:
    code = TASK_B + f"""
        mov     eax, 0x11110000
        mov     edi, 0x22220000
        call    TSS32_B:0
        call    show
        mov     dword [tss_b + 0x20], jumped
        jmp     TSS32_B:0
home:   call    show
        jmp     finish
{SHOW}
task:   call    show
        iretd
jumped: call    show
        jmp     TSS32:0
"""
    seen = numbers(runner.says(code))
    assert [line[3] for line in seen] == [0x40, 0x18, 0x40, 0x18]  # TR
    assert [line[5] for line in seen] == [0x4000, 0, 0, 0]  # NT
    assert [line[7:] for line in seen] == [[0x8B, 0x8B], [0x8B, 0x89], [0x89, 0x8B], [0x8B, 0x89]]
    assert seen[1][:3] == [0x11110000, 0x22220000, 0x6FFC]


def test_an_exception_through_a_task_gate_leaves_its_error_code(runner: Runner) -> None:
    code = TASK_B + """
        mov     word [idt + 13 * 8 + 2], TSS32_B
        mov     byte [idt + 13 * 8 + 5], 0x85
        mov     ax, 0x1F8
fault:  mov     ds, ax
        SAY     "never"
task:   pop     eax
        call    hex
        mov     eax, esp
        call    hex
        mov     eax, [tss + 0x20]
        call    hex
        mov     eax, [tss + 0x24]
        and     eax, 0x10200
        call    hex
        call    newline
"""
    labels = program(code)[1]
    flag = runner.resume_flag
    assert numbers(runner.says(code)) == [[0x1F8, 0x6400, labels["fault"], flag]]


def test_interrupt_to_a_16_bit_task(runner: Runner) -> None:
    """Its registers are 16 bits wide; the upper halves stay."""
    code = """
        mov     word [tss_16 + 0x0E], task
        mov     word [tss_16 + 0x10], 2
        mov     word [tss_16 + 0x12], 0x1234    ; AX
        mov     word [tss_16 + 0x1A], 0x6400    ; SP
        mov     word [tss_16 + 0x22], DATA32    ; ES, CS, SS, DS
        mov     word [tss_16 + 0x24], CODE32
        mov     word [tss_16 + 0x26], DATA16
        mov     word [tss_16 + 0x28], DATA32
        mov     word [idt + 0x20 * 8 + 2], TSS16
        mov     byte [idt + 0x20 * 8 + 5], 0x85
        mov     eax, 0x55556666
        int     0x20
        SAY     "back"
        jmp     finish
task:   call    hex
        movzx   eax, sp
        call    hex
        str     eax
        call    hex
        movzx   eax, word [tss_16]
        call    hex
        mov     eax, [tss + 0x28]
        call    hex
        call    newline
"""
    first = numbers(runner.says(code)[:1])
    assert first == [[0x55551234, 0x6400, 0x68, 0x18, 0x55556666]]


REFUSED = {
    "null": ("0", 13, 0),
    "beyond": ("0x1F8", 13, 0x1F8),
    "data": ("DATA32", 13, 0x10),
    "busy": ("TSS32", 13, 0x18),
    "local": ("0x44", 10, 0x44),
    "absent": ("TSS32_B\nand byte [gdt + TSS32_B + 5], 0x7F", 11, 0x40),
    "too short": ("TSS32_B\nor byte [gdt + TSS32_B + 5], 0x80\nmov byte [gdt + TSS32_B], 102", 10, 0x40),
    "too short, 16 bits": ("TSS16\nmov byte [gdt + TSS16], 42", 10, 0x68),
}


def test_task_gates_that_are_refused(runner: Runner) -> None:
    code = "mov byte [idt + 0x20 * 8 + 5], 0x85\n"
    for i, (selector, _, _) in enumerate(REFUSED.values()):
        code += f"TRY\nmov word [idt + 0x20 * 8 + 2], {selector}\nfault_{i}: int 0x20\nEND_TRY\n"
    labels = program(code)[1]
    for i, ((_, vector, error), line) in enumerate(
        zip(REFUSED.values(), numbers(runner.says(code)), strict=True)
    ):
        assert line[:3] == [vector, error, labels[f"fault_{i}"]]


def test_a_task_with_its_own_page_tables(runner: Runner) -> None:
    """CR3 comes from the TSS; the pages that the switch itself touches make no difference."""
    code = TASK_B + """
        mov     edi, 0x100000
        mov     ecx, 0x4000 / 4
        xor     eax, eax
        rep     stosd
        mov     edi, 0x101000
        mov     eax, 7
.page:  stosd
        add     eax, 0x1000
        cmp     eax, 0x400007
        jne     .page
        mov     dword [0x100000], 0x101007
        mov     dword [0x102000], 0x101007
        mov     dword [0x100004], 0x103007      ; linear 400000h: another page for each task
        mov     dword [0x102004], 0x103807
        mov     dword [0x103000], 0x200007
        mov     dword [0x102004], 0x104007
        mov     dword [0x104000], 0x201007
        mov     dword [0x200000], 0x1111
        mov     dword [0x201000], 0x2222
        mov     dword [tss + 0x1C], 0x100000
        mov     dword [tss_b + 0x1C], 0x102000
        mov     eax, 0x100000
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        mov     word [idt + 0x20 * 8 + 2], TSS32_B
        mov     byte [idt + 0x20 * 8 + 5], 0x85
        mov     eax, [0x400000]
        call    hex
        int     0x20
        mov     eax, [0x400000]
        call    hex
        call    TSS32_B:0
        mov     eax, [0x400000]
        call    hex
        call    newline
        jmp     finish
task:   mov     eax, [0x400000]
        call    hex
        mov     eax, cr3
        call    hex
        iretd
        jmp     task
"""
    assert numbers(runner.says(code)) == [[0x1111, 0x2222, 0x102000, 0x1111, 0x2222, 0x102000, 0x1111]]


# What is wrong in the TSS, and the exception of the new task that this is
SPOILT = {
    "data segment absent": ("mov dword [tss_b + 0x54], NOT_PRESENT", 11, 0x60),
    "extra segment beyond": ("mov dword [tss_b + 0x48], 0x1F8", 10, 0x1F8),
    "FS a system segment": ("mov dword [tss_b + 0x58], TSS32", 10, 0x18),
    "GS execute-only": ("mov dword [tss_b + 0x5C], CODE_ONLY", 10, 0x80),
}


@pytest.mark.parametrize("way", ["int 0x20", "call TSS32_B:0", "jmp TSS32_B:0"])
def test_faults_in_the_new_task(runner: Runner, way: str) -> None:
    """Selectors are loaded when the task has been switched already: it is the new task that faults."""
    code = "mov word [idt + 0x20 * 8 + 2], TSS32_B\nmov byte [idt + 0x20 * 8 + 5], 0x85\n"
    for i, (spoil, _, _) in enumerate(SPOILT.values()):
        code += f"""
        mov     byte [gdt + TSS32_B + 5], 0x89
        mov     byte [gdt + TSS32 + 5], 0x89
        mov     ax, TSS32
        ltr     ax
{TASK_B}
        {spoil}
        mov     dword [resume], next_{i}
        mov     dword [flags_seen], 0
        {way}
next_{i}:
        str     eax
        call    hex
        call    newline
        pushfd
        and     dword [esp], ~0x4000
        popfd
        clts
"""
    code += "jmp finish\ntask: SAY 'never'\n"
    labels = program(code)[1]
    lines = numbers(runner.says(code))
    for line, task_register, (name, (_, vector, error)) in zip(
        lines[::2], lines[1::2], SPOILT.items(), strict=True
    ):
        assert (line[0], line[1], line[3]) == (vector, error, 0x08), name
        if way == "int 0x20":  # the engine's own switches, as QEMU's, tell the address of JMP or CALL
            assert line[2] == labels["task"], name
        assert task_register == [0x40], name
