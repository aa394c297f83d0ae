"""Interrupt requests end a slice where the guest would take them, whoever looks: machine code or Python."""

from __future__ import annotations

import pytest

from pcemu.cpu import Stop
from pcemu.cpu.slices import NativeCounter
from tests.cpu.guest import Guest

pytestmark = pytest.mark.usefixtures("state")

COUNTERS = [
    pytest.param(True, marks=pytest.mark.skipif(not NativeCounter.fits_host(), reason="not an x86-64 host")),
    False,
]


@pytest.fixture(params=COUNTERS, ids=["machine code", "Python"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeCounter, "fits_host", staticmethod(lambda: request.param))


@pytest.mark.usefixtures("native")
def test_a_request_does_not_slow_a_guest_that_has_interrupts_off() -> None:
    guest = Guest("cli\nagain: inc word [0x2000]\njmp again")
    guest.cpu.set_request(True)
    assert guest.cpu.run(6000) is Stop.COUNT
    assert guest.cpu.ticks_used >= 6000
    assert guest.word() > 500


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    "enable", ["sti", "push word 0x202\npopf", "push word 0x202\npush cs\npush on\niret"]
)
def test_the_slice_ends_where_the_guest_lets_interrupts_in(enable: str) -> None:
    shadow = "nop" if enable == "sti" else ""
    guest = Guest(f"cli\nmov cx, 100\nwait_: loop wait_\n{enable}\n{shadow}\non: inc word [0x2000]\njmp on")
    guest.cpu.set_request(True)
    assert guest.cpu.run(1_000_000) is Stop.COUNT
    assert guest.cpu.interruptible
    assert guest.cpu.registers.eip == guest.labels["on"]
    assert guest.word() == 0


@pytest.mark.usefixtures("native")
def test_a_request_that_is_withdrawn_ends_nothing() -> None:
    guest = Guest("sti\nnop\nagain: inc word [0x2000]\njmp again")
    guest.cpu.set_request(True)
    guest.cpu.run(100)
    assert guest.cpu.registers.eip == guest.labels["again"]
    guest.cpu.set_request(False)
    guest.cpu.run(600)
    assert guest.cpu.ticks_used >= 600


@pytest.mark.usefixtures("native")
def test_a_request_in_the_middle_of_a_slice_ends_it() -> None:
    guest = Guest("sti\nnop\nout 0x80, al\njmp again\nagain: inc word [0x2000]\njmp again")
    guest.bus.attach("request", range(0x80, 0x81), lambda r: 0, lambda r, v: guest.cpu.set_request(True))
    guest.cpu.run(1_000_000)
    assert guest.word() == 0
