"""The host's keyboard: which key of the guest each physical key is, and what the host key takes away.

Keys are told by their place (their scan code as USB counts it, which is what SDL hands out on every system),
never by their character, so the guest's own keyboard driver decides what a key types.

The host key is the right Ctrl key. Held down together with a key of :mod:`pcemu.frontends.actions` it
is for pcemu; pressed alone, or together with any other key, it is the guest's right Ctrl key as ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pcemu.clock import MILLISECOND, Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.keys import KEYS, Chord, Key

KEY_RETRY = MILLISECOND
MAX_WAITING = 64
"""Moves that wait for a guest that does not listen; keys pressed beyond that are lost."""

HOST_KEY = Key.RIGHT_CTRL

_LETTERS = [KEYS[letter] for letter in "abcdefghijklmnopqrstuvwxyz"]
_DIGITS = [KEYS[digit] for digit in "1234567890"]

# Usage IDs of the USB HID keyboard page (07h), in rows that follow one another.
_RUNS: tuple[tuple[int, list[Key]], ...] = (
    (0x04, _LETTERS),
    (0x1E, _DIGITS),
    (
        0x28,
        [
            *(Key.ENTER, Key.ESCAPE, Key.BACKSPACE, Key.TAB, Key.SPACE, Key.MINUS, Key.EQUALS),
            # 31h and 32h are one key: the second is what European boards call it.
            *(Key.LEFT_BRACKET, Key.RIGHT_BRACKET, Key.BACKSLASH, Key.BACKSLASH, Key.SEMICOLON),
            *(Key.APOSTROPHE, Key.BACKTICK, Key.COMMA, Key.PERIOD, Key.SLASH, Key.CAPS_LOCK),
        ],
    ),
    (0x3A, [KEYS[f"f{number}"] for number in range(1, 13)]),
    (
        0x46,
        [
            *(Key.PRINT_SCREEN, Key.SCROLL_LOCK, Key.PAUSE, Key.INSERT, Key.HOME, Key.PAGE_UP, Key.DELETE),
            *(Key.END, Key.PAGE_DOWN, Key.RIGHT, Key.LEFT, Key.DOWN, Key.UP, Key.NUM_LOCK),
            *(Key.KP_DIVIDE, Key.KP_MULTIPLY, Key.KP_MINUS, Key.KP_PLUS, Key.KP_ENTER),
            *(KEYS[f"kp_{digit}"] for digit in "1234567890"),
            *(Key.KP_PERIOD, Key.NON_US_BACKSLASH, Key.MENU),
        ],
    ),
    (
        0xE0,
        [
            *(Key.LEFT_CTRL, Key.LEFT_SHIFT, Key.LEFT_ALT, Key.LEFT_WIN),
            *(Key.RIGHT_CTRL, Key.RIGHT_SHIFT, Key.RIGHT_ALT, Key.RIGHT_WIN),
        ],
    ),
)
SCANCODES: dict[int, Key] = {
    first + number: key for first, keys in _RUNS for number, key in enumerate(keys)
}
"""The guest's key for each scan code of the host."""


class KeyQueue:
    """Moves the guest's keys, no faster than its keyboard can tell of it: no release is ever lost.

    A person is slower than that; but after a moment in which the host was busy, or from a program that types,
    many keys come at once. Repetition is the keyboard's own business.
    """

    def __init__(self, clock: Clock, keyboard: Keyboard) -> None:
        self._clock = clock
        self._keyboard = keyboard
        self._held: dict[Key, None] = {}
        self._moves: deque[tuple[Key, bool]] = deque()
        self._waiting = False

    def press(self, key: Key) -> None:
        """The user pressed a key."""
        if key not in self._held and len(self._moves) < MAX_WAITING:
            self._held[key] = None
            self._move(key, True)

    def release(self, key: Key) -> None:
        """The user let a key go; nothing happens when its press never came here."""
        if key in self._held:
            del self._held[key]
            self._move(key, False)

    def release_all(self) -> None:
        """The keys are somebody else's from now on: none stays down."""
        for key in reversed(list(self._held)):
            self.release(key)

    def _move(self, key: Key, down: bool) -> None:
        self._moves.append((key, down))
        if not self._waiting:
            self._feed()

    def _feed(self) -> None:
        self._waiting = False
        keyboard = self._keyboard
        while self._moves and not keyboard.pending:
            key, down = self._moves.popleft()
            if down:
                keyboard.press(key)
            else:
                keyboard.release(key)
        if self._moves:
            self._waiting = True
            self._clock.call_after(KEY_RETRY, self._feed)


class HostKey:
    """Tells keys for pcemu from keys for the guest.

    ``perform`` is called with the character of a key that was pressed while the host key was down, and says
    whether that means anything.
    """

    def __init__(self, queue: KeyQueue, perform: Callable[[str], bool]) -> None:
        self._queue = queue
        self._perform = perform
        self._down = self._used = False

    @property
    def down(self) -> bool:
        """True while the host key is held."""
        return self._down

    def press(self, key: Key, character: str) -> None:
        """A key went down; ``character`` is what is printed on it, in lower case."""
        if key is HOST_KEY:
            self._down, self._used = True, False
        elif self._down and self._perform(character):
            self._used = True
        else:
            if self._down:  # it was meant as the guest's Ctrl
                self._used = True
                self._queue.press(HOST_KEY)
            self._queue.press(key)

    def release(self, key: Key) -> None:
        """A key came up."""
        if key is HOST_KEY:
            if self._down and not self._used:
                self._queue.press(HOST_KEY)
            self._down = False
        self._queue.release(key)

    def strike(self, chord: Chord) -> None:
        """Press keys and let them go, whatever the user holds down meanwhile."""
        self.release_all()
        for key in chord:
            self._queue.press(key)
        self._queue.release_all()

    def release_all(self) -> None:
        """The keyboard is somebody else's from now on."""
        self._down = False
        self._queue.release_all()
