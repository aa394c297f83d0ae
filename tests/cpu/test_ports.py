"""Who may use which port: IOPL, the permission map of the TSS, and what is left of a refused instruction."""

from __future__ import annotations

import pytest

from tests.cpu.kernel import Board, Runner, program

USER, VIRTUAL = "user", "virtual"
FLAGS_IOPL = 12

# Let the TSS have a map that refuses all ports; `allow n` clears a bit.
MAP = """
        %macro allow 1
        and     byte [tss + 0x68 + (%1) / 8], ~(1 << ((%1) % 8))
        %endmacro
        mov     word [gdt + TSS32], 0x68 + 0x2000
        and     byte [gdt + TSS32 + 5], 0xFD
        mov     ax, TSS32
        ltr     ax
        mov     edi, tss + 0x68
        mov     ecx, 0x2001
        mov     al, 0xFF
        rep     stosb
"""


def numbers(lines: list[str]) -> list[list[int]]:
    """The hexadecimal numbers of each line."""
    return [[int(field, 16) for field in line.split()] for line in lines]


def tries(instructions: list[str], mode: str, iopl: int = 0) -> str:
    """Each instruction, after DX = 80h, in a mode; UD2 tells that it was let through."""
    code = ""
    for i, instruction in enumerate(instructions):
        enter = f"{'USER' if mode == USER else 'VIRTUAL'} at_{i}, {iopl << FLAGS_IOPL | 2:#x}"
        bits = 32 if mode == USER else 16
        code += f"TRY\n{enter}\nbits {bits}\nat_{i}: mov dx, 0x80\nop_{i}: {instruction}\nnext_{i}: ud2\n"
        code += "bits 32\nEND_TRY\n"
    return code


INSTRUCTIONS = [
    "in al, 0x80", "in ax, 0x80", "in eax, 0x80", "out 0x80, al", "out 0x80, ax", "out 0x80, eax",
    "in al, dx", "in ax, dx", "in eax, dx", "out dx, al", "out dx, ax", "out dx, eax",
]  # fmt: skip


def check(runner: Runner, code: str, allowed: list[bool]) -> None:
    """Each try was let through, or refused at the instruction."""
    labels = program(code)[1]
    for i, (line, through) in enumerate(zip(numbers(runner.says(code)), allowed, strict=True)):
        where = labels[f"next_{i}"] if through else labels[f"op_{i}"]
        assert line[:3] == [6 if through else 13, 0, where], i


@pytest.mark.parametrize("mode", [USER, VIRTUAL])
@pytest.mark.parametrize("iopl", [0, 2, 3])
def test_iopl_without_a_map(runner: Runner, mode: str, iopl: int) -> None:
    code = tries(INSTRUCTIONS, mode, iopl)
    check(runner, code, [mode == USER and iopl == 3] * len(INSTRUCTIONS))


@pytest.mark.parametrize("mode", [USER, VIRTUAL])
def test_every_bit_of_an_access_must_be_clear(runner: Runner, mode: str) -> None:
    for allowed, sizes in ((0, ()), (1, (1,)), (2, (1, 2)), (3, (1, 2)), (4, (1, 2, 4))):
        code = MAP + "".join(f"allow 0x80 + {i}\n" for i in range(allowed)) + tries(INSTRUCTIONS, mode)
        check(runner, code, [size in sizes for size in (1, 2, 4, 1, 2, 4, 1, 2, 4, 1, 2, 4)])


def test_the_map_ends_with_the_limit(runner: Runner) -> None:
    """Ports beyond the map are refused, and so is one whose second byte lies beyond."""
    shorten = """
        mov     word [gdt + TSS32], 0x68 + 0x11         ; the map's bytes 0 to 11h: ports 0 to 8Fh
        and     byte [gdt + TSS32 + 5], 0xFD
        mov     ax, TSS32
        ltr     ax
        allow   0x80
        allow   0x88
        allow   0x90
"""
    code = MAP + shorten + tries(["in al, 0x80", "in al, 0x88", "in al, 0x90"], USER)
    check(runner, code, [True, False, False])


STRINGS = ["insb", "insw", "insd", "outsb", "outsw", "outsd"]


@pytest.mark.parametrize("repeat", ["", "rep "])
def test_string_instructions(runner: Runner, repeat: str) -> None:
    """Refused at their address with nothing moved; with a count of zero they do not look at the port."""
    setup = "mov edi, 0x5000\nmov esi, 0x5000\nmov ecx, 3\n"
    refused = tries([repeat + name for name in STRINGS], USER).replace("mov dx, 0x80", setup + "mov dx, 0x80")
    check(runner, MAP + refused, [False] * len(STRINGS))
    if repeat and runner.way != "qemu":  # which asks before it looks at the count
        check(runner, MAP + refused.replace("mov ecx, 3", "xor ecx, ecx"), [True] * len(STRINGS))
    let = "".join(f"allow 0x80 + {i}\n" for i in range(4))
    check(runner, MAP + let + refused, [True] * len(STRINGS))


BLOCK = MAP + """
        allow   0x80
        allow   0x81
        mov     word [idt + 13 * 8], refused
        mov     dword [resume], finish
        USER    block, 2
block:  mov     ebx, 0x100              ; six port instructions in one basic block, prefixes among them
        mov     esi, 0x5000
        mov     edi, 0x5100
        mov     eax, 0x44332211
        in      al, 0x80
        inc     ebx
        out     0x81, al
        mov     ecx, 0xF3F366E6         ; bytes that look like prefixes and opcodes
%1      in      al, 0x82
        add     ebx, 0x10
        mov     [0x5200], ebx
%2      out     0xEC, al
        add     ebx, 0x20
%3      in      al, 0x80
        mov     [0x5204], ebx
        mov     dx, 0x90
%4      outsb
        mov     [0x5208], ebx
        int     47
refused:
        push    eax
        mov     eax, [esp + 8]
        call    hex
        mov     eax, [esp]
        call    hex
        mov     eax, ebx
        call    hex
        mov     eax, esi
        call    hex
        call    newline
        pop     eax
        add     esp, 4
        ; do what a monitor does: skip the instruction
        push    eax
        mov     eax, [esp + 4]
        mov     al, [eax]
        cmp     al, 0x6E
        mov     al, 1
        je      .short
        inc     al
.short: movzx   eax, al
        cmp     byte [esp + 4], 0
        add     [esp + 4], eax
        pop     eax
        iretd
"""


def test_several_ports_in_one_block(runner: Runner) -> None:
    """A monitor skips each refused access; what lies between happens exactly once."""
    code = BLOCK
    for i in range(1, 5):
        code = code.replace(f"%{i} ", f"op_{i}:")
    labels = program(code)[1]
    seen = numbers(runner.says(code))
    assert [line[0] for line in seen] == [labels["op_1"], labels["op_2"], labels["op_4"]]
    assert [line[2] for line in seen] == [0x101, 0x111, 0x131]
    assert {line[3] for line in seen} == {0x5000}
    assert {line[1] & 0xFFFFFF00 for line in seen} == {0x44332200}


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_a_refused_access_never_reaches_the_device(public: bool) -> None:
    board = Board(MAP + tries([*INSTRUCTIONS, "rep insb", "rep outsb"], VIRTUAL), public)
    seen: list[tuple[str, int]] = []

    def read(register: int) -> int:
        seen.append(("read", register))
        return 0

    board.bus.attach("device", range(0x80, 0x84), read, lambda r, v: seen.append(("write", r)))
    board.run()
    assert seen == []


@pytest.mark.parametrize("public", [False, True], ids=["live", "public"])
def test_a_refusal_right_after_dr7_was_written(public: bool) -> None:
    """Writing DR7 turns off what the refusal rests on; the rest of the block runs, but leaves no trace."""
    code = MAP + """
        mov     eax, 0x400
        mov     dr7, eax
""" + tries(["in al, 0x80\nmov ebx, 7"], USER)
    board = Board(code, public)
    (line,) = numbers(board.run().splitlines())
    assert line[:3] == [13, 0, board.labels["op_0"]]
