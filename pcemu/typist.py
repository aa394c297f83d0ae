"""Types on the guest's keyboard as a patient person would: the next key when the last one was taken.

Whether a key was taken is read from the keyboard buffer in the BIOS data area (head = tail: empty). A
program with a keyboard handler of its own leaves that buffer empty, and then keys follow at a steady pace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from struct import unpack_from

from pcemu.clock import MILLISECOND, Clock
from pcemu.devices.keyboard import Keyboard

BDA_KEYBOARD_HEAD = 0x41A  # word, followed by the tail
KEY_DOWN = 20 * MILLISECOND
KEY_GAP = 20 * MILLISECOND
RETRY = 5 * MILLISECOND


class Typist:
    """Presses queued chords one after another; ``before_last`` is called before the last key of a text."""

    def __init__(self, clock: Clock, keyboard: Keyboard, ram: memoryview) -> None:
        self._clock = clock
        self._keyboard = keyboard
        self._ram = ram
        self._chords: deque[Sequence[str]] = deque()
        self._working = False
        self.before_last: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        """True while keys wait to be pressed or taken."""
        return self._working

    def type(self, chords: Sequence[Sequence[str]]) -> None:
        """Queue chords; each is a sequence of key names that are held down together."""
        self._chords.extend(chords)
        if self._chords and not self._working:
            self._working = True
            self._clock.call_after(0, self._next)

    def cancel(self) -> None:
        """Forget what was not typed yet and let all keys come up."""
        self._chords.clear()
        self._keyboard.release_all()

    def _taken(self) -> bool:
        head, tail = unpack_from("<HH", self._ram, BDA_KEYBOARD_HEAD)
        return bool(head == tail) and not self._keyboard.pending

    def _next(self) -> None:
        if not self._taken():
            self._clock.call_after(RETRY, self._next)
        elif not self._chords:
            self._working = False
        else:
            if len(self._chords) == 1:
                self.before_last()
            chord = self._chords.popleft()
            for key in chord:
                self._keyboard.press(key)
            self._clock.call_after(KEY_DOWN, lambda: self._release(chord))

    def _release(self, chord: Sequence[str]) -> None:
        for key in reversed(chord):
            self._keyboard.release(key)
        self._clock.call_after(KEY_GAP, self._next)
