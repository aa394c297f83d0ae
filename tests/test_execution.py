"""Processor, clock and interrupt controller taking turns, on a board with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from pcemu import execution
from pcemu.clock import MICROSECOND, MILLISECOND, SECOND, Clock
from pcemu.cpu.cpu import INTERRUPT_TICKS
from pcemu.cpu.ports import PORT_TICKS
from pcemu.devices.pic import I8259
from pcemu.errors import GuestError
from pcemu.execution import Execution
from tests.cpu.guest import START, Guest

TICK = 4
PORT = 0x80  # what the guest writes there is logged with its instant
ASK = 0x81  # asks for IRQ 0 after so many µs
VECTOR = 8

# Vector 8 points to `handler`; then `main`.
VECTORS = f"mov word [{VECTOR * 4}], handler\nmov word [{VECTOR * 4 + 2}], 0\njmp main\n"
# Says 0xEE and ends the interrupt.
HANDLER = "handler: push ax\nmov al, 0xEE\nout 0x80, al\nmov al, 0x20\nout 0x20, al\npop ax\niret\n"


class Board:
    """Guest, clock and PIC; ``log`` holds (instant, byte) of each write to :data:`PORT`."""

    def __init__(self, source: str, mebibytes: int = 4) -> None:
        self.clock = Clock()
        self.pic = I8259()
        self.guest = Guest(source, mebibytes)
        self.cpu = self.guest.cpu
        self.ram = memoryview(self.guest.ram)
        self.execution = Execution(self.cpu, self.clock, self.pic, self.ram, TICK)
        self.log: list[tuple[int, int]] = []
        self.requested: list[int] = []  # the instants of requests
        bus = self.guest.bus
        bus.attach("PIC", range(0x20, 0x22), self.pic.read, self.pic.write)
        self.attach(PORT, lambda value: self.log.append((self.clock.now, value)))
        self.attach(ASK, lambda us: self.clock.call_after(us * MICROSECOND, self.request))
        for register, value in ((0, 0x13), (1, VECTOR), (1, 0x01), (1, 0x00)):
            self.pic.write(register, value)

    def attach(self, port: int, write: Callable[[int], object]) -> None:
        """Let ``write`` hear what the guest writes to ``port``."""

        def write_register(register: int, value: int) -> None:
            write(value)

        self.guest.bus.attach(f"{port:X}", range(port, port + 1), lambda register: 0, write_register)

    def request(self) -> None:
        """A new edge on IRQ 0, which stays high."""
        self.requested.append(self.clock.now)
        self.pic.lines[0].set(False)
        self.pic.lines[0].set(True)

    def run(self, until: int, step: int = SECOND) -> Board:
        """Run to the instant ``until`` (ns), ``step`` ns at a time."""
        while self.clock.now < until:
            self.execution.run_until(min(until, self.clock.now + step))
        return self

    @property
    def said(self) -> list[int]:
        return [value for _, value in self.log]


STI_HLT = b"\xfb\xf4\xf4"


def program(main: str, handler: str = HANDLER) -> Board:
    """A board whose guest runs ``main``, with ``handler`` for IRQ 0."""
    return Board(f"{VECTORS}{handler}main:\n{main}")


def test_virtual_time_is_what_the_guest_executed() -> None:
    """A basic block's bytes count when it begins, a port access when it is made."""
    board = Board("out 0x80, al\nmov cx, 1000\nagain: nop\nloop again\nout 0x80, al\nsti\nhlt")
    board.run(MILLISECOND)
    (first, _), (second, _) = board.log
    assert second - first == TICK * (PORT_TICKS + 999 * len(b"\x90\xe2\xfd") + len(b"\xe6\x80\xfb"))


def test_a_run_ends_at_its_instant_or_one_block_behind_it() -> None:
    board = Board("again: nop\njmp again")
    for until in (1, 1000, 1001, 123_457):
        board.execution.run_until(until)
        assert until <= board.clock.now <= until + 20 * TICK


def test_an_event_in_the_middle_of_a_slice_shortens_the_slice() -> None:
    board = program("sti\nmov al, 50\nout 0x81, al\nagain: nop\njmp again")
    board.run(MILLISECOND)
    assert board.said == [0xEE]
    (asked,) = board.requested
    handled = board.log[0][0]
    # The event is at most a block late; the handler's word comes with the interrupt and two instructions.
    assert 50 * MICROSECOND <= asked <= 52 * MICROSECOND
    assert handled - asked < TICK * (INTERRUPT_TICKS + PORT_TICKS + 50)


def test_a_request_made_by_a_port_access_ends_the_slice() -> None:
    board = program(
        "sti\nout 0x82, al\nmov cx, 1000\nagain: inc word [0x2000]\nloop again\nhlt",
        handler="handler: out 0x83, al\nidle: sti\nhlt\njmp idle\n",
    )
    board.attach(0x82, lambda value: board.request())
    counted: list[int] = []
    board.attach(0x83, lambda value: counted.append(board.guest.word()))
    board.run(MILLISECOND)
    assert counted[0] <= 1


@pytest.mark.parametrize(
    "enable",
    [
        "sti\nnop",
        "pushf\npop ax\nor ax, 0x200\npush ax\npopf",
        "pushf\npop ax\nor ax, 0x200\npush ax\npush cs\npush after\niret\nafter:",
    ],
)
def test_a_request_waits_while_interrupts_are_off_and_is_taken_as_soon_as_they_are_on(enable: str) -> None:
    board = program(
        "mov al, 1\nout 0x81, al\nmov cx, 5000\nagain: loop again\nmov al, 1\nout 0x80, al\njmp on\non:"
        f"{enable}\nmov al, 2\nout 0x80, al\nidle: hlt\njmp idle"
    ).run(MILLISECOND)
    assert board.said == [1, 0xEE, 2]


def test_sti_hlt_loses_no_request() -> None:
    """The request is there before STI; it may be taken behind HLT only, which it ends."""
    board = program(
        "mov al, 1\nout 0x81, al\nmov cx, 5000\nagain: loop again\njmp on\non: sti\nhlt\n"
        "mov al, 2\nout 0x80, al\nhlt"
    ).run(MILLISECOND)
    assert board.said == [0xEE, 2]


def test_every_request_of_a_fast_source_is_taken() -> None:
    board = program("sti\nagain: inc bx\njmp again")

    def fire() -> None:
        board.request()
        if board.clock.now < 900 * MICROSECOND:
            board.clock.call_after(10 * MICROSECOND, fire)

    board.clock.call_at(10 * MICROSECOND, fire)
    board.run(MILLISECOND)
    instants = [when for when, _ in board.log]
    assert len(instants) in (89, 90)
    assert all(9 * MICROSECOND < b - a < 11 * MICROSECOND for a, b in pairwise(instants))


def test_hlt_jumps_to_the_next_event() -> None:
    board = program("sti\nmov al, 255\nout 0x81, al\nhlt\nmov al, 3\nout 0x80, al\nidle: hlt\njmp idle")
    board.run(SECOND)
    assert board.said == [0xEE, 3]
    assert 255 * MICROSECOND <= board.log[0][0] <= 258 * MICROSECOND
    assert board.clock.now == SECOND
    assert SECOND - 20 * MICROSECOND < board.execution.halted_ns < SECOND


MIXED = (
    "sti\nagain: mov al, 7\nout 0x81, al\nmov cx, 300\nspin: nop\nloop spin\nmov al, 1\nout 0x80, al\n"
    "mov al, 40\nout 0x81, al\nhlt\nmov al, 2\nout 0x80, al\ncli\nmov cx, 200\nwait_: loop wait_\nsti\n"
    "jmp again"
)


@pytest.mark.parametrize("step", [1, 3, 997, 10_007, 100_000])
def test_how_often_the_host_looks_does_not_change_what_happens_when(step: int) -> None:
    assert program(MIXED).run(MILLISECOND, step).log == program(MIXED).run(MILLISECOND).log


def test_the_same_program_takes_the_same_time_again() -> None:
    logs = [program(MIXED).run(5 * MILLISECOND).log for _ in range(2)]
    assert logs[0] == logs[1]
    assert len(logs[0]) > 100


def test_a_reset_request_ends_the_slice_and_comes_once() -> None:
    board = program("out 0x82, al\nagain: inc word [0x2000]\njmp again")
    board.attach(0x82, lambda value: board.execution.request_reset())
    seen: list[int] = []

    def reset() -> None:
        seen.append(board.guest.word())
        board.cpu.reset()
        board.ram[START : START + 3] = STI_HLT

    board.execution.on_reset = reset
    board.run(MILLISECOND)
    assert len(seen) == 1
    assert seen[0] <= 1


def test_a_reset_wakes_a_processor_that_nothing_else_can_wake() -> None:
    board = program("out 0x82, al\ncli\nhlt")
    board.attach(0x82, lambda value: board.execution.request_reset())
    seen: list[bool] = []

    def reset() -> None:
        seen.append(board.cpu.halted)
        board.cpu.reset()
        board.ram[START : START + 3] = STI_HLT

    board.execution.on_reset = reset
    board.run(MILLISECOND)
    assert len(seen) == 1


def test_halting_with_interrupts_off_is_an_error_that_says_where() -> None:
    board = Board("cli\nhalt: hlt")
    at = f"0000:{board.guest.labels['halt']:04X}"
    with pytest.raises(GuestError, match=f"halted with interrupts off, so nothing can wake it, at {at}"):
        board.run(MILLISECOND)


def test_empty_memory_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "MAX_SLICE_TICKS", 10_000)
    board = Board("jmp 0xFFFF:0x10")
    with pytest.raises(GuestError, match=r"executes empty memory, not a program, at FFFF:[0-9A-F]+ \(00 00"):
        board.run(SECOND)


def test_a_busy_loop_is_no_error() -> None:
    program("again: jmp again").run(SECOND // 10)


def test_time_goes_on_after_a_device_failed() -> None:
    """A front end may catch what a device raised, show it and go on."""
    board = program("mov al, 9\nout 0x82, al\nmov al, 1\nout 0x80, al\nsti\nidle: hlt\njmp idle")
    failed: list[int] = []

    def fail(value: int) -> None:
        failed.append(board.clock.now)
        raise OSError("broken")

    board.attach(0x82, fail)
    with pytest.raises(OSError, match="broken"):
        board.run(MILLISECOND)
    assert board.clock.now >= failed[0] > 0
    board.run(MILLISECOND)
    assert board.said == [1]
    assert board.log[0][0] > failed[0]
