"""Boxes of text over the guest's screen: menu, help and questions, for keyboard and mouse.

A panel knows nothing of windows. It is told of keys and of clicks on its cells, and has a ``result`` as soon
as the user chose: the value of a choice, or "" when the panel was put away.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pcemu.frontends.actions import Action, Reach
from pcemu.frontends.cells import UI_ROWS, CellGrid
from pcemu.frontends.prompt import Question
from pcemu.keys import Key

TEXT, TITLE, CHOSEN, OFF, HOT = 0x1F, 0x1E, 0x70, 0x18, 0x1B
WIDTH = 76  # columns at most, frame included
HEIGHT = UI_ROWS - 2  # rows at most, frame included: the status line stays in sight
MAX_ENTRY = 48
BAR = 50  # cells of a bar of progress
MAX_LINES = 16  # of text above choices, lest the box outgrows the window
CANCEL = ""


@dataclass(frozen=True)
class Choice:
    """A line to choose: by its letter, the arrows and Enter, or the mouse."""

    value: str
    label: str
    letter: str = ""
    enabled: bool = True


class Panel:
    """A box with a title, lines of text and choices, of which a window is shown when they are many.

    ``closable``: Escape puts it away. ``preselect``: Enter takes the first choice; not where an Enter that
    was meant for the guest would decide something.
    """

    def __init__(
        self,
        title: str,
        lines: Sequence[str],
        choices: Sequence[Choice],
        *,
        closable: bool = True,
        preselect: bool = True,
    ) -> None:
        self.title = title
        self.choices = list(choices)
        self.result: str | None = None
        self.listens = True
        """False while keys may still be meant for the guest; the choices are dim then."""
        self._closable = closable
        self._lines = _wrapped(lines, MAX_LINES if choices else HEIGHT - 2)
        self._first_row = 1 + len(self._lines) + (1 if self._lines and self.choices else 0)
        self._shown = min(len(self.choices), HEIGHT - 1 - self._first_row)
        self._top = 0  # the first choice that is shown
        self._selected = -1
        if preselect:
            self._step(1)

    @property
    def selected(self) -> Choice | None:
        """The choice that Enter takes."""
        return self.choices[self._selected] if self._selected >= 0 else None

    # -- input

    def key(self, key: Key | None, text: str) -> None:
        """The user pressed ``key``, which types ``text`` on the host."""
        if key is Key.ESCAPE and self._closable:
            self.result = CANCEL
        elif key in (Key.UP, Key.LEFT):
            self._step(-1)
        elif key in (Key.DOWN, Key.RIGHT, Key.TAB):
            self._step(1)
        elif key in (Key.PAGE_UP, Key.PAGE_DOWN):
            self._page(self._shown if key is Key.PAGE_DOWN else -self._shown)
        elif key in (Key.HOME, Key.END):
            self._page(len(self.choices) if key is Key.END else -len(self.choices))
        elif key in (Key.ENTER, Key.KP_ENTER):
            self._take(self._selected)
        elif text:
            for number, choice in enumerate(self.choices):
                if choice.letter == text.lower():
                    self._take(number)

    def _step(self, by: int) -> None:
        number = self._selected if self._selected >= 0 or by > 0 else 0
        for _ in self.choices:
            number = (number + by) % len(self.choices)
            if self.choices[number].enabled:
                self._select(number)
                return

    def _page(self, by: int) -> None:
        """Select the choice so much further, or the last there, that can be chosen."""
        reach = range(len(self.choices))
        number = min(max(self._selected + by, 0), len(self.choices) - 1)
        onwards = [at for at in (reach[number:] if by < 0 else reach[number::-1]) if self.choices[at].enabled]
        if onwards:
            self._select(onwards[0])

    def _select(self, number: int) -> None:
        self._selected = number
        self._top = min(max(self._top, number - self._shown + 1), number)

    def scroll(self, by: int) -> None:
        """The user turned the mouse's wheel."""
        self._top = min(max(self._top + by, 0), len(self.choices) - self._shown)

    def _take(self, number: int) -> None:
        if not self.choices:
            self.result = CANCEL if self._closable else None
        elif number >= 0 and self.choices[number].enabled:
            self._selected = number
            self.result = self.choices[number].value

    def point(self, row: int, column: int) -> None:
        """The mouse moved to a cell of the panel."""
        number = self._choice_at(row, column)
        if number is not None and self.choices[number].enabled:
            self._selected = number

    def click(self, row: int, column: int) -> None:
        """The mouse was clicked on a cell of the panel, or beside it."""
        number = self._choice_at(row, column)
        if number is not None:
            self._take(number)
        elif self._closable and (not self.choices or not self._inside(row, column)):
            self.result = CANCEL

    def _inside(self, row: int, column: int) -> bool:
        return 0 <= row < self._height and 0 <= column < self._width

    def _choice_at(self, row: int, column: int) -> int | None:
        number = row - self._first_row
        inside = self._inside(row, column) and 0 <= number < self._shown
        return self._top + number if inside else None

    # -- looks

    @property
    def _width(self) -> int:
        choices = [len(choice.label) for choice in self.choices]
        return min(WIDTH, max([len(self.title) + 2, *map(len, self._lines), *choices]) + 4)

    @property
    def _height(self) -> int:
        return self._first_row + self._shown + 1

    def grid(self) -> CellGrid:
        """The panel as it looks now."""
        width, height = self._width, self._height
        grid = CellGrid(height, width, TEXT)
        grid.put(0, 0, "╔" + "═" * (width - 2) + "╗")
        for row in range(1, height - 1):
            grid.put(row, 0, "║")
            grid.put(row, width - 1, "║")
        grid.put(height - 1, 0, "╚" + "═" * (width - 2) + "╝")
        grid.put(0, (width - len(self.title) - 2) // 2, f" {self.title} ", TITLE)
        for row, line in enumerate(self._lines, 1):
            grid.put(row, 2, line)
        last = self._top + self._shown
        for number, choice in enumerate(self.choices[self._top : last], self._top):
            row = self._first_row + number - self._top
            self._put_choice(grid, row, choice, number == self._selected)
        if self._top:
            grid.put(self._first_row, width - 1, "▲", TITLE)
        if last < len(self.choices):
            grid.put(height - 2, width - 1, "▼", TITLE)
        return grid

    def _put_choice(self, grid: CellGrid, row: int, choice: Choice, selected: bool) -> None:
        grid.put(row, 2, choice.label[: grid.columns - 4], TEXT if choice.enabled and self.listens else OFF)
        if selected and choice.enabled:
            grid.paint(row, 1, grid.columns - 1, CHOSEN)
        elif choice.enabled and choice.letter and self.listens:
            at = choice.label.lower().find(choice.letter)
            if at >= 0:
                grid.paint(row, 2 + at, 3 + at, HOT)


def _wrapped(lines: Sequence[str], most: int) -> list[str]:
    """The lines as they fit into a panel, which says how many it lacks."""
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH - 4) or [""]]
    if len(wrapped) <= most:
        return wrapped
    return [*wrapped[: most - 1], f"and {len(wrapped) - most + 1} more lines"]


class EntryPanel(Panel):
    """A panel in which a line of text is typed; its result is the text."""

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__(title, [*lines, "", "", "", "Enter: go on    Esc: back"], [])
        self._typed = ""

    def key(self, key: Key | None, text: str) -> None:
        """The user pressed ``key``, which types ``text`` on the host."""
        if key is Key.ESCAPE:
            self.result = CANCEL
        elif key is Key.BACKSPACE:
            self._typed = self._typed[:-1]
        elif key in (Key.ENTER, Key.KP_ENTER):
            if self._typed.strip():
                self.result = self._typed.strip()
        elif text.isprintable():
            self._typed = (self._typed + text)[:MAX_ENTRY]

    def click(self, row: int, column: int) -> None:
        """A click does not throw away what was typed."""

    @property
    def _width(self) -> int:
        return max(super()._width, MAX_ENTRY + 6)

    def grid(self) -> CellGrid:
        """The panel as it looks now."""
        grid = super().grid()
        row = self._height - 4
        grid.put(row, 2, f" {self._typed}_".ljust(MAX_ENTRY + 2), CHOSEN)
        return grid


def question_panel(question: Question) -> Panel:
    """A question; its result is the word of an answer, CANCEL for the one that Escape gives."""
    width = min(10, max(len(answer.word) for answer in question.answers))
    choices = [
        Choice(answer.word, f"{answer.word.capitalize():{width}} {answer.meaning}", question.letter(answer))
        for answer in question.answers
    ]
    closable = bool(question.escape)
    panel = Panel("pcemu asks", _with_notes(question), choices, closable=closable, preselect=False)
    panel.listens = not question.sudden
    return panel


def _with_notes(question: Question) -> list[str]:
    """The notes, as many as fit, and what is asked below them."""
    notes = _wrapped(question.notes, MAX_LINES - 3)
    return [*notes, *([""] if notes else []), question.text]


def menu_panel(reach: Reach, enabled: Sequence[Action], labels: Mapping[Action, str]) -> Panel:
    """The menu; its result is the name of an action. ``labels`` are those that are others now."""
    choices = []
    for action in reach.actions:
        entry = action.value
        if entry.in_menu:
            text = f"{labels.get(action, entry.label):16} {reach.press(action)}"
            choices.append(Choice(action.name, text, entry.key, action in enabled))
    return Panel("Menu", [], choices)


def help_panel(reach: Reach) -> Panel:
    """All that the host key can do."""
    width = max(len(action.value.key) for action in reach.actions)
    lines = [f"Keys of pcemu: {reach.how}", ""]
    lines += [f"  {action.value.key.upper():{width}}   {reach.meaning(action)}" for action in reach.actions]
    return Panel("Help", [*lines, "", *reach.more], [])


def notice_panel(title: str, text: str) -> Panel:
    """Something that the user must have seen."""
    return Panel(title, text.splitlines(), [Choice("ok", "Close", "c")])


def work_panel(doing: str, done: int, total: int) -> Panel:
    """How far something is; without a ``total`` that nobody knows it."""
    bar = f"{'█' * (BAR * done // total):░<{BAR}} {100 * done // total:3} %" if total else ""
    return Panel("Please wait", [doing, *(["", bar] if bar else [])], [], closable=False)


def outage_panel(why: str) -> Panel:
    """Why the guest stands still, and the way out; no key that was meant for the guest takes that."""
    return Panel("Please wait", [why], [Choice("end", "End the session")], closable=False, preselect=False)
