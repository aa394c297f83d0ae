"""Finds out that the guest only waits for a key, where its firmware lets the processor run meanwhile.

pcemu's own BIOS halts the processor when a program asks INT 16h for a key again and again. Others do not, and
then a prompt would keep the host busy. What counts here is the same: many fruitless questions in a row, with
next to nothing in between, and the cursor where it was. A program that works meanwhile, or asks now and then
for Ctrl-C as DOS does with every call, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from pcemu.clock import Clock

GAP_TICKS = 4096  # of the processor: some ten interrupts, so that a loop may call DOS' idle interrupt, too

QUESTIONS = (0x01, 0x11)  # AH of INT 16h: is there a key?
POLLS_TO_REST = 128
POLLS_AFTER_REST = 8  # to the next rest

BDA_KEYBOARD_HEAD = 0x41A  # word, followed by the tail
BDA_CURSOR = 0x450  # word
_pair = Struct("<HH").unpack_from
_word = Struct("<H").unpack_from


class KeyboardPolls:
    """``rest`` is called when nothing will happen before the next event.

    ``gap``: ns that may be between two questions of an idle guest.
    """

    def __init__(self, clock: Clock, ram: memoryview, gap: int, rest: Callable[[], None]) -> None:
        self._clock = clock
        self._ram = ram
        self._gap = gap
        self._rest = rest
        self._count = 0
        self._last = 0
        self._cursor = 0
        self._rested = False

    def keyboard_service(self, function: int) -> None:
        """The guest calls INT 16h with this in AH."""
        now = self._clock.now
        gap, self._last = 0 if self._rested else now - self._last, now
        self._rested = False
        head, tail = _pair(self._ram, BDA_KEYBOARD_HEAD)
        (cursor,) = _word(self._ram, BDA_CURSOR)
        idle = function in QUESTIONS and head == tail and gap <= self._gap and cursor == self._cursor
        self._cursor = cursor
        if not idle:
            self._count = 0
            return
        self._count += 1
        if self._count >= POLLS_TO_REST:
            self._count = POLLS_TO_REST - POLLS_AFTER_REST
            self._rested = True  # which is no gap
            self._rest()
