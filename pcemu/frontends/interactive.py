"""What a window and a terminal have in common for the user: the status line, the menu, questions, messages.

:class:`InteractiveView` never runs the guest. It is called between two stretches of guest code
(:meth:`~InteractiveView.update`) and while real time has to catch up (:meth:`~InteractiveView.wait`), and
lets a subclass take events and draw.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pcemu.clock import SECOND
from pcemu.errors import PcemuError, UsageError
from pcemu.frontends.actions import Action, Reach
from pcemu.frontends.controls import Controls
from pcemu.frontends.panels import (
    CANCEL,
    EntryPanel,
    Panel,
    help_panel,
    menu_panel,
    notice_panel,
    outage_panel,
    question_panel,
    work_panel,
)
from pcemu.frontends.picture import render, save_png
from pcemu.frontends.prompt import REFUSED, Question, Reply
from pcemu.frontends.status import Status, lights
from pcemu.frontends.view import SessionEnded
from pcemu.keys import Chord, Key, keys_for_text, parse_chord

CTRL_ALT_DEL = parse_chord("ctrl+alt+del")
MAX_AHEAD = 0.05  # s by which keys may drive the guest ahead of real time
MODAL_WAIT = 0.1  # s
QUIET = 1.5  # s without a key, after which no key is meant for the guest any more
WORK_AFTER = 0.3  # s of work that need no box
MESSAGE_TIME = 5.0  # s
PACE_TIME = 1.0  # s over which the pace is measured
UNDO_TIME = 0.5  # s between two looks at the undo state

Event = TypeVar("Event")


class InteractiveView(ABC, Generic[Event]):
    """A context manager: the view is the user's from before entering to leaving it.

    ``reach``: what the host key can do here, and how it is pressed. Pictures are saved in ``folder``.
    SessionEnded comes out of :meth:`update` and :meth:`wait` when the user wants to end the session.
    """

    def __init__(self, controls: Controls, reach: Reach, frame: float, folder: Path | None = None) -> None:
        self._reach = reach
        self._frame = frame
        self._folder = folder or Path.cwd()
        self._events: deque[Event] = deque()
        self._panel: Panel | None = None
        self._on_result: Callable[[str], None] = lambda result: None
        self._listens_from = 0.0
        self._paused = self._still = self._closing = False
        self._redraw = self._key_came = False
        self._message, self._alarm, self._message_until = "", False, 0.0
        self._undo, self._undo_at = "", 0.0
        self._pace, self._measured = "", (0.0, 0)
        self._last_frame = 0.0
        self.connect(controls)
        self.note(f"{reach.press(Action.HELP)} shows help, {reach.press(Action.END)} ends the session")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- what is different from view to view ----------------------------------------------------------

    @abstractmethod
    def connect(self, controls: Controls) -> None:
        """Show another machine, or the one that there is by now."""
        self._controls = controls

    def watch(self, descriptor: int) -> None:
        """End a :meth:`wait` when ``descriptor`` can be read, where the host's events allow that."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the host lent."""

    @abstractmethod
    def _take_events(self, timeout: float = 0.0) -> list[Event]:
        """What the user did; waits for that up to ``timeout`` seconds."""

    @abstractmethod
    def _act(self, event: Event) -> None:
        """Do what the user wants."""

    @abstractmethod
    def _draw(self, now: float) -> None:
        """Bring everything up to date that can be seen, and note in ``_last_frame`` when that was much."""

    @abstractmethod
    def _release_keys(self) -> None:
        """The keyboard is not the guest's from now on: let all its keys come up."""

    @abstractmethod
    def _strike(self, chord: Chord) -> None:
        """Press keys of the guest and let them go."""

    @abstractmethod
    def _copy_text(self, text: str) -> None:
        """Put ``text`` into the host's clipboard. UsageError when that cannot be done."""

    def _clipboard(self) -> str:
        """The text in the host's clipboard, "" when there is none or it cannot be read."""
        return ""

    # -- between two stretches of guest code ----------------------------------------------------------

    def update(self) -> None:
        """Act on what the user did, draw when something changed and a frame is due; stay here in a pause."""
        if self._closing:
            self._closing = False  # unless it can be closed, the view is there for what follows
            raise SessionEnded
        self._handle(self._take_events())
        now = time.monotonic()
        if now - self._last_frame >= self._frame:
            self._draw(now)
        self._stand_still(lambda: not self._paused)

    def wait(self, seconds: float) -> None:
        """Wait for that long, or until a key came that the guest should see now."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._key_came = False
            self._handle(self._take_events(left))
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
        try:
            while not until():
                self._still = True
                self._controls.between()
                self._listen()
                self._draw(time.monotonic())
                self._handle([] if self._events else self._take_events(MODAL_WAIT), until)
        finally:
            self._still = False

    def _handle(self, events: list[Event], until: Callable[[], bool] = lambda: False) -> None:
        """Act on the events in turn; what comes after ``until`` became true stays for the next time."""
        self._events.extend(events)
        while self._events and not until():
            self._act(self._events.popleft())

    # -- questions --------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Reply | None:
        """Ask until there is an answer; None when the user wants to close the view instead."""
        try:
            while True:
                word = self._ask_panel(question_panel(question)) or question.escape
                answer = question.answer(word)
                if answer is None or not answer.needs:
                    return Reply(word)
                entry = EntryPanel(
                    answer.word.capitalize(), [f"{answer.needs[:1].upper()}{answer.needs[1:]}:"]
                )
                text = self._ask_panel(entry)
                if text != CANCEL:
                    return Reply(word, text)
        except SessionEnded:
            self._closing = True
            return None

    def tell(self, title: str, text: str) -> None:
        """Show a text until the user put it away, or wants to close the view instead."""
        try:
            self._ask_panel(notice_panel(title, text))
        except SessionEnded:
            self._closing = True

    @contextmanager
    def working(self, doing: str) -> Iterator[Callable[[int, int], None]]:
        """Inside, a box says what is being done; what it gives is to be called with how far it is.

        Keys come to nothing meanwhile: what has begun is finished.
        """
        began = time.monotonic()

        def progress(done: int, total: int) -> None:
            now = time.monotonic()
            if now - began >= WORK_AFTER and now - self._last_frame >= MODAL_WAIT:
                with suppress(SessionEnded):
                    self._take_events()
                self._open(work_panel(doing, done, total), lambda result: None)
                self._draw(now)

        try:
            yield progress
        finally:
            self._close_panel()

    @contextmanager
    def holding(self, why: str) -> Iterator[None]:
        """Inside, a box says why the guest stands still, and lets the user end the session."""

        def hold() -> None:
            self._open(outage_panel(why), end)

        def end(result: str) -> None:
            hold()  # for the user who then goes on
            raise SessionEnded

        self._paused = False
        hold()
        try:
            yield
        finally:
            self._close_panel()

    @contextmanager
    def amid(self, why: str) -> Iterator[Callable[[], bool]]:
        """The same from amid the guest's work, where all that the user can do is to end the session.

        What it gives is to be called again and again; False when the session shall end, which
        :meth:`update` then does.
        """

        def end(result: str) -> None:
            self._closing = True

        def going_on() -> bool:
            try:
                self._handle(self._take_events(MODAL_WAIT))
                self._draw(time.monotonic())
            except SessionEnded:
                self._closing = True
            return not self._closing

        self._open(outage_panel(why), end)
        try:
            yield going_on
        finally:
            self._close_panel()

    def _ask_panel(self, panel: Panel) -> str:
        """The panel's result. What it covers is there again afterwards."""
        results: list[str] = []
        covered, on_result = self._panel, self._on_result
        self._open(panel, results.append)
        try:
            self._stand_still(lambda: bool(results))
        finally:
            self._close_panel()
            if covered is not None:
                self._open(covered, on_result)
        return results[0]

    def _open(self, panel: Panel, on_result: Callable[[str], None]) -> None:
        self._release_keys()
        self._panel, self._on_result = panel, on_result
        self._listens_from = time.monotonic() + QUIET
        self._redraw = True

    def _listen(self) -> None:
        """Take keys for the panel from now on, when there were none for a while."""
        panel = self._panel
        if panel is not None and not panel.listens and time.monotonic() >= self._listens_from:
            panel.listens = self._redraw = True

    def _on_panel_key(self, panel: Panel, key: Key | None, text: str) -> None:
        """The user pressed a key while ``panel`` is open."""
        if panel.listens:
            panel.key(key, text)
            self._finish_panel()
        else:
            self._listens_from = time.monotonic() + QUIET

    def _close_panel(self) -> None:
        self._panel = None
        self._redraw = True

    def _finish_panel(self) -> None:
        """Act on the panel's result once there is one."""
        self._redraw = True
        panel, on_result = self._panel, self._on_result
        if panel is not None and panel.result is not None:
            self._close_panel()
            on_result(panel.result)

    # -- actions ----------------------------------------------------------------------------------------

    @property
    def _enabled(self) -> list[Action]:
        offered = {
            Action.CHECKPOINT: self._controls.checkpoint,
            Action.REVERT: self._controls.revert,
            Action.COMMIT: self._controls.commit,
        }
        return [action for action in self._reach.actions if offered.get(action, True) is not None]

    @property
    def _labels(self) -> dict[Action, str]:
        """What the menu calls that which ends what goes on."""
        paused = {Action.PAUSE: "Go on"} if self._paused else {}
        return paused | ({Action.PASTE: "Stop typing"} if self._controls.typing() else {})

    def _on_host_key(self, character: str) -> bool:
        """Do what the host key with this key means; False when it means nothing."""
        action = self._reach.by_key.get(character)
        if action is None:
            return False
        if action in self._enabled:
            self._do(action)
        return True

    def _do(self, action: Action) -> None:
        """Do what a menu entry says. A subclass does what it has besides."""
        match action:
            case Action.HELP:
                self._open(help_panel(self._reach), lambda result: None)
            case Action.MENU:
                self._open(menu_panel(self._reach, self._enabled, self._labels), self._on_menu)
            case Action.PAUSE:
                self._paused = not self._paused
                self._release_keys()
            case Action.CTRL_ALT_DEL:
                self._strike(CTRL_ALT_DEL)
            case Action.RESET:
                self._release_keys()
                self._controls.reset()
            case Action.CHECKPOINT:
                self._try(self._controls.checkpoint)
            case Action.REVERT:
                self._try(self._controls.revert)
            case Action.COMMIT:
                self._try(self._controls.commit)
            case Action.PASTE:
                self._paste()
            case Action.COPY:
                self._try(self._copy)
            case Action.SCREENSHOT:
                self._try(self._screenshot)
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
            except PcemuError as error:  # a sentence that is too long for the status line
                self._open(notice_panel(REFUSED, str(error)), lambda result: None)

    def _screenshot(self) -> str:
        name = datetime.now().strftime("pcemu-%Y%m%d-%H%M%S")
        path, number = self._folder / f"{name}.png", 1
        while path.exists():
            number += 1
            path = self._folder / f"{name}-{number}.png"
        save_png(render(self._controls.look(), self._controls.blink_phase()), path)
        return f"saved {path.name}"

    def _marked(self) -> str:
        """The text to copy."""
        return self._controls.look().text

    def _copy(self) -> str:
        text = self._marked()
        self._copy_text(text)
        return f"copied {len(text)} characters"

    def _paste(self) -> None:
        if self._controls.typing():
            self._controls.stop_typing()
            self.note("typing stopped")
        else:
            self._type(self._clipboard())

    def _type(self, text: str) -> None:
        """Type a text from the host."""
        try:
            chords = keys_for_text(text)
        except UsageError as error:
            self.alarm(f"the clipboard cannot be typed: {error}")
            return
        self._controls.type_chords(chords)
        self.note(f"typing {len(chords)} characters" if chords else "the clipboard holds no text")

    # -- the status line --------------------------------------------------------------------------------

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
        if self._still:
            self._pace, self._measured = "paused", (now, self._controls.clock.now)
            return self._pace
        since, virtual = self._measured
        if now - since >= PACE_TIME:
            percent = (self._controls.clock.now - virtual) / SECOND / (now - since) * 100
            # The odd percent is the host's jitter, and not worth a drawing.
            self._pace = "100%" if 97 <= percent <= 103 else f"{percent:.0f}%"
            self._measured = now, self._controls.clock.now
        return self._pace
