"""The window in SDL's dummy display: events are posted, and the pixels of its surface are compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcemu.devices.keyboard import Keyboard
from pcemu.devices.vga import Vga
from pcemu.errors import UsageError
from pcemu.frontends import interactive
from pcemu.frontends.controls import Controls, switched_off
from pcemu.frontends.panels import Panel, help_panel, menu_panel, outage_panel, question_panel, work_panel
from pcemu.frontends.picture import render
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, GO_ON, KEEP, Answer, Question, Reply
from pcemu.frontends.view import SessionEnded
from pcemu.frontends.window import view as view_module
from pcemu.frontends.window.display import Display
from pcemu.frontends.window.view import REACH, WindowView
from pcemu.keys import Chord, keys_for_text
from pcemu.screen import capture
from pcemu.testing.fakes import FakeClock
from pcemu.testing.vga_modes import COLOUR_80X25, load_palette, program, put, scribble

SCALE = 2
QUESTION = Question("What becomes of these changes?", (COMMIT, DISCARD, KEEP, BRANCH))
END_QUESTION = Question("What becomes of these changes?", (COMMIT, DISCARD, GO_ON), escape=GO_ON.word)
HOST = pygame.KSCAN_RCTRL


class Desk:
    """A window on a VGA and a keyboard without a machine."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.memory = memoryview(bytearray(0x20000))
        self.vga = Vga(self.clock, self.memory)
        program(self.vga, COLOUR_80X25)
        load_palette(self.vga)
        scribble(self.memory, 7)
        self.keyboard = Keyboard(self.clock)
        self.done: list[str] = []
        self.typed: list[Chord] = []
        self.typing = False
        controls = Controls(
            look=lambda: capture(self.vga),
            blink_phase=lambda: 0,
            clock=self.clock,
            keyboard=self.keyboard,
            type_chords=self._type,
            typing=lambda: self.typing,
            stop_typing=lambda: self.done.append("stop"),
            reset=lambda: self.done.append("reset"),
            undo_state=lambda: "12.4 MiB in 3 checkpoints, base untouched",
            checkpoint=self._checkpoint,
            between=lambda: self.done.append("between"),
        )
        self.display = Display("test", SCALE, full_screen=False)
        self.view = WindowView(self.display, controls, folder)

    def _type(self, chords: Sequence[Chord]) -> None:
        self.typed += chords

    def _checkpoint(self) -> str:
        raise UsageError("no more checkpoints")

    # -- the user

    def key(self, scancode: int, keycode: int = 0, text: str = "") -> None:
        self.down(scancode, keycode, text)
        self.up(scancode)

    def down(self, scancode: int, keycode: int = 0, text: str = "") -> None:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, scancode=scancode, key=keycode, unicode=text))

    def up(self, scancode: int) -> None:
        pygame.event.post(pygame.event.Event(pygame.KEYUP, scancode=scancode, key=0, unicode=""))

    def host(self, letter: str) -> None:
        """Press a key with the host key."""
        self.down(HOST)
        self.key(getattr(pygame, f"KSCAN_{letter.upper()}", 0x2D), ord(letter))
        self.up(HOST)

    def click(self, point: tuple[int, int]) -> None:
        for kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
            pygame.event.post(pygame.event.Event(kind, pos=point, button=1))

    def move(self, point: tuple[int, int], *, dragging: bool = False) -> None:
        buttons = (int(dragging), 0, 0)
        pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=point, buttons=buttons))

    def on_panel(self, panel: Panel, text: str) -> tuple[int, int]:
        """The pixel at which the panel, in the middle of the picture, shows ``text``."""
        grid = panel.grid()
        lines = grid.text.split("\n")
        row = next(row for row, line in enumerate(lines) if text in line)
        left, top = 720 - grid.columns * 8, 400 - grid.rows * 16
        return left + 16 * lines[row].index(text) + 8, top + 32 * row + 16

    def update(self) -> None:
        time.sleep(view_module.FRAME)
        self.view.update()

    # -- what there is to see

    def pixels(self) -> NDArray[np.uint8]:
        """The window, an array of (height, width, 3)."""
        surface = pygame.display.get_surface()
        assert surface is not None
        return pygame.surfarray.array3d(surface).transpose(1, 0, 2)

    def picture(self) -> NDArray[np.uint8]:
        """What the guest's part of the window ought to show."""
        return render(capture(self.vga)).repeat(SCALE, axis=0).repeat(SCALE, axis=1)

    def shows_guest(self) -> bool:
        return bool((self.pixels()[:800] == self.picture()).all())

    def status(self) -> NDArray[np.uint8]:
        return self.pixels()[800:]

    def codes(self) -> bytes:
        taken = bytearray()
        while self.keyboard.pending:
            taken.append(self.keyboard.take())
            self.clock.advance(1_000_000)
        return bytes(taken)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.quit()
    desk = Desk(tmp_path)
    with desk.view:
        desk.update()
        yield desk


def test_the_guest_is_shown_dot_for_dot(desk: Desk) -> None:
    assert desk.display.size == (1440, 832)
    assert desk.shows_guest()
    put(desk.memory, 10, 5, b"changed", 0x1E)
    assert not desk.shows_guest()
    desk.update()
    assert desk.shows_guest()


def test_nothing_is_drawn_when_nothing_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[object] = []
    monkeypatch.setattr(desk.display, "flush", flushed.append)
    for _ in range(5):
        desk.update()
    assert flushed == []


def test_no_more_than_60_frames_a_second(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[object] = []
    monkeypatch.setattr(desk.display, "flush", flushed.append)
    start = time.monotonic()
    while time.monotonic() - start < 0.2:
        scribble(desk.memory, len(flushed))
        desk.view.update()
    assert 1 <= len(flushed) <= 13


def test_keys_go_to_the_guest_by_their_place(desk: Desk) -> None:
    desk.key(pygame.KSCAN_Y, ord("z"), "z")  # as on a German board
    desk.update()
    assert desk.codes() == b"\x35\xf0\x35"


def test_no_key_stays_down_when_the_focus_goes(desk: Desk) -> None:
    desk.down(pygame.KSCAN_LALT)
    desk.update()
    assert desk.codes() == b"\x11"
    pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    desk.update()
    assert desk.codes() == b"\xf0\x11"


def test_a_key_ends_a_wait_early_and_silence_does_not(desk: Desk) -> None:
    start = time.monotonic()
    desk.view.wait(0.04)
    assert time.monotonic() - start >= 0.04
    waited = []
    for _ in range(20):  # a busy host may be late now and then
        desk.key(pygame.KSCAN_A, ord("a"))
        start = time.monotonic()
        desk.view.wait(0.04)
        waited.append(time.monotonic() - start)
        assert desk.codes() == b"\x1c\xf0\x1c"
    assert min(waited) < 0.03


def test_help_lies_over_the_guest_and_goes_away_again(desk: Desk) -> None:
    desk.host("h")
    desk.update()
    grid = help_panel(REACH).grid()
    dots = grid.dots().repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    top, left = (800 - dots.shape[0]) // 2, (1440 - dots.shape[1]) // 2
    shown = desk.pixels()
    assert (shown[top : top + dots.shape[0], left : left + dots.shape[1]] == dots).all()
    scribble(desk.memory, 8)  # the guest goes on below
    desk.update()
    assert (desk.pixels()[top : top + dots.shape[0], left : left + dots.shape[1]] == dots).all()
    desk.key(pygame.KSCAN_A, ord("a"), "a")
    desk.key(pygame.KSCAN_ESCAPE)
    desk.update()
    assert desk.shows_guest()
    assert desk.codes() == b""


def test_the_menu_by_mouse(desk: Desk) -> None:
    desk.click((20, 820))
    desk.update()
    assert not desk.shows_guest()
    menu = menu_panel(REACH, [], {})
    desk.move(desk.on_panel(menu, "Pause"))
    desk.click(desk.on_panel(menu, "Revert"))  # which the session does not offer
    desk.update()
    assert not desk.shows_guest()
    desk.click(desk.on_panel(menu, "Reset"))
    desk.update()
    assert "reset" in desk.done
    assert desk.shows_guest()


def test_ctrl_alt_del_reset_and_a_checkpoint_that_fails(desk: Desk) -> None:
    for letter in "dr":
        desk.host(letter)
    desk.host("u")
    desk.host("k")
    desk.update()
    assert "reset" in desk.done
    assert desk.view._panel is not None
    assert "no more checkpoints" in desk.view._panel.grid().text
    desk.key(pygame.KSCAN_RETURN)
    desk.update()
    assert desk.shows_guest()
    assert desk.codes() == bytes.fromhex("14 11 E071 E0F071 F011 F014")


def test_a_pause_lasts_until_it_is_ended(desk: Desk) -> None:
    desk.host("p")
    desk.key(pygame.KSCAN_A, ord("a"))
    desk.host("p")
    desk.update()
    assert "between" not in desk.done
    desk.view._paused = False
    desk.host("p")
    pygame.event.post(pygame.event.Event(pygame.WINDOWEXPOSED))
    ticks = 0

    def between() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            desk.host("p")

    desk.view._controls.between = between
    desk.update()
    assert ticks == 3
    assert desk.codes() == b""


def test_marked_text_is_copied(desk: Desk) -> None:
    put(desk.memory, 2, 0, b"Hello, World   ")
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=(1, 65), button=1))
    desk.move((18 * 11 + 3, 70), dragging=True)
    desk.update()
    inverted = desk.picture()
    inverted[64:96, : 12 * 18] ^= 255
    assert (desk.pixels()[:800] == inverted).all()
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=(18 * 11 + 3, 70), button=1))
    desk.update()
    assert desk.display.clipboard() == "Hello, World"
    desk.click((700, 700))
    desk.update()
    assert desk.shows_guest()
    desk.host("c")
    desk.update()
    assert "Hello, World" in desk.display.clipboard()
    assert desk.display.clipboard().count("\n") == 24


def test_the_clipboard_is_typed(desk: Desk) -> None:
    desk.display.copy("dir C:\\\n")
    desk.host("v")
    desk.update()
    assert desk.typed == keys_for_text("dir C:\\\n")
    desk.display.copy("Grüße")
    desk.host("v")
    desk.update()
    assert len(desk.typed) == 8
    assert (desk.status() == (170, 0, 0)).all(axis=-1).any()
    desk.typing = True
    desk.host("v")
    desk.update()
    assert "stop" in desk.done


def test_screenshots_have_names_of_their_own(desk: Desk, tmp_path: Path) -> None:
    desk.host("s")
    desk.host("s")
    desk.update()
    files = sorted(tmp_path.glob("pcemu-*.png"))
    assert len(files) == 2
    for file in files:
        assert (np.asarray(Image.open(file)) == render(capture(desk.vga))).all()


@pytest.mark.parametrize("answer", QUESTION.answers[:3])
def test_an_answer_by_mouse_and_by_key(desk: Desk, answer: Answer) -> None:
    word = answer.word
    desk.click(desk.on_panel(question_panel(QUESTION), word.capitalize()))
    assert desk.view.ask(QUESTION) == Reply(word)
    desk.key(pygame.KSCAN_RETURN, 13, "\r")
    desk.key(pygame.KSCAN_A, ord(word[0]), word[0])
    assert desk.view.ask(QUESTION) == Reply(word)
    desk.update()
    assert desk.shows_guest()
    assert desk.codes() == b""


def test_a_branch_needs_a_name(desk: Desk) -> None:
    desk.key(pygame.KSCAN_B, ord("b"), "b")
    desk.key(pygame.KSCAN_ESCAPE)
    desk.key(pygame.KSCAN_B, ord("b"), "b")
    for letter in "two":
        desk.key(pygame.KSCAN_A, ord(letter), letter)
    desk.key(pygame.KSCAN_RETURN, 13, "\r")
    assert desk.view.ask(QUESTION) == Reply("branch", "two")


def test_closing_the_window_answers_nothing_and_ends_the_session(desk: Desk) -> None:
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert desk.view.ask(QUESTION) is None
    with pytest.raises(SessionEnded):
        desk.view.update()


def test_a_notice_waits_for_the_user(desk: Desk) -> None:
    desk.key(pygame.KSCAN_RETURN, 13, "\r")
    desk.view.tell("Bad", "The guest cannot go on")
    assert "between" in desk.done


def shows_panel(desk: Desk, panel: Panel) -> bool:
    dots = panel.grid().dots().repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    top, left = (800 - len(dots)) // 2, (1440 - dots.shape[1]) // 2
    return bool((desk.pixels()[top : top + len(dots), left : left + dots.shape[1]] == dots).all())


def test_work_that_takes_long_shows_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "WORK_AFTER", 0.0)
    monkeypatch.setattr(interactive, "MODAL_WAIT", 0.0)
    with desk.view.working("Writing the changes") as progress:
        progress(0, 200)
        assert shows_panel(desk, work_panel("Writing the changes", 0, 200))
        desk.key(pygame.KSCAN_A, ord("a"), "a")
        pygame.event.post(pygame.event.Event(pygame.QUIT))  # what has begun is finished
        progress(90, 200)
        assert shows_panel(desk, work_panel("Writing the changes", 90, 200))
        assert " 45 %" in work_panel("Writing the changes", 90, 200).grid().text
    desk.update()
    assert desk.shows_guest()
    assert desk.codes() == b""


def test_short_work_shows_nothing(desk: Desk) -> None:
    with desk.view.working("Writing the changes") as progress:
        progress(1, 2)
        assert desk.shows_guest()


def test_a_reason_to_wait_is_shown_as_long_as_it_holds(desk: Desk) -> None:
    with desk.view.holding("the disk is full"):
        desk.view.wait(0.05)
        desk.update()
        assert shows_panel(desk, outage_panel("the disk is full"))
        desk.key(pygame.KSCAN_ESCAPE)
        desk.key(pygame.KSCAN_RETURN, 13, "\r")
        desk.update()
        assert shows_panel(desk, outage_panel("the disk is full"))
        desk.click(desk.on_panel(outage_panel("the disk is full"), "End"))
        with pytest.raises(SessionEnded):
            desk.update()
        desk.key(pygame.KSCAN_ESCAPE)
        assert desk.view.ask(END_QUESTION) == Reply("go on")
        desk.update()
        assert shows_panel(desk, outage_panel("the disk is full"))
    desk.update()
    assert desk.shows_guest()


def test_another_machine_can_be_shown(desk: Desk) -> None:
    desk.view.connect(switched_off(lambda: None))
    desk.update()
    assert not desk.pixels()[:800].any()
    desk.key(pygame.KSCAN_A, ord("a"), "a")
    desk.update()
    assert desk.codes() == b""


@pytest.mark.parametrize("end", ["q", "close"])
def test_the_user_ends_the_session(desk: Desk, end: str) -> None:
    if end == "q":
        desk.host("q")
    else:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
    with pytest.raises(SessionEnded):
        desk.update()


def test_larger_smaller_and_another_shape(desk: Desk) -> None:
    for letter, size in (("-", (720, 416)), ("-", (720, 416)), ("=", (1440, 832))):
        desk.host(letter)
        desk.update()
        assert desk.display.size == size
    assert desk.shows_guest()
    desk.host("a")
    desk.update()
    assert not desk.shows_guest()
    desk.host("a")
    desk.update()
    assert desk.shows_guest()


def test_a_blended_picture_has_the_same_colours_in_its_middle(desk: Desk) -> None:
    for row in range(25):
        put(desk.memory, row, 0, b" " * 80, row % 8 * 0x11)
    desk.host("a")
    desk.update()
    _, y, _, height = desk.view._layout.picture
    for row in range(25):
        line = desk.pixels()[y + height * (2 * row + 1) // 50, 700]
        # Blending in whole numbers loses a little.
        assert tuple(map(int, line)) == pytest.approx(capture(desk.vga).mode.palette[row % 8], abs=4)


def test_a_message_goes_after_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "MESSAGE_TIME", 0.05)
    desk.view.note("for a moment")
    desk.update()
    shown = desk.status()
    time.sleep(0.06)
    desk.update()
    assert (desk.status() != shown).any()
