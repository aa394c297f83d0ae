"""What window and terminal need from the session that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcemu.clock import Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.devices.vga import WINDOW_SIZE, Vga
from pcemu.frontends.inspector import Inspector
from pcemu.frontends.status import DriveLight
from pcemu.keys import Chord
from pcemu.screen import TextScreen, capture


@dataclass
class Controls:
    """What a front end may see of the machine and do to it.

    ``type_chords`` queues chords as a typist would press them, ``typing`` tells whether it is at it, and
    ``stop_typing`` ends it. ``undo_state`` says in words what could be undone. ``checkpoint``, ``revert``
    and ``commit`` are there when the session offers them, and return what to tell the user. ``between`` is
    called while the guest stands still, and may raise. ``inspector`` looks inside the machine.
    """

    look: Callable[[], TextScreen]
    blink_phase: Callable[[], int]
    clock: Clock
    keyboard: Keyboard
    type_chords: Callable[[Sequence[Chord]], None]
    typing: Callable[[], bool]
    stop_typing: Callable[[], None]
    reset: Callable[[], None]
    drives: Sequence[DriveLight] = ()
    undo_state: Callable[[], str] = lambda: ""
    checkpoint: Callable[[], str] | None = None
    revert: Callable[[], str] | None = None
    commit: Callable[[], str] | None = None
    between: Callable[[], None] = lambda: None
    inspector: Inspector | None = None


def switched_off(between: Callable[[], None]) -> Controls:
    """A machine that is not there yet: dark, and deaf to keys."""
    clock = Clock()
    screen = capture(Vga(clock, memoryview(bytearray(WINDOW_SIZE))))
    return Controls(
        look=lambda: screen,
        blink_phase=lambda: 0,
        clock=clock,
        keyboard=Keyboard(clock),
        type_chords=lambda chords: None,
        typing=lambda: False,
        stop_typing=lambda: None,
        reset=lambda: None,
        between=between,
    )
