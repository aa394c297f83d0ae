"""`pcemu run` in a real window: what is typed and clicked there, and what is seen."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.frontends.panels import help_panel
from pcemu.frontends.window.view import REACH
from pcemu.machine import Machine, MachineConfig
from pcemu.resources import resource
from tests.boot import boot_drive
from tests.frontends.xvfb import (
    COMMAND,
    PATIENCE,
    SCALE,
    WIDTH,
    Session,
    Xvfb,
    open_display,
    read_cells,
    shows,
)
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, FreeDos, HostView, unpack

DATE = "1999-12-31T12:00:00"
ECHO = "mov ax, 0x0E52\nint 0x10\nnext: xor ax, ax\nint 0x16\nmov ah, 0x0E\nint 0x10\njmp next\n"


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xvfb]:
    with open_display(tmp_path_factory.mktemp("xvfb")) as xvfb:
        yield xvfb


@pytest.fixture(scope="session")
def freedos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FreeDOS' hard disk, not to be written."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return unpack(HARD_DISK, HARD_DISK_SHA256, folder)


@pytest.mark.slow
def test_edit_writes_a_file_that_the_mouse_commits(display: Xvfb, freedos: Path, tmp_path: Path) -> None:
    image = shutil.copyfile(freedos, tmp_path / "freedos.img")
    with FreeDos(freedos) as guest:
        prompt = guest.pc.screen
    line = 'Hello, "World" & {all}; the quick brown fox: 12+30=42?'
    with Session(display, tmp_path, image) as session:
        session.until(lambda: shows(display.pixels(), prompt))
        session.type("edit hello.txt")
        session.key("Return")
        session.until("FreeDOS Edit")
        for end in range(8, len(line) + 8, 8):  # a guest on a busy host takes no more at once
            session.type(line[end - 8 : end])
            session.until(line[:end].rstrip())
        for command in "sx":
            session.key("alt+f")
            session.until("Save as...")
            session.key(command)
            session.until(lambda: "Save as..." not in session.text)
        session.until(lambda: session.text.rstrip().endswith("C:\\>"))
        session.host("q")
        session.until_found("HELLO.TXT")
        session.click(session.until_found("write the changes into the image"))
        assert session.end() == 0, session.output
        assert "committed" in session.output
    assert HostView(RawDrive(image), tmp_path).read("HELLO.TXT").decode().split("\r\n")[0] == line


def test_the_demo_disk_help_screenshot_and_discard(display: Xvfb, tmp_path: Path) -> None:
    with Session(display, tmp_path, "--date", DATE) as session:
        session.until("N new note")
        session.host("h")
        dots = help_panel(REACH).grid().dots().repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        top, left = (400 * SCALE - len(dots)) // 2, (WIDTH - dots.shape[1]) // 2
        place = np.s_[top : top + len(dots), left : left + dots.shape[1]]
        session.until(lambda: bool((display.pixels()[place] == dots).all()))
        session.key("Escape")
        session.until("N new note")
        session.type("n")
        session.until("Type the note")
        session.type("Tea at 5? Yes!")
        session.key("Return")
        session.until("Tea at 5? Yes!")
        session.host("s")
        session.until(lambda: bool(list(tmp_path.glob("pcemu-*.png"))))
        (file,) = tmp_path.glob("pcemu-*.png")
        shot = np.asarray(Image.open(file)).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
        assert "Tea at 5? Yes!" in read_cells(shot)
        session.host("q")
        session.click(session.until_found("forget the changes"))
        assert session.end() == 0, session.output
        assert "discarded" in session.output


def test_the_demo_disk_looks_as_it_must(display: Xvfb, tmp_path: Path) -> None:
    disk = MemoryOverlay(RawDrive(resource("demo.img"), read_only=True))
    with Machine(MachineConfig(disks=[disk], date=datetime.datetime.fromisoformat(DATE))) as pc:
        pc.run_until_text("N new note")
        pc.run(0.5)
        expected = pc.screen
    with Session(display, tmp_path, "--date", DATE) as session:
        session.until(lambda: shows(display.pixels(), expected))


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A guest that types what it is told."""
    path = tmp_path / "echo.img"
    path.write_bytes(boot_drive(ECHO).data)
    return path


def test_an_unchanged_disk_needs_no_answer(display: Xvfb, echo: Path, tmp_path: Path) -> None:
    with Session(display, tmp_path, echo) as session:
        session.until("R")
        session.type("aB;")
        session.until("RaB;")
        session.host("q")
        assert session.end() == 0, session.output


def test_a_signal_ends_a_session_and_its_question_in_good_order(display: Xvfb, tmp_path: Path) -> None:
    with Session(display, tmp_path) as session:
        session.until("N new note")
        session.host("q")
        session.until_found("forget the changes")
        session.process.send_signal(signal.SIGTERM)
        session.end()
        assert "Traceback" not in session.output
        assert "kept" in session.output


def test_a_guest_that_dies_says_so_in_the_window(display: Xvfb, tmp_path: Path) -> None:
    path = tmp_path / "halt.img"
    path.write_bytes(boot_drive("mov ax, 0x0E52\nint 0x10\nxor ax, ax\nint 0x16\ncli\nhlt\n").data)
    with Session(display, tmp_path, path) as session:
        session.until("R")
        session.key("x")
        session.until_found("interrupts off")
        session.key("Return")
        assert session.end() == 6
        assert "interrupts off" in session.output


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if "DISPLAY" not in name}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "run", *map(str, arguments)],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({}, "no display was found"), ({"DISPLAY": ":60606"}, "the display cannot be used")],
)
def test_no_display(echo: Path, environment: dict[str, str], reason: str) -> None:
    done = run("--ui", "window", echo, **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    fallback = run("--timeout", "1", echo, **environment)
    assert fallback.returncode == 0
    assert "R" in fallback.stdout


def test_no_terminal(echo: Path) -> None:
    done = run("--ui", "terminal", echo)
    assert done.returncode == 2
    assert "not a terminal" in done.stderr
