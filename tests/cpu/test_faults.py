"""Exceptions in protected mode: vector, error code, and the address that is returned to."""

from __future__ import annotations

import pytest

from tests.cpu.kernel import Board, Runner, program
from tests.cpu.test_paging import paged

FAULT, TRAP = "fault", "next"  # EIP in the frame: at the instruction, or behind it

CALL_GATE = """
        mov     dword [gdt + SPARE], CODE32 << 16
        mov     dword [gdt + SPARE + 4], {:#x} << 8
"""
# Far return to level 3, with a stack segment
OUTWARDS = "push dword {}\npush dword 0x6000\npush dword CODE32_3\npush dword 0"
# What happens: code before, the instruction, vector, error code, where EIP points
KERNEL_CASES: dict[str, tuple[str, str, int, int, str]] = {
    "divide by zero": ("xor ecx, ecx", "div ecx", 0, 0, FAULT),
    "divide overflow": ("mov edx, 5\nmov ecx, 2", "div ecx", 0, 0, FAULT),
    "signed divide overflow": ("mov ax, 0x8000\nmov cl, -1", "idiv cl", 0, 0, FAULT),
    "breakpoint": ("", "int3", 3, 0, TRAP),
    "breakpoint, long form": ("", "db 0xCD, 3", 3, 0, TRAP),
    "overflow": ("mov al, 0x7F\ninc al", "into", 4, 0, TRAP),
    "bound": ("mov eax, 9", "bound eax, [pair]", 5, 0, FAULT),
    "invalid opcode": ("", "ud2", 6, 0, FAULT),
    "invalid opcode, lock": ("", "db 0xF0, 0x90", 6, 0, FAULT),
    "int 6": ("", "int 6", 6, 0, TRAP),
    "no device, EM": ("mov eax, cr0\nor al, 4\nmov cr0, eax", "fninit", 7, 0, FAULT),
    "no device, TS": ("mov eax, cr0\nor al, 8\nmov cr0, eax", "fld1", 7, 0, FAULT),
    "wait with TS and MP": ("mov eax, cr0\nor al, 10\nmov cr0, eax", "fwait", 7, 0, FAULT),
    "selector beyond the table": ("mov ax, 0x1F8", "mov ds, ax", 13, 0x1F8, FAULT),
    "selector beyond the LDT": ("mov ax, LDT_SEL\nlldt ax\nmov ax, 0x14", "mov ds, ax", 13, 0x14, FAULT),
    "segment not present": ("mov ax, NOT_PRESENT", "mov ds, ax", 11, 0x60, FAULT),
    "stack segment not present": ("mov ax, NOT_PRESENT", "mov ss, ax", 12, 0x60, FAULT),
    "null stack segment": ("xor eax, eax", "mov ss, ax", 13, 0, FAULT),
    "read-only stack segment": ("mov ax, DATA_RO", "mov ss, ax", 13, 0x58, FAULT),
    "stack segment of another level": ("mov ax, DATA32_3", "mov ss, ax", 13, 0x38, FAULT),
    "system segment as data": ("mov ax, TSS32", "mov ds, ax", 13, 0x18, FAULT),
    "execute-only as data": ("mov ax, CODE_ONLY", "mov ds, ax", 13, 0x80, FAULT),
    "LTR of a busy TSS": ("mov ax, TSS32", "ltr ax", 13, 0x18, FAULT),
    "LTR of data": ("mov ax, DATA32", "ltr ax", 13, 0x10, FAULT),
    "LLDT of data": ("mov ax, DATA32", "lldt ax", 13, 0x10, FAULT),
    "far jump to data": ("", "jmp DATA32:0", 13, 0x10, FAULT),
    "far jump to null": ("", "jmp 0:0", 13, 0, FAULT),
    "far jump outwards": ("", "jmp 0x30:0", 13, 0x30, FAULT),
    "far call of an absent segment": ("or byte [gdt + 0x8D], 0", "call NOT_PRESENT:0", 13, 0x60, FAULT),
    "far return to null": ("push dword 0\npush dword 0", "retf", 13, 0, FAULT),
    "far call to data": ("", "call DATA32:0", 13, 0x10, FAULT),
    "far call through an absent call gate": (CALL_GATE.format(0x0C), "call SPARE:0", 11, 0x88, FAULT),
    "far call through a call gate to data": (CALL_GATE.format(0x8C) + "mov word [gdt + SPARE + 2], DATA32",
                                            "call SPARE:0", 13, 0x10, FAULT),
    "far jump to an absent TSS": ("and byte [gdt + TSS32_B + 5], 0x7F", "jmp TSS32_B:0", 11, 0x40, FAULT),
    "far jump to a busy TSS": ("", "jmp TSS32:0", 13, 0x18, FAULT),
    "LTR of an absent TSS": ("and byte [gdt + TSS32_B + 5], 0x7F\nmov ax, TSS32_B", "ltr ax", 11, 0x40,
                             FAULT),
    "LTR of a selector in the LDT": ("mov ax, 0x44", "ltr ax", 13, 0x44, FAULT),
    "LLDT of an absent LDT": ("and byte [gdt + LDT_SEL + 5], 0x7F\nmov ax, LDT_SEL", "lldt ax", 11, 0x50,
                              FAULT),
    "LLDT of a selector in the LDT": ("mov ax, 0x0C", "lldt ax", 13, 0x0C, FAULT),
    "far return to an absent segment": ("push dword NOT_PRESENT\npush dword 0", "retf", 13, 0x60, FAULT),
    "far return outwards to a null stack": (OUTWARDS.format(0), "retf", 13, 0, FAULT),
    "far return outwards to an inner stack": (OUTWARDS.format("DATA32"), "retf", 13, 0x10, FAULT),
    "IRET to null": ("push dword 2\npush dword 0\npush dword 0", "iretd", 13, 0, FAULT),
    "IRET beyond the table": ("push dword 2\npush dword 0x1F8\npush dword 0", "iretd", 13, 0x1F8, FAULT),
    "LSS of an absent segment": ("mov dword [pair], 0\nmov word [pair + 4], NOT_PRESENT", "lss eax, [pair]",
                                 12, 0x60, FAULT),
    "POP of a selector beyond the table": ("push dword 0x1F8", "pop es", 13, 0x1F8, FAULT),
    "undefined opcode 0F FF": ("", "db 0x0F, 0xFF", 6, 0, FAULT),
    "opcode FF /7": ("", "db 0xFF, 0xFF", 6, 0, FAULT),
    "LES of a register": ("", "db 0xC4, 0xC0", 6, 0, FAULT),
    "MOV to CS": ("", "db 0x8E, 0xC8", 6, 0, FAULT),
    "SLDT's neighbour": ("", "db 0x0F, 0x00, 0xF0", 6, 0, FAULT),
    "IRET to data": ("push dword 2\npush dword DATA32\npush dword 0", "iretd", 13, 0x10, FAULT),
    "x87 error": ("fninit\nmov eax, cr0\nor al, 0x20\nand al, 0xF3\nmov cr0, eax\n"
                  "fldcw [unmasked]\nfld1\nfldz\nfdivp st1, st0", "fwait", 16, 0, FAULT),
}  # fmt: skip

USER_CASES: dict[str, tuple[str, str, int, int, str]] = {
    "hlt": ("", "hlt", 13, 0, FAULT),
    "cli": ("", "cli", 13, 0, FAULT),
    "sti": ("", "sti", 13, 0, FAULT),
    "lgdt": ("", "lgdt [gdt_register]", 13, 0, FAULT),
    "mov cr0": ("", "mov eax, cr0", 13, 0, FAULT),
    "mov dr7": ("", "mov eax, dr7", 13, 0, FAULT),
    "clts": ("", "clts", 13, 0, FAULT),
    "lmsw": ("", "lmsw ax", 13, 0, FAULT),
    "ltr": ("", "ltr ax", 13, 0, FAULT),
    "invlpg": ("", "invlpg [0]", 13, 0, FAULT),
    "wbinvd": ("", "wbinvd", 13, 0, FAULT),
    "port": ("", "in al, 0x80", 13, 0, FAULT),
    "kernel data": ("mov ax, DATA32", "mov ds, ax", 13, 0x10, FAULT),
    "kernel code": ("", "jmp CODE32:0", 13, 0x08, FAULT),
    "null stack segment": ("xor eax, eax", "mov ss, ax", 13, 0, FAULT),
    "software interrupt": ("", "int 0x20", 13, 0x102, FAULT),
    "breakpoint": ("", "int3", 13, 3 * 8 + 2, FAULT),
    "divide by zero": ("xor ecx, ecx", "div ecx", 0, 0, FAULT),
    "invalid opcode": ("", "ud2", 6, 0, FAULT),
}

# QEMU takes any value.
REFUSED_VALUES = {
    "CR0: PG without PE": ("cr0", 0x80000010),
    "CR0: NW without CD": ("cr0", 0x20000011),
    "CR4: virtual-mode extensions": ("cr4", 1),
    "CR4: physical address extension": ("cr4", 0x20),
    "CR4: SSE": ("cr4", 0x200),
    "CR4: reserved": ("cr4", 0x80000000),
}

CONSTANTS = "jmp begin\npair: dd 1, 5\nunmasked: dw 0x0360\nbegin:\nmov word [idt_register], 48 * 8 - 1\n"


def cases(which: dict[str, tuple[str, str, int, int, str]], user: bool) -> str:
    """A program that provokes each exception in turn."""
    code = CONSTANTS
    for i, (before, instruction, *_) in enumerate(which.values()):
        enter = f"USER user_{i}, 2\nuser_{i}:\n" if user else ""
        code += f"TRY\n{enter}{before}\nfault_{i}: {instruction}\nnext_{i}:\nEND_TRY\n"
        code += "mov eax, cr0\nand al, 0xF1\nmov cr0, eax\n"  # neither TS nor EM nor MP
        code += "or byte [gdt + TSS32_B + 5], 0x80\nor byte [gdt + LDT_SEL + 5], 0x80\n"
    return code


@pytest.mark.parametrize("level", ["kernel", "user"])
def test_each_exception_has_its_error_code_and_address(runner: Runner, level: str) -> None:
    which = KERNEL_CASES if level == "kernel" else USER_CASES
    code = cases(which, level == "user")
    labels = program(code)[1]
    seen = [[int(field, 16) for field in line.split()] for line in runner.says(code)]
    outcome = {name: tuple(line[:4]) for name, line in zip(which, seen, strict=True)}
    cs = 0x08 if level == "kernel" else 0x33
    assert outcome == {
        name: (vector, error, labels[f"{where}_{i}"], cs)
        for i, (name, (_, _, vector, error, where)) in enumerate(which.items())
    }
    for name, line in zip(which, seen, strict=True):
        is_trap = which[name][4] == TRAP
        assert line[4] & 0x10000 == (0 if is_trap else runner.resume_flag), name


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_values_that_control_registers_refuse(public: bool) -> None:
    code = "mov eax, 0x100000\nmov cr3, eax\n"  # before that nobody looks at CR0
    for i, (register, value) in enumerate(REFUSED_VALUES.values()):
        code += f"TRY\nmov esi, {value:#x}\nfault_{i}: mov {register}, esi\nEND_TRY\n"
    code += "mov eax, cr0\ncall hex\nmov eax, cr4\ncall hex\n"
    board = Board(code, public)
    *lines, kept = board.run().splitlines()
    for i, line in enumerate(lines):
        assert [int(field, 16) for field in line.split()][:4] == [13, 0, board.labels[f"fault_{i}"], 0x08]
    assert kept.split() == ["00000011", "00000000"]


def test_values_that_control_registers_take(runner: Runner) -> None:
    """MOV, LMSW and CLTS; LMSW cannot leave protected mode; unknown bits of CR0 do not stick."""
    code = """
        mov     ebp, cr0
        mov     eax, 0x60010031         ; CD, NW, WP, NE, ET, PE
        mov     cr0, eax
        mov     eax, cr0
        call    hex
        mov     ax, 0x000E              ; MP, EM, TS, and PE that stays
        lmsw    ax
        mov     eax, cr0
        call    hex
        clts
        mov     eax, cr0
        call    hex
        lmsw    [word_8]
        smsw    eax
        and     eax, 0xFFFF
        call    hex
        mov     cr0, ebp
        mov     eax, 0x9C               ; PGE, PSE, DE, TSD
        mov     cr4, eax
        mov     eax, cr4
        call    hex
        xor     eax, eax
        mov     cr4, eax
        jmp     finish
word_8: dw      8
"""
    values = ["60010031", "6001003F", "60010037", "00000039", "0000009C"]
    assert runner.says(code) == [" ".join(values)]


def test_two_contributory_exceptions_are_a_double_fault(runner: Runner) -> None:
    """The handler of #DE is not present; that #NP comes while #DE is delivered."""
    code = "GATE 0, CODE32, stub_0, 0x0E\nTRY\nxor ecx, ecx\nfault: div ecx\nEND_TRY\n"
    labels = program(code)[1]
    (line,) = runner.says(code)
    assert [int(field, 16) for field in line.split()][:4] == [8, 0, labels["fault"], 0x08]


def test_an_exception_in_a_benign_one_is_just_that(runner: Runner) -> None:
    """The handler of #UD is not present."""
    code = "GATE 6, CODE32, stub_6, 0x0E\nTRY\nfault: ud2\nEND_TRY\n"
    labels = program(code)[1]
    (line,) = runner.says(code)
    vector, error, ip = (int(field, 16) for field in line.split()[:3])
    assert (vector, error & ~1, ip) == (11, 6 * 8 | 2, labels["fault"])
    if runner.way != "qemu":  # which leaves EXT, bit 0, out
        assert error & 1


def test_exceptions_in_a_row_are_no_double_fault(runner: Runner) -> None:
    body = "TRY\nxor ecx, ecx\ndiv ecx\nEND_TRY\nTRY\nmov ax, 0x1F8\nmov ds, ax\nEND_TRY\n"
    assert [line[:8] for line in runner.says(body * 3)] == ["00000000", "0000000D"] * 3


# An exception, and what is wrong with its handler. By the manual a contributory exception in another one, or
# in a page fault, is a double fault; so is a page fault in a page fault. All others are the second exception.
FIRST = {
    "#DE": (0, "xor ecx, ecx", "div ecx"),
    "#UD": (6, "", "ud2"),
    "#BR": (5, "mov eax, 9", "bound eax, [pair]"),
    "#NP": (11, "mov ax, NOT_PRESENT", "mov ds, ax"),
    "#SS": (12, "mov ax, NOT_PRESENT", "mov ss, ax"),
    "#GP": (13, "mov ax, 0x1F8", "mov ds, ax"),
    "#PF": (14, "", "mov eax, [PAGES + 0x3004]"),
    "INT3": (3, "", "int3"),
    "INT n": (0x20, "", "int 0x20"),
}
# What is done to the gate, and the second exception with its error code but for EXT; None: of the gate
SECOND: dict[str, tuple[str, int, int | None]] = {
    "gate absent": ("mov byte [idt + {} * 8 + 5], 0x0E", 11, None),
    "no gate": ("mov byte [idt + {} * 8 + 5], 0x92", 13, None),
    "data as code": ("mov word [idt + {} * 8 + 2], DATA32", 13, 0x10),
    "code absent": ("mov word [idt + {} * 8 + 2], SPARE", 11, 0x88),
    "descriptor in an absent page": ("mov word [idt + {} * 8 + 2], 0x1004", 14, 0),
}


@pytest.mark.parametrize("first", FIRST)
def test_every_pair_of_exceptions(runner: Runner, first: str) -> None:
    vector, before, instruction = FIRST[first]
    code = """
        mov     dword [gdt + SPARE], 0xFFFF             ; absent code
        mov     dword [gdt + SPARE + 4], 0xCF1B00
        mov     dword [gdt + SPARE + 8], 0x2FFF         ; an LDT whose second page is absent
        mov     dword [gdt + SPARE + 12], 0x8240
        mov     ax, SPARE + 8
        lldt    ax
        jmp     begin
pair:   dd      1, 5
begin:
"""
    for i, (spoil, _, _) in enumerate(SECOND.values()):
        code += f"mov eax, [idt + {vector} * 8]\nmov [saved], eax\nmov eax, [idt + {vector} * 8 + 4]\n"
        code += f"mov [saved + 4], eax\n{spoil.format(vector)}\nTRY\n{before}\nfault_{i}: {instruction}\n"
        code += f"END_TRY\nmov eax, [saved]\nmov [idt + {vector} * 8], eax\nmov eax, [saved + 4]\n"
        code += f"mov [idt + {vector} * 8 + 4], eax\n"
    code = paged(f"{code}\njmp finish\nsaved: dd 0, 0\n")
    labels = program(code)[1]
    lines = [[int(field, 16) for field in line.split()] for line in runner.says(code)]
    software = first.startswith("INT")
    for i, ((name, (_, second, error)), line) in enumerate(zip(SECOND.items(), lines, strict=True)):
        expected = [second, vector * 8 | 2 if error is None else error]
        if second == 14:
            double = first == "#PF"
        else:
            double = first in ("#DE", "#NP", "#SS", "#GP", "#PF")
            expected[1] |= not software and runner.way != "qemu"  # EXT, which QEMU leaves out
        assert line[:3] == [*([8, 0] if double else expected), labels[f"fault_{i}"]], name


TRIPLE = {
    "no handlers": "GATE 8, CODE32, stub_8, 0x0E\nGATE 13, CODE32, stub_13, 0x0E\nmov ax, 0x1F8\nmov ds, ax",
    "no IDT": "mov word [idt_register], 0\nlidt [idt_register]\nud2",
    "wild stack": "mov word [idt + 13 * 8 + 2], DATA32\nmov word [idt + 8 * 8 + 2], DATA32\nint 0x60",
}


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
@pytest.mark.parametrize("code", TRIPLE.values(), ids=list(TRIPLE))
def test_a_fault_in_a_double_fault_shuts_the_processor_down(code: str, public: bool) -> None:
    board = Board(f"SAY 'begin'\n{code}\nSAY 'never'", public)
    reasons: list[str] = []
    board.cpu.on_triple_fault = reasons.append
    for _ in range(100):
        board.cpu.run(1000)
        if reasons:
            break
    assert reasons and reasons[0].startswith("triple fault: interrupt ")
    assert " at 0008:" in reasons[0]
    board.cpu.reset()
    assert not board.cpu.protected
    assert board.said == b"begin\n"


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_where_no_memory_is_there_are_invalid_instructions(public: bool) -> None:
    """The open bus reads as FF FF. A block that runs off the end of RAM faults at its begin."""
    code = """
        TRY
        mov     eax, 0x70000000
        jmp     eax
        END_TRY
        TRY
        mov     eax, 0x1000000 - 2      ; an instruction that reaches behind the last byte
        mov     word [eax], 0x05C7
        jmp     eax
        END_TRY
"""
    lines = [line.split()[:4] for line in Board(code, public).run().splitlines()]
    assert lines == [
        ["00000006", "00000000", "70000000", "00000008"],
        ["00000006", "00000000", "00FFFFFE", "00000008"],
    ]
