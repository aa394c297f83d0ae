"""The terminal that pcemu was started from: its modes, its input, its cells. The one place that knows urwid.

urwid knows how terminals differ: their colours, keys, mouse, paste, synchronised drawing and keyboard
protocols; and it redraws only the rows that changed. It leaves the main loop to its user, so the emulator's
stays the only one: no other thread, no other loop between a key and the guest.

**Not implemented**: terminals of Windows; characters that a terminal draws two cells wide.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import urwid
from urwid.display.common import AttrSpec, InputClosedError
from urwid.display.raw import Screen

from pcemu.devices.dac import RGB
from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.terminal.canvas import VGA_COLOURS, Canvas, CursorShape, Look
from pcemu.frontends.terminal.events import Clicked, Event, HungUp, KeyTyped, Pasted, Pointed
from pcemu.frontends.terminal.keys import plain_sequences

TRUE_COLOURS: Final = 16777216
BLOCK_CURSOR, UNDERLINE_CURSOR, DEFAULT_CURSOR = "\x1b[1 q", "\x1b[3 q", "\x1b[0 q"
BELL = "\a"
ESCAPE_DELAY = 0.02  # s of silence that tell the Escape key from the start of a sequence
READ_SIZE = 4096
LEFT_BUTTON, WHEEL_UP, WHEEL_DOWN = 1, 4, 5
PASTE_BEGINS, PASTE_ENDS, RESIZED = "begin paste", "end paste", "window resize"
PASTED_KEYS = {"enter": "\n", "tab": "\t"}
GONE = (OSError, InputClosedError, termios.error)

# urwid's names of the 16 colours, in the order of the PC's attributes.
NAMES = (
    *("black", "dark blue", "dark green", "dark cyan", "dark red", "dark magenta", "brown", "light gray"),
    *("dark gray", "light blue", "light green", "light cyan", "light red", "light magenta"),
    *("yellow", "white"),
)

Run = tuple[AttrSpec, None, bytes]


class Display:
    """The terminal, from :meth:`open` to :meth:`close`."""

    def __init__(self) -> None:
        urwid.set_encoding("utf-8")
        self._fd = sys.stdin.fileno()
        self._out = _Out(sys.stdout.fileno())
        self._screen = Screen(sys.stdin, self._out, extended_keys=True)
        self._typed_before = b""
        self._modes: list[Any] = []
        self._paste: list[str] | None = None
        self._incomplete_since = 0.0
        self._shown: Canvas | None = None
        self._rows: list[list[Run]] = []
        self._looks: Sequence[Look] = ()
        self._shape = ""
        self._is_open = False
        self.watched: list[int] = []
        """Descriptors that end a wait when they can be read, as a key does."""

    # -- taking the terminal and giving it back

    def open(self) -> None:
        """Take the terminal. Keys that were typed before are kept."""
        sys.stdout.flush()
        self._modes = termios.tcgetattr(self._fd)
        self._is_open = True
        try:
            self._take_all_keys()
            if select.select([self._fd], [], [], 0)[0]:  # urwid would throw them away
                self._typed_before = os.read(self._fd, READ_SIZE)
            self._screen.start()
        except BaseException:
            self.close()
            raise

    def _take_all_keys(self) -> None:
        """No key is the line discipline's: neither Ctrl-C nor Ctrl-S, and Enter is not Ctrl-J."""
        modes = termios.tcgetattr(self._fd)
        modes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
        modes[3] &= ~(termios.ISIG | termios.ICANON | termios.ECHO)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, modes)

    def close(self) -> None:
        """Give the terminal back as it was; harmless when that was done, or when it is gone."""
        if not self._is_open:
            return
        self._is_open = False
        self._shown, self._shape = None, ""
        with suppress(*GONE):
            self._screen.write(DEFAULT_CURSOR)
            self._screen.stop()
        with suppress(*GONE):
            # What was typed ahead was meant for the guest, not for the shell.
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._modes)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns); the usual ones when the terminal does not know."""
        columns, rows = self._screen.get_cols_rows()
        return rows or 24, columns or 80

    # -- input

    def events(self, timeout: float = 0.0) -> list[Event]:
        """What the user did; waits for that up to ``timeout`` seconds."""
        if self._typed_before:
            data, self._typed_before = self._typed_before, b""
            return self._translate(list(plain_sequences(data)), final=False)
        if self._incomplete_since:
            timeout = min(timeout, ESCAPE_DELAY)
        descriptors = [
            each if isinstance(each, int) else each.fileno() for each in self._screen.get_input_descriptors()
        ]
        try:
            ready = select.select([*descriptors, *self.watched], [], [], timeout)[0]
            if any(each in ready for each in descriptors):
                codes = self._screen.get_available_raw_input()
                return self._translate(list(plain_sequences(bytes(codes))), final=False)
            if self._incomplete_since and time.monotonic() - self._incomplete_since >= ESCAPE_DELAY:
                return self._translate(self._screen.get_available_raw_input(), final=True)
        except GONE:
            return [HungUp()]
        return []

    def _translate(self, codes: list[int], *, final: bool) -> list[Event]:
        """``final``: nothing follows, so what could begin a sequence is a key."""
        keys, taken = self._screen.parse_input(None, None, codes, wait_for_more=not final)
        self._incomplete_since = time.monotonic() if len(taken) < len(codes) else 0.0
        events: list[Event] = []
        for key in keys:
            if isinstance(key, str):
                events += self._translate_key(key)
            else:
                events += _translate_mouse(*key)
        return events

    def _translate_key(self, key: str) -> list[Event]:
        if key == RESIZED:
            self._shown = None
            return [Resized()]
        if key == PASTE_BEGINS:
            self._paste = []
        elif key == PASTE_ENDS:
            text, self._paste = "".join(self._paste or ()), None
            return [Pasted(text)]
        elif self._paste is not None:
            self._paste.append(PASTED_KEYS.get(key, key if len(key) == 1 else ""))
        else:
            return [KeyTyped(key)]
        return []

    def use_mouse(self, wanted: bool) -> None:
        """Whether clicks come as events. Otherwise the terminal marks and copies text with the mouse."""
        with suppress(*GONE):
            self._screen.set_mouse_tracking(wanted)

    # -- output

    @property
    def ready(self) -> bool:
        """False while the way to the terminal is jammed: a frame more would make the guest wait."""
        return bool(select.select([], [self._out], [], 0)[1])

    def show(self, canvas: Canvas, looks: Sequence[Look]) -> None:
        """Bring the terminal up to date; nothing is sent when nothing changed. HungUp comes as an event."""
        if looks is not self._looks:
            self._looks, self._shown = looks, None
        changed = canvas.changed_rows(self._shown)
        if self._shown is None:
            self._rows = [[] for _ in range(canvas.rows)]
        before = self._shown
        self._shown = canvas
        if not changed and before is not None and before.cursor == canvas.cursor:
            return
        for row in changed:
            self._rows[row] = [
                (self._attribute(looks[look]), None, text.encode()) for look, text in canvas.runs(row)
            ]
        with suppress(*GONE):
            self._set_shape(canvas.cursor)
            self._screen.draw_screen((canvas.columns, canvas.rows), _Rows(self._rows, canvas))

    def _attribute(self, look: Look) -> AttrSpec:
        return _attribute(look, self._screen.colors == TRUE_COLOURS)

    def _set_shape(self, cursor: CursorShape | None) -> None:
        shape = self._shape if cursor is None else BLOCK_CURSOR if cursor.block else UNDERLINE_CURSOR
        if shape != self._shape:
            self._shape = shape
            self._screen.write(shape)

    def ring(self) -> None:
        """Ring the terminal's bell."""
        with suppress(*GONE):
            self._screen.write(BELL)
            self._screen.flush()

    def copy(self, text: str) -> None:
        """Ask the terminal to put ``text`` into the clipboard of the user's computer."""
        with suppress(*GONE):
            self._screen.copy_to_clipboard(text)


class _Out:
    """The way to the terminal, which takes UTF-8 whatever the locale says."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def write(self, text: str) -> None:
        """Send it all."""
        data = text.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def flush(self) -> None:
        """Nothing waits."""


class _Rows(urwid.Canvas):
    """Rows of runs as urwid draws them."""

    def __init__(self, rows: list[list[Run]], canvas: Canvas) -> None:
        super().__init__()
        self._rows = rows
        self._columns = canvas.columns
        if canvas.cursor is not None:
            row, column = canvas.cursor.place
            self.cursor = column, row

    def rows(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def cols(self) -> int:
        """How many columns there are."""
        return self._columns

    def content(
        self, trim_left: int = 0, trim_top: int = 0, cols: int | None = None, rows: int | None = None,
        attr: object = None,
    ) -> Any:  # fmt: skip
        """All rows; nobody asks for a part."""
        return islice(self._rows, len(self._rows))


def _translate_mouse(what: str, button: int, column: int, row: int) -> list[Event]:
    if what.endswith("mouse press"):
        if button == LEFT_BUTTON:
            return [Clicked((row, column))]
        if button in (WHEEL_UP, WHEEL_DOWN):
            return [Wheel(1 if button == WHEEL_UP else -1)]
    elif what.endswith("mouse drag"):
        return [Pointed((row, column))]
    return []


@lru_cache(maxsize=4096)
def _attribute(look: Look, true_colours: bool) -> AttrSpec:
    """The look as urwid has it: in its very colours, or in the nearest of the terminal's own 16."""
    settings = ",blink" * look.blink + ",underline" * look.underline
    if true_colours:
        ink, paper = (f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in (look.ink, look.paper))
        return AttrSpec(ink + settings, paper, TRUE_COLOURS)
    return AttrSpec(NAMES[_nearest(look.ink)] + settings, NAMES[_nearest(look.paper)], 16)


@lru_cache(maxsize=4096)
def _nearest(colour: RGB) -> int:
    """The number of the VGA's colour that is nearest to it."""

    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, VGA_COLOURS[number], strict=True))

    return min(range(len(VGA_COLOURS)), key=distance)
