"""Paging: who may do what, CR2 and error codes, accessed and dirty bits, restarts, flushes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpu.kernel import Board, Runner, program
from tests.cpu.test_tasks import TASK_B

PRESENT, WRITABLE, USER, ACCESSED, DIRTY, LARGE = 1, 2, 4, 0x20, 0x40, 0x80
FRAME, PAGES, TABLE_1 = 0x200000, 0x400000, 0x102000


def paged(code: str) -> str:
    """A program with the page tables of paging.inc turned on."""
    return Path(__file__).with_name("paging.inc").read_text() + code


def numbers(lines: list[str]) -> list[list[int]]:
    """The hexadecimal numbers of each line."""
    return [[int(field, 16) for field in line.split()] for line in lines]


# Tries every combination of the bits in one loop: EBP counts through them.
EVERY_COMBINATION = """
        GATE    46, CODE32, allowed, 0xEE
        xor     ebp, ebp
again:  mov     eax, cr0
        and     eax, ~0x10000
        test    ebp, 64                 ; WP
        jz      .no_wp
        or      eax, 0x10000
.no_wp: mov     cr0, eax
        mov     eax, ebp
        and     eax, 6                  ; R/W and U/S of the table
        or      eax, TABLE_1 + 1
        mov     [PDE_1], eax
        mov     eax, ebp
        shr     eax, 2
        and     eax, 6                  ; of the page
        or      eax, FRAME + 1
        mov     [PTE_0], eax
        call    flush
        mov     [count], ebp
        mov     dword [resume], next
        test    ebp, 32
        jnz     user
        call    access
        jmp     allowed_here
user:   USER    at_user, 0x3002
at_user:
        call    access
        int     46
access: test    ebp, 1
        jnz     .write
        mov     eax, [PAGES + 0x10]
        ret
.write: mov     [PAGES + 0x14], eax
        ret
allowed:
        mov     esp, KERNEL_STACK
        mov     ax, DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
allowed_here:
        mov     eax, [PDE_1]
        call    hex
        mov     eax, [PTE_0]
        call    hex
        call    newline
next:   mov     ebp, [count]
        inc     ebp
        cmp     ebp, 128
        jne     again
        jmp     finish
count:  dd      0
"""


def test_every_combination_of_rights(runner: Runner) -> None:
    """R/W and U/S of table and page, CR0.WP, level and kind of access."""
    lines = numbers(runner.says(paged(EVERY_COMBINATION)))
    for case, line in zip(range(128), lines, strict=True):
        write, user, protect = bool(case & 1), bool(case & 32), bool(case & 64)
        table, page = case & 6, case >> 2 & 6
        rights = table & page
        refused = (user and not rights & USER) or (write and not rights & WRITABLE and (user or protect))
        if refused:
            assert line[0] == 14, case
            assert line[1] == PRESENT | write << 1 | user << 2, case
            assert line[-2] == PAGES + (0x14 if write else 0x10), case
        else:
            marks = ACCESSED | (DIRTY if write else 0)
            assert line == [TABLE_1 | PRESENT | table | ACCESSED, FRAME | PRESENT | page | marks], case


def test_fetches_and_every_combination_of_rights(runner: Runner) -> None:
    """R/W and U/S of table and page, CR0.WP, level: only U/S matters to a fetch, and only to a user."""
    code = """
        mov     byte [FRAME], 0xCC              ; int3, at the page
        GATE    3, CODE32, stub_3, 0xEE
        mov     ebp, 0
again:  mov     eax, cr0
        and     eax, ~0x10000
        test    ebp, 32
        jz      .no_wp
        or      eax, 0x10000
.no_wp: mov     cr0, eax
        mov     eax, ebp
        shl     eax, 1
        and     eax, 6
        or      eax, TABLE_1 + 1
        mov     [PDE_1], eax
        mov     eax, ebp
        shr     eax, 1
        and     eax, 6
        or      eax, FRAME + 1
        mov     [PTE_0], eax
        call    flush
        mov     [count], ebp
        mov     dword [resume], next
        test    ebp, 16
        jnz     user
        mov     eax, PAGES
        jmp     eax
user:   USER    PAGES, 0x3002
next:   mov     ebp, [count]
        inc     ebp
        cmp     ebp, 64
        jne     again
        jmp     finish
count:  dd      0
"""
    lines = numbers(runner.says(paged(code)))
    for case, line in zip(range(64), lines, strict=True):
        table, page, user = case << 1 & 6, case >> 1 & 6, bool(case & 16)
        if user and not table & page & USER:
            assert (*line[:3], line[-2]) == (14, PRESENT | USER, PAGES, PAGES), case
        else:
            assert line[:3] == [3, 0, PAGES + 1], case


ABSENT = {
    "table, read": ("and byte [PDE_1], 0xFE", "mov eax, [PAGES + 0x123]", False, 0, 0x123),
    "table, write": ("and byte [PDE_1], 0xFE", "mov [PAGES + 0x123], al", False, 2, 0x123),
    "page, read": ("", "mov eax, [PAGES + 0x123]", False, 0, 0x123),
    "page, write": ("", "mov [PAGES + 0x123], al", False, 2, 0x123),
    "page, read and written": ("", "inc dword [PAGES + 0x123]", False, 0, 0x123),
    "user, read": ("", "mov eax, [PAGES + 0x456]", True, 4, 0x456),
    "user, write": ("", "mov [PAGES + 0x456], eax", True, 6, 0x456),
    "second of two pages": ("mov dword [PTE_0], FRAME + 7", "mov eax, [PAGES + 0xFFE]", False, 0, 0x1000),
    "second of two, write": ("mov dword [PTE_0], FRAME + 7", "mov [PAGES + 0xFFE], eax", False, 2, 0x1000),
    "push": (
        "mov dword [TABLE_1 + 8], FRAME + 7", "mov esp, PAGES + 0x2002\npush ax\npush ax", True, 6, 0x1FFE
    ),
    "x87 store": ("", "fninit\nfldz\nfstp qword [PAGES + 8]", False, 2, 8),
    "decimal store": ("", "fninit\nfldz\nfbstp [PAGES + 8]", False, 2, 17),
    "decimal store, second of two": (
        "mov dword [PTE_0], FRAME + 7", "fninit\nfldz\nfbstp [PAGES + 0xFFA]", False, 2, 0x1003
    ),
    "string": ("", "mov esi, PAGES + 5\nmov edi, PAGES + 0x1000\nmovsb", False, 0, 5),
    "selector": ("", "mov ds, [PAGES + 2]", False, 0, 2),
    "far pointer": ("", "lds eax, [PAGES + 2]", False, 0, 2),
}


def absent(number: int) -> str:
    """Code that meets one of the absent pages."""
    prepare, instruction, user, _, _ = list(ABSENT.values())[number]
    enter = f"USER user_{number}, 2\nuser_{number}:\n" if user else ""
    before, _, last = instruction.rpartition("\n")
    return f"""
        TRY
        call    page
        {prepare}
        call    flush
        {enter}{before}
fault_{number}: {last}
        END_TRY
"""


def test_absent_pages(runner: Runner) -> None:
    code = paged("".join(map(absent, range(len(ABSENT)))))
    labels = program(code)[1]
    lines = numbers(runner.says(code))
    for i, ((name, case), line) in enumerate(zip(ABSENT.items(), lines, strict=True)):
        _, _, _, error, offset = case
        expected = (14, error, labels[f"fault_{i}"], PAGES + offset)
        assert (line[0], line[1], line[2], line[-2]) == expected, name


def test_fetches(runner: Runner) -> None:
    """A jump to an absent page, an instruction that reaches into one, and one that a user may not fetch."""
    code = paged("""
        TRY
        mov     eax, PAGES + 0x10
        jmp     eax
        END_TRY
        mov     dword [PTE_0], FRAME + 7
        call    flush
        mov     word [PAGES + 0xFFE], 0x12B8            ; mov eax, …
        TRY
        mov     eax, PAGES + 0xFFE
        jmp     eax
        END_TRY
        mov     dword [PTE_0], FRAME + 3
        call    flush
        mov     byte [PAGES], 0x90
        TRY
        USER    PAGES, 2
        END_TRY
""")
    lines = numbers(runner.says(code))
    assert [(line[0], line[1], line[2], line[-2]) for line in lines] == [
        (14, 0, PAGES + 0x10, PAGES + 0x10),
        (14, 0, PAGES + 0xFFE, PAGES + 0x1000),
        (14, 5, PAGES, PAGES),
    ]


RESTARTED = {
    "rep movsd": "mov esi, 0x7E00\nmov edi, PAGES + 0xFF8\nmov ecx, 0x800\nop: rep movsd",
    "rep stosb": "mov al, 0x5A\nmov edi, PAGES + 0xFFD\nmov ecx, 0x1010\nop: rep stosb",
    "rep stosd across": "mov eax, 0x11223344\nmov edi, PAGES + 0xFFA\nmov ecx, 5\nop: rep stosd",
    "rep movsb from": "mov esi, PAGES + 0xFFD\nmov edi, 0x5000\nmov ecx, 6\nop: rep movsb",
    "backwards": "std\nmov esi, 0x9200\nmov edi, PAGES + 0x2003\nmov ecx, 0x500\nop: rep movsd\ncld",
    "rep lodsw": "mov esi, PAGES + 0xFFC\nmov ecx, 6\nop: rep lodsw",
    "repe cmpsb": "mov esi, PAGES + 0xFF0\nmov edi, PAGES + 0x1FF0\nmov ecx, 0x20\nop: repe cmpsb",
    "repne scasb": "mov al, 1\nmov edi, PAGES + 0xFF0\nmov ecx, 0x20\nop: repne scasb",
    "rep insb": "mov dx, 0xE9\nmov edi, PAGES + 0xFFD\nmov ecx, 6\nop: rep insb",
    "rep outsb": "mov dx, 0x80\nmov esi, PAGES + 0xFFD\nmov ecx, 6\nop: rep outsb",
    "inc": "xor ecx, ecx\nop: inc dword [PAGES + 0x44]",
    "inc across": "xor ecx, ecx\nop: inc dword [PAGES + 0xFFE]",
    "lock xadd": "mov ecx, 7\nop: lock xadd [PAGES + 0x40], ecx",
    "pushad": "mov ebp, esp\nmov esp, PAGES + 0x1010\nop: pushad\nmov esp, ebp",
    "call": "mov ebp, esp\nmov esp, PAGES + 0x1000\nmov ecx, 1\nop: call there\nthere: mov esp, ebp",
    "enter": "mov ebx, esp\nmov esp, PAGES + 0x1000\nmov ecx, 1\nop: enter 0x10, 0\nmov esp, ebx",
    "pop to memory": "push dword 0x1234\nmov ecx, 1\nop: pop dword [PAGES + 0x700]",
    "xchg": "mov ecx, 0x777\nop: xchg [PAGES + 0x808], ecx",
    "bit test": "mov ecx, 0x8003\nop: bts [PAGES], ecx",
    "x87 save": "fninit\nfld1\nmov ecx, 1\nop: fnsave [PAGES + 0xFC0]",
}


@pytest.mark.parametrize("group", [0, 1])
def test_instructions_are_restarted(runner: Runner, group: int) -> None:
    """The page comes in, the instruction is executed again, and nothing is done twice."""
    chosen = [item for i, item in enumerate(RESTARTED.items()) if i % 2 == group]
    code = "GATE 14, CODE32, bring_in, 0x8E\n"
    for i, (name, body) in enumerate(chosen):
        body = body.replace("op:", f"op_{i}:").replace("there", f"there_{i}")
        # A stack fault of level 0 on the absent page would be a double fault: bring those in from level 3.
        user = name in ("pushad", "call", "enter")
        enter = f"USER user_{i}, 0x3002\nuser_{i}:\n" if user else ""
        leave = f"mov dword [resume], after_{i}\nint 47\nafter_{i}:\n" if user else ""
        code += f"""
        mov     edi, FRAME
        mov     ecx, 0x3000 / 4
        xor     eax, eax
        rep     stosd
        call    page
        mov     dword [origin], op_{i}
        {enter}{body}
        {leave}
        call    sum
"""
    code += """
        jmp     finish
sum:    pushad                          ; of what is in the pages, and registers
        mov     eax, ecx
        call    hex
        mov     eax, esi
        call    hex
        mov     eax, edi
        call    hex
        mov     esi, FRAME
        mov     ecx, 0x3000
        xor     eax, eax
        xor     edx, edx
.next:  lodsb
        rol     edx, 1
        add     edx, eax
        loop    .next
        mov     eax, edx
        call    hex
        call    newline
        popad
        ret
"""
    lines = runner.says(paged(code))
    if runner.way == "qemu":
        assert len(lines) > len(chosen) * 2 - 1
    else:
        assert lines == Runner("qemu").says(paged(code))


def test_accessed_and_dirty_bits(runner: Runner) -> None:
    show = "mov eax, [PDE_1]\ncall hex\nmov eax, [PTE_0]\ncall hex\ncall newline\n"
    code = paged(f"""
        mov     dword [PTE_0], FRAME + 7
        call    flush
        {show}
        mov     eax, [PAGES]
        {show}
        mov     [PAGES], eax            ; read before, written now
        {show}
        and     dword [PTE_0], ~0x60
        and     dword [PDE_1], ~0x20
        call    flush
        mov     [PAGES], eax
        {show}
        and     dword [PTE_0], ~0x40
        invlpg  [PAGES]
        mov     eax, [PAGES]
        {show}
        inc     dword [PAGES]
        {show}
        and     dword [PTE_0], ~0x60
        invlpg  [PAGES]
        lar     eax, [PAGES]            ; a read
        {show}
""")
    table, page = TABLE_1 + 7, FRAME + 7
    assert numbers(runner.says(code)) == [
        [table, page],
        [table + ACCESSED, page + ACCESSED],
        [table + ACCESSED, page + ACCESSED + DIRTY],
        [table + ACCESSED, page + ACCESSED + DIRTY],
        [table + ACCESSED, page + ACCESSED],
        [table + ACCESSED, page + ACCESSED + DIRTY],
        [table + ACCESSED, page + ACCESSED],
    ]


def test_large_pages(runner: Runner) -> None:
    """A page of 4 MiB: address, bits, rights, and what bit 7 means without CR4.PSE."""
    code = paged("""
        mov     dword [0x3FF010], 0xCAFE0001    ; physical, in the identity part
        mov     eax, 0x10
        mov     cr4, eax
        mov     dword [PDE_1], 0x000087         ; linear 400000h is physical 0 again
        call    flush
        mov     eax, [0x7FF010]
        call    hex
        mov     eax, [PDE_1]
        call    hex
        mov     [0x7FF014], eax
        mov     eax, [PDE_1]
        call    hex
        mov     eax, [0x3FF014]
        call    hex
        call    newline
        mov     dword [PDE_1], 0x000085         ; read-only, and a user reads and writes
        call    flush
        TRY
        USER    reader, 2
reader: mov     eax, [0x7FF010]
        mov     [0x7FF010], eax
        END_TRY
        mov     dword [PDE_1], 0x200087         ; a reserved bit
        call    flush
        TRY
        mov     eax, [0x7FF010]
        END_TRY
        xor     eax, eax
        mov     cr4, eax
        mov     dword [PDE_1], TABLE_1 + 0x87   ; without PSE: just a table
        mov     dword [TABLE_1], FRAME + 7
        call    flush
        mov     dword [FRAME], 0x600D
        mov     eax, [PAGES]
        call    hex
        call    newline
""")
    lines = numbers(runner.says(code))
    assert lines[0] == [0xCAFE0001, 0x87 | ACCESSED, 0x87 | ACCESSED | DIRTY, 0x87 | ACCESSED]
    assert (lines[1][0], lines[1][1], lines[1][-2]) == (14, 7, 0x7FF010)
    assert (lines[2][0], lines[2][1] | 1, lines[2][-2]) == (14, 9, 0x7FF010)
    assert lines[2][1] & 1 or runner.way == "qemu"  # which leaves P out
    assert lines[3] == [0x600D]


def test_invlpg_of_a_large_page_drops_all_of_it(runner: Runner) -> None:
    """Wherever in the 4 MiB the address points, and whatever parts of the page were used before."""
    code = paged("""
        mov     eax, 0x10
        mov     cr4, eax
        mov     dword [0x100010 + 0x200000], 0x11111111
        mov     dword [0x2FF010], 0x22222222
        mov     dword [PDE_1], 0x000087         ; linear 400000h is physical 0
        call    flush
        mov     eax, [0x700010]                 ; two of its parts are in the TLB
        call    hex
        mov     eax, [0x6FF010]
        call    hex
        mov     ecx, 3
again:  mov     dword [PDE_1], 0x800087         ; and now physical 800000h
        invlpg  [0x400000]
        mov     dword [0x700010], 0x33333333
        mov     dword [0x6FF010], 0x44444444
        mov     eax, [0x300010]
        call    hex
        mov     eax, [0x2FF010]
        call    hex
        mov     dword [PDE_1], 0x000087
        invlpg  [0x7FFFFF]
        mov     eax, [0x700010]
        call    hex
        mov     eax, [0x6FF010]
        call    hex
        call    newline
        loop    again
""")
    first, *others = numbers(runner.says(code))
    assert first == [0x11111111, 0x22222222] * 3
    assert others == [[0x11111111, 0x22222222] * 2] * 2


def test_flushes(runner: Runner) -> None:
    """INVLPG, CR3, CR4.PSE and CR0.PG let the processor see changed entries."""
    code = paged("""
        mov     dword [FRAME], 0x11111111
        mov     dword [FRAME + 0x1000], 0x22222222
        mov     dword [PTE_0], FRAME + 7
        call    flush
        mov     eax, [PAGES]
        call    hex
        mov     dword [PTE_0], FRAME + 0x1007
        invlpg  [PAGES + 0x800]
        mov     eax, [PAGES]
        call    hex
        mov     dword [PTE_0], FRAME + 7
        mov     eax, cr3
        mov     cr3, eax
        mov     eax, [PAGES]
        call    hex
        mov     eax, 0x10
        mov     cr4, eax
        mov     dword [PDE_1], 0x87
        mov     eax, cr3
        mov     cr3, eax
        mov     eax, [0x601000]
        call    hex
        mov     dword [PDE_1], TABLE_1 + 7
        mov     dword [TABLE_1 + 0x201 * 4], FRAME + 7
        invlpg  [0x601800]
        mov     eax, [0x601000]
        call    hex
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        mov     dword [0x601000], 0x33333333
        or      eax, 0x80000000
        mov     cr0, eax
        mov     eax, [0x601000]
        call    hex
        call    newline
""")
    assert numbers(runner.says(code)) == [
        [0x11111111, 0x22222222, 0x11111111, 0x22222222, 0x11111111, 0x11111111]
    ]


def test_code_is_seen_to_change_through_another_page(runner: Runner) -> None:
    """Two linear pages of one frame: code in one, stores through the other."""
    code = paged("""
        mov     dword [PTE_0], FRAME + 7
        mov     dword [PTE_1], FRAME + 7
        call    flush
        mov     dword [PAGES], 0x9001C083       ; add eax, 1; nop
        mov     byte [PAGES + 4], 0xC3          ; ret
        xor     eax, eax
        mov     ecx, 20
again:  mov     ebx, PAGES
        call    ebx
        mov     [PAGES + 0x1002], cl
        call    ebx
        loop    again
        call    hex
        call    newline
""")
    total = sum(range(1, 21)) + 1 + sum(range(2, 21))
    assert numbers(runner.says(code)) == [[total]]


def test_the_table_of_gates_may_be_on_another_page(runner: Runner) -> None:
    """INT 20h twice; then by another page table entry, and by another directory."""
    code = paged("""
        GATE    0x20, CODE32, first, 0x8E
        mov     esi, idt
        mov     edi, FRAME
        mov     ecx, 48 * 2
        rep     movsd
        mov     dword [PTE_0], FRAME + 7
        mov     dword [PTE_1], FRAME + 0x1007
        mov     dword [idt_register + 2], PAGES
        lidt    [idt_register]
        call    twice
        GATE    0x20, CODE32, second, 0x8E
        mov     esi, idt
        mov     edi, PAGES + 0x1000
        mov     ecx, 48 * 2
        rep     movsd
        mov     dword [PTE_0], FRAME + 0x1007
        call    flush
        call    twice
        mov     esi, DIRECTORY
        mov     edi, FRAME + 0x2000
        mov     ecx, 1024
        rep     movsd
        mov     esi, TABLE_1
        mov     ecx, 1024
        rep     movsd
        mov     dword [FRAME + 0x2004], FRAME + 0x3007
        mov     dword [FRAME + 0x3000], FRAME + 7
        mov     eax, FRAME + 0x2000
        mov     cr3, eax
        call    twice
        jmp     finish
twice:  int     0x20
        int     0x20
        call    newline
        ret
first:  mov     eax, 1
        call    hex
        iretd
second: mov     eax, 2
        call    hex
        iretd
""")
    assert numbers(runner.says(code)) == [[1, 1], [2, 2], [1, 1]]


# Which of two pages is present, where the stack begins, and the first of three pushes that fails.
PUSHES = {
    "the lower absent": (0, 7, 0x1008, 0xFFC),
    "the upper absent": (7, 0, 0x1008, 0x1004),
    "both absent": (0, 0, 0x1008, 0x1004),
    "the lower read-only": (5, 7, 0x1004, 0xFFC),
    "none above the first page": (7, 0, 0x1002, 0x1000),
}


def test_a_frame_that_cannot_be_pushed_faults_at_its_first_push(runner: Runner) -> None:
    """An INT on a stack that is cut by a page's edge; the page fault has a task of its own."""
    code = TASK_B + """
        mov     dword [tss + 0x1C], DIRECTORY
        mov     dword [tss_b + 0x1C], DIRECTORY
        mov     word [idt + 14 * 8 + 2], TSS32_B
        mov     byte [idt + 14 * 8 + 5], 0x85
        mov     eax, cr0
        or      eax, 0x10000            ; WP
        mov     cr0, eax
"""
    for number, (lower, upper, esp, _) in enumerate(PUSHES.values()):
        code += f"""
        mov     dword [PTE_0], FRAME + {lower}
        mov     dword [PTE_1], FRAME + 0x1000 + {upper}
        call    flush
        mov     dword [resume], on_{number}
        mov     esp, PAGES + {esp}
        int     0x20
on_{number}:
        mov     esp, KERNEL_STACK
"""
    code += """
        jmp     finish
task:   mov     eax, cr2
        call    hex
        call    newline
        mov     eax, [resume]
        mov     [tss + 0x20], eax
        add     esp, 4                  ; the error code
        iretd
        jmp     task
"""
    expected = [[0x400000 + address] for _, _, _, address in PUSHES.values()]
    assert numbers(runner.says(paged(code))) == expected


def test_the_processors_own_accesses_are_supervisor_accesses(runner: Runner) -> None:
    """A user loads segment registers and is interrupted while GDT, IDT, TSS and kernel stack are not his."""
    code = paged("""
        jmp     go
        align   4096
user_page:
        mov     ax, DATA32_3
        mov     es, ax
        mov     fs, ax
        jmp     0x33:.far
.far:   lar     ebx, eax
        mov     eax, [gdt]              ; and this is refused
        align   4096
go:     mov     edi, TABLE_0
        mov     ecx, 1024
.each:  and     byte [edi], 0xFB
        add     edi, 4
        loop    .each
        mov     eax, user_page
        shr     eax, 12
        or      byte [TABLE_0 + eax * 4], 4
        call    flush
        TRY
        USER    user_page, 2
        END_TRY
""")
    labels = program(code)[1]
    (line,) = numbers(runner.says(code))
    assert (line[0], line[1], line[-2]) == (14, 5, labels["gdt"])


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
@pytest.mark.parametrize(
    "code",
    [
        "mov eax, 0x7FFFF000\nmov cr3, eax\nmov eax, [PAGES]",  # tables where no memory is
        "mov eax, 0xF0000\nmov cr3, eax\nmov eax, [PAGES]",  # in ROM
        "mov eax, 0xFFFFF000\nmov cr3, eax\nmov eax, [PAGES]",
        "mov dword [DIRECTORY], 0\ncall flush",  # nothing is there any more
        "mov dword [PDE_1], DIRECTORY + 7\nmov eax, [PAGES]\nmov ecx, 1024\nmov edi, PAGES\nxor eax, eax\n"
        "rep stosd",  # the directory maps itself and is wiped
        "mov word [idt + 14 * 8 + 6], 0x40\nmov eax, [PAGES]",  # a handler that is not there either
        "mov dword [idt_register + 2], 0x500000\nlidt [idt_register]\nint 3",
        "mov dword [gdt_register + 2], 0x500000\nlgdt [gdt_register]\nint 3",
        "mov esp, 0x500000\nint 3",
    ],
)
def test_wild_tables_end_in_a_shutdown_or_go_on(code: str, public: bool) -> None:
    board = Board(paged(code), public)
    reasons: list[str] = []
    board.cpu.on_triple_fault = reasons.append
    for _ in range(2000):
        board.cpu.run(1000)
        if reasons or board.cpu.halted:
            break
    assert reasons or board.cpu.halted


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_a_page_fault_waits_for_what_stopped_the_run_before_it(public: bool) -> None:
    """A device raises an error; the next instruction, in the same block, meets an absent page."""
    board = Board(paged("TRY\nout 0x77, al\nfault: mov eax, [PAGES]\nEND_TRY\n"), public)

    def fail(register: int, value: int) -> None:
        raise LookupError

    board.bus.attach("broken", range(0x77, 0x78), lambda register: 0, fail)
    with pytest.raises(LookupError):
        board.run()
    assert not board.said
    assert board.cpu.registers.eip == board.labels["fault"]
    line = numbers(board.run().splitlines())[0]
    assert (line[:3], line[-2]) == ([14, 0, board.labels["fault"]], PAGES)
