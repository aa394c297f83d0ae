"""The window in action: keys and mouse to the guest and to pcemu, the guest's screen and our own texts to it.

As the terminal's view, it never runs the guest. It is called between two stretches of guest code
(:meth:`WindowView.update`) and while real time has to catch up (:meth:`WindowView.wait`), draws what changed,
at most 60 times a second, and nothing when nothing did.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from pcemu.clock import SECOND
from pcemu.errors import PcemuError, UsageError
from pcemu.frontends.actions import BY_KEY, HOST_KEY_NAME, Action
from pcemu.frontends.cells import CELL_HEIGHT, CELL_WIDTH
from pcemu.frontends.controls import Controls
from pcemu.frontends.panels import (
    CANCEL,
    EntryPanel,
    Panel,
    help_panel,
    menu_panel,
    notice_panel,
    question_panel,
)
from pcemu.frontends.picture import render, save_png
from pcemu.frontends.prompt import Question, Reply
from pcemu.frontends.status import MENU_LABEL, Status, lights
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
    Resized,
    Wheel,
)
from pcemu.frontends.window.keys import HOST_KEY, SCANCODES, HostKey, KeyQueue
from pcemu.frontends.window.layout import Rect, Size, lay_out, window_size
from pcemu.frontends.window.painter import Painter
from pcemu.frontends.window.screen import Screen
from pcemu.frontends.window.selection import Selection
from pcemu.keys import keys_for_text, parse_chord

CTRL_ALT_DEL = parse_chord("ctrl+alt+del")
FRAME = 1 / 60  # s between two drawings
MAX_AHEAD = 0.05  # s by which keys may drive the guest ahead of real time
MODAL_WAIT = 0.1  # s
MESSAGE_TIME = 5.0  # s
PACE_TIME = 1.0  # s over which the pace is measured
UNDO_TIME = 0.5  # s between two looks at the undo state


class WindowView:
    """A context manager: the window is open from before entering to leaving it.

    SessionEnded comes out of :meth:`update` and :meth:`wait` when the user wants to end the session.
    """

    def __init__(self, display: Screen, controls: Controls, folder: Path | None = None) -> None:
        self._display = display
        self._controls = controls
        self._folder = folder or Path.cwd()
        self._host = HostKey(KeyQueue(controls.clock, controls.keyboard), self._on_host_key)
        self._painter = Painter(display.canvas, display.shifts)
        self._events: deque[Event] = deque()
        self._panel: Panel | None = None
        self._on_result: Callable[[str], None] = lambda result: None
        self._selection: Selection | None = None
        self._anchor: tuple[int, int] | None = None
        self._four_by_three = False
        self._paused = self._closing = False
        self._redraw = self._key_came = False
        self._status: Status | None = None
        self._message, self._alarm, self._message_until = "", False, 0.0
        self._undo, self._undo_at = "", 0.0
        self._pace, self._measured = "", (0.0, 0)
        self._last_frame = 0.0
        self._lay_out()
        self.note(f"{HOST_KEY_NAME} + H shows help, {HOST_KEY_NAME} + Q ends the session")

    def __enter__(self) -> WindowView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._display.close()

    # -- between two stretches of guest code ----------------------------------------------------------

    def update(self) -> None:
        """Act on what the user did, draw when something changed and a frame is due; stay here in a pause."""
        if self._closing:
            raise SessionEnded
        self._handle(self._display.events())
        now = time.monotonic()
        if now - self._last_frame >= FRAME:
            self._draw(now)
        self._stand_still(lambda: not self._paused)

    def wait(self, seconds: float) -> None:
        """Wait for that long, or until a key came that the guest should see now."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._key_came = False
            self._handle(self._display.events(left))
            if self._paused or (self._key_came and seconds < MAX_AHEAD):
                return

    def alarm(self, text: str) -> None:
        """Show a message of the host in the status line."""
        self._say(text, alarm=True)

    def note(self, text: str) -> None:
        """Show something in the status line that is good to know."""
        self._say(text, alarm=False)

    def _say(self, text: str, *, alarm: bool) -> None:
        self._message, self._alarm = text, alarm
        self._message_until = time.monotonic() + MESSAGE_TIME

    def _stand_still(self, until: Callable[[], bool]) -> None:
        """Let the user do things while the guest does not run, until that is over."""
        while not until():
            self._controls.between()
            self._draw(time.monotonic())
            self._handle([] if self._events else self._display.events(MODAL_WAIT), until)

    # -- questions --------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Reply | None:
        """Ask in the window until there is an answer; None when the user wants to close it instead."""
        try:
            while True:
                word = self._ask_panel(question_panel(question)) or question.escape
                answer = question.answer(word)
                if answer is None or not answer.needs:
                    return Reply(word)
                entry = EntryPanel(answer.word.capitalize(), [f"{answer.needs.capitalize()}:"])
                text = self._ask_panel(entry)
                if text != CANCEL:
                    return Reply(word, text)
        except SessionEnded:
            self._closing = True
            return None

    def tell(self, title: str, text: str) -> None:
        """Show a text until the user put it away."""
        with suppress(SessionEnded):
            self._ask_panel(notice_panel(title, text))

    def _ask_panel(self, panel: Panel) -> str:
        results: list[str] = []
        self._paused = False
        self._open(panel, results.append)
        try:
            self._stand_still(lambda: bool(results))
        finally:
            self._close_panel()
        return results[0]

    def _open(self, panel: Panel, on_result: Callable[[str], None]) -> None:
        self._host.release_all()
        self._panel, self._on_result = panel, on_result
        self._redraw = True

    def _close_panel(self) -> None:
        self._panel = None
        self._redraw = True

    def _finish_panel(self) -> None:
        """Act on the panel's result once there is one."""
        panel, on_result = self._panel, self._on_result
        if panel is not None and panel.result is not None:
            self._close_panel()
            on_result(panel.result)

    # -- events -----------------------------------------------------------------------------------------

    def _handle(self, events: list[Event], until: Callable[[], bool] = lambda: False) -> None:
        """Act on the events in turn; what comes after ``until`` became true stays for the next time."""
        self._events.extend(events)
        while self._events and not until():
            self._act(self._events.popleft())

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
            self._panel.key(key, event.text)
            self._redraw = True
            self._finish_panel()
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
            self._redraw = True
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

    def _on_host_key(self, character: str) -> bool:
        action = BY_KEY.get(character)
        if action is None:
            return False
        if action in self._enabled:
            self._do(action)
        return True

    @property
    def _enabled(self) -> list[Action]:
        missing = set()
        if self._controls.checkpoint is None:
            missing.add(Action.CHECKPOINT)
        if self._controls.revert is None:
            missing.add(Action.REVERT)
        return [action for action in Action if action not in missing]

    def _do(self, action: Action) -> None:
        match action:
            case Action.HELP:
                self._open(help_panel(), lambda result: None)
            case Action.MENU:
                self._open(menu_panel(self._enabled, self._paused), self._on_menu)
            case Action.PAUSE:
                self._paused = not self._paused
                self._host.release_all()
            case Action.CTRL_ALT_DEL:
                self._host.strike(CTRL_ALT_DEL)
            case Action.RESET:
                self._host.release_all()
                self._controls.reset()
            case Action.CHECKPOINT:
                self._try(self._controls.checkpoint)
            case Action.REVERT:
                self._try(self._controls.revert)
            case Action.PASTE:
                self._paste()
            case Action.COPY:
                self._try(self._copy)
            case Action.SCREENSHOT:
                self._try(self._screenshot)
            case Action.FULL_SCREEN:
                self._display.toggle_full_screen()
                self._lay_out()
            case Action.SHAPE:
                self._four_by_three = not self._four_by_three
                self._lay_out()
            case Action.LARGER | Action.SMALLER:
                self._zoom(1 if action is Action.LARGER else -1)
            case Action.END:
                raise SessionEnded

    def _on_menu(self, name: str) -> None:
        if name != CANCEL:
            self._do(Action[name])

    def _try(self, act: Callable[[], str] | None) -> None:
        """Do something that may fail, and tell what came of it."""
        if act is not None:
            try:
                self.note(act())
            except PcemuError as error:
                self.alarm(str(error))

    def _screenshot(self) -> str:
        name = datetime.now().strftime("pcemu-%Y%m%d-%H%M%S")
        path, number = self._folder / f"{name}.png", 1
        while path.exists():
            number += 1
            path = self._folder / f"{name}-{number}.png"
        save_png(render(self._controls.look(), self._controls.blink_phase()), path)
        return f"saved {path.name}"

    def _copy(self) -> str:
        screen = self._controls.look()
        text = screen.text if self._selection is None else self._selection.text(screen)
        self._display.copy(text)
        return f"copied {len(text)} characters"

    def _paste(self) -> None:
        if self._controls.typing():
            self._controls.stop_typing()
            self.note("typing stopped")
            return
        try:
            chords = keys_for_text(self._display.clipboard())
        except UsageError as error:
            self.alarm(f"the clipboard cannot be typed: {error}")
            return
        self._controls.type_chords(chords)
        self.note(f"typing {len(chords)} characters" if chords else "the clipboard holds no text")

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

    def _status_now(self, now: float) -> Status:
        controls = self._controls
        if now - self._undo_at >= UNDO_TIME:
            self._undo, self._undo_at = controls.undo_state(), now
        if now >= self._message_until:
            self._message = ""
        return Status(
            pace=self._pace_now(now),
            lights=lights(controls.drives, now),
            undo=self._undo,
            leds=controls.keyboard.leds,
            message=self._message,
            alarm=self._alarm,
        )

    def _pace_now(self, now: float) -> str:
        """How fast virtual time goes by, in percent of real time."""
        if self._paused:
            self._pace, self._measured = "paused", (now, self._controls.clock.now)
            return self._pace
        since, virtual = self._measured
        if now - since >= PACE_TIME:
            percent = (self._controls.clock.now - virtual) / SECOND / (now - since) * 100
            # The odd percent is the host's jitter, and not worth a drawing.
            self._pace = "100%" if 97 <= percent <= 103 else f"{percent:.0f}%"
            self._measured = now, self._controls.clock.now
        return self._pace
