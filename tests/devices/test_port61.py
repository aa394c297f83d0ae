"""Port 61h with the real timer behind it."""

from __future__ import annotations

import pytest

from pcemu.clock import SECOND
from pcemu.devices.pit import I8254, PIT_HZ
from pcemu.devices.port61 import SystemControlPortB
from pcemu.testing.fakes import FakeClock

GATE, SPEAKER, PARITY, IOCHK, REFRESH, OUT2 = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
CONTROL = 3
COUNTER_2_SQUARE_WAVE, COUNTER_2_TERMINAL_COUNT = 0xB6, 0xB0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pit(clock: FakeClock) -> I8254:
    return I8254(clock)


@pytest.fixture
def port(clock: FakeClock, pit: I8254) -> SystemControlPortB:
    return SystemControlPortB(clock, pit)


def program(pit: I8254, control: int, count: int) -> None:
    pit.write(CONTROL, control)
    pit.write(2, count & 0xFF)
    pit.write(2, count >> 8)


def test_only_the_low_four_bits_can_be_written(port: SystemControlPortB) -> None:
    for value in range(256):
        port.write(0, value)
        assert port.read(0) & ~(REFRESH | OUT2) == value & 0x0F


def test_no_parity_and_no_channel_check_error_is_reported(port: SystemControlPortB) -> None:
    port.write(0, PARITY | IOCHK)
    assert port.read(0) & 0xC0 == 0


def test_the_refresh_bit_toggles_every_15_microseconds(clock: FakeClock, port: SystemControlPortB) -> None:
    clock.advance(15_084)
    toggles, last = 0, port.read(0) & REFRESH
    for _ in range(100):
        clock.advance(1)
        assert port.read(0) & REFRESH != last
        clock.advance(15_084)
        now = port.read(0) & REFRESH
        assert now != last
        toggles, last = toggles + 1, now
    assert toggles == 100


def test_bit_0_gates_timer_2_and_bit_5_shows_its_output(
    clock: FakeClock, pit: I8254, port: SystemControlPortB
) -> None:
    program(pit, COUNTER_2_TERMINAL_COUNT, 1000)
    clock.advance(SECOND)
    assert not port.read(0) & OUT2, "the gate is low after reset"
    port.write(0, GATE)
    clock.advance(999 * SECOND // PIT_HZ)
    assert not port.read(0) & OUT2
    clock.advance(2 * SECOND // PIT_HZ)
    assert port.read(0) & OUT2


def test_a_tone_needs_the_gate_and_the_speaker_bit(pit: I8254, port: SystemControlPortB) -> None:
    program(pit, COUNTER_2_SQUARE_WAVE, 1193)
    tones = {}
    for value in (0, GATE, SPEAKER, GATE | SPEAKER):
        port.write(0, value)
        tones[value] = port.speaker_hz
    assert tones == {0: None, GATE: None, SPEAKER: None, GATE | SPEAKER: PIT_HZ / 1193}


def test_a_program_can_move_the_speaker_by_hand(port: SystemControlPortB, pit: I8254) -> None:
    pit.write(CONTROL, COUNTER_2_SQUARE_WAVE)  # with the gate low OUT 2 stays high
    levels = []
    for value in (0, SPEAKER, 0, SPEAKER):
        port.write(0, value)
        assert port.speaker_enabled is bool(value)
        assert port.speaker_hz is None
        levels.append(port.speaker_level)
    assert levels == [False, True, False, True]


def test_reset_silences_the_speaker_and_shuts_the_gate(
    clock: FakeClock, pit: I8254, port: SystemControlPortB
) -> None:
    port.write(0, 0x0F)
    program(pit, COUNTER_2_TERMINAL_COUNT, 10)
    port.reset()
    assert port.read(0) & 0x0F == 0
    assert not port.speaker_enabled
    clock.advance(SECOND)
    assert not pit.output(2)
