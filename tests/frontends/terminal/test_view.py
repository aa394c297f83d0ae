"""The terminal in action, with a terminal that is only made up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pcemu.devices.keyboard import Keyboard
from pcemu.devices.vga import Vga
from pcemu.errors import UsageError
from pcemu.frontends import interactive
from pcemu.frontends.controls import Controls
from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, GO_ON, KEEP, Answer, Question, Reply
from pcemu.frontends.terminal import view as view_module
from pcemu.frontends.terminal.canvas import Canvas, Look
from pcemu.frontends.terminal.events import Clicked, Event, HungUp, KeyTyped, Pasted, Pointed
from pcemu.frontends.terminal.view import FRAME, TerminalView
from pcemu.frontends.view import SessionEnded
from pcemu.keys import Chord, keys_for_text
from pcemu.screen import TextScreen, capture
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import COLOUR_80X25, load_palette, program, put

QUESTION = Question("What becomes of these changes?", (COMMIT, DISCARD, KEEP, BRANCH), ("3 files changed",))
HOST = KeyTyped("ctrl ]")


class FakeTerminal:
    """Takes canvases; gives events that were put in."""

    def __init__(self) -> None:
        self.size = (25, 80)
        self.ready = True
        self.watched: list[int] = []
        self.waiting: list[Event] = []
        self.shown = Canvas(1, 1)
        self.frames = self.bells = 0
        self.mouse = False
        self.copied = ""
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def events(self, timeout: float = 0.0) -> list[Event]:
        events, self.waiting = self.waiting[:1], self.waiting[1:]
        return events

    def use_mouse(self, wanted: bool) -> None:
        self.mouse = wanted

    def show(self, canvas: Canvas, looks: Sequence[Look]) -> None:
        self.shown = canvas
        self.frames += 1

    def ring(self) -> None:
        self.bells += 1

    def copy(self, text: str) -> None:
        self.copied = text


class Desk:
    """A view on a VGA and a keyboard without a machine."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.memory = memoryview(bytearray(0x20000))
        self.vga = Vga(self.clock, self.memory)
        program(self.vga, COLOUR_80X25)
        load_palette(self.vga)
        put(self.memory, 24, 0, b"the last row", 0x07)
        self.keyboard = Keyboard(self.clock)
        self._screen: TextScreen | None = None
        self.done: list[str] = []
        self.typed: list[Chord] = []
        self.typing = False
        self.terminal = FakeTerminal()
        self.on_between: Callable[[], None] = lambda: None
        controls = Controls(
            look=self._look,
            blink_phase=lambda: 0,
            clock=self.clock,
            keyboard=self.keyboard,
            type_chords=lambda chords: self.typed.extend(chords),
            typing=lambda: self.typing,
            stop_typing=lambda: self.done.append("stop"),
            reset=lambda: self.done.append("reset"),
            undo_state=lambda: "12.4 MiB in 3 checkpoints, base untouched",
            checkpoint=self._checkpoint,
            between=lambda: self.on_between(),
        )
        self.view = TerminalView(self.terminal, controls, folder)

    def _look(self) -> TextScreen:
        self._screen = capture(self.vga, self._screen)
        return self._screen

    def _checkpoint(self) -> str:
        raise UsageError("no more checkpoints")

    def keys(self, *names: str) -> None:
        self.send(*map(KeyTyped, names))

    def send(self, *events: Event) -> None:
        self.terminal.waiting += events
        for _ in events:
            self.update()

    def update(self) -> None:
        time.sleep(FRAME)
        self.view.update()

    @property
    def text(self) -> str:
        return self.terminal.shown.text

    def find(self, text: str) -> tuple[int, int]:
        """Where the terminal shows ``text``."""
        for row, line in enumerate(self.text.split("\n")):
            if text in line:
                return row, line.index(text)
        raise AssertionError(f"{text!r} is not in\n{self.text}")

    def codes(self) -> bytes:
        taken = bytearray()
        while self.keyboard.pending:
            taken.append(self.keyboard.take())
            self.clock.advance(10_000_000)
        return bytes(taken)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(interactive, "MESSAGE_TIME", 0.0)
    monkeypatch.setattr(view_module, "DRAWING_SHARE", 0)  # on a busy host drawing takes long
    desk = Desk(tmp_path)
    desk.update()
    return desk


def test_the_guest_has_all_of_80x25_while_there_is_nothing_to_say(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.text.split("\n")[24] == "the last row"
    monkeypatch.setattr(interactive, "MESSAGE_TIME", 0.2)
    desk.view.alarm("something happened")
    desk.update()
    assert "something happened" in desk.text.split("\n")[24]
    time.sleep(0.2)
    desk.update()
    assert desk.text.split("\n")[24] == "the last row"


def test_a_row_more_is_for_the_status_line(desk: Desk) -> None:
    desk.terminal.size = (26, 80)
    desk.send(Resized())
    assert "12.4 MiB in 3 checkpoints, base untouched" in desk.text.split("\n")[25]
    assert desk.text.split("\n")[24] == "the last row"


def test_nothing_is_drawn_while_nothing_changes_or_the_way_is_jammed(desk: Desk) -> None:
    desk.update()
    frames = desk.terminal.frames
    desk.update()
    assert desk.terminal.frames == frames
    put(desk.memory, 3, 0, b"news", 0x07)
    desk.terminal.ready = False
    desk.update()
    assert desk.terminal.frames == frames
    desk.terminal.ready = True
    desk.update()
    assert desk.terminal.frames == frames + 1
    assert "news" in desk.text


def test_keys_go_to_the_guest_and_ring_when_there_is_none(desk: Desk) -> None:
    desk.keys("meta x", "é")
    assert desk.codes().hex(" ") == "11 22 f0 22 f0 11"
    assert desk.terminal.bells == 1


def test_the_menu_by_key_and_by_mouse(desk: Desk) -> None:
    desk.send(HOST)
    assert desk.terminal.mouse
    desk.keys("r")
    assert desk.done == ["reset"]
    assert not desk.terminal.mouse
    desk.send(HOST)
    place = desk.find("Reset")
    desk.send(Pointed(place), Wheel(1), Clicked(place))
    assert desk.done == ["reset", "reset"]
    desk.send(HOST)
    desk.keys("u")  # which the session does not offer
    assert "Menu" in desk.text
    desk.keys("esc")
    assert "Menu" not in desk.text
    assert desk.codes() == b""


def test_the_host_key_twice_is_the_guests(desk: Desk) -> None:
    desk.send(HOST, HOST)
    assert desk.codes().hex(" ") == "14 5b f0 5b f0 14"


def test_a_pause_lets_the_guest_stand_still(desk: Desk) -> None:
    desk.terminal.waiting += [HOST, KeyTyped("p"), KeyTyped("a"), HOST, KeyTyped("p"), KeyTyped("b")]
    for _ in range(4):
        desk.update()
    assert desk.codes().hex(" ") == "32 f0 32"


def test_pasted_text_is_typed_patiently_and_that_can_be_stopped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.send(Pasted("dir\n"))
    assert desk.typed == keys_for_text("dir\n")
    monkeypatch.setattr(interactive, "MESSAGE_TIME", 5.0)
    desk.send(Pasted("ärger"))
    assert "cannot be typed" in desk.text
    assert desk.typed == keys_for_text("dir\n")
    desk.typing = True
    desk.send(HOST)
    assert "Stop typing" in desk.text
    desk.keys("v")
    assert desk.done == ["stop"]


def test_copy_and_screenshot(desk: Desk, tmp_path: Path) -> None:
    desk.send(HOST)
    desk.keys("c")
    assert "the last row" in desk.terminal.copied
    desk.send(HOST)
    desk.keys("s")
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_a_question_is_answered_and_not_put_away(desk: Desk) -> None:
    desk.terminal.waiting += [KeyTyped("enter"), KeyTyped("esc"), KeyTyped("b"), KeyTyped("esc")]
    desk.terminal.waiting += [KeyTyped("b"), Pasted("ne"), KeyTyped("w"), KeyTyped("enter")]
    assert desk.view.ask(QUESTION) == Reply("branch", "new")


def test_the_guest_goes_on_where_it_was_when_the_end_was_a_mistake(desk: Desk) -> None:
    question = Question("What becomes of these changes?", (COMMIT, DISCARD, GO_ON), escape=GO_ON.word)
    desk.send(HOST)
    desk.terminal.waiting.append(KeyTyped("p"))
    desk.terminal.waiting += [HOST, KeyTyped("q"), KeyTyped("enter"), KeyTyped("esc")]
    with pytest.raises(SessionEnded):
        desk.view.update()
    assert desk.view.ask(question) == Reply(GO_ON.word)
    desk.terminal.waiting += [KeyTyped("a"), HOST, KeyTyped("p"), KeyTyped("b")]
    desk.update()  # still paused
    desk.update()
    assert desk.codes().hex(" ") == "32 f0 32"


def test_a_question_nobody_called_for_takes_no_keys_that_are_still_meant_for_the_guest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactive, "QUIET", 0.5)
    desk.keys("e")
    desk.terminal.waiting += [KeyTyped(key) for key in ("c", "d", "enter", "b", "esc")] + [Pasted("commit")]
    heard = []

    def between() -> None:
        panel = desk.view._panel
        if panel is not None and panel.listens and not desk.terminal.waiting:
            heard.append(desk.text)
            desk.terminal.waiting.append(KeyTyped("d"))

    desk.on_between = between
    sudden = Question("Now?", (COMMIT, DISCARD), escape=DISCARD.word, sudden=True)
    assert desk.view.ask(sudden) == Reply(DISCARD.word)
    assert len(heard) == 1
    assert "Now?" in heard[0]


def test_the_guest_is_said_to_be_paused_while_a_question_is_open(desk: Desk) -> None:
    desk.terminal.size = (26, 80)
    seen = []
    desk.on_between = lambda: seen.append(desk.text.split("\n")[-1])
    desk.terminal.waiting += [Resized(), Resized(), KeyTyped("d")]
    assert desk.view.ask(QUESTION) == Reply("discard")
    assert "paused" in seen[-1]


def test_why_something_was_not_done_is_told_in_full(desk: Desk) -> None:
    desk.send(HOST)
    desk.keys("k")
    assert "This was not done" in desk.text
    assert "no more checkpoints" in desk.text
    desk.keys("enter")
    assert "no more checkpoints" not in desk.text


def test_who_closes_the_view_while_a_text_is_shown_ends_the_session(desk: Desk) -> None:
    desk.terminal.waiting.append(HungUp())
    desk.view.tell("This was not done", "no more checkpoints")
    with pytest.raises(SessionEnded):
        desk.view.update()


def test_what_an_answer_needs_is_told_as_it_was_written(desk: Desk) -> None:
    needs = "which, such as C:\\SAVES\\**"
    seen = []
    desk.on_between = lambda: seen.append(desk.text)
    desk.terminal.waiting += [KeyTyped("f"), Resized(), Resized(), KeyTyped("x"), KeyTyped("enter")]
    assert desk.view.ask(Question("Which?", (Answer("files", "some", needs),))) == Reply("files", "x")
    assert any("Which, such as C:\\SAVES\\**:" in text for text in seen)


def test_a_signal_ends_a_question(desk: Desk) -> None:
    class Signal(Exception):
        pass

    def between() -> None:
        if "3 files changed" in desk.text:
            raise Signal

    desk.on_between = between
    with pytest.raises(Signal):
        desk.view.ask(QUESTION)


def test_a_terminal_that_is_gone_answers_nothing_and_ends_the_session(desk: Desk) -> None:
    desk.terminal.waiting.append(HungUp())
    assert desk.view.ask(QUESTION) is None
    with pytest.raises(SessionEnded):
        desk.view.update()


def test_end_session(desk: Desk) -> None:
    desk.send(HOST)
    desk.terminal.waiting.append(KeyTyped("q"))
    with pytest.raises(SessionEnded):
        desk.update()


def test_the_terminal_is_taken_and_given_back(desk: Desk) -> None:
    with desk.view:
        assert desk.terminal.is_open
    assert not desk.terminal.is_open


@pytest.mark.parametrize("size", [(9, 80), (25, 39), (1, 1), (3, 200)])
def test_a_terminal_that_is_far_too_small_says_so(desk: Desk, size: tuple[int, int]) -> None:
    desk.terminal.size = size
    desk.send(Resized())
    assert desk.text.startswith("This terminal has"[: size[1]])
    desk.terminal.size = (25, 80)
    desk.send(Resized())
    assert desk.text.split("\n")[24] == "the last row"


def test_choices_stay_in_sight_where_a_panel_is_taller_than_the_terminal(desk: Desk) -> None:
    desk.terminal.size = (10, 60)
    desk.send(Resized(), HOST)
    assert "End session" in desk.text


def test_amid_an_outage_the_session_can_be_ended_but_not_by_what_the_guest_was_meant_to_get(
    desk: Desk,
) -> None:
    with desk.view.amid("nbd://example.com/disk: waiting for the server") as going_on:
        for name in ("e", "enter", "esc"):
            desk.terminal.waiting.append(KeyTyped(name))
            assert going_on()
        assert "waiting for the server" in desk.text
        assert "End the session" in desk.text
    desk.update()
    assert "waiting for the server" not in desk.text
    with desk.view.amid("nbd://example.com/disk: waiting for the server") as going_on:
        desk.terminal.waiting += [KeyTyped("down"), KeyTyped("enter")]
        assert going_on()
        assert not going_on()
    with pytest.raises(SessionEnded):
        desk.update()
    assert desk.codes() == b""
