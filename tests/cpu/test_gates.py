"""Gates of the IDT: frames, stacks and flags, and what is refused, for each privilege level and gate."""

from __future__ import annotations

import pytest

from tests.cpu.kernel import Board, Runner, program

IF, IOPL3, VM = 0x200, 0x3000, 0x20000
USER_STACK, INNER_STACK, KERNEL_STACK = 0x6000, 0x6800, 0x7000
USER_SS = 0x3B
SEGMENTS = [0x111, 0x222, 0x333, 0x444]  # ES, DS, FS, GS in virtual 8086 mode
VECTOR = 0x30
GATES = {"interrupt": 0x8E, "trap": 0x8F, "interrupt 16": 0x86, "trap 16": 0x87}
SOURCES = ("kernel", "user", "virtual")
# Selector, present type byte, and what the processor says of it as a handler: None means it is fine
TARGETS = {
    "level 0": (0x08, None),
    "conforming": (0x48, None),
    "level 3": (0x30, None),
    "null": (0x00, (13, 0x00)),
    "beyond": (0x1F8, (13, 0x1F8)),
    "data": (0x10, (13, 0x10)),
    "tss": (0x18, (13, 0x18)),
}

IDT_48_TO_63 = """
        mov     word [idt_register], 64 * 8 - 1
        lidt    [idt_register]
        jmp     begin
handler:
        push    byte 0
        push    dword 0x30
        jmp     report
begin:
"""


def attempt(source: str, number: int) -> str:
    """INT 30h from a kernel, a user, or virtual 8086 mode with IOPL 3."""
    enter = {
        "kernel": f"push dword 0x{IF:x}\npopfd",
        "user": f"USER at_{number}, 0x{IF | IOPL3:x}",
        "virtual": f"VIRTUAL at_{number}, 0x{IF | IOPL3:x}",
    }[source]
    bits = 16 if source == "virtual" else 32
    return f"TRY\n{enter}\nbits {bits}\nat_{number}: int {VECTOR:#x}\nbits 32\nafter_{number}:\nEND_TRY\n"


def handled(source: str, number: int, labels: dict[str, int], kind: int, target: int) -> list[int] | str:
    """The report of an INT that was delivered."""
    wide = kind & 8
    cs = {"kernel": 0x08, "user": 0x33, "virtual": 0}[source]
    flags = {"kernel": IF, "user": IF | IOPL3, "virtual": IF | IOPL3 | VM}[source]
    inner = source != "kernel" and target == 0x08
    frame = [labels[f"at_{number}"] + 2, cs, flags]
    outer = {"user": [USER_STACK, USER_SS], "virtual": [USER_STACK, 0, *SEGMENTS], "kernel": []}[source]
    top = INNER_STACK if inner else {"kernel": KERNEL_STACK, "user": USER_STACK, "virtual": 0}[source]
    if wide:
        size = 12 + (4 * len(outer) if inner else 0)
        shown = outer if source != "kernel" else []
        if shown and not inner:
            shown = [0, 0]  # what lies above the frame on the user's stack
        seen = IF if kind & 1 else 0
        return [VECTOR, 0, *frame, *shown, top - size - 8, seen]
    return ""


@pytest.mark.parametrize("gate", ["interrupt", "trap"])
@pytest.mark.parametrize("source", SOURCES)
def test_32_bit_gates(runner: Runner, source: str, gate: str) -> None:
    code = IDT_48_TO_63 + f"GATE {VECTOR}, CODE32, handler, {GATES[gate] | 0x60:#x}\n" + attempt(source, 0)
    runner.expects(code, [handled(source, 0, program(code)[1], GATES[gate], 0x08)])


@pytest.mark.parametrize("gate", ["interrupt 16", "trap 16"])
@pytest.mark.parametrize("source", SOURCES)
def test_16_bit_gates(runner: Runner, source: str, gate: str) -> None:
    code = (
        IDT_48_TO_63
        + f"GATE {VECTOR}, CODE32, report_16, {GATES[gate] | 0x60:#x}\n"
        + "mov dword [KERNEL_STACK - 4], 0x22221111\nmov esp, KERNEL_STACK - 4\n"
        + attempt(source, 0)
    )
    at = program(code)[1]["at_0"] + 2
    cs = {"kernel": 0x08, "user": 0x33, "virtual": 0}[source]
    flags = IF if source == "kernel" else IF | IOPL3
    if source == "kernel":
        outer, top = [0x1111, 0x2222], KERNEL_STACK - 4 - 6
    else:
        outer = [USER_STACK, USER_SS if source == "user" else 0]
        top = INNER_STACK - (10 if source == "user" else 18)
    runner.expects(code, ["16", [at, cs, flags, *outer, top]])


def verdict(source: str, dpl: int, present: bool, target: str) -> tuple[int, int] | None:
    """The exception that INT 30h ends in, after the manual's list of checks; None: it is delivered."""
    level = 0 if source == "kernel" else 3
    gate_error = VECTOR * 8 | 2
    if dpl < level:
        return 13, gate_error
    if not present:
        return 11, gate_error
    selector, refusal = TARGETS[target]
    if refusal is not None:
        return refusal
    if target == "level 3" and source == "kernel":  # never outwards
        return 13, selector
    if source == "virtual" and target != "level 0":
        return 13, selector
    return None


def test_what_is_refused(runner: Runner) -> None:
    """Every combination of source, gate privilege, presence and target segment."""
    cases = [
        (source, dpl, present, target)
        for source in SOURCES
        for dpl in (0, 3)
        for present in (True, False)
        for target in TARGETS
    ]
    code = IDT_48_TO_63
    for i, (source, dpl, present, target) in enumerate(cases):
        kind = 0x0E | dpl << 5 | present << 7
        code += f"GATE {VECTOR}, {TARGETS[target][0]:#x}, handler, {kind:#x}\n" + attempt(source, i)
    labels = program(code)[1]
    lines = [line.split() for line in runner.says(code)]
    for i, (case, line) in enumerate(zip(cases, lines, strict=True)):
        source, dpl, present, target = case
        expected = verdict(source, dpl, present, target)
        vector, error, ip = (int(field, 16) for field in line[:3])
        if expected is None:
            assert (vector, error, ip) == (VECTOR, 0, labels[f"at_{i}"] + 2), case
        else:
            assert (vector, error, ip) == (*expected, labels[f"at_{i}"]), case


def test_a_vector_beyond_the_table(runner: Runner) -> None:
    code = "TRY\nfault: int 0x40\nEND_TRY\n"
    labels = program(code)[1]
    flag = runner.resume_flag
    runner.expects(code, [[13, 0x40 * 8 | 2, labels["fault"], 0x08, flag, KERNEL_STACK - 20, 0]])


@pytest.mark.parametrize("iopl", [0, 1, 2, 3])
def test_virtual_8086_mode_and_iopl(runner: Runner, iopl: int) -> None:
    """CLI, STI, PUSHF, POPF, INT n and IRET ask for IOPL 3; INT3 and HLT do not look at it."""
    instructions = ["cli", "sti", "pushf", "popf", "int 0x30", "iret", "int3", "hlt"]
    code = IDT_48_TO_63 + f"GATE {VECTOR}, CODE32, handler, 0xEE\nGATE 3, CODE32, stub_3, 0xEE\n"
    for i, instruction in enumerate(instructions):
        code += f"mov word [0x6000], next_{i}\nmov word [0x6002], 0\nmov word [0x6004], 0\n"
        code += f"TRY\nVIRTUAL at_{i}, {IF | iopl << 12:#x}\nbits 16\nat_{i}: {instruction}\nnext_{i}: ud2\n"
        code += "bits 32\nEND_TRY\n"
    labels = program(code)[1]
    seen = [tuple(int(field, 16) for field in line.split()[:3]) for line in runner.says(code)]
    for i, (instruction, line) in enumerate(zip(instructions, seen, strict=True)):
        at, following = labels[f"at_{i}"], labels[f"next_{i}"]
        if instruction == "int3":
            assert line == (3, 0, following)
        elif instruction == "hlt" or iopl < 3:
            assert line == (13, 0, at), instruction
        elif instruction == "int 0x30":
            assert line == (VECTOR, 0, following)
        else:
            assert line == (6, 0, following), instruction


def test_virtual_8086_mode_is_entered_and_left(runner: Runner) -> None:
    """The kernel's IRETD restores what the V86 program had, segments included."""
    code = (
        IDT_48_TO_63
        + f"GATE {VECTOR}, CODE32, back, 0xEE\n"
        + """
        TRY
        VIRTUAL virtual, 0x3002
        bits 16
virtual: mov    ax, 0x500
        mov     ds, ax
        mov     word [0], 0x1234
        int     0x30
        mov     word [2], 0x5678
        mov     cx, es
        mov     [4], cx
        mov     cx, gs
        mov     [6], cx
        ud2
        bits 32
back:   push    ds
        pop     eax
        call    hex
        push    gs
        pop     eax
        call    hex
        mov     eax, [ss:esp + 24]      ; DS in the frame
        call    hex
        call    newline
        iretd
        END_TRY
        mov     eax, [0x5000]
        call    hex
        mov     eax, [0x5004]
        call    hex
        call    newline
"""
    )
    lines = runner.says(code)
    assert lines[0] == "00000000 00000000 00000500"
    assert lines[1].startswith("00000006 00000000")
    assert lines[2] == "56781234 04440111"


# What is wrong with the stack of level 0 in the TSS, and what that is
BAD_STACKS = {
    "null": ("mov word [tss + 8], 0", (10, 0)),
    "beyond": ("mov word [tss + 8], 0x1F8", (10, 0x1F8)),
    "of another level": ("mov word [tss + 8], DATA32_3", (10, 0x38)),
    "requested for another level": ("mov word [tss + 8], DATA32 + 3", (10, 0x10)),
    "read-only": ("mov word [tss + 8], DATA_RO", (10, 0x58)),
    "code": ("mov word [tss + 8], CODE32", (10, 0x08)),
    "absent": ("mov word [tss + 8], NOT_PRESENT", (12, 0x60)),
    "behind the TSS": ("mov word [gdt + TSS32], 8", (10, 0x18)),
    "too small": ("mov word [tss + 8], SMALL\nmov dword [tss + 4], 0x110", (12, 0x78)),
}


@pytest.mark.parametrize("source", ["user", "virtual"])
def test_bad_stacks_of_the_inner_level(runner: Runner, source: str) -> None:
    """#TS or #SS, which go through task gates: their handlers cannot have that stack."""
    code = IDT_48_TO_63 + f"GATE {VECTOR}, CODE32, handler, 0xEE\n"
    code += """
        mov     dword [idt + 10 * 8], TSS32_B << 16     ; both through a task gate
        mov     dword [idt + 10 * 8 + 4], 0xE500
        mov     dword [idt + 12 * 8], TSS32_B << 16
        mov     dword [idt + 12 * 8 + 4], 0xE500
        mov     ax, CODE32
        mov     [tss_b + 0x4C], ax
        mov     ax, DATA32
        mov     [tss_b + 0x48], ax
        mov     [tss_b + 0x50], ax
        mov     [tss_b + 0x54], ax
        mov     dword [tss_b + 0x64], 0x680000
"""
    for i, (spoil, _) in enumerate(BAD_STACKS.values()):
        code += f"""
        mov     dword [tss_b + 0x20], told_{i}
        mov     dword [tss_b + 0x24], 2
        mov     dword [tss_b + 0x38], 0x6400
        {spoil}
        and     byte [gdt + TSS32 + 5], 0xFD
        mov     ax, TSS32
        ltr     ax
        {attempt(source, i).replace("END_TRY", "").replace("TRY", "mov dword [resume], finish")}
told_{i}:
        mov     word [gdt + TSS32], 103
        mov     dword [tss + 4], INNER_STACK
        mov     word [tss + 8], DATA32
        pop     eax                     ; the error code
        call    hex
        mov     eax, [tss + 0x20]       ; EIP of the interrupted task
        call    hex
        call    newline
        and     byte [gdt + TSS32_B + 5], 0xFD
        pushfd
        and     dword [esp], ~0x4000
        popfd
        clts
"""
    labels = program(code)[1]
    lines = [[int(field, 16) for field in line.split()] for line in runner.says(code)]
    expected = [[error, labels[f"at_{i}"]] for i, (_, (_, error)) in enumerate(BAD_STACKS.values())]
    if runner.way == "qemu":  # which does not look at the last one's limit
        del lines[-1], expected[-1]
    assert lines == expected


def test_levels_1_and_2(runner: Runner) -> None:
    """From level 3 through gates to 2, on to 1 and 0 on the stacks that the TSS names, and back by IRET."""
    code = IDT_48_TO_63 + """
        mov     dword [gdt + SPARE], 0xFFFF             ; code and stack of level 2, then of level 1
        mov     dword [gdt + SPARE + 4], 0xCFDB00
        mov     dword [gdt + SPARE + 8], 0xFFFF
        mov     dword [gdt + SPARE + 12], 0xCFD300
        mov     dword [gdt + SPARE + 16], 0xFFFF
        mov     dword [gdt + SPARE + 20], 0xCFBB00
        mov     dword [gdt + SPARE + 24], 0xFFFF
        mov     dword [gdt + SPARE + 28], 0xCFB300
        mov     dword [tss + 0x0C], 0x6500
        mov     dword [tss + 0x10], SPARE + 0x18 + 1
        mov     dword [tss + 0x14], 0x6600
        mov     dword [tss + 0x18], SPARE + 8 + 2
        GATE    0x32, SPARE, level_2, 0xEF
        GATE    0x31, SPARE + 0x10, level_1, 0xCF
        GATE    0x30, CODE32, level_0, 0xAF
        mov     dword [resume], finish
        USER    user, 0x3002
user:   int     0x32
        call    show
        int     47
level_2:
        call    show
        int     0x31
        call    show
        iretd
level_1:
        call    show
        int     0x30
        call    show
        iretd
level_0:
        call    show
        iretd
show:   mov     eax, cs
        call    hex
        mov     eax, ss
        call    hex
        lea     eax, [esp + 4]
        call    hex
        call    newline
        ret
"""
    seen = [[int(field, 16) for field in line.split()] for line in runner.says(code)]
    two, one, zero = (
        [0x8A, 0x92, 0x6600 - 20], [0x99, 0xA1, 0x6500 - 20], [0x08, 0x10, INNER_STACK - 20]
    )  # fmt: skip
    assert seen == [two, one, zero, one, two, [0x33, USER_SS, USER_STACK]]


# A user interrupts himself until the way to the handler is known well, then changes a part of it. How, and
# which handler is then entered, with which SS and which top of the stack
CHANGES = [
    ("nop", 1, 0x10, INNER_STACK),
    ("mov word [idt + 0x30 * 8], second - $$ + 0x7E00", 2, 0x10, INNER_STACK),
    ("mov word [gdt + SPARE + 2], third - second", 3, 0x10, INNER_STACK),  # base of the code segment
    ("mov word [idt + 0x30 * 8 + 2], CODE32", 2, 0x10, INNER_STACK),
    ("mov dword [tss + 4], INNER_STACK - 0x100", 2, 0x10, INNER_STACK - 0x100),
    ("mov word [tss + 8], SPARE + 8", 2, 0x90, INNER_STACK - 0x100),
    ("int 0x31", 2, 0x10, INNER_STACK - 0x200),  # LTR
    ("int 0x32", 1, 0x10, INNER_STACK - 0x200),  # LIDT
]


def test_what_a_gate_leads_to_may_change(runner: Runner) -> None:
    changes = "\n".join(f"{change}\ncall twice" for change, *_ in CHANGES)
    code = f"""{IDT_48_TO_63}
        mov     dword [gdt + SPARE], 0xFFFF
        mov     dword [gdt + SPARE + 4], 0xCF9B00
        mov     dword [gdt + SPARE + 8], 0xFFFF
        mov     dword [gdt + SPARE + 12], 0xCF9300
        GATE    0x30, SPARE, first, 0xEE
        GATE    0x31, CODE32, load_task, 0xEE
        GATE    0x32, CODE32, load_gates, 0xEE
        mov     esi, idt
        mov     edi, gates
        mov     ecx, 64 * 2
        rep     movsd
        mov     dword [gates + 0x30 * 8], CODE32 << 16 | (first - $$ + 0x7E00)
        mov     dword [tss_b + 4], INNER_STACK - 0x200
        mov     dword [tss_b + 8], DATA32
        TRY
        USER    user, 0x3002
user:   {changes}
        and     byte [gates + 0x30 * 8 + 5], 0x7F       ; absent
fault:  int     0x30
        END_TRY
        jmp     finish
twice:  int     0x30
        int     0x30
        call    newline
        ret
first:  mov     eax, 1
        jmp     show
second: mov     eax, 2
        jmp     show
third:  mov     eax, 3
show:   call    hex
        mov     eax, ss
        call    hex
        mov     eax, esp
        call    hex
        iretd
load_task:
        mov     ax, TSS32_B
        ltr     ax
        iretd
load_gates:
        lidt    [gates_register]
        iretd
gates_register: dw 64 * 8 - 1
        dd      gates
        align   8
gates:  times   64 dq 0
"""
    *lines, fault = ([int(field, 16) for field in line.split()] for line in runner.says(code))
    assert lines == [[handler, ss, top - 20] * 2 for _, handler, ss, top in CHANGES]
    assert fault[:3] == [11, VECTOR * 8 | 2, program(code)[1]["fault"]]


def test_the_table_of_gates_behind_address_line_20(runner: Runner) -> None:
    code = f"""{IDT_48_TO_63}
        GATE    0x30, CODE32, first, 0x8E
        mov     esi, idt
        mov     edi, 0x110000
        mov     ecx, 64 * 2
        rep     movsd
        GATE    0x30, CODE32, second, 0x8E
        mov     esi, idt
        mov     edi, 0x10000
        mov     ecx, 64 * 2
        rep     movsd
        mov     dword [idt_register + 2], 0x110000
        lidt    [idt_register]
        call    twice
        mov     al, 0
        out     0x92, al
        call    twice
        mov     al, 2
        out     0x92, al
        call    twice
        jmp     finish
twice:  int     0x30
        int     0x30
        call    newline
        ret
first:  mov     eax, 1
        call    hex
        iretd
second: mov     eax, 2
        call    hex
        iretd
"""
    runner.expects(code, [[1, 1], [2, 2], [1, 1]])


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_virtual_8086_mode_is_left_for_level_0_only(public: bool) -> None:
    """A gate to level 1 or 2 is refused, whatever the DPL of the gate. QEMU lets it through."""
    code = IDT_48_TO_63 + """
        mov     dword [gdt + SPARE], 0xFFFF             ; code and stack of level 1
        mov     dword [gdt + SPARE + 4], 0xCFBB00
        mov     dword [gdt + SPARE + 8], 0xFFFF
        mov     dword [gdt + SPARE + 12], 0xCFB300
        mov     dword [tss + 0x0C], 0x6500
        mov     dword [tss + 0x10], SPARE + 8 + 1
        GATE    0x30, SPARE, handler, 0xEE
        GATE    6, SPARE, handler, 0x8E
        TRY
        VIRTUAL one, 0x3002
bits 16
one:    int     0x30
bits 32
        END_TRY
        TRY
        VIRTUAL two, 0x3002
bits 16
two:    ud2
bits 32
        END_TRY
"""
    board = Board(code, public)
    seen = [[int(field, 16) for field in line.split()][:3] for line in board.run().splitlines()]
    assert seen == [[13, 0x88, board.labels["one"]], [13, 0x89, board.labels["two"]]]
