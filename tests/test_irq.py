"""Interrupt request lines."""

from __future__ import annotations

from pcemu.irq import IrqLine
from pcemu.testing.fakes import FakeClock, RecordingIrqLine


def test_the_sink_hears_of_changes_only() -> None:
    heard = list[bool]()
    line = IrqLine(heard.append)
    for level in (False, True, True, False, False, True):
        line.set(level)
    assert heard == [True, False, True]
    assert line.level


def test_a_pulse_is_one_rising_edge_whatever_the_level_was() -> None:
    heard = list[bool]()
    line = IrqLine(heard.append)
    line.pulse()
    assert heard == [True, False]
    line.set(True)
    line.pulse()
    assert heard == [True, False, True, False, True, False]


def test_the_level_is_up_to_date_when_the_sink_hears_of_it() -> None:
    line = IrqLine(lambda level: seen.append(line.level is level))
    seen = list[bool]()
    line.pulse()
    assert seen == [True, True]


def test_a_line_without_a_sink_is_a_pin_that_is_not_connected() -> None:
    line = IrqLine()
    line.set(True)
    assert line.level
    line.pulse()
    assert not line.level


def test_the_recording_line_knows_the_instants() -> None:
    clock = FakeClock()
    line = RecordingIrqLine(clock)
    clock.advance(5)
    line.set(True)
    clock.advance(5)
    line.pulse()
    assert line.edges == [(5, True), (10, False), (10, True), (10, False)]
    assert line.rises == 2
