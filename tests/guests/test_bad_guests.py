"""Guests that cannot go on end with a message that says why and where: never a hang, never a traceback."""

from __future__ import annotations

import random
import re

import pytest

from pcemu.errors import GuestError, TimeoutReached
from pcemu.machine import Machine, MachineConfig
from pcemu.testing.memory_drive import MemoryDrive
from tests.assembler import assemble

SECTORS = 2048
SIGNATURE = b"\x55\xaa"


def disk(boot_code: bytes, signature: bytes = SIGNATURE) -> MemoryDrive:
    """A drive of 1 MiB with this boot sector."""
    return MemoryDrive(boot_code.ljust(510, b"\0")[:510] + signature + bytes((SECTORS - 1) * 512))


def boot(source: str) -> Machine:
    """A machine about to boot a program."""
    return Machine(MachineConfig(disks=[disk(assemble(source))]))


# -- the guest stops ------------------------------------------------------------------------------

ENDS = {
    "triple fault": (
        "lidt [limit]\nbad: int3\nlimit: dw 0, 0, 0",
        r"triple fault: interrupt 03h could not be delivered at 0000:7C0",
    ),
    "fault in protected mode": (
        """
            cli
            lgdt [table]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            jmp 8:entry
        entry:
            ud2
        table: dw 15
            dd descriptors
        descriptors: dq 0, 00009A000000FFFFh
        """,
        r"triple fault: interrupt 06h could not be delivered at 0008:7C",
    ),
    "interrupts off": ("cli\nhlt", r"halted with interrupts off.* at 0000:7C01 \(f4"),
    "division": (
        "xor cx, cx\ndiv cx",
        r"halted with interrupts off.* at F000:.*, after a divide error at 0000:7C02$",
    ),
    "garbage": (
        "db 0FFh, 0FFh",
        r"halted with interrupts off.* at F000:.*, after an invalid opcode at 0000:7C00$",
    ),
    "garbage, ignored": (
        "mov word [6 * 4], ignore\nmov word [6 * 4 + 2], 0\nbad: ud2\nignore: iret",
        r"an invalid instruction over and over at 0000:7C0C",
    ),
    "empty memory": ("jmp 2000h:0000h", r"ran past the end of its code segment, and is at 2000:[0-9A-F]{5} "),
    "overwrites itself": ("push ax\njmp $ - 1", r"(executes empty memory|ran past the end).* at 0000:"),
    "no memory": (
        "jmp 0D000h:0000h",
        r"halted with interrupts off.* at F000:.*, after an invalid opcode at D000:0000$",
    ),
    "no memory above the RAM": (
        """
            in al, 92h
            or al, 2
            out 92h, al
            cli
            lgdt [table]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            jmp dword 8:70000000h
        table: dw 15
            dd descriptors
        descriptors: dq 0, 00CF9A000000FFFFh
        """,
        r"triple fault: interrupt 06h could not be delivered at 0008:70000000",
    ),
}


@pytest.mark.parametrize(("source", "message"), ENDS.values(), ids=ENDS)
def test_message_says_what_and_where(source: str, message: str) -> None:
    with boot(source) as pc, pytest.raises(GuestError) as caught:
        pc.run(20)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("xor cx, cx\ndiv cx", "Divide error at 0000:7C02, system halted"),
        ("db 0FFh, 0FFh", "Invalid opcode at 0000:7C00, system halted"),
        ("jmp 0D000h:0123h", "Invalid opcode at D000:0123, system halted"),
    ],
)
def test_bios_says_where_an_exception_came_from(source: str, text: str) -> None:
    with boot(source) as pc:
        with pytest.raises(GuestError):
            pc.run(5)
        assert text in pc.screen.text


# -- the guest goes on for ever -------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["cli\njmp $", "jmp $", "hlt\njmp $ - 1", "int 12h\njmp $ - 2", "in al, 60h\njmp $ - 2"],
)
def test_endless_loop_ends_with_the_timeout(source: str) -> None:
    with boot(source) as pc, pytest.raises(TimeoutReached, match=r"'never' within 0\.5 s"):
        pc.run_until_text("never", 0.5)


@pytest.mark.parametrize("seed", range(16))
def test_random_bytes_do_no_harm(seed: int) -> None:
    """Whatever runs: it goes on, or it ends with a message."""
    code = random.Random(seed).randbytes(510)
    with Machine(MachineConfig(disks=[disk(code)], memory=2)) as pc:
        try:
            pc.run(0.1)
        except GuestError as error:
            assert re.search(r" at [0-9A-F]{4}:[0-9A-F]{4}", str(error))


# -- nothing to boot ------------------------------------------------------------------------------

GIVES_UP = assemble("int 18h")
NOTHING = {
    "no disk": ([], ["Drive 80h: no such drive"]),
    "blank": ([disk(b"", b"\0\0")], ["Drive 80h: its boot sector has no signature 55AAh"]),
    "no signature": ([disk(b"\xeb\xfe", b"\xaa\x55")], ["Drive 80h: its boot sector has no signature 55AAh"]),
    "gives up": ([disk(GIVES_UP)], ["Drive 80h: its boot sector found nothing to start"]),
    "two": (
        [disk(b"", b"\0\0"), disk(GIVES_UP)],
        [
            "Drive 80h: its boot sector has no signature 55AAh",
            "Drive 81h: its boot sector found nothing to start",
        ],
    ),
}


@pytest.mark.parametrize(("disks", "tried"), NOTHING.values(), ids=NOTHING)
def test_says_what_was_tried(disks: list[MemoryDrive], tried: list[str]) -> None:
    with Machine(MachineConfig(disks=disks)) as pc:
        pc.run_until_text("Press a key to try again.", 10)
        lines = [line.strip() for line in pc.screen.text.splitlines()]
    assert lines[lines.index("No bootable disk found.") + 1 :][: len(tried) + 1] == [
        *tried,
        "Press a key to try again.",
    ]


def test_unreadable_boot_sector() -> None:
    broken = disk(GIVES_UP)
    broken.fail_reads.add(0)
    with Machine(MachineConfig(disks=[broken])) as pc:
        pc.run_until_text("Press a key to try again.", 30)
        assert re.search(r"Drive 80h: read error [0-9A-F]{2}h", pc.screen.text)


def test_second_disk_boots_when_the_first_does_not() -> None:
    hello = assemble("mov ax, 0E21h\nint 10h\njmp $")
    with Machine(MachineConfig(disks=[disk(b"", b"\0\0"), disk(hello)])) as pc:
        pc.run_until_text("!", 10)


def test_tries_again_after_a_key() -> None:
    drive = disk(b"", b"\0\0")
    with Machine(MachineConfig(disks=[drive])) as pc:
        pc.run_until_text("Press a key to try again.", 10)
        drive.data[:512] = assemble("mov ax, 0E21h\nint 10h\njmp $").ljust(510, b"\0") + SIGNATURE
        pc.press("space")
        pc.run_until_text("!", 10)
