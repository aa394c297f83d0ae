"""Pacing, against a wall clock that only moves when told to or slept on."""

from __future__ import annotations

import time

import pytest

from pcemu.clock import MILLISECOND, SECOND
from pcemu.pacing import FORGIVEN, PACES, Pacer


class Wall:
    """A wall clock; sleeping moves it on, and is noted (ns)."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.slept: list[int] = []

    def monotonic_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds * SECOND))
        self.now += round(seconds * SECOND)


# Just booted, up for a day: the first call sees it for the first time.
@pytest.fixture(params=[0, 3 * SECOND, 86_400 * SECOND])
def wall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall(request.param)
    monkeypatch.setattr(time, "monotonic_ns", wall.monotonic_ns)
    monkeypatch.setattr(time, "sleep", wall.sleep)
    return wall


def test_pace_max_never_waits(wall: Wall) -> None:
    pacer = Pacer("max")
    for virtual in range(0, 10 * SECOND, SECOND):
        pacer.keep(virtual)
    assert wall.slept == []


def test_an_idle_guest_takes_as_long_as_its_virtual_time(wall: Wall) -> None:
    pacer = Pacer("realtime")
    pacer.keep(0)
    start = wall.now
    for virtual in range(0, SECOND + 1, pacer.step):
        pacer.keep(virtual)
    assert wall.now - start == SECOND
    assert max(wall.slept) <= pacer.step


def test_only_what_the_guest_left_over_is_slept(wall: Wall) -> None:
    pacer = Pacer("realtime")
    pacer.keep(0)
    wall.slept.clear()
    wall.now += 7 * MILLISECOND
    pacer.keep(10 * MILLISECOND)
    assert wall.slept == [3 * MILLISECOND]


def test_a_short_delay_is_caught_up(wall: Wall) -> None:
    pacer = Pacer("realtime")
    pacer.keep(0)
    start = wall.now
    wall.now += 50 * MILLISECOND
    for virtual in range(0, SECOND + 1, pacer.step):
        pacer.keep(virtual)
    assert wall.now - start == SECOND


def test_a_long_delay_is_forgiven(wall: Wall) -> None:
    pacer = Pacer("realtime")
    pacer.keep(0)
    wall.now += FORGIVEN + 5 * SECOND  # the host was suspended
    start = wall.now
    for virtual in range(pacer.step, SECOND + 1, pacer.step):
        pacer.keep(virtual)
    assert 0 <= SECOND - (wall.now - start) <= pacer.step


def test_a_jump_of_virtual_time_is_not_slept_through(wall: Wall) -> None:
    pacer = Pacer("realtime")
    pacer.keep(0)
    wall.slept.clear()
    pacer.keep(3600 * SECOND)
    assert sum(wall.slept) == 0
    pacer.keep(3600 * SECOND + 10 * MILLISECOND)
    assert sum(wall.slept) == 10 * MILLISECOND


def test_a_front_end_may_wait_in_its_own_way(wall: Wall) -> None:
    pacer, waited = Pacer("realtime"), list[float]()
    pacer.keep(0)
    wall.slept.clear()
    pacer.wait = waited.append
    pacer.keep(20 * MILLISECOND)
    assert waited == [0.02]
    assert wall.slept == []


@pytest.mark.parametrize("pace", PACES)
def test_after_step_is_called_at_every_pace(wall: Wall, pace: str) -> None:
    pacer, calls = Pacer(pace), list[int]()
    pacer.after_step = lambda: calls.append(1)
    pacer.keep(0)
    pacer.keep(pacer.step)
    assert len(calls) == 2
