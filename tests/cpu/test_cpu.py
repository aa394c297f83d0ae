"""The processor: slices, HLT, interrupts, ports, A20, ROM, self-modifying code."""

from __future__ import annotations

import hashlib

import pytest

from pcemu.cpu import Stop
from pcemu.cpu.cpu import INTERRUPT_TICKS
from pcemu.cpu.ports import PORT_TICKS
from pcemu.errors import GuestError
from tests.cpu.guest import RESULTS, START, Guest

pytestmark = pytest.mark.usefixtures("state")

# Counts its interrupts at RESULTS + 2 * vector; `vector` is defined by the program.
HANDLER = """
    mov word [vector * 4], handler
    mov word [vector * 4 + 2], 0
    jmp start
handler:
    inc word [0x2000]
    push bp
    mov bp, sp
    mov ax, [bp + 2]
    mov [0x2002], ax        ; return address
    mov ax, [bp + 6]
    mov [0x2004], ax        ; flags
    pop bp
"""


def test_starts_at_the_reset_vector_in_real_mode() -> None:
    guest = Guest("mov [0x2000], cs")
    assert guest.cpu.registers.cs == 0xF000
    assert guest.cpu.registers.eip == 0xFFF0
    assert not guest.cpu.protected
    guest.run()
    assert guest.word() == 0


def test_halt_is_told_from_the_end_of_a_slice() -> None:
    guest = Guest("""
            mov cx, 1000
        again:
            mov al, 0xF4
            loop again
        """)  # F4h is HLT where it is an opcode
    stops: list[Stop] = []
    while not stops or stops[-1] is Stop.COUNT:
        stops.append(guest.cpu.run(7))
    assert len(stops) > 500
    assert guest.cpu.halted
    assert guest.cpu.registers.ecx == 0


MIXED = """
    mov word [0x84], service
    mov word [0x86], 0
    mov cx, 150
    mov bx, 1
top:
    push cx
    mov di, 0x3000
    mov cx, 37
    mov al, bl
    rep stosb
    inc word [0x2000]
    lock inc word [0x2002]
    lock xadd [0x2004], bx
    int 0x21
    mov si, 0x3000
    mov di, 0x3100
    mov cx, 20
    rep movsw
    call framed
    add [0x2006], ax
    adc dx, [0x2000]
    pusha
    popa
    xchg bx, [0x2008]
    push dx
    pop word [0x200A]
    std
    mov di, 0x3400
    mov cx, 10
    rep stosw
    cld
    cmp ax, bx
    pushf
    pop ax
    add [0x200C], ax
    pop cx
    loop top
    hlt
framed:
    enter 8, 2
    mov [bp - 2], bx
    inc bx
    rol word [bp - 2], 3
    mov ax, [bp - 2]
    leave
    ret
service:
    push ax
    add word [0x2010], 3
    pop ax
    iret
"""


@pytest.mark.parametrize("ticks", [1, 2, 3, 7, 50, 1000])
def test_slices_of_any_length_give_the_same_result_and_the_same_time(ticks: int) -> None:
    def outcome(length: int) -> tuple[str, int, object]:
        guest = Guest(MIXED)
        total = 0
        while guest.cpu.run(length) is Stop.COUNT:
            total += guest.cpu.ticks_used
        total += guest.cpu.ticks_used
        return hashlib.sha256(guest.ram[0x2000:0x4000]).hexdigest(), total, guest.cpu.registers

    assert outcome(ticks) == outcome(1_000_000_000)


def test_time_is_counted_in_bytes_of_code_ports_and_interrupts() -> None:
    plain = Guest("""
            nop
            nop
        """).run().cpu.ticks_used
    assert Guest("""
            nop
            nop
            nop
        """).run().cpu.ticks_used == plain + 1
    assert Guest("in al, 0x80").run().cpu.ticks_used == plain + PORT_TICKS
    with_interrupt = Guest("""
            mov word [0x84], done
            mov word [0x86], 0
            int 0x21
            hlt
        done:
            iret
        """).run()
    assert with_interrupt.cpu.ticks_used > INTERRUPT_TICKS


def test_a_device_can_end_the_slice() -> None:
    guest = Guest("""
            mov al, 1
            out 0x80, al
        again:
            inc word [0x2000]
            jmp again
        """)
    guest.bus.attach("stop", range(0x80, 0x81), lambda r: 0, lambda r, v: guest.cpu.end_slice())
    guest.cpu.run(10_000_000)
    assert guest.word() <= 1
    assert guest.cpu.ticks_used < 1000


def test_what_a_device_raises_comes_out_of_run() -> None:
    guest = Guest("in al, 0x80")

    def broken(register: int) -> int:
        raise OSError("broken device")

    guest.bus.attach("broken", range(0x80, 0x81), broken, lambda r, v: None)
    with pytest.raises(OSError, match="broken device"):
        guest.run()


@pytest.mark.parametrize("width", [1, 2, 4])
def test_port_accesses_have_their_width_and_open_ports_read_ones(width: int) -> None:
    register = {1: "al", 2: "ax", 4: "eax"}[width]
    guest = Guest(f"""
            mov dx, 0x300
            in {register}, dx
            mov [0x2000], eax
            mov eax, 0x44332211
            out dx, {register}
        """)
    written: list[tuple[int, int]] = []
    guest.bus.attach("latch", range(0x300, 0x302), lambda r: 0x50 + r, lambda r, v: written.append((r, v)))
    guest.run()
    assert guest.ram[RESULTS : RESULTS + width] == b"\x50\x51\xff\xff"[:width]
    assert written == [(0, 0x11), (1, 0x22)][:width]


@pytest.mark.parametrize(
    ("vector", "code", "returns_to"),
    [
        (0x21, "int 0x21", "after"),
        (3, "int3", "after"),
        (4, "mov al, 0x7F\ninc al\ninto", "after"),
        (6, "int 6", "after"),
        (0, "xor dx, dx\nmov ax, 1\nxor bx, bx\nfault: div bx", "fault"),
        (5, "mov ax, 9\nfault: bound ax, [limits]", "fault"),
        (6, "fault: ud2", "fault"),
    ],
)
def test_exceptions_go_through_the_vector_table(vector: int, code: str, returns_to: str) -> None:
    guest = Guest(
        f"""
            vector equ {vector}
        {HANDLER}
            hlt
        start:
            stc
            sti
            {code}
        after:
            hlt
        limits: dw 1, 5
        """
    ).run()
    assert guest.word(0x2000) == 1
    assert guest.word(0x2002) == guest.labels[returns_to]
    assert guest.word(0x2004) & 0x202 == 0x202  # pushed with IF set …
    assert not guest.cpu.interrupts_enabled  # … and cleared in the handler


def test_two_divide_errors_in_a_row_are_two_divide_errors() -> None:
    guest = Guest(
        """
            mov word [0], skip
            mov word [2], 0
            xor bx, bx
            div bx
            div bx
            div bx
            hlt
        skip:
            inc word [0x2000]
            mov bp, sp
            add word [bp], 2
            iret
        """
    ).run()
    assert guest.word() == 3


def test_single_step_traps_after_every_instruction() -> None:
    guest = Guest(
        """
            mov word [4], step
            mov word [6], 0
            mov di, 0x2000
            pushf
            pop ax
            or ax, 0x100
            push ax
            popf
        one:
            nop
        two:
            inc bx
        three:
            nop
        four:
            and byte [trap], 0
            hlt
        trap: db 0
        step:
            push bp
            mov bp, sp
            mov ax, [bp + 2]
            stosw
            cmp ax, four
            jne on
            and word [bp + 6], 0xFEFF
        on:
            pop bp
            iret
        """
    ).run()
    one = guest.labels["one"]
    steps = [guest.word(RESULTS + 2 * i) for i in range(4)]
    assert steps == [one, one + 1, one + 2, one + 3] or steps[:3] == [one + 1, one + 2, one + 3]


def test_frame_wraps_at_the_end_of_the_stack_segment() -> None:
    guest = Guest(
        """
            mov word [0x84], done
            mov word [0x86], 0
            mov ax, 0x1000
            mov ss, ax
            mov sp, 4
            int 0x21
            hlt
        done:
            mov [0x2000], sp
            hlt
        """
    ).run()
    assert guest.word() == 0xFFFE
    assert guest.word(0x10002) & 2  # flags
    assert guest.word(0x10000) == 0  # CS
    assert guest.word(0x1FFFE) > 0x7C00  # IP


def test_external_interrupt_wakes_a_halted_processor() -> None:
    guest = Guest("""
            mov word [0x20], tick
            mov word [0x22], 0
            sti
            hlt
            mov word [0x2002], 1
            hlt
        tick:
            inc word [0x2000]
            iret
        """)
    guest.run()
    assert guest.cpu.interruptible
    guest.cpu.interrupt(8)
    assert not guest.cpu.halted
    guest.run()
    assert (guest.word(0x2000), guest.word(0x2002)) == (1, 1)


@pytest.mark.parametrize("code", ["sti", "mov ss, ax", "pop ss"])
def test_shadow_of_one_instruction(code: str) -> None:
    setup = {"sti": "cli", "mov ss, ax": "sti\nnop\nxor ax, ax", "pop ss": "sti\nnop\npush ss"}[code]
    guest = Guest(f"""
            {setup}
            jmp go
        go:
            {code}
        shadow:
            nop
            nop
            nop
            hlt
        """)
    shadow = guest.labels["shadow"]
    seen = {}
    while guest.cpu.run(1) is Stop.COUNT:
        seen[guest.cpu.registers.eip] = guest.cpu.interruptible
    assert seen[shadow] is False
    assert seen[shadow + 1] is True


def attach_gate(guest: Guest) -> None:
    """Port 92h, bit 1: A20."""

    def write(register: int, value: int) -> None:
        guest.cpu.mmu.a20 = bool(value & 2)

    guest.bus.attach("gate", range(0x92, 0x93), lambda r: 0, write)


def test_a20_masks_bit_20() -> None:
    guest = Guest(
        """
            mov al, 0
            out 0x92, al
            mov ax, 0xFFFF
            mov es, ax
            mov byte [es:0x2010], 0x55
            mov al, [0x2000]
            mov [0x2100], al
            mov al, 2
            out 0x92, al
            mov byte [es:0x2010], 0xAA
            mov al, [0x2000]
            mov [0x2101], al
        """
    )
    attach_gate(guest)
    guest.run()
    assert guest.ram[0x2100:0x2102] == b"\x55\x55"
    assert guest.ram[0x102000] == 0xAA


def test_rom_cannot_be_written_and_goes_on_being_readable() -> None:
    guest = Guest(
        """
            mov ax, 0xF000
            mov es, ax
            mov ax, [es:0]
            mov word [es:0], 0x1234
            add ax, [es:0]
            mov [0x2000], ax
            mov ax, 0xC800
            mov es, ax
            mov byte [es:0], 1
            mov al, [es:0]
            mov [0x2002], al
        """
    ).run()
    assert guest.word() == int.from_bytes(b"RO", "little") * 2 & 0xFFFF
    assert guest.ram[0xF0000:0xF0004] == b"ROM!"
    assert guest.ram[0x2002] == 0xFF


def test_shadow_ram_keeps_what_is_written_code_and_stacks_too() -> None:
    guest = Guest(
        """
            mov ax, 0xF000
            mov ds, ax
            mov dword [0], 0x90CB42B0   ; mov al, 0x42; retf
            call 0xF000:0
            mov [cs:0x2000], al
            mov byte [1], 0x43          ; the code changes
            call 0xF000:0
            mov [cs:0x2001], al
            mov ax, ds
            mov ss, ax
            mov sp, 0x1000
            mov ax, 0xE000
            mov es, ax
            mov word [es:0], 0x1234     ; where no ROM is
            mov word [cs:0x80 * 4], handler
            mov word [cs:0x80 * 4 + 2], 0
            int 0x80                    ; its frame is in shadow RAM
            jmp done
        handler:
            pop ax
            push ax
            mov [cs:0x2002], ax
            iret
        done:
        """,
        shadow=True,
    ).run()
    assert guest.ram[0x2000:0x2002] == b"\x42\x43"
    assert guest.ram[0xE0000:0xE0002] == b"\xff\xff"
    frame = bytes(guest.ram[0xF0FFA:0xF1000])
    assert guest.word(0x2002) == int.from_bytes(frame[:2], "little") > START
    assert frame[2:4] == bytes(2)
    assert guest.memory.top_rom[-0x10000 : -0x10000 + 4] == b"ROM!", "the ROM itself stays"


def test_no_memory_reads_as_ones() -> None:
    guest = Guest(
        """
            cli
            lgdt [gdtr]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            mov bx, 8
            mov fs, bx
            and al, 0xFE
            mov cr0, eax
            mov esi, 0x00800000
            mov dword [fs:esi], 0
            mov eax, [fs:esi]
            mov [0x2000], eax
            hlt
        gdtr: dw 15
            dd gdt
        gdt: dq 0, 0x00CF93000000FFFF
        """,
        mebibytes=4,
    ).run()
    assert guest.ram[0x2000:0x2004] == b"\xff\xff\xff\xff"


def test_protected_mode_is_entered_and_left() -> None:
    """Unreal mode: segment limits loaded in protected mode stay."""
    guest = Guest(
        """
            cli
            lgdt [gdtr]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            jmp 8:protected
        protected:
            mov bx, 16
            mov es, bx
            mov eax, cr0
            and al, 0xFE
            mov cr0, eax
            jmp 0:real
        real:
            mov edi, 0x200000
            mov dword [es:edi], 0x12345678
            hlt
        gdtr: dw 23
            dd gdt
        gdt: dq 0, 0x00009B000000FFFF, 0x00CF93000000FFFF
        """
    ).run()
    assert guest.ram[0x200000:0x200004] == bytes.fromhex("78563412")
    assert not guest.cpu.protected


def test_code_that_the_guest_changes_is_seen() -> None:
    guest = Guest(
        """
            mov cx, 100
        again:
            mov byte [patch + 1], cl
        patch:
            mov al, 0
            xor ah, ah
            add [0x2000], ax
            loop again
        """
    ).run()
    assert guest.word() == sum(range(1, 101))


def test_code_changed_through_another_address_is_seen() -> None:
    """With A20 off, 10_xxxx and 00_xxxx are one page under two linear addresses."""
    guest = Guest(
        """
            mov al, 0
            out 0x92, al
            mov ax, 0xFFFF
            mov es, ax
            mov cx, 50
        again:
            mov byte [es:patch + 1 + 0x10], cl
        patch:
            mov al, 0
            xor ah, ah
            add [0x2000], ax
            loop again
        """
    )
    attach_gate(guest)
    guest.run()
    assert guest.word() == sum(range(1, 51))


def test_code_that_the_host_changes_is_seen() -> None:
    guest = Guest("""
            jmp go
        go:
            mov al, 1
            mov [0x2000], al
            hlt
            jmp go
        """)
    guest.run()
    go = guest.labels["go"]
    guest.ram[go + 1] = 9
    guest.cpu.mmu.memory_written(go + 1, 1)
    guest.run()
    assert guest.ram[0x2000] == 9


def test_the_same_invalid_instruction_for_ever_is_an_error() -> None:
    guest = Guest("""
            mov word [0x18], back
            mov word [0x1A], 0
            ud2
        back:
            iret
        """)
    with pytest.raises(GuestError, match="invalid instruction over and over at 0000:7C"):
        guest.run(slices=100_000)


def test_a_vector_outside_the_table_is_a_triple_fault() -> None:
    guest = Guest("""
            lidt [none]
            int 0x21
        none: dw 0, 0, 0
        """)
    with pytest.raises(GuestError, match="triple fault"):
        guest.run()


def test_the_location_of_a_halted_processor_is_its_hlt() -> None:
    guest = Guest("""
        jmp last
        last:
        """).run()
    assert guest.cpu.location.startswith(f"0000:{guest.labels['last']:04X} (f4 ")
