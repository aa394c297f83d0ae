"""`pcemu run` in a real window: Xvfb shows it, xdotool is the user, and its frame buffer is what is seen."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.frontends.cells import CellGrid
from pcemu.frontends.panels import TEXT, help_panel
from pcemu.frontends.picture import render
from pcemu.frontends.window.view import REACH
from pcemu.machine import Machine, MachineConfig
from pcemu.resources import resource
from pcemu.screen import TextScreen, decode
from tests.boot import boot_drive
from tests.conftest import require
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, FreeDos, HostView, unpack

ROOT = Path(__file__).parent.parent.parent
COMMAND = "from pcemu.cli import main; main()"
SCALE = 2
WIDTH, HEIGHT = 720 * SCALE, 416 * SCALE
PATIENCE = 120.0  # s: on a busy host all of this takes its time
HOST = "Control_R"
DATE = "1999-12-31T12:00:00"
ECHO = "mov ax, 0x0E52\nint 0x10\nnext: xor ax, ax\nint 0x16\nmov ah, 0x0E\nint 0x10\njmp next\n"

Pixels = NDArray[np.uint8]


class Xvfb:
    """A display without a screen, as large as the window at its scale."""

    def __init__(self, folder: Path) -> None:
        self._frame_buffer = folder / "Xvfb_screen0"
        ours, its = os.pipe()
        screen = f"{WIDTH}x{HEIGHT}x24"
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(its), "-screen", "0", screen, "-nolisten", "tcp", "-fbdir", folder],
            pass_fds=[its],
            stderr=subprocess.DEVNULL,
        )
        os.close(its)
        with os.fdopen(ours) as file:
            self.name = f":{file.readline().strip()}"

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()

    def xdotool(self, *command: str | int) -> None:
        arguments = ["xdotool", *map(str, command)]
        subprocess.run(arguments, env={**os.environ, "DISPLAY": self.name}, check=True, timeout=60)

    def pixels(self) -> Pixels:
        """What the display shows, an array of (height, width, 3)."""
        data = self._frame_buffer.read_bytes()
        header, colours = struct.unpack_from(">I", data)[0], struct.unpack_from(">I", data, 19 * 4)[0]
        dots = np.frombuffer(data, np.uint8, WIDTH * HEIGHT * 4, header + 12 * colours)
        return dots.reshape(HEIGHT, WIDTH, 4)[..., 2::-1]


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xvfb]:
    for program in ("Xvfb", "xdotool"):
        require(shutil.which(program) is not None, program)
    xvfb = Xvfb(tmp_path_factory.mktemp("xvfb"))
    yield xvfb
    xvfb.close()


GLYPHS = resource("font8x16.bin").read_bytes()
CHARACTERS = {GLYPHS[16 * code : 16 * code + 16]: code for code in range(255, -1, -1)}


def read_cells(picture: Pixels) -> str:
    """The text of a picture of 80×25 cells in our own font, whatever its colours."""
    dots = picture[: 400 * SCALE : SCALE, ::SCALE].astype(np.uint32) @ np.array((1, 256, 65536), np.uint32)
    cells = dots.reshape(25, 16, 80, 9).transpose(0, 2, 1, 3)[..., :8]
    lit = cells != cells[:, :, :1, :1]
    packed = np.packbits(lit, axis=-1)[..., 0]
    lines = []
    for row in packed:
        codes = []
        for cell in row:
            glyph = bytes(cell)
            codes.append(CHARACTERS.get(glyph, CHARACTERS.get(bytes(line ^ 255 for line in glyph), 0x20)))
        lines.append(decode(bytes(codes)).rstrip())
    return "\n".join(lines)


class Session:
    """`pcemu run` in a window, and the user before it."""

    def __init__(self, display: Xvfb, folder: Path, *arguments: str | Path) -> None:
        self.display = display
        self._log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "run", "--scale", str(SCALE), *map(str, arguments)],
            env={
                **os.environ,
                "DISPLAY": display.name,
                "PYTHONPATH": str(ROOT),
                "XDG_DATA_HOME": str(folder / "data"),
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    @property
    def output(self) -> str:
        self._log.seek(0)
        return self._log.read()

    @property
    def text(self) -> str:
        return read_cells(self.display.pixels())

    def until(self, condition: Callable[[], bool] | str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not (condition in self.text if isinstance(condition, str) else condition()):
            assert time.monotonic() < deadline, f"{condition!r} did not come:\n{self.text}\n{self.output}"
            assert self.process.poll() is None, self.output
            time.sleep(0.05)

    def until_found(self, text: str) -> tuple[int, int]:
        """Wait until a panel shows ``text``; where it is (pixels)."""
        place: list[tuple[int, int]] = []

        def found() -> bool:
            place.extend(find(self.display.pixels(), text))
            return bool(place)

        self.until(found)
        return place[0]

    def type(self, text: str) -> None:
        self.display.xdotool("type", "--delay", 40, text)

    def key(self, *names: str) -> None:
        self.display.xdotool("key", "--delay", 40, *names)

    def host(self, key: str) -> None:
        """Press a key while the host key is held."""
        self.display.xdotool("keydown", HOST, "sleep", "0.1", "key", key, "sleep", "0.1", "keyup", HOST)

    def click(self, point: tuple[int, int]) -> None:
        self.display.xdotool("mousemove", *point, "sleep", "0.1", "click", 1)

    def end(self) -> int:
        return self.process.wait(PATIENCE)


def find(picture: Pixels, text: str) -> list[tuple[int, int]]:
    """Where a panel's text begins in the picture: no or one point (pixels)."""
    grid = CellGrid(1, len(text), TEXT)
    grid.put(0, 0, text)
    wanted = np.ascontiguousarray(grid.dots().repeat(SCALE, axis=0).repeat(SCALE, axis=1))
    line = 8 * SCALE  # through the middle of the letters
    key = wanted[line].tobytes()
    for y in range(line, HEIGHT - len(wanted) + line):
        row = np.ascontiguousarray(picture[y]).tobytes()
        x, odd = divmod(row.find(key), 3)
        if not odd:
            part = picture[y - line : y - line + len(wanted), x : x + wanted.shape[1]]
            if part.shape == wanted.shape and (part == wanted).all():
                return [(x, y)]
    return []


def shows(picture: Pixels, screen: TextScreen) -> bool:
    """True when the picture is ``screen`` dot for dot, in any phase of blinking."""
    return any(
        (picture[: 400 * SCALE] == render(screen, phase).repeat(SCALE, axis=0).repeat(SCALE, axis=1)).all()
        for phase in range(4)
    )


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
