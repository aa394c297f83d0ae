"""Slices end at the same instructions whoever counts: machine code of the host, or Python."""

from __future__ import annotations

import hashlib

import pytest

from pcemu.cpu import Registers, Stop
from pcemu.cpu.slices import NativeCounter, PythonCounter
from tests.cpu.guest import Guest

NATIVE = [
    pytest.param(True, marks=pytest.mark.skipif(not NativeCounter.fits_host(), reason="not an x86-64 host")),
    False,
]

# Calls, loops, string instructions, a software interrupt, port accesses and code that changes itself.
PROGRAM = """
    mov word [0x84], service
    mov word [0x86], 0
    mov cx, 60
top:
    push cx
    mov byte [patch + 1], cl
    mov di, 0x3000
    mov cx, 37
    mov al, bl
    rep stosb
    inc word [0x2000]
    in al, 0x80
    add [0x2002], ax
patch:
    mov al, 0
    out 0x80, al
    int 0x21
    call routine
    pop cx
    loop top
    mov dx, 0x80
    mov di, 0x3100
    mov cx, 20
    rep insb
    hlt
routine:
    add bx, 3
    adc [0x2004], bx
    ret
service:
    inc word [0x2006]
    iret
"""


def guest(native: bool, monkeypatch: pytest.MonkeyPatch, source: str = PROGRAM) -> Guest:
    """A guest whose slices are counted in machine code or in Python."""
    monkeypatch.setattr(NativeCounter, "fits_host", staticmethod(lambda: native))
    made = Guest(source)
    values = iter(range(10_000))
    made.bus.attach("counter", range(0x80, 0x81), lambda r: next(values) & 0xFF, lambda r, v: None)
    return made


def stops(made: Guest, length: int) -> list[tuple[int, Registers]]:
    """Ticks used and registers at the end of each slice."""
    seen = []
    while not made.cpu.halted:
        made.cpu.run(length)
        seen.append((made.cpu.ticks_used, made.cpu.registers))
    return seen


@pytest.mark.skipif(not NativeCounter.fits_host(), reason="not an x86-64 host")
@pytest.mark.parametrize("length", [1, 2, 5, 33, 400, 5000, 1_000_000])
def test_both_counters_stop_at_the_same_places(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_code, python = guest(True, monkeypatch), guest(False, monkeypatch)
    assert type(machine_code.cpu._counter) is NativeCounter
    assert type(python.cpu._counter) is PythonCounter
    assert stops(machine_code, length) == stops(python, length)
    assert machine_code.ram[:] == python.ram[:]


@pytest.mark.parametrize("native", NATIVE)
def test_every_length_of_slice_gives_the_same_guest_and_the_same_time(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    for length in (1, 3, 50, 1000, 10_000_000):
        made = guest(native, monkeypatch)
        seen = stops(made, length)
        digest = hashlib.sha256(made.ram[0x2000:0x4000]).hexdigest()
        outcomes.add((sum(ticks for ticks, _ in seen), seen[-1][1], digest))
    assert len(outcomes) == 1


@pytest.mark.parametrize("native", NATIVE)
def test_a_slice_of_one_tick_is_one_block(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = guest(native, monkeypatch, "jmp one\none: inc ax\ninc ax\njmp two\ntwo: inc ax\nhlt")
    made.cpu.run(1)  # the jump from the reset vector
    made.cpu.run(1)  # to `one`
    assert made.cpu.registers.eax == 0
    made.cpu.run(1)
    assert made.cpu.registers.eax == 2
    assert made.cpu.ticks_used == len(b"\x40\x40\xeb\x00")
    assert made.cpu.run(1) is Stop.HALT
    assert made.cpu.registers.eax == 3


@pytest.mark.parametrize("native", NATIVE)
def test_the_running_block_is_known_to_a_device(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = guest(native, monkeypatch, "jmp go\ngo: nop\nin al, 0x82\nnop\nhlt")
    blocks: list[tuple[int, int]] = []

    def look(register: int) -> int:
        blocks.append(made.cpu._counter.block)
        return 0

    made.bus.attach("look", range(0x82, 0x83), look, lambda r, v: None)
    made.run()
    ((address, size),) = blocks
    assert made.ram[address : address + size] == b"\x90\xe4\x82\x90\xf4"


@pytest.mark.parametrize("native", NATIVE)
@pytest.mark.parametrize("ticks", [0, 100, 2000])
def test_a_device_can_shorten_the_slice_and_cannot_lengthen_it(
    native: bool, ticks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = guest(native, monkeypatch, "out 0x82, al\nagain: nop\njmp again")
    limits = iter([ticks, 1_000_000])
    made.bus.attach("limit", range(0x82, 0x83), lambda r: 0, lambda r, v: made.cpu.limit_slice(next(limits)))
    made.cpu.run(1)
    made.cpu.run(50_000)
    used = made.cpu.ticks_used
    before = 250 + 16  # the access and its block
    assert max(ticks, 250) <= used <= max(ticks, before) + 3
    made.cpu.run(10_000)
    assert 10_000 <= made.cpu.ticks_used <= 10_003


# With interrupts off, on, and on with a shadow of one instruction; each `jmp` begins a new block.
FLAGS = """
    cli
    jmp off
off:
    inc ax
    jmp more
more:
    inc ax
    sti
    jmp on
on:
    inc ax
    jmp last
last:
    inc ax
"""


@pytest.mark.parametrize("native", NATIVE)
def test_a_waiting_request_ends_the_slice_where_it_can_be_taken(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = guest(native, monkeypatch, FLAGS)
    made.cpu.set_request(True)
    assert made.cpu.run(1_000_000) is Stop.COUNT
    assert made.cpu.registers.eax == 2
    assert made.cpu.interruptible
    used = made.cpu.ticks_used
    made.cpu.run(1_000_000)  # it is still not taken
    assert made.cpu.ticks_used == 0
    made.cpu.set_request(False)
    assert made.cpu.run(1_000_000) is Stop.HALT
    assert made.cpu.registers.eax == 4
    undisturbed = stops(guest(native, monkeypatch, FLAGS), 1)
    assert used + made.cpu.ticks_used == sum(ticks for ticks, _ in undisturbed)
