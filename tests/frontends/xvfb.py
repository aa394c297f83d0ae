"""A real window for tests: Xvfb shows it, xdotool is the user, and its frame buffer is what is seen."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import Xlib.display
import Xlib.X
from numpy.typing import NDArray
from PIL import Image
from Xlib.protocol.event import ClientMessage

from pcemu.frontends.cells import CELL_HEIGHT, CELL_WIDTH, CellGrid
from pcemu.frontends.panels import TEXT
from pcemu.frontends.picture import render
from pcemu.resources import resource
from pcemu.screen import TextScreen, decode
from tests.conftest import require

ROOT = Path(__file__).parent.parent.parent
COMMAND = "from pcemu.cli import main; main()"
SCALE = 2
WIDTH, HEIGHT = 720 * SCALE, 416 * SCALE
PATIENCE = 120.0  # s: on a busy host all of this takes its time
HOST = "Control_R"

Pixels = NDArray[np.uint8]


class Xvfb:
    """A display without a screen, as large as the window at its scale."""

    def __init__(self, folder: Path) -> None:
        self._frame_buffer = folder / "Xvfb_screen0"
        ours, its = os.pipe()
        screen = f"{WIDTH}x{HEIGHT}x24"
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(its), "-screen", "0", screen, "-noreset", "-fbdir", folder],
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

    def close_windows(self) -> None:
        """Ask all windows to close, as a window manager does."""
        display = Xlib.display.Display(self.name)
        kind, message = (display.get_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW"))
        for window in display.screen().root.query_tree().children:
            if message in window.get_wm_protocols():
                data = 32, [message, Xlib.X.CurrentTime, 0, 0, 0]
                window.send_event(ClientMessage(window=window, client_type=kind, data=data))
        display.sync()
        display.close()

    def pixels(self) -> Pixels:
        """What the display shows, an array of (height, width, 3)."""
        data = self._frame_buffer.read_bytes()
        header, colours = struct.unpack_from(">I", data)[0], struct.unpack_from(">I", data, 19 * 4)[0]
        dots = np.frombuffer(data, np.uint8, WIDTH * HEIGHT * 4, header + 12 * colours)
        return dots.reshape(HEIGHT, WIDTH, 4)[..., 2::-1]


@contextmanager
def open_display(folder: Path) -> Iterator[Xvfb]:
    """A display of its own."""
    for program in ("Xvfb", "xdotool"):
        require(shutil.which(program) is not None, program)
    xvfb = Xvfb(folder)
    try:
        yield xvfb
    finally:
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
        self.display.xdotool("mousemove", 0, 0)  # away from what it would choose
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

    def close_window(self) -> None:
        """Ask the window to close, as the button of its frame does."""
        self.display.close_windows()

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


def matches(picture: Pixels, golden: Path, rows: int, columns: int) -> bool:
    """True when a panel of that size, in cells, is in the window and is the golden picture, dot for dot.

    With PCEMU_UPDATE_GOLDENS=1 the golden picture is made anew from what is there: look at it then.
    """
    height, width = rows * CELL_HEIGHT * SCALE, columns * CELL_WIDTH * SCALE
    top, left = (400 * SCALE - height) // 2, (WIDTH - width) // 2
    panel = picture[top : top + height, left : left + width]
    if os.environ.get("PCEMU_UPDATE_GOLDENS") == "1":
        Image.fromarray(np.ascontiguousarray(panel)).save(golden)
    return bool(np.array_equal(panel, np.asarray(Image.open(golden).convert("RGB"))))
