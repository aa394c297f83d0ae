"""The typist, at a keyboard whose keys are written down and a BIOS buffer that the test empties."""

from __future__ import annotations

from struct import pack_into
from typing import cast

import pytest

from pcemu.clock import MILLISECOND, SECOND
from pcemu.devices.keyboard import Keyboard
from pcemu.keys import keys_for_text, parse_chord
from pcemu.testing.fakes import FakeClock
from pcemu.typist import BDA_KEYBOARD_HEAD, KEY_DOWN, KEY_GAP, RETRY, Typist


class FakeKeyboard:
    """Writes down (instant, "+key" or "-key")."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.log: list[tuple[int, str]] = []
        self.down: list[str] = []
        self.pending = False

    def press(self, name: str) -> None:
        self.log.append((self._clock.now, f"+{name}"))
        self.down.append(name)

    def release(self, name: str) -> None:
        if name in self.down:
            self.log.append((self._clock.now, f"-{name}"))
            self.down.remove(name)

    def release_all(self) -> None:
        for name in reversed(self.down[:]):
            self.release(name)

    @property
    def strokes(self) -> list[str]:
        return [stroke for _, stroke in self.log]


class Desk:
    """A typist with what it looks at."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keyboard = FakeKeyboard(self.clock)
        self.ram = bytearray(0x500)
        self.buffered(0)
        self.typist = Typist(self.clock, cast(Keyboard, self.keyboard), memoryview(self.ram))

    def buffered(self, keys: int) -> None:
        """Let the guest's buffer hold so many keys."""
        pack_into("<HH", self.ram, BDA_KEYBOARD_HEAD, 0x1E, 0x1E + 2 * keys)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_idle_typist_touches_nothing(desk: Desk) -> None:
    assert not desk.typist.busy
    desk.typist.type([])
    assert not desk.typist.busy
    desk.clock.advance(SECOND)
    assert desk.keyboard.log == []


def test_chords_are_pressed_in_order_and_released_backwards(desk: Desk) -> None:
    desk.typist.type([parse_chord("ctrl+alt+del"), *keys_for_text("a")])
    assert desk.typist.busy
    desk.clock.advance(SECOND)
    names = list(parse_chord("ctrl+alt+del"))
    (a,) = keys_for_text("a")[0]
    assert desk.keyboard.strokes == [
        *(f"+{name}" for name in names),
        *(f"-{name}" for name in reversed(names)),
        f"+{a}",
        f"-{a}",
    ]
    assert not desk.typist.busy


def test_keys_stay_down_and_apart_for_a_while(desk: Desk) -> None:
    desk.typist.type(keys_for_text("ab"))
    desk.clock.advance(SECOND)
    down, up, next_down, _ = (when for when, _ in desk.keyboard.log)
    assert up - down == KEY_DOWN
    assert next_down - up == KEY_GAP


def test_the_next_key_waits_until_the_buffer_is_empty(desk: Desk) -> None:
    desk.typist.type(keys_for_text("ab"))
    desk.clock.advance(0)
    desk.buffered(1)
    desk.clock.advance(SECOND)
    assert len(desk.keyboard.log) == 2
    desk.buffered(0)
    desk.clock.advance(RETRY)
    assert len(desk.keyboard.log) == 3


def test_the_next_key_waits_until_the_keyboard_got_rid_of_its_bytes(desk: Desk) -> None:
    desk.keyboard.pending = True
    desk.typist.type(keys_for_text("a"))
    desk.clock.advance(SECOND)
    assert desk.keyboard.log == []
    desk.keyboard.pending = False
    desk.clock.advance(RETRY)
    assert len(desk.keyboard.log) == 1


def test_it_is_busy_until_the_last_key_was_taken(desk: Desk) -> None:
    desk.typist.type(keys_for_text("a"))
    desk.clock.advance(0)
    desk.buffered(1)
    desk.clock.advance(SECOND)
    assert desk.typist.busy
    desk.buffered(0)
    desk.clock.advance(RETRY)
    assert not desk.typist.busy


def test_more_text_queues_up_behind(desk: Desk) -> None:
    desk.typist.type(keys_for_text("a"))
    desk.clock.advance(5 * MILLISECOND)
    desk.typist.type(keys_for_text("b"))
    desk.clock.advance(SECOND)
    assert [stroke for stroke in desk.keyboard.strokes if stroke[0] == "+"] == [
        f"+{keys_for_text(letter)[0][0]}" for letter in "ab"
    ]


def test_before_last_comes_once_before_the_last_key_of_a_text(desk: Desk) -> None:
    seen: list[list[str]] = []
    desk.typist.before_last = lambda: seen.append(desk.keyboard.strokes)
    desk.typist.type(keys_for_text("abc"))
    desk.clock.advance(SECOND)
    assert [len(strokes) for strokes in seen] == [4]
    desk.typist.type(keys_for_text("d"))
    desk.clock.advance(SECOND)
    assert [len(strokes) for strokes in seen] == [4, 6]


def test_cancel_forgets_the_rest_and_lets_keys_come_up(desk: Desk) -> None:
    desk.typist.type([parse_chord("shift+f1"), *keys_for_text("abc")])
    desk.clock.advance(1)
    desk.typist.cancel()
    assert desk.keyboard.down == []
    strokes = len(desk.keyboard.log)
    assert strokes == 4
    desk.clock.advance(SECOND)
    assert len(desk.keyboard.log) == strokes
    assert not desk.typist.busy


def test_typing_goes_on_after_a_cancel(desk: Desk) -> None:
    desk.buffered(3)
    desk.typist.type(keys_for_text("abc"))
    desk.clock.advance(SECOND)
    desk.typist.cancel()
    desk.buffered(0)
    desk.typist.type(keys_for_text("d"))
    desk.clock.advance(SECOND)
    assert desk.keyboard.strokes == [f"{sign}{keys_for_text('d')[0][0]}" for sign in "+-"]
