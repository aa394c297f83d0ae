"""Keys of a terminal, turned into keys of the guest.

A terminal sends characters, not keys, and says that a key came but not for how long. urwid reads what it
sends and gives each key a name: a character, or such as ``f5``, ``shift f5``, ``ctrl left``, ``meta x``. Here
a name becomes the chord that a person would press on a PC, and the chord is pressed and let go again.

**Not implemented**, since terminals do not report it: modifiers alone, Pause and the locks, the keypad as
such, how long a key is held. Where the terminal has no keyboard protocol (kitty's, or xterm's
modifyOtherKeys) these are one key: Ctrl-I and Tab, Ctrl-M, Ctrl-J and Enter, Ctrl-[ and Escape, Ctrl-H and
Ctrl-Backspace and Backspace.
"""

from __future__ import annotations

import re
from collections import deque

from pcemu.clock import MILLISECOND, Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.errors import UsageError
from pcemu.keys import KEYS, Chord, Key, keys_for_text

NO_KEY: Chord = ()
"""Something came that no key of the guest's keyboard stands for."""

KEY_DOWN = 10 * MILLISECOND
KEY_RETRY = MILLISECOND

MODIFIERS = {"shift ": Key.LEFT_SHIFT, "meta ": Key.LEFT_ALT, "ctrl ": Key.LEFT_CTRL}
HELD = (Key.LEFT_CTRL, Key.LEFT_ALT, Key.LEFT_SHIFT)
"""The order in which modifiers are pressed."""

NAMED: dict[str, Key] = {
    "esc": Key.ESCAPE, "enter": Key.ENTER, "tab": Key.TAB, "backspace": Key.BACKSPACE,
    "up": Key.UP, "down": Key.DOWN, "left": Key.LEFT, "right": Key.RIGHT,
    "home": Key.HOME, "end": Key.END, "page up": Key.PAGE_UP, "page down": Key.PAGE_DOWN,
    "insert": Key.INSERT, "delete": Key.DELETE,
    "print screen": Key.PRINT_SCREEN, "pause": Key.PAUSE, "menu": Key.MENU,
    "caps lock": Key.CAPS_LOCK, "num lock": Key.NUM_LOCK, "scroll lock": Key.SCROLL_LOCK,
    **{f"f{number}": KEYS[f"f{number}"] for number in range(1, 13)},
}  # fmt: skip

# Terminals of the VT220's kin count Shift + F1 as F13; xterm has keys 12 apart.
SHIFTED: dict[str, Key] = {f"f{number}": KEYS[f"f{number - 12}"] for number in range(13, 25)}

# What Ctrl makes of a US keyboard's keys, by the control character that it sends.
CONTROL: dict[str, Chord] = {
    "<0>": (Key.LEFT_CTRL, Key.DIGIT_2),
    "ctrl \\": (Key.LEFT_CTRL, Key.BACKSLASH),
    "ctrl ]": (Key.LEFT_CTRL, Key.RIGHT_BRACKET),
    "ctrl ^": (Key.LEFT_CTRL, Key.DIGIT_6),
    "ctrl _": (Key.LEFT_CTRL, Key.MINUS),
}

# rxvt tells Ctrl in ways of its own, which urwid takes for Alt.
_RXVT = re.compile(rb"\x1bO([a-d])|\x1b\[(\d+)([\^@])")


def plain_sequences(data: bytes) -> bytes:
    """What a terminal sent, with rxvt's sequences for Ctrl as xterm would have sent them."""

    def plain(match: re.Match[bytes]) -> bytes:
        arrow, number, end = match.groups()
        if arrow:
            return b"\x1b[1;5" + arrow.upper()
        return b"\x1b[%s;%s~" % (number, b"5" if end == b"^" else b"6")

    return _RXVT.sub(plain, data)


def chord_for(name: str) -> Chord:
    """The chord for a key as urwid names it; NO_KEY for what such a keyboard does not have."""
    key, held = name, set()
    while prefix := next((each for each in MODIFIERS if key.startswith(each) and key != each), ""):
        if key in CONTROL:
            break
        key = key.removeprefix(prefix)
        held.add(MODIFIERS[prefix])
    if key in CONTROL:
        chord = CONTROL[key]
    elif key in NAMED:
        chord = (NAMED[key],)
    elif key in SHIFTED:
        chord = (Key.LEFT_SHIFT, SHIFTED[key])
    else:
        try:
            chord = keys_for_text(key)[0] if len(key) == 1 else NO_KEY
        except UsageError:
            return NO_KEY
    if not chord:
        return NO_KEY
    held |= set(chord[:-1])
    return (*(modifier for modifier in HELD if modifier in held), chord[-1])


class Fingers:
    """Presses chords and lets them go again, one after another and no faster than the keyboard can tell."""

    def __init__(self, clock: Clock, keyboard: Keyboard) -> None:
        self._clock = clock
        self._keyboard = keyboard
        self._chords: deque[Chord] = deque()
        self._busy = False

    def strike(self, chord: Chord) -> None:
        """Press ``chord`` now, or as soon as the chords before it are done."""
        self._chords.append(chord)
        if not self._busy:
            self._busy = True
            self._next()

    def _next(self) -> None:
        if not self._chords:
            self._busy = False
        elif self._keyboard.pending:  # its 16-byte buffer would overflow when a text is pasted
            self._clock.call_after(KEY_RETRY, self._next)
        else:
            chord = self._chords.popleft()
            for key in chord:
                self._keyboard.press(key)
            self._clock.call_after(KEY_DOWN, lambda: self._release(chord))

    def _release(self, chord: Chord) -> None:
        for key in reversed(chord):
            self._keyboard.release(key)
        self._next()
