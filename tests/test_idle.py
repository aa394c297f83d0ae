"""Telling a guest that waits for a key from one that works."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pcemu.idle import POLLS_AFTER_REST, POLLS_TO_REST, KeyboardPolls
from pcemu.testing.fakes import FakeClock

GAP = 10_000
ASK, ASK_ENHANCED, GET = 0x01, 0x11, 0x00


class Guest:
    """A program that calls INT 16h; ``rests`` holds the number of calls before each rest."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ram = bytearray(0x500)
        self.calls = 0
        self.rests: list[int] = []
        self.polls = KeyboardPolls(self.clock, memoryview(self.ram), GAP, self.rest)

    def rest(self) -> None:
        self.rests.append(self.calls)
        self.clock.advance(50_000_000)

    def call(self, function: int = ASK, gap: int = 5000) -> None:
        self.clock.advance(gap)
        self.calls += 1
        self.polls.keyboard_service(function)

    def ask(self, times: int = 1000, gap: int = 5000) -> None:
        for _ in range(times):
            self.call(gap=gap)


def test_one_who_asks_and_asks_rests_until_the_next_event_and_soon_again() -> None:
    guest = Guest()
    guest.ask(200)
    first = guest.rests[0]
    assert POLLS_TO_REST <= first <= POLLS_TO_REST + 1
    assert [b - a for a, b in zip(guest.rests, guest.rests[1:], strict=False)] == (
        [POLLS_AFTER_REST] * ((200 - first) // POLLS_AFTER_REST)
    )


def test_the_enhanced_question_counts_as_well() -> None:
    guest = Guest()
    for _ in range(200):
        guest.call(ASK_ENHANCED)
    assert guest.rests


def type_a_key(guest: Guest) -> None:
    struct.pack_into("<HH", guest.ram, 0x41A, 0x1E, 0x20)


def move_the_cursor(guest: Guest) -> None:
    guest.ram[0x450] ^= 1


def read_the_key(guest: Guest) -> None:
    guest.call(GET)


def work(guest: Guest) -> None:
    guest.clock.advance(2 * GAP)


@pytest.mark.parametrize("deed", [type_a_key, move_the_cursor, read_the_key, work])
def test_one_who_does_something_now_and_then_does_not_rest(deed: Callable[[Guest], None]) -> None:
    guest = Guest()
    for _ in range(20):
        guest.ask(POLLS_TO_REST - 1)
        deed(guest)
    assert guest.rests == []


def test_one_who_takes_its_time_between_questions_works() -> None:
    guest = Guest()
    guest.ask(1000, gap=GAP + 1)
    assert guest.rests == []


def test_a_waiting_key_is_no_reason_to_rest() -> None:
    guest = Guest()
    type_a_key(guest)
    guest.ask()
    assert guest.rests == []


def test_after_a_rest_work_makes_it_start_afresh() -> None:
    guest = Guest()
    guest.ask(POLLS_TO_REST + 1)
    assert guest.rests
    guest.rests.clear()
    guest.call(gap=0)
    work(guest)
    guest.ask(POLLS_TO_REST - 1)
    assert guest.rests == []
