"""What a window needs from the two sides it stands between: the session, and the host's display."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pcemu.clock import Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.picture import Dots
from pcemu.frontends.window.events import Event
from pcemu.frontends.window.layout import Layout, Rect, Size
from pcemu.frontends.window.painter import Pixels
from pcemu.frontends.window.status import DriveLight
from pcemu.keys import Chord
from pcemu.screen import TextScreen


@dataclass
class Controls:
    """What the window may see of the machine and do to it.

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


class Screen(Protocol):
    """What the view needs of a display; see :class:`pcemu.frontends.window.display.Display`."""

    full_screen: bool

    @property
    def size(self) -> Size: ...
    @property
    def shifts(self) -> tuple[int, int, int]: ...
    def close(self) -> None: ...
    def resize(self, size: Size) -> None: ...
    def toggle_full_screen(self) -> None: ...
    def canvas(self, size: Size) -> Pixels: ...
    def show(self, area: Rect, layout: Layout) -> Rect: ...
    def clear(self) -> None: ...
    def paste(self, dots: Dots, at: Size, scale: int) -> Rect: ...
    def flush(self, areas: list[Rect]) -> None: ...
    def copy(self, text: str) -> None: ...
    def clipboard(self) -> str: ...
    def events(self, timeout: float = 0.0) -> list[Event]: ...
