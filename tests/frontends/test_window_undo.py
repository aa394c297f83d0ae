"""Undo in a real window: questions, going back, commits, by mouse and by keyboard, and their looks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.cli.upkeep import FLUSH_EVERY
from pcemu.resources import resource
from pcemu.session.record import State
from pcemu.session.session import Session as UndoSession
from tests.frontends.xvfb import Session, Xvfb, matches, open_display

GOLDENS = Path(__file__).parent / "goldens"
DATE = "1999-12-31T12:00:00"


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xvfb]:
    with open_display(tmp_path_factory.mktemp("xvfb")) as xvfb:
        yield xvfb


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """The demo disk, on which notes can be written."""
    return shutil.copyfile(resource("demo.img"), tmp_path / "demo.img")


def write(session: Session, note: str) -> None:
    session.until("N new note")
    session.type("n")
    session.until("Type the note")
    session.type(note)
    session.key("Return")
    session.until(lambda: note in session.text and "Type the note" not in session.text)


@pytest.mark.parametrize("hand", ["mouse", "keyboard"])
def test_the_question_at_the_end(display: Xvfb, disk: Path, tmp_path: Path, hand: str) -> None:
    before = disk.read_bytes()
    with Session(display, tmp_path, "--date", DATE, disk) as session:
        write(session, "Milk and honey")
        session.host("q")
        session.until_found("forget the changes")
        session.until(lambda: matches(display.pixels(), GOLDENS / "end.png", 12, 48))
        if hand == "mouse":
            session.click(session.until_found("forget the changes"))
        else:
            session.key("Return")  # decides nothing
            session.key("Down", "Down", "Return")
        assert session.end() == 0, session.output
        assert "discarded" in session.output
    assert disk.read_bytes() == before
    assert not Path(f"{disk}.pcemu").exists()


@pytest.mark.parametrize("hand", ["mouse", "keyboard"])
def test_the_question_about_an_interrupted_session(
    display: Xvfb, disk: Path, tmp_path: Path, hand: str
) -> None:
    with Session(display, tmp_path, "--date", DATE, disk) as session:
        write(session, "Milk and honey")
        time.sleep(2 * FLUSH_EVERY)
        session.process.kill()
    with Session(display, tmp_path, "--date", DATE, disk) as session:
        session.until_found("forget the changes")
        session.until(lambda: matches(display.pixels(), GOLDENS / "interrupted.png", 11, 66))
        if hand == "mouse":
            session.click(session.until_found("forget the changes"))
        else:
            session.key("r")
        session.until("N new note")
        session.until(lambda: ("Milk and honey" in session.text) == (hand == "keyboard"))
        session.host("q")
        session.click(session.until_found("go on with them another time"))
        assert session.end() == 0, session.output
        assert "kept" in session.output


@pytest.mark.parametrize("hand", ["mouse", "keyboard"])
def test_a_window_that_was_closed_by_mistake_goes_on(
    display: Xvfb, disk: Path, tmp_path: Path, hand: str
) -> None:
    with Session(display, tmp_path, "--date", DATE, disk) as session:
        write(session, "Milk")
        session.close_window()
        place = session.until_found("back to the guest")
        if hand == "mouse":
            session.click(place)
        else:
            session.key("Return")  # decides nothing
            session.key("Escape")
        session.until(lambda: "back to the guest" not in session.text and "Milk" in session.text)
        write(session, "Honey")
        session.close_window()
        session.until_found("back to the guest")
        session.close_window()  # nobody answers
        assert session.end() == 0, session.output
        assert session.output.count("kept") == 1
    with UndoSession(disk) as undo:
        assert undo.found is State.KEPT
        undo.start()
        undo.commit()
    assert b"Milk" in disk.read_bytes()
    assert b"Honey" in disk.read_bytes()


def test_a_window_that_is_closed_while_it_asks_whether_to_commit(
    display: Xvfb, disk: Path, tmp_path: Path
) -> None:
    before = disk.read_bytes()
    with Session(display, tmp_path, "--ask-every", "10s", disk) as session:
        write(session, "Milk")
        session.until_found("go on and decide another time")
        session.close_window()
        session.until_found("back to the guest")
        session.key("Escape")
        session.until_found("go on and decide another time")  # 10 s later
        session.key("Escape")
        session.close_window()
        session.click(session.until_found("forget the changes"))
        assert session.end() == 0, session.output
    assert disk.read_bytes() == before


def test_a_window_that_is_closed_instead_of_an_answer_decides_nothing(
    display: Xvfb, disk: Path, tmp_path: Path
) -> None:
    with Session(display, tmp_path, disk) as session:
        write(session, "Milk and honey")
        time.sleep(2 * FLUSH_EVERY)
        session.process.kill()
    with Session(display, tmp_path, disk) as session:
        session.until_found("forget the changes")
        session.process.terminate()
        assert session.end() == 143
        assert "Traceback" not in session.output
    with UndoSession(disk) as undo:
        undo.start()
        assert undo.changed_sectors
        undo.discard()


@pytest.mark.parametrize("hand", ["mouse", "keyboard"])
def test_going_back_to_the_first_of_two_checkpoints(
    display: Xvfb, disk: Path, tmp_path: Path, hand: str
) -> None:
    with Session(display, tmp_path, disk) as session:
        for number, note in enumerate(("First", "Second", "Third"), 2):
            write(session, note)
            if note != "Third":
                session.host("k")
                session.until(Path(f"{disk}.pcemu", f"default-{number:04}.vhd").exists)
        session.host("u")
        session.until_found("Go back to which checkpoint of demo.img?")
        if hand == "mouse":
            x, y = session.until_found("Go back to which checkpoint of demo.img?")
            session.click((x, y + 3 * 32))  # a blank line, checkpoint 2, checkpoint 1
            session.click(session.until_found("go back and restart the guest"))
        else:
            session.key("Down", "Down", "Return")
            session.until_found("RAM")
            session.key("b")
        session.until(lambda: "First" in session.text and "Second" not in session.text)
        session.host("q")
        session.until_found("What becomes of these changes?")
        session.key("c")
        assert session.end() == 0, session.output
    with Session(display, tmp_path, disk) as session:
        session.until("First")
        assert "Second" not in session.text


def test_a_commit_while_the_guest_runs(display: Xvfb, disk: Path, tmp_path: Path) -> None:
    with Session(display, tmp_path, disk) as session:
        write(session, "First")
        session.host("w")
        session.click(session.until_found("write the changes into the image"))
        session.until(lambda: b"First" in disk.read_bytes())
        write(session, "Second")
        session.host("q")
        session.until_found("What becomes of these changes?")
        session.key("d")
        assert session.end() == 0, session.output
    with Session(display, tmp_path, disk) as session:
        session.until("First")
        assert "Second" not in session.text
