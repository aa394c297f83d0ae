"""The window in action: keys and mouse to the guest and to pcemu, the guest's screen and our own texts to it.

As the terminal's view, it never runs the guest. It is called between two stretches of guest code
(:meth:`WindowView.update`) and while real time has to catch up (:meth:`WindowView.wait`), draws what changed,
at most 60 times a second, and nothing when nothing did.
"""

from __future__ import annotations

from pathlib import Path

from pcemu.frontends.actions import Action, Reach
from pcemu.frontends.cells import CELL_HEIGHT, CELL_WIDTH
from pcemu.frontends.controls import Controls
from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.interactive import InteractiveView
from pcemu.frontends.panels import Panel
from pcemu.frontends.status import MENU_LABEL, Status
from pcemu.frontends.view import SessionEnded
from pcemu.frontends.window.events import (
    CloseRequested,
    Event,
    FocusLost,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseMoved,
    MouseUp,
)
from pcemu.frontends.window.keys import HOST_KEY, SCANCODES, HostKey, KeyQueue
from pcemu.frontends.window.layout import Rect, Size, lay_out, window_size
from pcemu.frontends.window.painter import Painter
from pcemu.frontends.window.screen import Screen
from pcemu.frontends.window.selection import Selection
from pcemu.keys import Chord

FRAME = 1 / 60  # s between two drawings
REACH = Reach(
    host_key="Right Ctrl",
    joint=" + ",
    how="hold Right Ctrl down and press",
    lacks={Action.INSPECT},
    more=(
        "Right Ctrl alone, or with any other key, goes to the guest.",
        "Mouse: drag over text to copy it; the menu is at the lower left.",
    ),
)


class WindowView(InteractiveView[Event]):
    """The window is open from before entering to leaving the context."""

    def __init__(self, display: Screen, controls: Controls, folder: Path | None = None) -> None:
        self._display = display
        super().__init__(controls, REACH, FRAME, folder)
        self._painter = Painter(display.canvas, display.shifts)
        self._selection: Selection | None = None
        self._anchor: tuple[int, int] | None = None
        self._four_by_three = False
        self._status: Status | None = None
        self._lay_out()

    def connect(self, controls: Controls) -> None:
        """Show another machine, or the one that there is by now."""
        super().connect(controls)
        self._host = HostKey(KeyQueue(controls.clock, controls.keyboard), self._on_host_key)

    def close(self) -> None:
        """Close the window."""
        self._display.close()

    def _take_events(self, timeout: float = 0.0) -> list[Event]:
        return self._display.events(timeout)

    def _release_keys(self) -> None:
        self._host.release_all()

    def _strike(self, chord: Chord) -> None:
        self._host.strike(chord)

    def _copy_text(self, text: str) -> None:
        self._display.copy(text)

    def _clipboard(self) -> str:
        return self._display.clipboard()

    # -- events -----------------------------------------------------------------------------------------

    def _act(self, event: Event) -> None:
        match event:
            case KeyDown():
                self._on_key_down(event)
            case KeyUp(scancode):
                self._on_key_up(scancode)
            case MouseDown(point):
                self._on_mouse_down(point)
            case MouseMoved(point, dragging):
                self._on_mouse_moved(point, dragging)
            case MouseUp():
                self._on_mouse_up()
            case Wheel(steps):
                if self._panel is not None:
                    self._panel.scroll(-steps)
                    self._redraw = True
            case FocusLost():
                self._host.release_all()
            case Resized():
                self._lay_out()
            case CloseRequested():
                raise SessionEnded

    def _on_key_down(self, event: KeyDown) -> None:
        key = SCANCODES.get(event.scancode)
        if self._panel is not None:
            self._on_panel_key(self._panel, key, event.text)
        elif key is not None and (not self._paused or key is HOST_KEY or self._host.down):
            # On a board without Latin letters the place of the key decides.
            self._host.press(key, event.label or str(key))
            self._key_came = True

    def _on_key_up(self, scancode: int) -> None:
        key = SCANCODES.get(scancode)
        if key is not None and self._panel is None:
            self._host.release(key)
            self._key_came = True

    def _on_mouse_down(self, point: Size) -> None:
        self._select(None)
        self._anchor = None
        if self._panel is not None:
            self._panel.click(*self._panel_cell(point))
            self._finish_panel()
        elif self._layout.shows(point):
            self._anchor = self._screen_cell(point)
        elif point[1] >= self._layout.status.y and point[0] < len(MENU_LABEL) * self._cell[0]:
            self._do(Action.MENU)

    def _on_mouse_moved(self, point: Size, dragging: bool) -> None:
        if self._panel is not None:
            self._panel.point(*self._panel_cell(point))
            self._redraw = True
        elif dragging and self._anchor is not None:
            end = self._screen_cell(point)
            if end is not None and (end != self._anchor or self._selection is not None):
                self._select(Selection(self._anchor, end))

    def _on_mouse_up(self) -> None:
        self._anchor = None
        if self._selection is not None:
            self._try(self._copy)

    def _select(self, selection: Selection | None) -> None:
        self._selection = selection

    def _screen_cell(self, point: Size) -> tuple[int, int] | None:
        screen = self._controls.look()
        if not screen.rows:
            return None
        return self._layout.cell_at(point, screen.rows, screen.columns)

    # -- actions ----------------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        match action:
            case Action.FULL_SCREEN:
                self._display.toggle_full_screen()
                self._lay_out()
            case Action.SHAPE:
                self._four_by_three = not self._four_by_three
                self._lay_out()
            case Action.LARGER | Action.SMALLER:
                self._zoom(1 if action is Action.LARGER else -1)
            case _:
                super()._do(action)

    def _marked(self) -> str:
        screen = self._controls.look()
        return screen.text if self._selection is None else self._selection.text(screen)

    def _zoom(self, by: int) -> None:
        if not self._display.full_screen:
            scale = max(1, self._layout.picture.width // self._painter.size[0] + by)
            self._display.resize(window_size(scale, self._four_by_three))
            self._lay_out()

    # -- drawing ----------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self._size = self._display.size
        self._layout = lay_out(self._size, self._painter.size, self._four_by_three)
        self._redraw = True

    def _draw(self, now: float) -> None:
        """Bring the window up to date."""
        controls = self._controls
        if self._display.size != self._size:
            self._lay_out()
        size = self._painter.size
        areas = self._painter.update(controls.look(), controls.blink_phase(), self._selection)
        if self._painter.size != size:
            self._lay_out()
        status = self._status_now(now)
        if self._redraw:
            self._redraw = False
            self._display.clear()
            self._display.show(Rect(0, 0, *self._painter.size), self._layout)
            self._status = None
            shown = [Rect(0, 0, *self._size)]
        else:
            shown = [self._display.show(area, self._layout) for area in areas]
        if shown and self._panel is not None:
            shown.append(self._draw_panel(self._panel))
        if status != self._status:
            self._status = status
            shown.append(self._draw_status(status))
        if shown:
            self._last_frame = now
            self._display.flush(shown)

    @property
    def _cell(self) -> Size:
        """Width and height of a cell of our own text in the window."""
        return CELL_WIDTH * self._layout.ui_scale, CELL_HEIGHT * self._layout.ui_scale

    def _panel_origin(self, rows: int, columns: int) -> Size:
        width, height = self._cell
        x = (self._size[0] - columns * width) // 2
        return max(0, x), max(0, (self._layout.status.y - rows * height) // 2)

    def _panel_cell(self, point: Size) -> tuple[int, int]:
        """(row, column) of a point in the panel that is open; may be outside."""
        assert self._panel is not None
        grid = self._panel.grid()
        x, y = self._panel_origin(grid.rows, grid.columns)
        width, height = self._cell
        return (point[1] - y) // height, (point[0] - x) // width

    def _draw_panel(self, panel: Panel) -> Rect:
        grid = panel.grid()
        at = self._panel_origin(grid.rows, grid.columns)
        return self._display.paste(grid.dots(), at, self._layout.ui_scale)

    def _draw_status(self, status: Status) -> Rect:
        area, scale = self._layout.status, self._layout.ui_scale
        columns = -(-area.width // (CELL_WIDTH * scale))
        return self._display.paste(status.grid(columns).dots(), (area.x, area.y), scale)
