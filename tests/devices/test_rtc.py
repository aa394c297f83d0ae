"""The MC146818 against its data sheet, and its calendar against Python's."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.clock import FOREVER, MICROSECOND, MILLISECOND, SECOND
from pcemu.devices.rtc import Mc146818, days_in_month
from pcemu.testing.fakes import FakeClock, RecordingIrqLine

A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
UIP = 0x80
SET, PIE, AIE, UIE, SQWE, BINARY, H24 = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10
NOON = datetime.datetime(2024, 2, 28, 12, 0, 0)


class Bench:
    """The chip as a program sees it, through index and data port."""

    def __init__(self, start: datetime.datetime = NOON, power_on: int = 0) -> None:
        self.clock = FakeClock()
        self.clock.advance(power_on)
        self.irq = RecordingIrqLine(self.clock)
        self.rtc = Mc146818(self.clock, self.irq, start)

    def __getitem__(self, index: int) -> int:
        self.rtc.write(0, index)
        return self.rtc.read(1)

    def __setitem__(self, index: int, value: int) -> None:
        self.rtc.write(0, index)
        self.rtc.write(1, value)

    def calendar(self) -> tuple[int, ...]:
        """Century, year, month, day, day of week, hours, minutes, seconds: the bytes as they are."""
        return tuple(self[index] for index in (0x32, 9, 8, 7, 6, 4, 2, 0))

    def advance(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def shown(when: datetime.datetime, binary: bool, hours_24: bool) -> tuple[int, ...]:
    """The calendar bytes for an instant, made with text formatting alone."""
    hour = when.strftime("%H" if hours_24 else "%I")
    texts = [*when.strftime("%C %y %m %d").split(), str(int(when.strftime("%w")) + 1), hour]
    texts += when.strftime("%M %S").split()
    values = [int(text, 10 if binary else 16) for text in texts]
    if not hours_24 and when.strftime("%p") == "PM":
        values[5] |= 0x80
    return tuple(values)


instants = st.datetimes(datetime.datetime(1980, 1, 1), datetime.datetime(2107, 12, 31))


# The calendar


@settings(max_examples=200, deadline=None)
@given(
    start=instants,
    power_on=st.integers(0, 10 * SECOND),
    seconds=st.one_of(st.integers(0, 200_000), st.integers(0, 2_000_000_000)),
    binary=st.booleans(),
    hours_24=st.booleans(),
)
def test_calendar_counts_like_pythons(
    start: datetime.datetime, power_on: int, seconds: int, binary: bool, hours_24: bool
) -> None:
    bench = Bench(start, power_on)
    bench[B] = SET | BINARY * binary | H24 * hours_24
    # As DATE and TIME do it: stop, write all, go on.
    for index, value in zip((0x32, 9, 8, 7, 6, 4, 2, 0), shown(start, binary, hours_24), strict=True):
        bench[index] = value
    bench[B] = BINARY * binary | H24 * hours_24
    bench.advance(seconds)
    assert bench.calendar() == shown(start + datetime.timedelta(seconds=seconds), binary, hours_24)


@settings(max_examples=100, deadline=None)
@given(start=instants, waits=st.lists(st.integers(0, 3 * 86_400_000_000), max_size=8))
def test_looking_often_does_not_change_the_calendar(start: datetime.datetime, waits: list[int]) -> None:
    bench = Bench(start)
    assert bench.calendar() == shown(start, binary=False, hours_24=True)
    for wait in waits:
        bench.clock.advance(wait * MICROSECOND)
        bench.calendar()
    now = start + datetime.timedelta(microseconds=sum(waits))
    assert bench.calendar() == shown(now, binary=False, hours_24=True)


def test_power_on_registers(bench: Bench) -> None:
    assert (bench[A], bench[B], bench[C], bench[D]) == (0x26, H24, 0, 0x80)
    assert bench.calendar() == (0x20, 0x24, 0x02, 0x28, 4, 0x12, 0x00, 0x00)  # a Wednesday


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2024, 2, 28), (2024, 2, 29)),
        ((2024, 2, 29), (2024, 3, 1)),
        ((2023, 2, 28), (2023, 3, 1)),
        ((2000, 2, 28), (2000, 2, 29)),
        ((2100, 2, 28), (2100, 3, 1)),
        ((1999, 12, 31), (2000, 1, 1)),
        ((2024, 4, 30), (2024, 5, 1)),
        ((2024, 7, 31), (2024, 8, 1)),
    ],
)
def test_midnight(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    bench = Bench(datetime.datetime(*before, 23, 59, 59))
    bench.advance(1)
    assert bench.calendar() == shown(datetime.datetime(*after), binary=False, hours_24=True)


def test_days_in_month() -> None:
    assert [days_in_month(month, 2023) for month in range(1, 13)] == [
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31,
    ]  # fmt: skip
    assert days_in_month(0, 2023) == days_in_month(13, 2023) == 31


@pytest.mark.parametrize(
    ("hour", "byte"), [(0, 0x12), (1, 0x01), (11, 0x11), (12, 0x92), (13, 0x81), (23, 0x91)]
)
def test_12_hour_mode(hour: int, byte: int) -> None:
    bench = Bench(NOON.replace(hour=hour) - datetime.timedelta(seconds=1))
    bench[B] = 0
    bench[4] = shown(NOON.replace(hour=hour) - datetime.timedelta(seconds=1), False, False)[5]
    bench.advance(1)
    assert bench[4] == byte


def test_mode_changes_do_not_convert(bench: Bench) -> None:
    bench.advance(31)
    assert bench[0] == 0x31
    bench[B] = H24 | BINARY
    assert bench[0] == 0x31
    bench.advance(1)
    assert bench[0] == 0x32


def test_fraction_of_the_start_counts() -> None:
    bench = Bench(NOON.replace(microsecond=750_000))
    bench.advance(0.249)
    assert bench[0] == 0x00
    bench.advance(0.001)
    assert bench[0] == 0x01


def test_writing_a_time_byte_sets_the_clock(bench: Bench) -> None:
    bench[4], bench[2], bench[0] = 0x23, 0x59, 0x58
    bench.advance(3)
    assert bench.calendar()[3:] == (0x29, 5, 0x00, 0x00, 0x01)


def test_nonsense_in_the_calendar_does_not_stop_it(bench: Bench) -> None:
    for index in (0, 2, 4, 6, 7, 8, 9, 0x32):
        bench[index] = 0xFF
    bench.advance(3 * 86_400)
    assert bench[0] <= 0x59


# SET, divider, update in progress


def test_set_holds_the_time_but_not_the_divider(bench: Bench) -> None:
    bench.advance(0.75)
    bench[B] = SET | H24
    bench.advance(10)
    assert bench[0] == 0x00
    bench[B] = H24
    bench.advance(0.249)
    assert bench[0] == 0x00
    bench.advance(0.001)
    assert bench[0] == 0x01


def test_set_clears_update_interrupt_enable(bench: Bench) -> None:
    bench[B] = H24 | UIE | AIE | PIE
    bench[B] = bench[B] | SET
    assert bench[B] == SET | PIE | AIE | H24


@pytest.mark.parametrize("divider", [0x60, 0x70, 0x00, 0x10])
def test_a_held_divider_stops_the_clock(bench: Bench, divider: int) -> None:
    bench[A] = divider | 6
    bench.advance(100)
    assert bench[0] == 0
    assert bench[C] == 0
    assert bench[A] == divider | 6


def test_the_first_update_comes_half_a_second_after_the_release(bench: Bench) -> None:
    bench.advance(0.9)
    bench[A] = 0x76
    bench.advance(7)
    bench[A] = 0x26
    bench.advance(0.499)
    assert bench[0] == 0
    bench.advance(0.001)
    assert bench[0] == 1
    bench.advance(1)
    assert bench[0] == 2


def test_rewriting_the_rate_does_not_disturb_the_divider(bench: Bench) -> None:
    bench.advance(0.6)
    bench[A] = 0x2F
    bench.advance(0.4)
    assert bench[0] == 1


def test_uip_rises_244_us_before_the_update_cycle_of_1984_us(bench: Bench) -> None:
    rise = SECOND - (244 + 1984) * MICROSECOND
    for second in range(3):
        bench.clock.run_until(second * SECOND + rise - 1)
        assert not bench[A] & UIP
        bench.clock.run_until(second * SECOND + rise)
        assert bench[A] & UIP
        bench.clock.run_until((second + 1) * SECOND - 1)
        assert bench[A] & UIP
        assert bench[0] == second
        bench.clock.run_until((second + 1) * SECOND)
        assert not bench[A] & UIP
        assert bench[0] == second + 1


def test_no_uip_while_set_or_stopped(bench: Bench) -> None:
    bench.advance(0.999)
    assert bench[A] & UIP
    bench[B] = SET | H24
    assert not bench[A] & UIP
    bench[B] = H24
    assert bench[A] & UIP
    bench[A] = 0x66
    assert not bench[A] & UIP


def test_uip_is_not_written(bench: Bench) -> None:
    bench[A] = 0xA6
    assert bench[A] == 0x26


# Update-ended interrupt


def test_update_flag_without_interrupt(bench: Bench) -> None:
    bench.advance(1)
    assert bench[C] == UF | PF
    assert bench[C] == 0
    assert bench.irq.edges == []


def test_update_interrupt_every_second(bench: Bench) -> None:
    bench[B] = H24 | UIE
    for second in range(1, 4):
        bench.advance(1)
        assert bench.irq.edges[-1] == (second * SECOND, True)
        assert bench[C] & (IRQF | UF) == IRQF | UF
        assert not bench.irq.level
    assert bench.irq.rises == 3


def test_unread_interrupt_is_not_repeated(bench: Bench) -> None:
    bench[B] = H24 | UIE | PIE
    bench.advance(100)
    assert bench.irq.rises == 1
    assert bench.clock.deadline == FOREVER
    assert bench[C] == IRQF | PF | UF


def test_enabling_with_the_flag_set_interrupts_at_once(bench: Bench) -> None:
    bench.advance(1)
    bench[B] = H24 | UIE
    assert bench.irq.level
    bench[B] = H24
    assert not bench.irq.level
    assert bench[C] & (IRQF | UF) == UF


def test_no_update_interrupt_while_set(bench: Bench) -> None:
    bench[B] = SET | H24
    bench.advance(5)
    assert not bench[C] & UF


# Periodic interrupt


PERIODS_US = {  # from the data sheet's table for a 32.768 kHz time base
    1: 3906.25, 2: 7812.5, 3: 122.070, 4: 244.141, 5: 488.281, 6: 976.562, 7: 1953.125, 8: 3906.25,
    9: 7812.5, 10: 15625, 11: 31250, 12: 62500, 13: 125000, 14: 250000, 15: 500000,
}  # fmt: skip


@pytest.mark.parametrize("rate", PERIODS_US)
def test_periodic_rates(bench: Bench, rate: int) -> None:
    bench[A] = 0x20 | rate
    bench[B] = H24 | PIE
    instants = []
    for _ in range(20):
        bench.clock.run_until(bench.clock.deadline)
        instants.append(bench.clock.now)
        assert bench[C] & (IRQF | PF) == IRQF | PF
    mean = (instants[-1] - instants[0]) / 19 / MICROSECOND
    assert mean == pytest.approx(PERIODS_US[rate], abs=0.001)


def test_periodic_interrupts_do_not_drift(bench: Bench) -> None:
    bench[A] = 0x23
    bench[B] = H24 | PIE
    for _ in range(8192):
        bench.clock.run_until(bench.clock.deadline)
        _ = bench[C]
    assert bench.clock.now == SECOND


def test_rate_0_has_no_periodic_interrupt(bench: Bench) -> None:
    bench[A] = 0x20
    bench[B] = H24 | PIE
    assert bench.clock.deadline == FOREVER
    bench.advance(0.9)
    assert not bench[C] & PF


def test_periodic_interrupts_go_on_while_set(bench: Bench) -> None:
    bench[B] = SET | H24 | PIE
    bench.advance(0.001)
    assert bench.irq.level


# Alarm


def set_alarm(bench: Bench, hours: int, minutes: int, seconds: int) -> None:
    bench[5], bench[3], bench[1] = hours, minutes, seconds


@pytest.mark.parametrize(
    ("alarm", "first", "second"),
    [
        ((0x12, 0x00, 0x01), 1, 86_401),
        ((0x12, 0x00, 0x00), 86_400, 2 * 86_400),
        ((0x11, 0x59, 0x59), 86_399, 2 * 86_400 - 1),
        ((0xFF, 0x30, 0x00), 1_800, 5_400),
        ((0xC0, 0xC0, 0x15), 15, 75),
        ((0xFF, 0xFF, 0xFF), 1, 2),
        ((0x13, 0xFF, 0x00), 3_600, 3_660),
        ((0x12, 0xFF, 0xFF), 1, 2),
    ],
)
def test_alarm_times(bench: Bench, alarm: tuple[int, int, int], first: int, second: int) -> None:
    set_alarm(bench, *alarm)
    bench[B] = H24 | AIE
    assert bench.clock.deadline == first * SECOND
    bench.advance(first)
    assert bench.irq.edges == [(first * SECOND, True)]
    assert bench[C] & (IRQF | AF) == IRQF | AF
    assert bench.clock.deadline == second * SECOND


@settings(max_examples=40, deadline=None)
@given(
    start=instants,
    alarm=st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
    binary=st.booleans(),
    hours_24=st.booleans(),
)
def test_alarm_against_trying_every_second_of_the_day(
    start: datetime.datetime, alarm: tuple[int, int, int], binary: bool, hours_24: bool
) -> None:
    start = start.replace(microsecond=0)
    wanted = [24, 60, 60]  # one beyond the range stands for "don't care"
    bench = Bench(start)
    bench[B] = SET | BINARY * binary | H24 * hours_24
    for index, value in zip((0x32, 9, 8, 7, 6, 4, 2, 0), shown(start, binary, hours_24), strict=True):
        bench[index] = value
    example = NOON.replace(hour=alarm[0] % 24, minute=alarm[1] % 60, second=alarm[2] % 60)
    bytes_ = shown(example, binary, hours_24)[5:]
    set_alarm(bench, *(0xFF if v == limit else b for v, limit, b in zip(alarm, wanted, bytes_, strict=True)))
    bench[B] = AIE | BINARY * binary | H24 * hours_24

    hours, minutes, seconds = (range(n) if v == n else [v] for v, n in zip(alarm, wanted, strict=True))
    matching = [h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds]
    now = start.hour * 3600 + start.minute * 60 + start.second
    wait = min((instant - now - 1) % 86_400 + 1 for instant in matching)
    assert bench.clock.deadline == wait * SECOND


def test_alarm_flag_is_found_without_interrupts(bench: Bench) -> None:
    set_alarm(bench, 0x12, 0x00, 0x30)
    bench.advance(29)
    assert not bench[C] & AF
    bench.advance(5)
    assert bench[C] & AF
    bench.advance(3)
    assert not bench[C] & AF


def test_alarm_bytes_that_match_nothing(bench: Bench) -> None:
    set_alarm(bench, 0x25, 0x00, 0x00)
    bench[B] = H24 | AIE
    assert bench.clock.deadline == FOREVER
    bench.advance(3 * 86_400)
    assert not bench[C] & AF


def test_alarm_pm_in_12_hour_mode(bench: Bench) -> None:
    bench[B] = 0
    bench[4] = 0x92
    set_alarm(bench, 0x81, 0x00, 0x00)
    bench[B] = AIE
    assert bench.clock.deadline == 3_600 * SECOND


def test_setting_the_clock_moves_the_alarm(bench: Bench) -> None:
    set_alarm(bench, 0x18, 0x00, 0x00)
    bench[B] = H24 | AIE
    bench[4] = 0x17
    assert bench.clock.deadline == 3_600 * SECOND
    bench[5] = 0x19
    assert bench.clock.deadline == 7_200 * SECOND


# Flags, events, reset


def test_reading_c_clears_all_flags_and_the_pin(bench: Bench) -> None:
    set_alarm(bench, 0xFF, 0xFF, 0xFF)
    bench[B] = H24 | PIE | AIE | UIE
    bench.advance(1)
    assert bench[C] == IRQF | PF | AF | UF
    assert bench[C] == 0
    assert not bench.irq.level


def test_c_and_d_are_not_written(bench: Bench) -> None:
    bench[C] = 0xFF
    bench[D] = 0x00
    assert (bench[C], bench[D]) == (0, 0x80)


def test_an_idle_chip_puts_nothing_on_the_clock(bench: Bench) -> None:
    bench.calendar()
    bench.advance(10)
    bench.calendar()
    assert bench.clock.deadline == FOREVER
    _ = bench[C]
    bench[B] = H24 | UIE
    assert bench.clock.deadline == 11 * SECOND
    bench[B] = H24
    assert bench.clock.deadline == FOREVER


def test_reset_disables_interrupts_and_keeps_the_time(bench: Bench) -> None:
    bench[0x40] = 0x99
    bench[B] = H24 | PIE | AIE | UIE | SQWE | BINARY
    bench.advance(5)
    assert bench.irq.level
    bench.rtc.reset()
    assert not bench.irq.level
    assert bench.clock.deadline == FOREVER
    assert (bench[B], bench[C]) == (H24 | BINARY, 0)
    assert (bench[0], bench[0x40]) == (5, 0x99)


# Ports, RAM, checksum


def test_index_bit_7_masks_nmi_and_is_no_part_of_the_index(bench: Bench) -> None:
    bench[0x12] = 0x55
    assert not bench.rtc.nmi_masked
    bench.rtc.write(0, 0x92)
    assert bench.rtc.nmi_masked
    assert bench.rtc.read(1) == 0x55
    assert bench.rtc.read(0) == 0xFF


def test_all_ram_bytes_hold_what_is_written(bench: Bench) -> None:
    ram = [index for index in range(0x0E, 0x80) if index != 0x32]
    assert len(ram) >= 113
    for index in ram:
        bench[index] = index ^ 0xA5
    assert [bench[index] for index in ram] == [index ^ 0xA5 for index in ram]


def test_peek_sees_what_the_guest_sees_and_clears_nothing(bench: Bench) -> None:
    bench.rtc.poke(0x14, 0x2D)
    assert bench[0x14] == 0x2D
    bench.advance(7)
    assert bench.rtc.peek(0) == 0x07
    assert bench.rtc.peek(C) == bench.rtc.peek(C) == PF | UF


def test_poke_sets_the_clock_but_not_the_registers(bench: Bench) -> None:
    bench.rtc.poke(4, 0x23)
    assert bench[4] == 0x23
    for index in (A, B, C, D):
        with pytest.raises(ValueError, match="register"):
            bench.rtc.poke(index, 0)


def test_checksum_is_big_endian_over_10h_to_2dh(bench: Bench) -> None:
    for index in range(0x0E, 0x80):
        bench.rtc.poke(index, 0xFF)
    bench.rtc.update_checksum()
    assert bench[0x2E] << 8 | bench[0x2F] == 30 * 0xFF
    bench.rtc.poke(0x2D, 0)
    bench.rtc.poke(0x0F, 0)
    bench.rtc.update_checksum()
    assert bench[0x2E] << 8 | bench[0x2F] == 29 * 0xFF


def test_an_access_within_a_slice_sees_its_own_instant(bench: Bench) -> None:
    bench.clock.elapsed = lambda: 3 * SECOND + MILLISECOND
    assert bench[0] == 0x03
