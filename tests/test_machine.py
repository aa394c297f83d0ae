"""The whole board, as its user sees it: programs in the boot sector of a disk, started by the real ROM."""

from __future__ import annotations

import datetime
import hashlib
import re
import time
from pathlib import Path

import pytest
from PIL import Image

import pcemu.machine
from pcemu import Machine, MachineConfig
from pcemu.errors import GuestError, TimeoutReached, UsageError
from pcemu.resources import resource
from pcemu.testing.memory_drive import MemoryDrive
from tests.boot import IDLE, Booted

OWN_ROM = resource("pcemu-bios.rom")

# Prints what is typed, and "Ok" after Enter.
ECHO = """
next:
    mov ah, 0
    int 0x16
    call print
    cmp al, 13
    jne next
    mov si, answer
more:
    lodsb
    call print
    cmp al, 13
    jne more
    jmp next
print:
    mov ah, 0x0E
    int 0x10
    ret
answer: db 10, "Ok", 10, 13
"""

# Vector 8 (IRQ 0) and 9 (IRQ 1) go to `handler`.
HOOK_TIMER = "mov word [0x20], handler\nmov word [0x22], 0\n"

WAIT_8042 = "%macro wait_8042 0\n%%again: in al, 0x64\ntest al, 2\njnz %%again\n%endmacro\n"


# -- power-on and time ----------------------------------------------------------------------------------


def test_the_rom_starts_the_boot_sector() -> None:
    with Booted("say dl\n" + IDLE) as pc:
        assert pc.now == 0
        assert pc.registers.eip == 0xFFF0
        assert pc.run_until_said(1) == b"\x80"
        assert pc.registers.cs == 0
        assert 0x7C00 <= pc.registers.eip < 0x7E00


def test_memory_is_clean_at_power_on() -> None:
    with Machine() as pc:
        ram = pc.memory.ram
        assert not any(ram[:0xC0000])
        assert not any(ram[0x100000:0x200000])


def test_run_lets_so_much_virtual_time_pass() -> None:
    with Booted(IDLE) as pc:
        pc.run(0.25)
        assert 0.25 <= pc.now < 0.25001
        pc.run(0.5)
        assert 0.75 <= pc.now < 0.75001
        pc.run(0)
        assert pc.now < 0.75001


def test_run_until_ends_with_the_condition() -> None:
    with Booted("say 'a'\nmov cx, 3\nsti\nagain: hlt\nloop again\nsay 'b'\n" + IDLE) as pc:
        pc.run_until(lambda: b"b" in pc.said)
        assert pc.said == b"ab"
        assert pc.now < 1
        before = pc.now
        pc.run_until(lambda: True)
        assert pc.now == before


def test_waiting_for_what_does_not_come_ends_in_virtual_time() -> None:
    with Booted(IDLE) as pc:
        started = time.monotonic()
        with pytest.raises(TimeoutReached, match="did not come within 600 s of virtual time"):
            pc.run_until(lambda: False, timeout=600)
        assert 600 <= pc.now < 600.1
        assert time.monotonic() - started < 60


def test_the_timer_interrupts_18_times_a_second() -> None:
    with Booted(IDLE) as pc:
        pc.run(1)
        first = int.from_bytes(pc.memory.ram[0x46C:0x470], "little")
        pc.run(100)
        assert int.from_bytes(pc.memory.ram[0x46C:0x470], "little") - first in (1820, 1821)


def test_pace_realtime_keeps_to_the_wall_clock_without_burning_it() -> None:
    with Booted(IDLE, pace="realtime") as pc:
        pc.run(0.1)
        started, processor = time.monotonic(), time.process_time()
        pc.run(0.5)
        assert time.monotonic() - started >= 0.45
        assert time.process_time() - processor < 0.25


# -- interrupts and virtual time ------------------------------------------------------------------------


def test_an_interrupt_reaches_a_busy_guest_within_microseconds() -> None:
    """The handler reads counter 0, which has counted down since it asked for the interrupt."""
    with Booted(
        HOOK_TIMER
        + """
    mov al, 0x34            ; counter 0, mode 2
    out 0x43, al
    mov ax, 1193            ; 1 ms
    out 0x40, al
    mov al, ah
    out 0x40, al
    sti
again:
    inc dword [0x2000]
    nop
    jmp again
handler:
    mov al, 0
    out 0x43, al            ; latch
    in al, 0x40
    out 0xE9, al
    in al, 0x40
    out 0xE9, al
    mov al, 0x20
    out 0x20, al
    iret
"""
    ) as pc:
        said = pc.run_until_said(200)
    late = [1193 - int.from_bytes(said[i : i + 2], "little") for i in range(2, 200, 2)]  # in 0.84 µs
    assert 1 <= min(late) <= max(late) <= 6


def test_hlt_waits_for_the_timer_and_for_nothing_else() -> None:
    with Booted(
        HOOK_TIMER + "sti\nagain: hlt\nsay 'h'\njmp again\nhandler: say 't'\nmov al, 0x20\nout 0x20, al\niret"
    ) as pc:
        assert pc.run_until_said(20)[:20] == b"th" * 10
        assert pc.execution.halted_ns > 0.4 * 1e9


def test_a_program_that_waits_takes_no_time_of_the_host() -> None:
    with Booted(IDLE) as pc:
        pc.run(0.1)
        started = time.process_time()
        pc.run(60)
        assert time.process_time() - started < 5


@pytest.mark.parametrize("memory", [2, 32])
def test_the_same_start_and_the_same_input_give_the_same_end(memory: int) -> None:
    def outcome() -> tuple[int, str, str, bytes]:
        date = datetime.datetime(1999, 12, 31, 23, 59, 58)
        with Booted(ECHO, date=date, memory=memory) as pc:
            pc.run(0.3)
            pc.type("hello\n")
            pc.press("shift+a")
            pc.run(3)
            digest = hashlib.sha256(pc.memory.ram).hexdigest()
            return pc.clock.now, digest, pc.screen.text, bytes(pc.drive.data)

    first = outcome()
    assert first == outcome()
    assert "hello\nOk\nA" in first[2]


# -- keyboard and screen --------------------------------------------------------------------------------


def test_what_is_typed_comes_through_keyboard_bios_and_screen() -> None:
    with Booted(ECHO) as pc:
        pc.run_until_text("Hard disk")
        pc.type("Hello, World! ~{}|\"<>?:_+")
        pc.run_until_text("Hello, World! ~{}|\"<>?:_+")
        pc.type("\n")
        pc.run_until_text("Ok")
        assert "\nHello, World! ~{}|\"<>?:_+\nOk" in pc.screen.text


def test_after_typing_only_what_is_new_counts() -> None:
    with Booted("mov si, 0\n" + ECHO) as pc:
        pc.run_until_text("pcemu BIOS")
        pc.type("x\n")
        with pytest.raises(TimeoutReached) as info:
            pc.run_until_text("pcemu BIOS", timeout=0.5)
        assert "the screen did not show 'pcemu BIOS' within 0.5 s of virtual time" in str(info.value)
        assert pc.screen.text in str(info.value)
        assert "pcemu BIOS" in pc.screen.text


def test_an_answer_is_told_from_earlier_ones_on_a_screen_that_scrolls() -> None:
    with Booted(ECHO) as pc:
        pc.run_until_text("Hard disk")
        for number in range(30):
            pc.type(f"line {number}\n")
            pc.run_until_text("Ok")
            assert pc.fresh_text.split() == ["Ok"]
            assert f"line {number}\nOk" in pc.screen.text
        assert "line 0" not in pc.screen.text


def test_press_gives_chords_by_name() -> None:
    with Booted("next: mov ah, 0\nint 16h\nsay al\nsay ah\njmp next") as pc:
        pc.run(0.2)
        for chord in ("f5", "ctrl+a", "alt+x", "shift+1", "left"):
            pc.press(chord)
        pc.run(0.1)
        assert pc.said == bytes([0, 0x3F, 1, 0x1E, 0, 0x2D, ord("!"), 0x02]) + pc.said[8:]
        assert pc.said[8] in (0, 0xE0)
        assert pc.said[9] == 0x4B


@pytest.mark.parametrize("act", [lambda pc: pc.press("hyper+x"), lambda pc: pc.type("語")])
def test_a_key_that_a_keyboard_does_not_have_is_refused(act: object) -> None:
    with Booted(ECHO) as pc, pytest.raises(UsageError):
        act(pc)  # type: ignore[operator]


def test_keys_that_the_guest_does_not_take() -> None:
    with Booted(IDLE) as pc:
        pc.run(0.2)
        with pytest.raises(TimeoutReached, match="did not take the keys within 2 s"):
            pc.type("abc", timeout=2)
        assert pc.keyboard.down == ()


def test_the_screen_is_the_same_object_until_it_changes() -> None:
    with Booted(ECHO) as pc:
        pc.run_until_text("Hard disk")
        pc.run(0.1)
        before = pc.screen
        assert pc.screen is before
        pc.type("x")
        pc.run(0.1)
        assert pc.screen is not before
        assert "x" not in before.line(before.cursor.row)


def test_a_blank_behind_a_prompt_may_be_an_empty_cell() -> None:
    with Booted(ECHO) as pc:
        pc.run_until_text("Hard disk")
        pc.type("Name? x")
        pc.run_until_text("Name? ")
        assert pc.shows("Name? x ")
        assert not pc.shows("Name? y")
        assert not pc.shows("Name?  ")
        with pytest.raises(TimeoutReached):
            pc.run_until_text("Name ", timeout=0.1)


def test_a_screenshot_is_a_png(tmp_path: Path) -> None:
    with Booted(ECHO) as pc:
        pc.run_until_text("Hard disk")
        pc.screenshot(tmp_path / "screen.png")
        pc.screenshot(str(tmp_path / "again.png"))
        with Image.open(tmp_path / "screen.png") as image:
            assert image.format == "PNG"
            assert image.size == (720, 400)
            assert len(image.convert("RGB").getcolors() or ()) >= 2


# -- resets ---------------------------------------------------------------------------------------------

# Says b; the second time says r and stays.
BOOTED_TWICE = "cmp dword [0x3000], 0x12345678\nje second\nmov dword [0x3000], 0x12345678\nsay 'b'\n"
SECOND = "\nsecond: say 'r'\n" + IDLE


@pytest.mark.parametrize(
    "reset",
    [
        "in al, 0x92\nor al, 1\nout 0x92, al",
        "mov al, 0xFE\nout 0x64, al",
        "mov al, 0xD1\nout 0x64, al\nwait_8042\nmov al, 2\nout 0x60, al",
        "jmp 0xFFFF:0",
        "mov word [0x472], 0x1234\nmov al, 0xFE\nout 0x64, al",
        "mov dx, 0xCF9\nmov al, 0\nout dx, al\nmov al, 4\nout dx, al",
        "mov dx, 0xCF9\nmov al, 2\nout dx, al\nmov al, 6\nout dx, al",
    ],
    ids=["port 92h", "8042 FEh", "8042 output port", "jump", "warm", "port CF9h, soft", "port CF9h, hard"],
)
@pytest.mark.parametrize("wait", ["cli\nhlt", "cli\njmp $", "sti\njmp $"])
@pytest.mark.parametrize("a20", [0, 2])
def test_the_guest_resets_the_processor(reset: str, wait: str, a20: int) -> None:
    set_a20 = f"in al, 0x92\nand al, 0xFD\nor al, {a20}\nout 0x92, al\n"
    with Booted(f"{WAIT_8042}{BOOTED_TWICE}{set_a20}{reset}\n{wait}{SECOND}") as pc:
        assert pc.run_until_said(2) == b"br"
        assert pc.cpu.mmu.a20 is (pc.i8042.a20 or pc.port92.a20)
        # A20 is off after POST, as it was the first time.
        assert not pc.cpu.mmu.a20


@pytest.mark.parametrize("hard", [False, True])
def test_a_hard_reset_brings_back_what_is_in_the_roms_and_a_soft_one_does_not(hard: bool) -> None:
    change = "mov ax, 0xF000\nmov ds, ax\nmov byte [0xFFF5], 'x'\n"  # the first digit of the ROM's date
    reset = f"mov dx, 0xCF9\nmov al, {4 + 2 * hard}\nout dx, al\njmp $\n"
    tell = "mov ax, 0xF000\nmov es, ax\nmov al, [es:0xFFF5]\n"
    with Booted(BOOTED_TWICE + change + reset + f"second:\n{tell}say al\n{IDLE}", bios=OWN_ROM) as pc:
        first, second = pc.run_until_said(2)
        assert first == ord("b")
        assert (second == ord("x")) is not hard


def test_looking_for_pci_finds_none_and_resets_nothing() -> None:
    look = "mov dx, 0xCF8\nmov eax, 0x80000604\nout dx, eax\nout dx, ax\nin eax, dx\nmov [0x2000], eax\n"
    with Booted(look + "say 'b'\nsay [0x2000]\nsay [0x2003]\n" + IDLE) as pc:
        assert pc.run_until_said(3) == b"b\xff\xff"
        pc.run(0.5)
        assert pc.run_until_said(3) == b"b\xff\xff"


def test_the_reset_button() -> None:
    with Booted(BOOTED_TWICE + "cli\nmov al, 0x34\nout 0x43, al\njmp $" + SECOND) as pc:
        pc.run_until_said(1)
        pc.reset()
        assert pc.registers.eip == 0xFFF0
        assert pc.run_until_said(2) == b"br"
        assert pc.memory.ram[0x3000:0x3004] == bytes.fromhex("78563412")
        pc.run(0.5)  # the timer runs again: HLT wakes


def test_ctrl_alt_del_boots_again() -> None:
    with Booted(BOOTED_TWICE + IDLE.replace("idle", "stay") + SECOND) as pc:
        pc.run_until_said(1)
        pc.press("ctrl+alt+del")
        assert pc.run_until_said(2) == b"br"


# -- A20 ------------------------------------------------------------------------------------------------


def test_either_gate_opens_a20() -> None:
    """For each setting of both gates: is FFFF:3010 other memory than 0000:3000? If not, A20 is off."""
    source = f"""
{WAIT_8042}
    cli
    mov ax, 0xFFFF
    mov fs, ax
    mov cx, 4
next:
    mov al, 0xD1            ; 8042: bit 0 of CX
    out 0x64, al
    wait_8042
    mov al, cl
    and al, 1
    shl al, 1
    or al, 0xDD
    out 0x60, al
    wait_8042
    mov al, cl              ; port 92h: bit 1 of CX
    and al, 2
    out 0x92, al
    mov byte [0x3000], 0
    mov byte [fs:0x3010], 1
    mov al, [0x3000]
    xor al, 1
    out 0xE9, al
    loop next
{IDLE}"""
    with Booted(source) as pc:
        # CX = 4 (both off), 3 (both on), 2 (port 92h), 1 (8042)
        assert pc.run_until_said(4) == bytes([0, 1, 1, 1])


# -- the board ------------------------------------------------------------------------------------------


def test_the_ports_in_the_docstring_are_the_ports_that_answer() -> None:
    ranges: list[range] = []
    for line in (pcemu.machine.__doc__ or "").splitlines():
        if re.match(r"[0-9A-F]{2,3}\b", line):
            for ports in line[:9].split(","):
                first, _, last = ports.strip().partition("–")
                ranges.append(range(int(first, 16), int(last or first, 16) + 1))
            ranges += [range(int(p, 16), int(p, 16) + 1) for p in re.findall(r"([0-9A-F]{3}): control", line)]
    with Machine() as pc:
        answered = set(pc.bus.handlers)
    documented = {port for ports in ranges for port in ports}
    assert answered <= documented
    assert all({ports[0], ports[-1]} <= answered for ports in ranges)
    holes = {pc.bus.handlers[ports[0]].name for ports in ranges if not set(ports) <= answered}
    assert holes == {"VGA"}


def test_four_disks_sit_where_they_were_given() -> None:
    disks = [MemoryDrive(sectors) for sectors in (3000, 4000, 5000)]
    identify = """
    mov si, disks
next:
    lodsw
    test ax, ax
    jz done
    mov dx, ax
    lodsb
    add dx, 6
    out dx, al
    inc dx
    mov al, 0xEC
    out dx, al
ready:
    in al, dx
    test al, 0x80
    jnz ready
    sub dx, 7
    mov di, 0x4000
    mov cx, 256
    rep insw
    say [0x4000 + 2 * 60]   ; sectors
    say [0x4001 + 2 * 60]
    jmp next
disks: dw 0x1F0
    db 0xE0
    dw 0x1F0
    db 0xF0
    dw 0x170
    db 0xE0
    dw 0x170
    db 0xF0
    dw 0
done:
"""
    with Booted(identify + IDLE, more_disks=disks) as pc:
        said = pc.run_until_said(8)
        assert [int.from_bytes(said[i : i + 2], "little") for i in range(0, 8, 2)] == [2048, 3000, 4000, 5000]
        assert pc.memory.ram[0x475] == 4


def test_cmos_tells_the_size_of_memory() -> None:
    fields = (0x17, 0x18, 0x34, 0x35)
    read = "".join(f"mov al, {index}\nout 0x70, al\nin al, 0x71\nsay al\n" for index in fields)
    for mebibytes, above_1, above_16 in ((2, 1024, 0), (16, 15360, 0), (64, 64512, 768), (128, 0xFFFF, 1792)):
        with Booted(read + IDLE, memory=mebibytes) as pc:
            said = pc.run_until_said(4)
            assert int.from_bytes(said[:2], "little") == above_1
            assert int.from_bytes(said[2:4], "little") == above_16


def test_the_clock_starts_from_the_date_that_was_given() -> None:
    read = "sti\nmov ah, 4\nint 0x1A\nsay ch\nsay cl\nsay dh\nsay dl\nmov ah, 2\nint 0x1A\nsay ch\nsay cl\n"
    with Booted(read + IDLE, date=datetime.datetime(1994, 3, 29, 12, 34, 50)) as pc:
        assert pc.run_until_said(6).hex() == "199403291234"


def test_serial_and_debug_console_reach_the_host() -> None:
    sent = bytearray()
    out = "mov dx, 0\nmov ax, 0x00E3\nint 0x14\n"  # 9600 bps, 8 bits
    out += "".join(f"mov ax, 0x0100 + '{letter}'\nint 0x14\n" for letter in "com")
    with Booted(out + "say 'e'\n" + IDLE, serial=sent.append) as pc:
        assert pc.run_until_said(1) == b"e"
        pc.run(0.1)
        assert sent == b"com"


def test_a_host_error_of_a_disk_is_told() -> None:
    told: list[OSError] = []
    drive = MemoryDrive(2048)
    drive.fail_reads = {0}
    with Machine(MachineConfig(disks=[drive], on_host_error=told.append)) as pc:
        pc.run(0.5)
        assert "pcemu BIOS" in pc.screen.text
    assert told


# -- guests that cannot go on ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cli\nhlt", r"halted with interrupts off, so nothing can wake it, at 0000:7C0[0-9]"),
        ("mov word [0x18], back\nmov word [0x1A], 0\nud2\nback: iret", "invalid instruction over and over"),
    ],
)
def test_a_guest_that_cannot_go_on_is_an_error_that_says_where(source: str, message: str) -> None:
    with Booted(source) as pc:
        with pytest.raises(GuestError, match=message):
            pc.run(2)
        assert "pcemu BIOS" in pc.screen.text  # what it showed last can still be looked at
        assert pc.now > 0


TRIPLE_FAULT = "lidt [none]\nint 3\nnone: dw 0, 0, 0"


def test_a_triple_fault_is_told_and_resets_but_not_for_ever() -> None:
    told: list[str] = []
    with Booted(TRIPLE_FAULT, on_shutdown=told.append) as pc:
        with pytest.raises(GuestError, match=r"triple fault: .* at .*; 3 resets have not helped"):
            pc.run(60)
        assert len(told) == 3
        assert {reason[:48] for reason in told} == {"triple fault: interrupt 03h could not be deliver"}


def test_a_planned_triple_fault_is_a_way_back_to_real_mode() -> None:
    """As software for the 80286 does it: shutdown code 5 and an address in CMOS and BIOS data area."""
    source = """
        mov     word [0x500], 0
start:  cmp     word [0x500], 20
        je      done
        mov     word [0x467], again
        mov     word [0x469], 0
        mov     al, 0x0F
        out     0x70, al
        mov     al, 0x0A
        out     0x71, al
        lidt    [none]
        int     3
again:  xor     ax, ax
        mov     ds, ax
        mov     ss, ax
        mov     sp, 0x7C00
        inc     word [0x500]
        jmp     start
done:   mov     al, [0x500]
        out     0xE9, al
        sti
rest:   hlt
        jmp     rest
none:   dw      0, 0, 0
"""
    told: list[str] = []
    with Booted(source, on_shutdown=told.append) as pc:
        assert pc.run_until_said(1) == bytes([20])
        assert told == []


def test_a_triple_fault_right_behind_a_reset_is_no_news() -> None:
    """Firmware asks the chipset for a reset, and makes sure of it."""
    reset = "mov dx, 0xCF9\nmov al, 6\nlidt [none]\nout dx, al\nint 3\nnone: dw 0, 0, 0"
    source = f"{BOOTED_TWICE}{reset}{SECOND}"
    told: list[str] = []
    with Booted(source, on_shutdown=told.append) as pc:
        assert pc.run_until_said(2) == b"br"
    assert told == []


# INT 16h of a BIOS that only looks into the keyboard buffer
BUSY_BIOS = """
    mov word [0x58], service
    mov word [0x5A], 0
    sti
    jmp start
service:
    sti
    push ds
    push word 0x40
    pop ds
    mov ax, [0x1A]
    cmp ax, [0x1C]
    pop ds
    retf 2
start:
"""


@pytest.mark.parametrize("bios", [None, OWN_ROM])
def test_foreign_firmware_is_spared_what_its_guests_ask_again_and_again(bios: Path | None) -> None:
    asked = "inc dword [0x2000]\nmov ah, 1\nint 0x16\njmp asking\n"
    with Booted(f"{BUSY_BIOS}mov dword [0x2000], 0\nsay 'b'\nasking:\n{asked}", bios=bios) as pc:
        pc.run_until_said(1)
        pc.run(0.1)
        before, ticks = pc.memory.ram[0x2000:0x2004], pc.memory.ram[0x46C]
        pc.run(1)
        polls = int.from_bytes(pc.memory.ram[0x2000:0x2004], "little") - int.from_bytes(before, "little")
        assert pc.memory.ram[0x46C] - ticks & 0xFF in (18, 19)
        assert (polls < 2000) is (bios is not None)


# -- configuration and end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"memory": 1}, "memory of 1 MiB was asked for; give 2 to 2048 MiB"),
        ({"memory": 4096}, "memory of 4096 MiB"),
        ({"pace": "fast"}, "unknown pace 'fast'; expected max or realtime"),
        ({"mips": 0}, "0 MIPS were asked for; give 1 to 200"),
        ({"mips": 201}, "201 MIPS"),
        ({"disks": [None] * 5}, "5 disks were given; the machine takes up to 4"),
        ({"disks": ["dos.img"]}, r"'dos.img' is no drive; expected what Session\(PATH\).start\(\) gives"),
        ({"bios": Path("no-such.rom")}, "no-such.rom: this ROM cannot be read: No such file"),
        ({"bios": Path(__file__)}, r"test_machine\.py: the system ROM has \d+ bytes; expected 64, 128"),
        ({"bios": OWN_ROM, "vgabios": Path(__file__)}, r"test_machine\.py: this is no adapter ROM: it has"),
        ({"bios": OWN_ROM, "vgabios": Path("none.rom")}, "none.rom: this ROM cannot be read: No such file"),
        ({"vgabios": Path("vga.rom")}, "vga.rom: a VGA BIOS goes with a system ROM that starts it; pcemu"),
    ],
)
def test_a_configuration_that_is_off_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Machine(MachineConfig(**config))  # type: ignore[arg-type]


@pytest.mark.parametrize("mips", [1, 200])
def test_speed_is_in_virtual_time(mips: int) -> None:
    """A loop of so many instructions takes about their number divided by the speed."""
    loop = "sti\nsay 's'\nmov ecx, 200000\nagain: add eax, 3\ndec ecx\njnz again\nsay 'e'\n"
    with Booted(loop + IDLE, mips=mips) as pc:
        pc.run_until_said(1, timeout=60)
        began = pc.now
        pc.run_until_said(2, timeout=60)
        assert pc.now - began == pytest.approx(600_000 / (mips * 1e6), rel=0.5, abs=0.011)


def test_leaving_the_context_closes_the_disks_even_after_an_error() -> None:
    disks = [MemoryDrive(2048), MemoryDrive(2048)]
    with Machine(MachineConfig(disks=[disks[0], None, disks[1]])):
        assert not any(disk.closed for disk in disks)
    assert all(disk.closed for disk in disks)

    drive = MemoryDrive(2048)
    with pytest.raises(KeyError), Machine(MachineConfig(disks=[drive])):
        raise KeyError
    assert drive.closed


def test_two_machines_at_once_do_not_disturb_each_other() -> None:
    with Booted("say 'a'\n" + ECHO) as one, Booted("say 'b'\n" + ECHO) as two:
        one.run_until_said(1)
        two.run_until_said(1)
        one.type("first")
        two.type("second")
        one.run_until_text("first")
        two.run_until_text("second")
        assert one.said == b"a"
        assert two.said == b"b"
        assert "second" not in one.screen.text
