"""CPUID, the time-stamp counter, and the coprocessor's error output."""

from __future__ import annotations

import pytest

from pcemu.cpu.cpu import RDTSC_TICKS
from pcemu.cpu.cpuid import FEATURES
from tests.cpu.guest import Guest
from tests.cpu.kernel import Board

pytestmark = pytest.mark.usefixtures("state")

# CPUID feature bits: instructions or abilities that the guest may try when they are set
FPU, VME, DE, PSE, TSC, MSR, PAE, CX8, APIC, SEP = 0, 1, 2, 3, 4, 5, 6, 8, 9, 11
PGE, CMOV, MMX, FXSR, SSE = 13, 15, 23, 24, 25


def numbers(text: str) -> list[list[int]]:
    """The hexadecimal numbers of each line."""
    return [[int(field, 16) for field in line.split()] for line in text.splitlines()]


def cpuid(leaf: int) -> list[int]:
    """EAX, EBX, ECX, EDX."""
    code = f"mov eax, {leaf:#x}\ncpuid\n"
    code += "call hex\nmov eax, ebx\ncall hex\nmov eax, ecx\ncall hex\nmov eax, edx\ncall hex\ncall newline\n"
    (line,) = numbers(Board(code).run())
    return line


def test_vendor_and_signature() -> None:
    highest, *vendor = cpuid(0)
    assert highest == 2
    text = b"".join(vendor[i].to_bytes(4, "little") for i in (0, 2, 1))
    assert text == b"GenuineIntel"
    signature, brand, _, features = cpuid(1)
    assert (signature, brand, features) == (0x633, 0, FEATURES)
    assert cpuid(2)[0] & 0xFF == 1  # one look is enough
    assert cpuid(0x80000000) == cpuid(2)  # no extended leaves


def test_the_signature_is_in_edx_after_a_reset() -> None:
    assert Guest("nop").cpu.registers.edx == 0x633


@pytest.mark.parametrize(
    ("bit", "code"),
    [
        (FPU, "fninit\nfld1"),
        (TSC, "rdtsc"),
        (CX8, "cmpxchg8b [resume]"),
        (CMOV, "cmovz eax, ebx"),
        (CMOV, "fninit\nfld1\nfcmovb st0, st0"),
        (MMX, "pxor mm0, mm0\nemms"),
        (SSE, "xorps xmm0, xmm0"),
        (SSE, "prefetcht0 [0x5000]\nmovaps xmm0, [0x5000]"),
        (DE, "mov eax, 8\nmov cr4, eax"),
        (PSE, "mov eax, 0x10\nmov cr4, eax"),
        (PGE, "mov eax, 0x80\nmov cr4, eax"),
        (VME, "mov eax, 1\nmov cr4, eax"),
        (PAE, "mov eax, 0x20\nmov cr4, eax"),
    ],
)
def test_features_tell_the_truth(bit: int, code: str) -> None:
    """What is promised works, what is not raises #UD or #GP."""
    (line,) = Board(f"TRY\n{code}\nEND_TRY\n").run().splitlines()
    assert (line == "none") == bool(FEATURES >> bit & 1)


# Of later processors than a Pentium II, or of another maker; at least one byte before the ModRM byte
LATER_INSTRUCTIONS = {
    "syscall": "0F 05",
    "syscall, prefixed": "66 2E 0F 05",
    "sysret": "0F 07",
    "sysenter": "0F 34",
    "sysenter, prefixed": "F3 0F 34",
    "rdtscp": "0F 01 F9",
    "xsetbv": "0F 01 D1",
    "vmrun": "0F 01 D8",
    "monitor": "0F 01 C8",
    "femms": "0F 0E",
    "rdrand eax": "0F C7 F0",
    "rdseed eax": "0F C7 F8",
    "lfence": "0F AE E8",
    "movnti": "0F C3 00",
    "popcnt": "F3 0F B8 C1",
    "movbe": "0F 38 F0 00",
    "crc32": "F2 0F 38 F0 C1",
    "pshufb": "0F 38 00 C0",
    "palignr": "0F 3A 0F C1 00",
    "pxor of SSE2": "66 0F EF C0",
}


@pytest.mark.parametrize("bits", [16, 32])
def test_instructions_of_later_processors_are_invalid(bits: int) -> None:
    """At their own address, in real mode and in protected mode."""
    for name, code in LATER_INSTRUCTIONS.items():
        opcode = "db " + ", ".join(f"0x{byte}" for byte in code.split())
        if bits == 32:
            board = Board(f"TRY\nmov eax, 0x5000\nfault: {opcode}\nEND_TRY\n")
            (line,) = numbers(board.run())
            assert line[:3] == [6, 0, board.labels["fault"]], name
        else:
            guest = Guest(f"""
                mov     word [6 * 4], handler
                mov     word [6 * 4 + 2], 0
                mov     word [13 * 4], handler
                mov     word [13 * 4 + 2], 0
        fault:  {opcode}
                hlt
        handler:
                pop     word [0x2000]
""")
            assert guest.run().word() == guest.labels["fault"], name


def test_the_id_flag_tells_that_there_is_cpuid() -> None:
    code = "push dword 0x200002\npopfd\npushfd\npop eax\nand eax, 0x200000\ncall hex\n"
    assert numbers(Board(code).run()) == [[0x200000]]


TWO_STAMPS = """
    rdtsc
    mov [0x2000], eax
    mov [0x2004], edx
    rdtsc
    mov [0x2008], eax
    mov cx, 1000
wait_: loop wait_
    rdtsc
    mov [0x200C], eax
"""


def stamps() -> list[int]:
    guest = Guest(TWO_STAMPS).run()
    return [int.from_bytes(guest.ram[at : at + 4], "little") for at in range(0x2000, 0x2010, 4)]


def test_the_time_stamp_counts_ticks() -> None:
    first, high, second, third = stamps()
    assert high == 0
    assert second == first + RDTSC_TICKS  # one block: its bytes are counted when it begins
    assert third > second + 2000
    assert stamps() == [first, high, second, third]


def test_the_time_stamp_is_the_machines() -> None:
    guest = Guest("rdtsc\nmov [0x2000], eax\nmov [0x2004], edx")
    guest.cpu.time_stamp = lambda: 0x1_2345_6789_ABCD
    guest.run()
    assert guest.ram[0x2000:0x2008] == (0x1_2345_6789_ABCD).to_bytes(8, "little")


def test_a_user_may_not_read_the_time_stamp_with_tsd() -> None:
    board = Board("mov eax, 4\nmov cr4, eax\nTRY\nUSER user, 2\nuser: rdtsc\nEND_TRY\n")
    (line,) = numbers(board.run())
    assert line[:3] == [13, 0, board.labels["user"]]


DIVIDE_BY_ZERO = """
    fninit
    fldcw [unmasked]
    fld1
    fldz
    fdivp st1, st0
    nop
    jmp next
next: nop
    mov ax, 1
    out 0x80, al
    fnclex
    hlt
unmasked: dw 0x0360
"""


def test_a_coprocessor_error_leaves_the_processor_unless_ne_is_set() -> None:
    levels: list[bool] = []
    guest = Guest(DIVIDE_BY_ZERO)
    guest.bus.attach("stop", range(0x80, 0x81), lambda r: 0, lambda r, v: guest.cpu.end_slice())
    guest.cpu.on_fpu_error = levels.append
    guest.run(ticks=3)
    assert levels == [True, False]
    quiet = Guest("mov eax, cr0\nor al, 0x20\nmov cr0, eax\n" + DIVIDE_BY_ZERO)
    quiet.cpu.on_fpu_error = levels.append
    quiet.ram[0x40:0x44] = quiet.labels["next"].to_bytes(4, "little")  # INT 10h: #MF, skipped
    quiet.run(ticks=3)
    assert levels == [True, False]
