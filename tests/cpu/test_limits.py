"""What the engine does not check (pcemu/cpu/README.md): each test pins down today's behaviour.

A test that fails here is good news: take the limit off the list.
"""

from __future__ import annotations

import pytest

from pcemu.errors import GuestError
from tests.cpu.guest import Guest
from tests.cpu.kernel import Board
from tests.cpu.test_paging import PAGES, numbers, paged
from tests.cpu.test_tasks import TASK_B

pytestmark = pytest.mark.usefixtures("state")

EXPAND_DOWN = """
        mov     dword [gdt + SPARE], 0xFFFF
        mov     dword [gdt + SPARE + 4], 0x409600
        mov     ax, SPARE
        mov     fs, ax"""
# A code segment that ends at FFFFh; beyond it is a jump back to where exceptions would lead
SHORT_CODE = """
        mov     dword [gdt + SPARE], 0xFFFF
        mov     dword [gdt + SPARE + 4], 0x409B00
        mov     byte [0x10000], 0xEA
        mov     dword [0x10001], .back
        mov     word [0x10005], CODE32
        jmp     .on
.back:  mov     esp, KERNEL_STACK
        SAY     "none"
        jmp     [resume]
.on:
"""
# A processor raises the exception that is named; here the access is simply done.
UNCHECKED = {
    "#GP, read beyond the limit": "mov ax, SMALL\nmov fs, ax\nmov eax, [fs:0x100]",
    "#GP, write beyond the limit": "mov ax, SMALL\nmov fs, ax\nmov [fs:0x100], eax",
    "#GP, below an expand-down segment's limit": f"{EXPAND_DOWN}\nmov eax, [fs:0x5000]",
    "#SS, beyond the stack segment's limit": "mov ax, SMALL\nmov ss, ax\nmov eax, [ss:0x5000]\n"
    "mov ax, DATA32\nmov ss, ax",
    "#GP, write to a read-only segment": "mov ax, DATA_RO\nmov fs, ax\nmov [fs:0x5000], eax",
    "#GP, write through CS": "mov [cs:0x5000], eax",
    "#GP, read through a null selector": "mov eax, [gs:0x5000]",
    "#GP, write through a null selector": "mov [gs:0x5000], eax",
    "#GP, read of execute-only code": "jmp CODE_ONLY:there\nthere: mov eax, [cs:0x5000]",
    "#UD, LOCK of a MOV": "lock mov [0x5000], eax",
    "#GP, unknown model-specific register": "mov ecx, 0x12345\nrdmsr",
    "#GP, LTR of a null selector": "xor eax, eax\nltr ax",
    "#DB, write to a watched address": "mov eax, 0x5000\nmov dr0, eax\nmov eax, 0xD0702\nmov dr7, eax\n"
    "mov [0x5000], eax\nnop\nxor eax, eax\nmov dr7, eax",
    "#GP, far return beyond the limit of the code": SHORT_CODE + "push dword SPARE\npush dword 0x10000\nretf",
    "#GP, IRET beyond the limit of the code": SHORT_CODE + "push dword 2\npush dword SPARE\n"
    "push dword 0x10000\niretd",
    "#GP, call gate beyond the limit of the code": SHORT_CODE + "mov dword [gdt + SPARE + 8], SPARE << 16\n"
    "mov dword [gdt + SPARE + 12], 0x18C00\ncall SPARE + 8:0",
    "#DB, use of debug registers with DR7.GD": "mov eax, 0x2700\nmov dr7, eax\nmov eax, dr0\nxor eax, eax\n"
    "mov dr7, eax",
}  # fmt: skip


@pytest.mark.parametrize("code", UNCHECKED.values(), ids=list(UNCHECKED))
def test_what_is_not_refused(code: str) -> None:
    assert Board(f"TRY\n{code}\nEND_TRY\n").run() == "none\n"


def test_alignment_is_not_checked() -> None:
    code = "mov eax, cr0\nor eax, 0x40000\nmov cr0, eax\n"
    code += "TRY\nUSER user, 0x40002\nuser: mov eax, [0x5001]\nud2\nEND_TRY\n"
    assert Board(code).run().startswith("00000006 ")  # not 11h: UD2 was reached


def test_an_instruction_pointer_does_not_wrap_at_64_kib() -> None:
    """Real mode: a processor raises #GP for a fetch beyond FFFFh; here the code goes on at 10000h."""
    guest = Guest("mov byte [0xFFFF], 0x90\njmp 0xFFFF\n")
    guest.ram[0x10000:0x10003] = b"\x40\xf4\xf4"  # inc ax; hlt
    guest.run()
    assert guest.cpu.registers.eip == 0x10002


def test_a_word_at_offset_ffffh_is_read_across_the_segments_end() -> None:
    """A processor raises #GP (or #SS)."""
    guest = Guest("mov ax, [0xFFFF]\nmov [0x2000], ax")
    guest.ram[0xFFFF:0x10001] = b"\x34\x12"
    guest.run()
    assert guest.word() == 0x1234


def test_a_push_with_the_stack_pointer_at_1_wraps() -> None:
    """A processor shuts down, for want of a place where #SS could be pushed."""
    guest = Guest("mov ax, 0x1234\nmov sp, 1\npush ax\nmov [0x2000], sp")
    guest.run()
    assert guest.word() == 0xFFFF


def test_the_fetch_of_the_next_page_faults_before_the_rest_of_the_block() -> None:
    """A block that runs on into an absent page: EIP is its begin, and nothing of it has been done yet."""
    code = """
        mov     eax, DATA32
        call    page
        mov     dword [PTE_0], FRAME + 7
        call    flush
        mov     byte [PAGES + 0xFFE], 0x40      ; inc eax
        mov     byte [PAGES + 0xFFF], 0xB8      ; mov eax, …
        TRY
        mov     eax, PAGES + 0xFFE
        jmp     eax
        END_TRY
"""
    (line,) = numbers(Board(paged(code)).run().splitlines())
    assert (line[0], line[2], line[-2]) == (14, PAGES + 0xFFE, PAGES + 0x1000)


def test_a_read_and_written_page_faults_as_a_read_first() -> None:
    """A processor reports INC of an absent page as a write (error code 2)."""
    (line,) = numbers(Board(paged("TRY\ninc dword [PAGES]\nEND_TRY\n")).run().splitlines())
    assert line[:2] == [14, 0]


def test_ins_has_cleared_its_destination_when_it_is_refused() -> None:
    code = """
        mov     dword [0x5000], 0x11223344
        TRY
        USER    user, 2
user:   mov     edi, 0x5000
        mov     dx, 0x80
        insd
        END_TRY
        mov     eax, [0x5000]
        call    hex
"""
    assert Board(code).run().splitlines()[1] == "00000000 "


def test_a_jump_to_a_16_bit_task_takes_segments_from_wrong_places() -> None:
    """The engine reads ES, CS, SS and DS four bytes apart; no handler can run on what it finds there."""
    code = """
        mov     word [tss_16 + 0x0E], task
        mov     word [tss_16 + 0x10], 2
        mov     word [tss_16 + 0x1A], 0x6400
        mov     word [tss_16 + 0x22], DATA32    ; ES, CS, SS, DS, LDT
        mov     word [tss_16 + 0x24], CODE32
        mov     word [tss_16 + 0x26], DATA32
        mov     word [tss_16 + 0x28], DATA32
        TRY
        jmp     TSS16:0
task:   SAY     "task"
        END_TRY
"""
    with pytest.raises(GuestError, match="triple fault: interrupt 0Ah"):
        Board(code).run()


def test_cr0_is_not_looked_at_before_cr3_is_loaded() -> None:
    """Reserved combinations are refused only when the guest may have a use for paging."""
    assert Board("TRY\nmov eax, 0x20000011\nmov cr0, eax\nEND_TRY\n").run() == "none\n"


def test_the_task_switch_trap_does_not_come() -> None:
    code = """
        mov     dword [tss_b + 0x20], task
        mov     dword [tss_b + 0x24], 2
        mov     dword [tss_b + 0x38], 0x6400
        mov     dword [tss_b + 0x48], DATA32
        mov     dword [tss_b + 0x4C], CODE32
        mov     dword [tss_b + 0x50], DATA32
        mov     dword [tss_b + 0x54], DATA32
        mov     dword [tss_b + 0x64], 0x680001  ; T
        mov     dword [resume], finish
        jmp     TSS32_B:0
task:   SAY     "task"
"""
    assert Board(code).run() == "task\n"


def test_an_io_breakpoint_ends_the_repetitions_of_a_string_instruction() -> None:
    """A processor stops after each; the engine leaves the others out, and ECX as it was."""
    code = """
        mov     eax, 8
        mov     cr4, eax
        mov     eax, 0x80
        mov     dr0, eax
        mov     eax, 0x20703
        mov     dr7, eax
        mov     word [idt + 8], trapped
        mov     dx, 0x80
        mov     edi, 0x5000
        mov     ecx, 3
        rep     insb
        SAY     "never"
trapped:
        mov     eax, ecx
        call    hex
"""
    assert Board(code).run() == "00000003 "


FPU_CONSTANTS = "jmp finish\nlarge: dd 0x7F000000\ninfinity: dd 0x7F800000\nsignalling: dd 0x7F800001\n"
# What a processor sets in the status word: IE, DE, ZE, OE, UE, PE; here it is nothing
SILENT = {
    "IE, infinity less infinity": "fld dword [infinity]\nfld st0\nfsubp",
    "IE, infinity by zero": "fld dword [infinity]\nfldz\nfmulp",
    "IE, signalling NaN": "fld dword [signalling]",
    "IE, root of a negative number": "fld1\nfchs\nfsqrt",
    "IE, too large for an integer": "fld dword [large]\nfistp word [0x5000]",
    "OE and PE, too large to be stored": "fld dword [large]\nfmul st0\nfmul st0\nfstp dword [0x5000]",
    "PE, stored with fewer digits": "fldpi\nfstp dword [0x5000]",
    "IE and SF, stack overflow": "fld1\n" * 9,
    "IE and SF, stack underflow": "fstp st0",
}


@pytest.mark.parametrize("code", SILENT.values(), ids=list(SILENT))
def test_the_fpu_reports_division_by_zero_only(code: str) -> None:
    tell = "fnstsw ax\nmovzx eax, ax\nand eax, 0x7F\ncall hex\n"
    divide = "fninit\nfld1\nfldz\nfdivp\n"
    said = Board(f"fninit\n{code}\n{tell}{divide}{tell}{FPU_CONSTANTS}").run()
    assert said.split() == ["00000000", "00000004"]


def test_logarithms_have_53_bits() -> None:
    """The last 11 of the 64 bits of the mantissa are zeros."""
    code = "fninit\nfldpi\nfldl2e\nfyl2x\nfstp tword [0x5000]\nmov eax, [0x5000]\nand eax, 0x7FF\ncall hex\n"
    assert Board(code).run().split() == ["00000000"]


def test_an_fpu_instruction_does_not_wait_for_irq_13() -> None:
    """CR0.NE = 0: a processor would stop at the second FPU instruction; the error is told later."""
    guest = Guest("""
        mov     eax, cr0
        and     al, 0xDF
        mov     cr0, eax
        fninit
        fldcw   [unmasked]
        fldz
        fld1
        fdiv    st0, st1
        fwait
        mov     byte [0x2000], 1        ; has gone on
        jmp     end
unmasked: dw    0x0360
end:
""")
    seen: list[tuple[bool, int]] = []
    guest.cpu.on_fpu_error = lambda level: seen.append((level, guest.ram[0x2000]))
    guest.run()
    assert seen == [(True, 1)]


def test_a_fault_in_loading_the_segments_of_a_new_task_has_the_address_of_the_switch() -> None:
    """JMP, CALL and IRET: a processor would tell of the first instruction of the new task."""
    code = TASK_B + """
        mov     dword [tss_b + 0x54], NOT_PRESENT
        TRY
switch: jmp     TSS32_B:0
        END_TRY
        jmp     finish
task:   SAY     "task"
"""
    board = Board(code)
    (line,) = numbers(board.run().splitlines())
    assert line[:3] == [11, 0x60, board.labels["switch"]]


def test_a_user_may_enter_virtual_8086_mode_by_iret() -> None:
    """A processor looks at VM in the flags that IRET takes at level 0 only."""
    code = """
        TRY
        USER    user, 2
user:   push    dword 0x444
        push    dword 0x333
        push    dword 0x222
        push    dword 0x111
        push    dword 0
        push    dword USER_STACK
        push    dword 0x23002
        push    dword 0
        push    dword there
        iretd
bits 16
there:  ud2
bits 32
        END_TRY
"""
    board = Board(code)
    (line,) = numbers(board.run().splitlines())
    assert (line[0], line[2], line[4] & 0x23000) == (6, board.labels["there"], 0x23000)


def test_cs_has_the_level_of_a_conforming_segment_behind_a_call_gate() -> None:
    """A processor puts the level of the program into CS, 3 here; it runs at that."""
    code = """
        mov     dword [gdt + SPARE], CONFORMING << 16 | (there - $$ + 0x7E00)
        mov     dword [gdt + SPARE + 4], 0xEC00
        mov     dword [resume], finish
        USER    user, 0x3002
user:   call    SPARE:0
there:  mov     eax, cs
        call    hex
        mov     eax, ss
        call    hex
        int     47
"""
    assert Board(code).run().split() == ["00000048", "0000003B"]


def test_rf_lasts_beyond_the_next_instruction() -> None:
    """A processor clears it behind each instruction, and PUSHF never shows it."""
    code = """
        push    dword 0x10002
        push    dword CODE32
        push    dword there
        iretd
there:  nop
        pushfd
        pop     eax
        and     eax, 0x10000
        call    hex
"""
    assert Board(code).run().split() == ["00010000"]


@pytest.mark.parametrize("instruction", ["0F 34", "0F 07"], ids=["sysenter", "sysret"])
def test_system_calls_are_protection_faults_in_real_mode(instruction: str) -> None:
    """A Pentium II without them raises #UD."""
    guest = Guest(f"""
        mov     word [13 * 4], handler
        mov     word [13 * 4 + 2], 0
        db      0x{instruction.replace(" ", ", 0x")}
        hlt
handler:
        mov     byte [0x2000], 1
""")
    assert guest.run().word() == 1


def test_the_undocumented_breakpoint_is_invalid() -> None:
    """INT1, F1h: a processor raises #DB."""
    assert Board("TRY\ndb 0xF1\nEND_TRY\n").run().startswith("00000006 ")
