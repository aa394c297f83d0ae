"""Where a session is shown: chosen by what the host has, or refused with the reason."""

from __future__ import annotations

import sys

import pytest

from pcemu.cli.ui import HEADLESS, TERMINAL, WINDOW, choose
from pcemu.errors import UsageError


class Stream:
    """Standard input or output."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def set_streams(monkeypatch: pytest.MonkeyPatch, source: bool, sink: bool, term: str | None) -> None:
    monkeypatch.setattr(sys, "stdin", Stream(source))
    monkeypatch.setattr(sys, "stdout", Stream(sink))
    for display in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(display, raising=False)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)


def test_a_terminal_is_taken_by_itself_where_there_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    set_streams(monkeypatch, True, True, "xterm")
    assert choose(None, scripted=False) == choose(None, scripted=True) == TERMINAL
    assert choose(TERMINAL, scripted=False) == TERMINAL
    assert choose(HEADLESS, scripted=False) == HEADLESS


@pytest.mark.parametrize(
    ("source", "sink", "term", "reason"),
    [
        (False, True, "xterm", "standard input and output are not a terminal"),
        (True, False, "xterm", "standard input and output are not a terminal"),
        (True, True, "dumb", "the terminal cannot place text"),
        (True, True, None, "the terminal cannot place text"),
    ],
)
def test_no_terminal(
    monkeypatch: pytest.MonkeyPatch, source: bool, sink: bool, term: str | None, reason: str
) -> None:
    set_streams(monkeypatch, source, sink, term)
    assert choose(None, scripted=False) == HEADLESS
    with pytest.raises(UsageError, match=rf"^--ui terminal: {reason}.*--ui headless") as error:
        choose(TERMINAL, scripted=False)
    assert error.value.exit_code == 2


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    set_streams(monkeypatch, True, True, "xterm")
    with pytest.raises(UsageError, match="no display was found"):
        choose(WINDOW, scripted=False)
