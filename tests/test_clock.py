"""Virtual time: events in order, each at its instant, and a clock that never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pcemu.clock import FOREVER, Clock, Timer
from pcemu.testing.fakes import FakeClock


def test_starts_at_zero_with_nothing_due() -> None:
    clock = Clock()
    assert clock.now == 0
    assert clock.deadline == FOREVER


def test_events_of_one_instant_come_in_the_order_of_their_calls() -> None:
    clock, seen = Clock(), list[str]()
    for name in "abc":
        clock.call_at(5, lambda name=name: seen.append(name))  # type: ignore[misc]
    clock.run_until(5)
    assert seen == ["a", "b", "c"]


def test_each_event_sees_its_own_instant() -> None:
    clock, seen = Clock(), list[int]()
    for when in (30, 10, 20):
        clock.call_at(when, lambda: seen.append(clock.now))
    clock.run_until(25)
    assert seen == [10, 20]
    assert clock.now == 25
    assert clock.deadline == 30


def test_an_event_fires_once() -> None:
    clock, seen = Clock(), list[int]()
    timer = clock.call_at(10, lambda: seen.append(clock.now))
    assert timer.active
    clock.run_until(10)
    clock.run_until(100)
    assert seen == [10]
    assert not timer.active


def test_a_cancelled_event_neither_fires_nor_is_a_deadline() -> None:
    clock, seen = Clock(), list[int]()
    first = clock.call_at(10, lambda: seen.append(10))
    clock.call_at(20, lambda: seen.append(20))
    first.cancel()
    assert not first.active
    assert clock.deadline == 20
    clock.run_until(30)
    assert seen == [20]
    first.cancel()  # harmless afterwards


def test_an_event_may_cancel_the_next_and_call_for_another() -> None:
    clock, seen = FakeClock(), list[str]()
    second = clock.call_at(10, lambda: seen.append("second"))
    victim = clock.call_at(11, lambda: seen.append("victim"))

    def act() -> None:
        victim.cancel()
        clock.call_after(0, lambda: seen.append("now"))
        clock.call_after(5, lambda: seen.append(f"at {clock.now}"))

    clock.call_at(10, act)
    assert second.active
    clock.advance(20)
    assert seen == ["second", "now", "at 15"]


def test_the_past_means_as_soon_as_possible() -> None:
    clock, seen = Clock(), list[int]()
    clock.advance_to(100)
    clock.call_at(50, lambda: seen.append(clock.now))
    assert clock.deadline == 50
    clock.run_due()
    assert seen == [100]


def test_time_never_goes_back() -> None:
    clock = Clock()
    clock.advance_to(100)
    clock.advance_to(40)
    clock.run_until(60)
    assert clock.now == 100


def test_advancing_alone_runs_nothing() -> None:
    clock, seen = Clock(), list[int]()
    clock.call_at(10, lambda: seen.append(clock.now))
    clock.advance_to(20)
    assert seen == []
    clock.run_due()
    assert seen == [20]


def test_within_a_slice_now_counts_what_the_slice_has_used() -> None:
    clock, seen = Clock(), list[int]()
    clock.advance_to(1000)
    clock.elapsed = lambda: 70
    assert clock.now == 1070
    clock.call_after(30, lambda: seen.append(clock.now))
    clock.elapsed = lambda: 0
    assert clock.deadline == 1100


def test_only_what_is_due_sooner_than_all_else_is_told() -> None:
    clock, told = Clock(), list[int]()
    clock.on_earlier = told.append
    for when in (50, 60, 50, 40, 45, 39):
        clock.call_at(when, lambda: None)
    assert told == [50, 40, 39]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("call"), st.integers(0, 50)),
            st.tuples(st.just("cancel"), st.integers(0, 30)),
            st.tuples(st.just("run"), st.integers(0, 20)),
        )
    )
)
def test_any_sequence_behaves_as_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    clock, seen = Clock(), list[tuple[int, int]]()
    timers: list[Timer] = []
    waiting: list[tuple[int, int]] = []  # (instant, number), the model
    expected: list[tuple[int, int]] = []
    now = 0
    for verb, value in steps:
        if verb == "call":
            number = len(timers)
            timers.append(clock.call_after(value, lambda n=number: seen.append((clock.now, n))))  # type: ignore[misc]
            waiting.append((now + value, number))
        elif verb == "cancel":
            if value < len(timers):
                timers[value].cancel()
                waiting = [event for event in waiting if event[1] != value]
        else:
            now += value
            clock.run_until(now)
            expected += sorted(event for event in waiting if event[0] <= now)
            waiting = [event for event in waiting if event[0] > now]
        assert clock.now == now
        assert clock.deadline == min((when for when, _ in waiting), default=FOREVER)
        assert seen == expected
        assert [timer.active for timer in timers] == [
            number in {n for _, n in waiting} for number in range(len(timers))
        ]
