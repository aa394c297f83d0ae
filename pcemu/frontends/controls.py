"""What window and terminal need from the session that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcemu.clock import Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.status import DriveLight
from pcemu.keys import Chord
from pcemu.screen import TextScreen


@dataclass
class Controls:
    """What a front end may see of the machine and do to it.

    ``type_chords`` queues chords as a typist would press them, ``typing`` tells whether it is at it, and
    ``stop_typing`` ends it. ``undo_state`` says in words what could be undone. ``checkpoint`` and ``revert``
    are there when the session offers them, and return what to tell the user. ``between`` is called while the
    guest stands still, and may raise.
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
    between: Callable[[], None] = lambda: None
