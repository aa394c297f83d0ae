"""From reset to boot sector: boot order, messages, warm start, the ways back from a reset, protected mode."""

from __future__ import annotations

import pytest

from pcemu.errors import GuestError
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble

DISK_SIZE = 2 << 20
BOOT_MILLISECONDS = 20  # of virtual time: the keyboard's four answers take 1 ms each
CMOS_BOOT_ORDER = 0x3D

TO_REAL_STACK = "xor ax, ax\nmov ds, ax\nmov es, ax\nmov ss, ax\nmov sp, 7C00h\n"


def say(letter: str) -> str:
    return f"mov al, '{letter}'\nout 0E9h, al\n"


STOP = "sti\nhlt\njmp $ - 1\n"


def boot_disk(source: str) -> MemoryDrive:
    """A disk whose boot sector is the assembled source."""
    program = assemble(f"{source}\ntimes 510 - ($ - $$) db 0\ndw 0AA55h")
    assert len(program) == 512
    return MemoryDrive(program.ljust(DISK_SIZE, b"\0"))


def empty_disk() -> MemoryDrive:
    return MemoryDrive(bytes(DISK_SIZE))


class Guest:
    """A machine, and what its guest has put out at port E9h."""

    def __init__(self, *disks: MemoryDrive | None, order: int = 0) -> None:
        self.output = bytearray()
        self.pc = Machine(MachineConfig(disks=disks, memory=4, debug=self.output.append))
        self.pc.rtc.poke(CMOS_BOOT_ORDER, order)

    def expect(self, output: str, timeout: float = 5) -> None:
        """Run until the guest has put out exactly this."""
        expected = output.encode("ascii")
        self.pc.run_until(lambda: len(self.output) >= len(expected), timeout)
        self.pc.run(0.01)
        assert self.output == expected


def test_state_at_the_boot_sector() -> None:
    guest = Guest(boot_disk(say("S") + STOP))
    guest.pc.run_until(lambda: guest.output == b"S", 1)
    assert guest.pc.now < BOOT_MILLISECONDS / 1000
    registers = guest.pc.registers
    assert registers.edx == 0x80
    assert (registers.ds, registers.es, registers.ss, registers.esp) == (0, 0, 0, 0x7C00)
    assert registers.eflags & 0x200


@pytest.mark.parametrize(
    ("order", "booted"),
    [(0x00, "A"), (0x02, "A"), (0x09, "B"), (0x0A, "C"), (0x0B, "A"), (0x9B, "B"), (0x21, "A"), (0xA1, "C")],
    ids=lambda value: f"{value:02X}" if isinstance(value, int) else value,
)
def test_boot_order(order: int, booted: str) -> None:
    disks = [boot_disk(say(letter) + STOP) for letter in "ABC"]
    guest = Guest(*disks, order=order)
    if order == 0x0B:  # drive 83h does not exist
        guest.pc.run_until_text("try again")
        assert "Drive 83h: no such drive" in guest.pc.screen.text
    else:
        guest.expect(booted)


def test_skips_what_does_not_boot() -> None:
    gives_up = boot_disk(say("1") + "int 18h")
    guest = Guest(gives_up, empty_disk(), boot_disk(say("3") + STOP))
    guest.expect("13")


def test_says_what_was_tried_and_tries_again_after_a_key() -> None:
    gives_up = boot_disk(say("1") + "int 18h")
    guest = Guest(gives_up, empty_disk())
    guest.pc.run_until_text("Press a key to try again.")
    text = guest.pc.screen.text
    assert "No bootable disk found." in text
    assert "Drive 80h: its boot sector found nothing to start" in text
    assert "Drive 81h: its boot sector has no signature 55AAh" in text
    guest.pc.type("x")
    guest.expect("11")


def test_waits_for_the_key_without_work() -> None:
    guest = Guest()
    guest.pc.run_until_text("Press a key to try again.")
    assert "Drive 80h: no such drive" in guest.pc.screen.text
    halted, now = guest.pc.execution.halted_ns, guest.pc.clock.now
    guest.pc.run(1)
    assert guest.pc.execution.halted_ns - halted > 0.999 * (guest.pc.clock.now - now)


def test_ctrl_alt_del_starts_warm() -> None:
    program = "mov ax, [472h]\ncmp ax, 1234h\nje warm\n" + say("C") + STOP + "warm:\n" + say("W") + STOP
    guest = Guest(boot_disk(TO_REAL_STACK + program))
    guest.expect("C")
    guest.pc.press("ctrl+alt+del")
    guest.expect("CW")


RESETS = {"8042": "mov al, 0FEh\nout 64h, al", "port 92h": "in al, 92h\nor al, 1\nout 92h, al"}


JUMP = "jmp 0FFFFh:0"


@pytest.mark.parametrize("way", [*RESETS.values(), JUMP], ids=[*RESETS, "jump"])
def test_a_warm_start_takes_no_longer_than_a_cold_one(way: str) -> None:
    program = "cmp word [472h], 1234h\nje warm\nmov word [472h], 1234h\n" + say("C") + way + "\nhlt\n"
    guest = Guest(boot_disk(TO_REAL_STACK + program + "warm:\n" + say("W") + STOP))
    guest.pc.run(2 * BOOT_MILLISECONDS / 1000)
    assert guest.output == b"CW"


@pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS.keys())
@pytest.mark.parametrize("code", [0x05, 0x0A])
def test_reset_resumes_where_the_guest_said(code: int, reset: str) -> None:
    guest = Guest(
        boot_disk(
            TO_REAL_STACK
            + f"""
            mov word [467h], resumed
            mov word [469h], 0
            mov al, 0Fh
            out 70h, al
            mov al, {code}
            out 71h, al
            {say("A")}
            {reset}
            {STOP}
        resumed:
            {TO_REAL_STACK}
            {say("B")}
            mov al, 0Fh
            out 70h, al
            in al, 71h
            add al, '0'
            out 0E9h, al
            {STOP}
            """
        )
    )
    guest.expect("AB0")


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        (0x09, "pushf\npush cs\npush word resumed\npusha\npush es\npush ds\n"),  # as AH=87h of the AT left it
        (0x0B, "pushf\npush cs\npush word resumed\n"),
        (0x0C, "push cs\npush word resumed\n"),
    ],
)
def test_reset_resumes_through_the_stack(code: int, frame: str) -> None:
    guest = Guest(
        boot_disk(
            TO_REAL_STACK
            + f"""
            {frame}
            mov [467h], sp
            mov word [469h], 0
            mov al, 0Fh
            out 70h, al
            mov al, {code}
            out 71h, al
            mov al, 0FEh
            out 64h, al
            {STOP}
        resumed:
            {say("R")}
            cmp sp, 7C00h
            jne $
            {say("S")}
            {STOP}
            """
        )
    )
    guest.expect("RS")


def test_reset_without_a_reason_starts_anew() -> None:
    count = "inc byte [600h]\nmov al, [600h]\nadd al, '0'\nout 0E9h, al\n"
    reset_twice = "cmp byte [600h], 3\nje done\nmov al, 0FEh\nout 64h, al\ndone:\n"
    guest = Guest(boot_disk(TO_REAL_STACK + count + reset_twice + STOP))
    guest.expect("123")


def test_switch_to_protected_mode() -> None:
    descriptor = "dw 0FFFFh, {0}\ndb {1}, {2}\ndw 0\n"
    gdt = (
        "gdt: dq 0\n"
        "dw 63, gdt, 0, 0\n"
        "dw 0, 0, 0, 0\n"
        + descriptor.format(0x0000, 0, 0x93)  # DS: 0
        + descriptor.format(0x8000, 0x0B, 0x93)  # ES: the screen
        + descriptor.format(0x0000, 0, 0x93)  # SS
        + descriptor.format(0x0000, 0, 0x9B)  # CS
        + "dq 0\n"
    )
    guest = Guest(
        boot_disk(
            TO_REAL_STACK
            + f"""
            mov ah, 89h
            mov bx, 2028h
            mov si, gdt
            mov cx, 1234h
            int 15h
            jc failed
            mov word [es:3998], 0741h
            mov ax, cs
            shr al, 3
            add al, '0'
            out 0E9h, al
            smsw ax
            and al, 1
            add al, '0'
            out 0E9h, al
            in al, 21h
            add al, '2'
            out 0E9h, al
            cmp cx, 1234h
            jne failed
            cmp sp, 7C00h
            jne failed
            {say("P")}
            jmp $
        failed:
            {say("F")}
            jmp $
            {gdt}
            """
        )
    )
    guest.expect("611P")
    assert guest.pc.screen.text.rstrip().endswith("A")


def test_exceptions_without_a_handler_say_where() -> None:
    guest = Guest(boot_disk(TO_REAL_STACK + "xor cx, cx\ndiv cx"))
    with pytest.raises(GuestError, match="halted with interrupts off"):
        guest.pc.run(1)
    assert "Divide error at 0000:7C0D, system halted" in guest.pc.screen.text


@pytest.mark.parametrize(("delay_and_rate", "codes"), [("0000h", 7), ("0300h", 1)])
def test_typematic_rate_reaches_the_keyboard(delay_and_rate: str, codes: int) -> None:
    """A key held for 440 ms: one code, and 250 ms later 30 in a second; with a delay of 1 s none."""
    set_rate = f"mov ax, 0305h\nmov bx, {delay_and_rate}\nint 16h\n"
    echo = "again:\nmov ah, 0\nint 16h\n" + say("K") + "jmp again\n"
    guest = Guest(boot_disk(TO_REAL_STACK + set_rate + say("T") + echo))
    guest.expect("T")
    guest.pc.keyboard.press("x")
    guest.pc.run(0.44)
    guest.pc.keyboard.release("x")
    guest.pc.run(0.1)
    assert guest.output == b"T" + codes * b"K"


def test_interrupts_without_a_device_come_back() -> None:
    """INT 74h (mouse), INT 75h (FPU error, passed on as an NMI), INT 05h with no printer to print on."""
    program = f"""
        mov word [2 * 4], nmi
        mov word [2 * 4 + 2], 0
        int 74h
        {say("m")}
        int 75h
        {say("f")}
        mov ah, 2                       ; cursor to row 5, column 6
        mov bh, 0
        mov dx, 0506h
        int 10h
        int 05h
        cmp byte [500h], 0FFh           ; printing failed
        jne $
        cmp word [450h], 0506h          ; and the cursor is where it was
        jne $
        {say("p")}
        {STOP}
    nmi:
        {say("N")}
        iret
    """
    Guest(boot_disk(TO_REAL_STACK + program)).expect("mNfp")
