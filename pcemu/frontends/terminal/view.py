"""The terminal in action: keys to the guest and to pcemu, the guest's screen and our own texts to the user.

The guest's screen is at the upper left, as large as it is: in 80×25 it takes everything. Our own line has its
place below it; where there is none, it lies over the last row while there is something to say or a panel is
open. In a terminal that is too small the part with the cursor is shown, and a sentence says so. The side
panel is beside the screen, or over its right half. Graphics are drawn in half blocks, as large as it goes.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pcemu.frontends.actions import Action, Reach
from pcemu.frontends.cells import CellGrid
from pcemu.frontends.controls import Controls
from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.inspector import WIDTH as INSPECTOR_WIDTH
from pcemu.frontends.interactive import InteractiveView
from pcemu.frontends.panels import Panel
from pcemu.frontends.picture import NOT_DRAWN, render
from pcemu.frontends.status import Status
from pcemu.frontends.terminal.canvas import Canvas, Look, view_origin
from pcemu.frontends.terminal.events import Clicked, Event, HungUp, KeyTyped, Pasted, Place, Pointed
from pcemu.frontends.terminal.keys import NO_KEY, Fingers, chord_for
from pcemu.frontends.view import SessionEnded
from pcemu.keys import Chord, Key
from pcemu.screen import TextScreen

FRAME = 1 / 30  # s between two drawings
INSPECT_TIME = 0.2  # s between two looks at registers
HOST_KEY: Chord = (Key.LEFT_CTRL, Key.RIGHT_BRACKET)
SMALLEST = 10, 40
"""(rows, columns) in which anything can be shown."""
USUAL_ROWS, USUAL_COLUMNS = 25, 80
"""The room of the guest's screen while it shows no text."""
TEXT = 0x07
TOO_SMALL = "This terminal has {0} rows of {1} columns: too small. Make it at least {2} by {3}."
DRAWING_SHARE = 5
"""A frame that took long to draw is followed by none for so many times as long: the guest comes first."""

REACH = Reach(
    host_key="Ctrl-]",
    joint=" ",
    how="press Ctrl-], let it go, and press",
    lacks={Action.MENU, Action.FULL_SCREEN, Action.SHAPE, Action.LARGER, Action.SMALLER},
    more=(
        "Ctrl-] twice is the guest's Ctrl-]; all other keys go to the guest.",
        "Paste with the keys of your terminal: the text is typed for the guest.",
    ),
    meanings={
        Action.PASTE: "stop typing a text that was pasted",
        Action.COPY: "copy the screen's text, where the terminal allows it",
    },
)


class Screen(Protocol):
    """What the view needs of a terminal; see :class:`pcemu.frontends.terminal.display.Display`."""

    watched: list[int]

    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def ready(self) -> bool: ...
    def open(self) -> None: ...
    def close(self) -> None: ...
    def events(self, timeout: float = 0.0) -> list[Event]: ...
    def use_mouse(self, wanted: bool) -> None: ...
    def show(self, canvas: Canvas, looks: tuple[Look, ...]) -> None: ...
    def ring(self) -> None: ...
    def copy(self, text: str) -> None: ...


class TerminalView(InteractiveView[Event]):
    """The terminal is the guest's from entering to leaving the context."""

    def __init__(self, display: Screen, controls: Controls, folder: Path | None = None) -> None:
        self._display = display
        super().__init__(controls, REACH, FRAME, folder)
        self._size = (0, 0)
        self._origin: Place = (0, 0)
        self._seen: TextScreen | None = None
        self._status: Status | None = None
        self._inspecting = False
        self._inspected: CellGrid | None = None
        self._inspected_at = 0.0

    def __enter__(self) -> TerminalView:
        self._display.open()
        return self

    def connect(self, controls: Controls) -> None:
        """Show another machine, or the one that there is by now."""
        super().connect(controls)
        self._fingers = Fingers(controls.clock, controls.keyboard)

    def close(self) -> None:
        """Give the terminal back."""
        if self._controls.inspector is not None:
            self._controls.inspector.close()
        self._display.close()

    def watch(self, descriptor: int) -> None:
        """End a :meth:`wait` when ``descriptor`` can be read."""
        self._display.watched.append(descriptor)

    def _take_events(self, timeout: float = 0.0) -> list[Event]:
        return self._display.events(timeout)

    def _release_keys(self) -> None:
        """No key of a terminal stays down."""

    def _strike(self, chord: Chord) -> None:
        self._fingers.strike(chord)

    def _copy_text(self, text: str) -> None:
        self._display.copy(text)

    # -- events -----------------------------------------------------------------------------------------

    def _act(self, event: Event) -> None:
        match event:
            case KeyTyped(name):
                self._on_key(chord_for(name), name)
            case Pasted(text):
                self._on_paste(text)
            case Clicked(place) if self._panel is not None:
                self._panel.click(*self._in_panel(place))
                self._finish_panel()
            case Pointed(place) if self._panel is not None:
                self._panel.point(*self._in_panel(place))
                self._redraw = True
            case Wheel(steps) if self._panel is not None:
                self._panel.scroll(-steps)
                self._redraw = True
            case Resized():
                self._redraw = True
            case HungUp():
                self._closing = True
                raise SessionEnded

    def _on_key(self, chord: Chord, name: str) -> None:
        if self._panel is not None:
            if chord == HOST_KEY:
                self._on_second_host_key()
            elif chord:
                self._on_panel_key(self._panel, chord[-1], name if len(name) == 1 else "")
        elif chord == HOST_KEY:
            self._do(Action.MENU)
        elif chord == NO_KEY:
            self._display.ring()
        elif not self._paused:
            self._fingers.strike(chord)
            self._key_came = True

    def _on_second_host_key(self) -> None:
        """In the menu: the key was meant for the guest."""
        if self._on_result == self._on_menu:
            self._close_panel()
            self._fingers.strike(HOST_KEY)

    def _on_paste(self, text: str) -> None:
        panel = self._panel
        if panel is None:
            self._type(text)
        else:
            for character in text:
                self._on_panel_key(panel, None, character)

    # -- actions ----------------------------------------------------------------------------------------

    @property
    def _enabled(self) -> list[Action]:
        missing = set()
        if not self._controls.typing():
            missing.add(Action.PASTE)  # that is the terminal's business; but typing can be stopped
        if self._controls.inspector is None:
            missing.add(Action.INSPECT)
        return [action for action in super()._enabled if action not in missing]

    def _do(self, action: Action) -> None:
        if action is Action.INSPECT:
            self._inspect(not self._inspecting)
        else:
            super()._do(action)

    def _inspect(self, wanted: bool) -> None:
        inspector = self._controls.inspector
        if inspector is not None:
            self._inspecting, self._inspected = wanted, None
            if wanted:
                inspector.open()
            else:
                inspector.close()
            self._redraw = True

    def _open(self, panel: Panel, on_result: Callable[[str], None]) -> None:
        super()._open(panel, on_result)
        self._display.use_mouse(True)

    def _close_panel(self) -> None:
        super()._close_panel()
        self._display.use_mouse(False)

    # -- drawing ----------------------------------------------------------------------------------------

    def _draw(self, now: float) -> None:
        """Bring the terminal up to date, unless that would have to wait for it."""
        screen, size = self._controls.look(), self._display.size
        status = self._status_now(now)
        inspected = self._inspect_now(now, screen, size)
        news = screen is not self._seen or status != self._status or inspected is not self._inspected
        if not (self._redraw or news or size != self._size) or not self._display.ready:
            return
        if size != self._size or screen.mode is not (self._seen and self._seen.mode):
            self._tell_of_size(screen, size)
            status = self._status_now(now)
        self._redraw = False
        self._seen, self._size, self._status, self._inspected = screen, size, status, inspected
        canvas = self._compose(screen, size, status, inspected)
        self._display.show(canvas, canvas.looks(screen.mode))
        self._last_frame = now + max(0.0, DRAWING_SHARE * (time.monotonic() - now) - FRAME)

    def _inspect_now(self, now: float, screen: TextScreen, size: tuple[int, int]) -> CellGrid | None:
        """The side panel, looked at again when it is time for that."""
        inspector = self._controls.inspector
        if not self._inspecting or inspector is None:
            return None
        if self._inspected is None or size != self._size or now - self._inspected_at >= INSPECT_TIME:
            self._inspected_at = now
            beside = size[1] > _columns(screen) + INSPECTOR_WIDTH
            return inspector.grid(size[0] if beside else min(size[0], _rows(screen)))
        return self._inspected

    def _tell_of_size(self, screen: TextScreen, size: tuple[int, int]) -> None:
        rows, columns = _rows(screen), _columns(screen)
        if size[0] < rows or size[1] < columns:
            self.note(f"a larger terminal is needed for {columns}×{rows}")

    def _compose(
        self, screen: TextScreen, size: tuple[int, int], status: Status, inspected: CellGrid | None
    ) -> Canvas:
        canvas = Canvas(*size)
        if size < SMALLEST or size[1] < SMALLEST[1]:
            canvas.put(_text(TOO_SMALL.format(*size, *SMALLEST), size), (0, 0))
            return canvas
        if screen.graphics and screen.mode.raster is None:
            canvas.put(_text(NOT_DRAWN, size), (0, 0))
        elif screen.graphics:
            canvas.put_picture(render(screen))
        else:
            self._origin = view_origin(screen, size, self._origin)
            canvas.put_screen(screen, self._origin, size)
        if inspected is not None:
            canvas.put(inspected, (0, min(_columns(screen) + 1, size[1] - INSPECTOR_WIDTH)))
        below = _rows(screen)
        if below < size[0] or status.message or self._panel is not None:
            width = size[1] if below < size[0] and inspected is None else min(size[1], _columns(screen))
            canvas.put(status.grid(width), (min(below, size[0] - 1), 0))
        if self._panel is not None:
            grid = self._panel.grid()
            canvas.put(grid, self._panel_origin(grid), modal=True)
        return canvas

    def _panel_origin(self, grid: CellGrid) -> Place:
        """In the middle of the guest's screen; where there is less room, what can be chosen is in sight."""
        rows, columns = self._size
        if self._seen is not None:
            rows, columns = min(rows, _rows(self._seen)), min(columns, _columns(self._seen))
        row = (rows - grid.rows) // 2
        return (row if row >= 0 else rows - grid.rows), max(0, (columns - grid.columns) // 2)

    def _in_panel(self, place: Place) -> Place:
        assert self._panel is not None
        row, column = self._panel_origin(self._panel.grid())
        return place[0] - row, place[1] - column


def _rows(screen: TextScreen) -> int:
    return USUAL_ROWS if screen.graphics or screen.blanked else screen.rows


def _columns(screen: TextScreen) -> int:
    return USUAL_COLUMNS if screen.graphics or screen.blanked else screen.columns


def _text(text: str, size: tuple[int, int]) -> CellGrid:
    """A sentence in as many lines as it takes."""
    lines = textwrap.wrap(text, max(1, size[1])) or [""]
    grid = CellGrid(len(lines), size[1], TEXT)
    for row, line in enumerate(lines):
        grid.put(row, 0, line)
    return grid
