"""The 8254, case by case from its datasheet, then at random against a reference that ticks."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pcemu.clock import FOREVER, SECOND
from pcemu.devices.pit import I8254, PIT_HZ
from pcemu.testing.fakes import FakeClock, RecordingIrqLine
from tests.devices.reference_pit import ReferenceCounter

CONTROL = 3
LSB, MSB, BOTH = 0x10, 0x20, 0x30
BCD = 0x01
READ_BACK = 0xC0
NO_COUNT, NO_STATUS = 0x20, 0x10


class Rig:
    """A timer whose time is counted in CLK pulses."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.line = RecordingIrqLine(self.clock)
        self.pit = I8254(self.clock, self.line)
        self.pulse = 0

    def step(self, pulses: int = 1) -> None:
        self.pulse += pulses
        self.clock.run_until(-(-self.pulse * SECOND // PIT_HZ))

    def program(self, counter: int, mode: int, count: int | None = None, *, bcd: bool = False) -> None:
        self.pit.write(CONTROL, counter << 6 | BOTH | mode << 1 | bcd)
        if count is not None:
            self.count(counter, count)

    def count(self, counter: int, count: int) -> None:
        self.pit.write(counter, count & 0xFF)
        self.pit.write(counter, count >> 8)

    def value(self, counter: int) -> int:
        self.pit.write(CONTROL, counter << 6)
        return self.pit.read(counter) | self.pit.read(counter) << 8

    def status(self, counter: int) -> int:
        self.pit.write(CONTROL, READ_BACK | NO_COUNT | 2 << counter)
        return self.pit.read(counter)

    def values(self, counter: int, pulses: int) -> list[int]:
        """The count after each of the next pulses."""
        return [self.trace(counter, 1)[0][0] for _ in range(pulses)]

    def outs(self, counter: int, pulses: int) -> str:
        """OUT after each of the next pulses, as a picture."""
        return "".join("‾" if self.trace(counter, 1)[0][1] else "_" for _ in range(pulses))

    def trace(self, counter: int, pulses: int) -> list[tuple[int, bool]]:
        found = []
        for _ in range(pulses):
            self.step()
            found.append((self.value(counter), self.pit.output(counter)))
        return found

    def rises(self) -> list[int]:
        """The pulse number of each rise of the IRQ line."""
        return [when * PIT_HZ // SECOND for when, level in self.line.edges if level]


@pytest.fixture
def rig() -> Rig:
    return Rig()


# Mode 0


def test_mode_0_loads_on_the_next_pulse_and_rises_after_n_plus_1(rig: Rig) -> None:
    rig.program(2, 0, 4)
    assert not rig.pit.output(2)
    assert rig.trace(2, 7) == [
        (4, False), (3, False), (2, False), (1, False), (0, True), (0xFFFF, True), (0xFFFE, True),
    ]  # fmt: skip


def test_mode_0_new_count_lowers_out_and_starts_over(rig: Rig) -> None:
    rig.program(2, 0, 2)
    rig.step(5)
    assert rig.pit.output(2)
    rig.count(2, 2)
    assert not rig.pit.output(2)
    assert rig.outs(2, 4) == "__‾‾"


def test_mode_0_first_byte_stops_the_count_and_lowers_out(rig: Rig) -> None:
    rig.program(2, 0, 5)
    rig.step(3)
    rig.pit.write(2, 9)
    assert rig.values(2, 3) == [3, 3, 3]
    rig.pit.write(2, 0)
    assert rig.values(2, 3) == [9, 8, 7]


def test_mode_0_first_byte_also_stops_a_count_that_is_about_to_be_loaded(rig: Rig) -> None:
    rig.program(2, 0, 5)
    rig.pit.write(2, 9)
    rig.step(3)
    assert rig.status(2) & 0x40
    rig.pit.write(2, 0)
    assert rig.values(2, 2) == [9, 8]


def test_mode_0_gate_low_holds_the_count_but_not_the_load(rig: Rig) -> None:
    rig.pit.set_gate(2, False)
    rig.program(2, 0, 3)
    assert rig.values(2, 3) == [3, 3, 3]
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 4) == "__‾‾", "N pulses from the gate, not N + 1"


# Mode 1


def test_mode_1_is_a_one_shot_that_a_trigger_starts_and_starts_over(rig: Rig) -> None:
    rig.pit.set_gate(2, False)
    rig.program(2, 1, 3)
    assert rig.outs(2, 3) == "‾‾‾"
    rig.pit.set_gate(2, True)
    assert rig.pit.output(2), "until the next pulse"
    assert rig.outs(2, 2) == "__"
    rig.pit.set_gate(2, False)
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 5) == "___‾‾"


def test_mode_1_new_count_waits_for_the_next_trigger(rig: Rig) -> None:
    rig.pit.set_gate(2, False)
    rig.program(2, 1, 2)
    rig.pit.set_gate(2, True)
    rig.step()
    rig.count(2, 4)
    assert rig.outs(2, 3) == "_‾‾"
    rig.pit.set_gate(2, False)
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 5) == "____‾"


def test_mode_1_without_a_trigger_never_starts(rig: Rig) -> None:
    rig.program(0, 1, 3)
    assert rig.outs(0, 6) == "‾‾‾‾‾‾"
    assert rig.clock.deadline == FOREVER


@pytest.mark.parametrize("mode", [1, 2, 3, 5])
def test_a_trigger_before_the_first_count_does_nothing(rig: Rig, mode: int) -> None:
    rig.program(2, mode)
    rig.pit.set_gate(2, False)
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 3) == "‾‾‾"
    assert rig.status(2) & 0x40


# Mode 2


def test_mode_2_divides_by_n_with_a_low_of_one_pulse(rig: Rig) -> None:
    rig.program(2, 2, 3)
    assert rig.trace(2, 7) == [
        (3, True), (2, True), (1, False), (3, True), (2, True), (1, False), (3, True),
    ]  # fmt: skip


def test_mode_2_new_count_waits_for_the_end_of_the_cycle(rig: Rig) -> None:
    rig.program(2, 2, 4)
    rig.step(2)
    rig.count(2, 3)
    assert rig.values(2, 6) == [2, 1, 3, 2, 1, 3]


def test_mode_2_gate_low_raises_out_at_once_and_its_return_reloads(rig: Rig) -> None:
    rig.program(2, 2, 3)
    rig.step(3)
    assert not rig.pit.output(2)
    rig.pit.set_gate(2, False)
    assert rig.pit.output(2)
    assert rig.trace(2, 2) == [(1, True), (1, True)]
    rig.pit.set_gate(2, True)
    assert rig.values(2, 4) == [3, 2, 1, 3]


def test_mode_2_trigger_takes_a_new_count_early(rig: Rig) -> None:
    rig.program(2, 2, 9)
    rig.step(2)
    rig.count(2, 4)
    rig.pit.set_gate(2, False)
    rig.pit.set_gate(2, True)
    assert rig.values(2, 3) == [4, 3, 2]


# Mode 3


def test_mode_3_even_count_is_a_square_wave_by_twos(rig: Rig) -> None:
    rig.program(2, 3, 4)
    assert rig.trace(2, 6) == [(4, True), (2, True), (4, False), (2, False), (4, True), (2, True)]


def test_mode_3_odd_count_is_high_for_one_pulse_more(rig: Rig) -> None:
    rig.program(2, 3, 5)
    assert rig.trace(2, 7) == [
        (4, True), (2, True), (0, True), (4, False), (2, False), (4, True), (2, True),
    ]  # fmt: skip


def test_mode_3_new_count_waits_for_the_end_of_the_half_cycle(rig: Rig) -> None:
    rig.program(2, 3, 8)
    rig.step(2)
    rig.count(2, 4)
    assert rig.outs(2, 8) == "‾‾__‾‾__"


def test_mode_3_new_count_in_the_high_half_moves_the_next_tick(rig: Rig) -> None:
    rig.program(0, 3, 8)
    rig.step(2)
    rig.count(0, 4)
    rig.step(20)
    assert rig.rises() == [0, 7, 11, 15, 19], "4 pulses of the old count, then 2 of the new"


def test_mode_3_gate_low_raises_out_and_its_return_starts_a_high_half(rig: Rig) -> None:
    rig.program(2, 3, 6)
    rig.step(5)
    assert not rig.pit.output(2)
    rig.pit.set_gate(2, False)
    assert rig.pit.output(2)
    assert rig.outs(2, 9) == "‾" * 9
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 8) == "‾‾‾___‾‾"


# Modes 4 and 5


def test_mode_4_strobes_once_n_plus_1_after_the_count(rig: Rig) -> None:
    rig.program(2, 4, 3)
    assert rig.trace(2, 6) == [(3, True), (2, True), (1, True), (0, False), (0xFFFF, True), (0xFFFE, True)]


def test_mode_4_does_not_strobe_again_when_the_count_comes_round(rig: Rig) -> None:
    rig.program(2, 4, 3)
    rig.step(4)
    assert not rig.pit.output(2)
    rig.step()
    assert rig.value(2) == 0xFFFF
    rig.step(0xFFFF)
    assert rig.value(2) == 0
    assert rig.pit.output(2)


def test_mode_4_gate_holds_the_count(rig: Rig) -> None:
    rig.program(2, 4, 3)
    rig.step(2)
    rig.pit.set_gate(2, False)
    assert rig.values(2, 3) == [2, 2, 2]
    rig.pit.set_gate(2, True)
    assert rig.outs(2, 3) == "‾_‾"


def test_mode_4_first_byte_changes_nothing_and_the_second_starts_over(rig: Rig) -> None:
    rig.program(2, 4, 3)
    rig.step(2)
    rig.pit.write(2, 5)
    assert rig.values(2, 1) == [1]
    rig.pit.write(2, 0)
    assert rig.values(2, 2) == [5, 4]


def test_mode_5_strobes_after_a_trigger_whatever_the_gate_does_then(rig: Rig) -> None:
    rig.pit.set_gate(2, False)
    rig.program(2, 5, 2)
    assert rig.outs(2, 3) == "‾‾‾"
    rig.pit.set_gate(2, True)
    rig.pit.set_gate(2, False)
    assert rig.outs(2, 5) == "‾‾_‾‾"


def test_mode_5_trigger_starts_over(rig: Rig) -> None:
    rig.pit.set_gate(2, False)
    rig.program(2, 5, 2)
    for _ in range(2):
        rig.pit.set_gate(2, True)
        rig.step(2)
        rig.pit.set_gate(2, False)
    assert rig.outs(2, 2) == "_‾"


# Counts


@pytest.mark.parametrize(("mode", "alias"), [(2, 6), (3, 7)])
def test_modes_6_and_7_are_2_and_3_and_the_status_shows_what_was_written(mode: int, alias: int) -> None:
    pictures = []
    for number in (mode, alias):
        rig = Rig()
        rig.program(2, number, 5)
        assert rig.status(2) >> 1 & 7 == number
        pictures.append(rig.outs(2, 11))
    assert pictures[0] == pictures[1]


def test_zero_means_the_largest_count() -> None:
    for bcd, largest in ((False, 0x10000), (True, 10_000)):
        rig = Rig()
        rig.program(2, 0, 0, bcd=bcd)
        rig.step(largest)
        assert not rig.pit.output(2)
        rig.step()
        assert rig.pit.output(2)


def test_bcd_counts_in_decimal(rig: Rig) -> None:
    rig.program(2, 0, 0x1001, bcd=True)
    assert rig.values(2, 3) == [0x1001, 0x1000, 0x0999]
    rig.step(999)
    assert rig.pit.output(2)
    assert rig.values(2, 2) == [0x9999, 0x9998]


def test_one_byte_formats_leave_the_other_byte_zero(rig: Rig) -> None:
    rig.pit.write(CONTROL, 0x80 | LSB)
    rig.pit.write(2, 0x34)
    rig.step()
    assert rig.pit.read(2) == 0x34
    assert rig.pit.read(2) == 0x34
    rig.pit.write(CONTROL, 0x80 | MSB)
    rig.pit.write(2, 0x12)
    rig.step(2)
    assert rig.pit.read(2) == 0x11, "1200h has gone to 11FFh"


def test_an_illegal_count_of_one_counts_as_two() -> None:
    for mode in (2, 3):
        rig = Rig()
        rig.program(2, mode, 1)
        assert rig.outs(2, 4) == "‾_‾_"


# Reading


def test_an_unlatched_read_follows_the_count(rig: Rig) -> None:
    rig.program(2, 0, 0x0201)
    rig.step(2)
    assert rig.pit.read(2) == 0x00
    rig.step()
    assert rig.pit.read(2) == 0x01, "the MSB of 01FFh, not of 0200h"


def test_a_latched_count_stands_still_until_read(rig: Rig) -> None:
    rig.program(2, 0, 0x1234)
    rig.step()
    rig.pit.write(CONTROL, 0x80)
    rig.step(100)
    rig.pit.write(CONTROL, 0x80)
    assert rig.pit.read(2) == 0x34, "the second latch command was ignored"
    assert rig.pit.read(2) == 0x12
    assert rig.value(2) == 0x1234 - 100


def test_a_control_word_drops_what_was_latched(rig: Rig) -> None:
    rig.program(2, 0, 0x1234)
    rig.step()
    rig.pit.write(CONTROL, 0x80)
    rig.program(2, 0, 0x5678)
    rig.step()
    assert rig.pit.read(2) == 0x78


def test_reads_and_writes_of_two_bytes_may_be_interleaved(rig: Rig) -> None:
    rig.program(2, 2, 0x1000)
    rig.step()
    assert rig.pit.read(2) == 0x00
    rig.pit.write(2, 0x34)
    assert rig.pit.read(2) == 0x10
    rig.pit.write(2, 0x12)
    rig.step(0x1000)
    assert rig.value(2) == 0x1234


def test_read_back_latches_several_counters_at_one_instant(rig: Rig) -> None:
    for counter in range(3):
        rig.program(counter, 2, 100 + counter)
    rig.step()
    rig.pit.write(CONTROL, READ_BACK | NO_STATUS | 0x0E)
    rig.step(50)
    assert [rig.pit.read(n) for n in range(3)] == [100, 101, 102]


def test_read_back_gives_the_status_before_the_count(rig: Rig) -> None:
    rig.program(1, 2, 0x0203)
    rig.step()
    rig.pit.write(CONTROL, READ_BACK | 0x04)
    rig.step(0x0202)
    rig.pit.write(CONTROL, READ_BACK | 0x04)
    assert [rig.pit.read(1) for _ in range(3)] == [0x80 | BOTH | 2 << 1, 0x03, 0x02]
    assert rig.status(1) == BOTH | 2 << 1, "by now OUT is low"


def test_read_back_leaves_counters_alone_that_it_does_not_name(rig: Rig) -> None:
    rig.program(0, 2, 100)
    rig.step()
    rig.pit.write(CONTROL, READ_BACK | 0x04)
    rig.step(10)
    assert rig.pit.read(0) == 90


def test_null_count_lasts_from_the_write_to_the_load(rig: Rig) -> None:
    rig.program(2, 2)
    assert rig.status(2) & 0x40
    rig.count(2, 3)
    assert rig.status(2) & 0x40
    rig.step()
    assert not rig.status(2) & 0x40
    rig.count(2, 5)
    flags = []
    for _ in range(3):
        rig.step()
        flags.append(bool(rig.status(2) & 0x40))
    assert flags == [True, True, False]


def test_the_control_register_cannot_be_read(rig: Rig) -> None:
    assert rig.pit.read(CONTROL) == 0xFF


# The IRQ line and time


@pytest.mark.parametrize(
    ("mode", "rises"),
    [(0, [6]), (2, [0, 6, 11, 16]), (3, [0, 6, 11, 16]), (4, [0, 7])],
)
def test_out_0_raises_the_line_on_the_exact_pulse(rig: Rig, mode: int, rises: list[int]) -> None:
    rig.program(0, mode, 5)
    rig.step(18)
    assert rig.rises() == rises


def test_mode_0_lowers_the_line_when_it_is_programmed_again(rig: Rig) -> None:
    rig.program(0, 0, 5)
    rig.step(10)
    assert rig.line.level
    rig.count(0, 5)
    assert not rig.line.level


def test_a_control_word_in_the_low_half_of_a_square_wave_gives_an_edge(rig: Rig) -> None:
    rig.program(0, 3, 10)
    rig.step(8)
    assert not rig.pit.output(0)
    rig.line.edges.clear()
    rig.program(0, 2)
    assert rig.rises() == [8]


def test_a_periodic_counter_costs_one_event_a_period() -> None:
    for mode in (2, 3):
        rig = Rig()
        rig.program(0, mode, 1000)
        events = 0
        while rig.clock.deadline <= SECOND:
            rig.clock.advance_to(rig.clock.deadline)
            rig.clock.run_due()
            events += 1
        assert events == 1193


def test_only_counter_0_ever_asks_for_an_event(rig: Rig) -> None:
    for counter in (1, 2):
        for mode in range(6):
            rig.program(counter, mode, 5)
            rig.step(3)
    assert rig.clock.deadline == FOREVER


def test_eighteen_ticks_a_second_do_not_drift_in_an_hour(rig: Rig) -> None:
    rig.program(0, 3, 0)
    rig.line.edges.clear()
    rig.clock.run_until(3600 * SECOND)
    last = rig.line.edges[-1][0]
    ticks = rig.line.rises
    assert ticks == 3600 * PIT_HZ // 0x10000
    assert last == -(-(ticks * 0x10000 + 1) * SECOND // PIT_HZ)


def test_the_count_itself_does_not_drift_in_hours(rig: Rig) -> None:
    rig.program(2, 2, 1000)
    rig.step(1000 * 36_000_000 + 1 + 7)
    assert rig.value(2) == 993


def test_an_access_after_a_late_event_loses_no_tick(rig: Rig) -> None:
    rig.program(0, 2, 10)
    rig.line.edges.clear()
    rig.clock.advance_to(36 * SECOND // PIT_HZ)  # the events of pulses 11, 21 and 31 have not run
    rig.count(0, 10)
    assert rig.line.rises == 3
    rig.clock.run_due()
    assert rig.line.rises == 3
    rig.clock.run_until(42 * SECOND // PIT_HZ)
    assert rig.line.rises == 4


def test_a_new_control_word_forgets_the_old_event(rig: Rig) -> None:
    rig.program(0, 2, 10)
    rig.program(0, 0)
    rig.line.edges.clear()
    rig.step(50)
    assert rig.line.edges == []


def test_frequency_is_that_of_out_while_it_oscillates(rig: Rig) -> None:
    assert rig.pit.frequency(2) is None
    rig.program(2, 3, 1193)
    assert rig.pit.frequency(2) == PIT_HZ / 1193
    rig.step(2)
    rig.count(2, 500)
    assert rig.pit.frequency(2) == PIT_HZ / 1193, "the new count is not loaded yet"
    rig.step(1193)
    assert rig.pit.frequency(2) == PIT_HZ / 500
    rig.pit.set_gate(2, False)
    assert rig.pit.frequency(2) is None
    rig.pit.set_gate(2, True)
    rig.program(2, 0, 500)
    assert rig.pit.frequency(2) is None


def test_reset_stops_everything(rig: Rig) -> None:
    rig.program(0, 3, 100)
    rig.program(2, 3, 100)
    rig.step(120)
    rig.pit.reset()
    assert rig.clock.deadline == FOREVER
    assert not rig.line.level
    assert not rig.pit.output(2)
    assert rig.status(2) == 0x40 | BOTH


# At random

Step = tuple[str, int, int]

COUNTS = st.one_of(st.integers(0, 12), st.sampled_from([0x10, 0x21, 0xFF]))
STEPS = st.one_of(
    st.tuples(st.just("program"), st.integers(0, 2), st.builds(
        lambda rw, mode, bcd: rw | mode << 1 | bcd,
        st.sampled_from([LSB, LSB, LSB, MSB, BOTH, BOTH]), st.integers(0, 7), st.booleans())),
    st.tuples(st.just("write"), st.integers(0, 2), COUNTS),
    st.tuples(st.just("count"), st.integers(0, 2), COUNTS),
    st.tuples(st.just("latch"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("read_back"), st.just(0), st.integers(0, 31).map(lambda bits: bits << 1)),
    st.tuples(st.just("read"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("gate"), st.integers(0, 2), st.integers(0, 1)),
    st.tuples(st.just("advance"), st.just(0), st.integers(1, 30)),
    st.tuples(st.just("advance"), st.just(0), st.sampled_from([1, 1, 2, 3, 300, 1000])),
)  # fmt: skip


def run_against_reference(steps: list[Step]) -> None:
    rig = Rig()
    models = [ReferenceCounter() for _ in range(3)]
    for step in steps:
        action, n, value = step
        model = models[n]
        if action == "program":
            rig.pit.write(CONTROL, n << 6 | value)
            model.control(value)
        elif action == "write":
            rig.pit.write(n, value)
            model.write(value)
        elif action == "count":
            for byte in [value, 0] if model.format == "both" else [value]:
                rig.pit.write(n, byte)
                model.write(byte)
        elif action == "latch":
            rig.pit.write(CONTROL, n << 6)
            model.latch()
        elif action == "read_back":
            rig.pit.write(CONTROL, READ_BACK | value)
            for i, each in enumerate(models):
                if value & 2 << i:
                    if not value & NO_COUNT:
                        each.latch()
                    if not value & NO_STATUS:
                        each.latch_status()
        elif action == "read":
            assert rig.pit.read(n) == model.read(), step
        elif action == "gate":
            rig.pit.set_gate(n, bool(value))
            model.set_gate(bool(value))
        else:
            rig.step(value)
            for each in models:
                for _ in range(value):
                    each.clk()
        # Looking must not be needed to keep the timer right, so only OUT is looked at, and only now and then.
        if action == "advance" and value % 2:
            assert [rig.pit.output(i) for i in range(3)] == [each.out for each in models], step
    assert [rig.pit.output(i) for i in range(3)] == [each.out for each in models]
    assert rig.rises() == models[0].rises
    for i, each in enumerate(models):
        rig.pit.write(CONTROL, READ_BACK | 2 << i)
        each.latch()
        each.latch_status()
        assert [rig.pit.read(i) for _ in range(4)] == [each.read() for _ in range(4)], i


@settings(max_examples=250, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_any_sequence_behaves_as_the_reference(steps: list[Step]) -> None:
    run_against_reference(steps)


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2),
    st.integers(0, 5),
    st.booleans(),
    st.lists(STEPS.filter(lambda step: step[0] != "program"), max_size=40),
)
def test_any_sequence_in_one_mode_behaves_as_the_reference(
    counter: int, mode: int, bcd: bool, steps: list[Step]
) -> None:
    programs: list[Step] = [("program", n, LSB | mode << 1 | bcd) for n in range(3)]
    programs[counter] = ("program", counter, BOTH | mode << 1 | bcd)
    run_against_reference([*programs, *steps])


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 5), st.booleans(), st.integers(0, 0xFFFF), st.integers(60_000, 140_000))
@example(3, False, 0xFFFF, 131_073)
def test_large_counts_behave_as_the_reference(mode: int, bcd: bool, count: int, pulses: int) -> None:
    low_high: list[Step] = [("write", 0, count & 0xFF), ("write", 0, count >> 8)]
    trigger: list[Step] = [("gate", 0, 0), ("gate", 0, 1)]
    run_against_reference(
        [("program", 0, BOTH | mode << 1 | bcd), *low_high, *trigger, ("advance", 0, pulses)]
    )
