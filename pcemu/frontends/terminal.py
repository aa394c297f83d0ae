"""The guest's text screen live in the terminal that pcemu was started from, keys included.

The view never runs the guest: it is called between two stretches of guest code (:meth:`TerminalView.update`)
and while real time has to catch up (:meth:`TerminalView.wait`), and there it reads keys and draws what
changed, at most 30 times a second. The terminal is put back into its old state on every way out.

**Not implemented**: keys that a terminal does not report (a lone Shift, Print Screen, how long a key is
held); graphics modes; scrolling sideways when the terminal is narrower than the screen.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from pcemu.clock import MILLISECOND, Clock
from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.ansi import CSI, ERASE_SCREEN, RESET, SHOW_CURSOR, diff
from pcemu.frontends.terminal_keys import NO_KEY, KeyDecoder
from pcemu.frontends.view import SessionEnded
from pcemu.keys import Chord, Key
from pcemu.screen import TextScreen

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

END_SESSION: Chord = (Key.LEFT_CTRL, Key.RIGHT_BRACKET)
CHECKPOINT: Chord = (Key.LEFT_CTRL, Key.BACKSLASH)

ENTER_ALTERNATE_SCREEN, LEAVE_ALTERNATE_SCREEN = f"{CSI}?1049h", f"{CSI}?1049l"
DEFAULT_CURSOR = f"{CSI}0 q"
SAVE_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"
ERASE_LINE = f"{CSI}K"
FAINT, ALARM = f"{CSI}2m", f"{CSI}1;31m"
BELL = "\a"

FRAME = 1 / 30  # s between two drawings
LOOK = 0.009  # s between two looks at the screen
ESCAPE_DELAY = 0.02  # s of silence that tell the Escape key from the start of a sequence
MAX_AHEAD = 0.05  # s by which keys may drive the guest ahead of real time
READ_SIZE = 4096
KEY_DOWN = 10 * MILLISECOND
KEY_RETRY = MILLISECOND


def available() -> bool:
    """True when the program's input and output are one terminal that can show the view."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return termios is not None and on_terminal and os.environ.get("TERM", "dumb") != "dumb"


class Fingers:
    """Presses chords and lets them go again: a terminal says that a key came, but not for how long."""

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


class TerminalView:
    """A context manager: the terminal is the guest's from entering to leaving it.

    ``look`` gives the screen. ``note`` is shown below the screen where there is room. File descriptors in
    ``watched`` end a :meth:`wait` when they can be read, as a key does. SessionEnded comes out of
    :meth:`update` and :meth:`wait`.
    """

    def __init__(self, look: Callable[[], TextScreen], clock: Clock, keyboard: Keyboard, note: str) -> None:
        self.watched: list[int] = []
        self.actions: dict[Chord, Callable[[], None]] = {}
        self._look = look
        self._fingers = Fingers(clock, keyboard)
        self._decoder = KeyDecoder()
        self._note, self._note_style = note, FAINT
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._last_key = self._last_look = self._last_frame = 0.0
        self._shown: TextScreen | None = None
        self._top = 0
        self._resized = True
        self._size = (0, 0)

    # -- taking the terminal and giving it back -----------------------------------------------------

    def __enter__(self) -> TerminalView:
        sys.stdout.flush()
        self._modes = termios.tcgetattr(self._input)
        self._old_handler: Any = signal.signal(signal.SIGWINCH, self._on_resize)
        try:
            tty.setraw(self._input, termios.TCSADRAIN)  # keys typed before are kept
            self._send(ENTER_ALTERNATE_SCREEN)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, the terminal is as it was before: for a question to the user."""
        self._restore()
        try:
            yield
        finally:
            self.__enter__()
            self._resized = True

    def _restore(self) -> None:
        signal.signal(signal.SIGWINCH, self._old_handler)
        try:
            self._send(RESET + DEFAULT_CURSOR + SHOW_CURSOR + LEAVE_ALTERNATE_SCREEN)
            # What was typed ahead was meant for the guest, not for the question that follows.
            termios.tcsetattr(self._input, termios.TCSAFLUSH, self._modes)
        except (OSError, termios.error, SessionEnded):
            pass  # the terminal is gone, and its modes with it

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        self._resized = True

    # -- between two stretches of guest code ----------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Wait for that long, or until a key came that the guest should see now."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            timeout = min(left, ESCAPE_DELAY) if self._decoder.pending else left
            ready, _, _ = select.select([self._input, *self.watched], [], [], timeout)
            if self._input in ready:
                self._read_keys()
            else:
                self._give_up_sequence()
            if ready and seconds < MAX_AHEAD:
                return

    def update(self) -> None:
        """Read keys that are there, and draw the screen when it changed and a frame is due."""
        if select.select([self._input], [], [], 0)[0]:
            self._read_keys()
        else:
            self._give_up_sequence()
        now = time.monotonic()
        if now - self._last_look >= LOOK and now - self._last_frame >= FRAME:
            self._last_look = now
            self._draw(now)

    def alarm(self, text: str) -> None:
        """Show a message of the host below the screen where there is room."""
        self._note, self._note_style = text, ALARM
        self._resized = True

    # -- keys -----------------------------------------------------------------------------------------

    def _read_keys(self) -> None:
        try:
            data = os.read(self._input, READ_SIZE)
        except OSError:
            data = b""
        if not data:
            raise SessionEnded
        self._last_key = time.monotonic()
        self._strike(self._decoder.feed(data))

    def _give_up_sequence(self) -> None:
        if self._decoder.pending and time.monotonic() - self._last_key >= ESCAPE_DELAY:
            self._strike(self._decoder.flush())

    def _strike(self, chords: list[Chord]) -> None:
        for chord in chords:
            if chord == END_SESSION:
                raise SessionEnded
            if chord in self.actions:
                self.actions[chord]()
            elif chord == NO_KEY:
                self._send(BELL)
            else:
                self._fingers.strike(chord)

    # -- drawing --------------------------------------------------------------------------------------

    def _draw(self, now: float) -> None:
        screen = self._look()
        if screen is self._shown and not self._resized:
            return
        if self._resized:
            self._resized = False
            self._size = self._terminal_size()
            self._shown = None
        top = first_row(screen, self._size[0], self._top)
        if top != self._top:
            self._top, self._shown = top, None
        changes = diff(self._shown, screen, top=top, size=self._size)
        self._shown = screen
        if changes:
            self._last_frame = now
            self._send(changes + (self._note_below(screen) if ERASE_SCREEN in changes else ""))

    def _terminal_size(self) -> tuple[int, int]:
        """(rows, columns) of the terminal; the usual ones when it does not know."""
        try:
            columns, rows = os.get_terminal_size(self._output)
        except OSError:
            raise SessionEnded from None
        return rows or 24, columns or 80

    def _note_below(self, screen: TextScreen) -> str:
        rows, columns = self._size
        if rows <= screen.rows:
            return ""
        note = f"{CSI}{screen.rows + 1};1H{RESET}{self._note_style}{self._note[: columns - 1]}{ERASE_LINE}"
        return SAVE_CURSOR + note + RESTORE_CURSOR

    def _send(self, text: str) -> None:
        data = text.encode()
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except OSError:
            raise SessionEnded from None


def first_row(screen: TextScreen, rows: int, top: int) -> int:
    """Which row of the screen comes first in a terminal of ``rows`` rows that showed it from ``top`` on."""
    last = max(0, screen.rows - rows)
    cursor = screen.cursor
    if cursor.visible:
        top = min(max(top, cursor.row - rows + 1), cursor.row)
    return min(top, last)
