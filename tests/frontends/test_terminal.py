"""The live view: its parts alone, and the whole of it in a real pseudo terminal that pyte interprets."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pexpect
import pyte
import pytest

from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.terminal import KEY_DOWN, Fingers, available, first_row
from pcemu.keys import keys_for_text, parse_chord
from pcemu.machine import Machine, MachineConfig
from pcemu.screen import TextScreen
from pcemu.testing.fakes import FakeClock
from tests.boot import IDLE, boot_drive

COMMAND = "from pcemu.cli import main; main()"
LEAVE = b"\x1b[?1049l"
CTRL_RIGHT_BRACKET = "\x1d"
READY = "mov ax, 0x0E52\nint 0x10\n"  # prints R
ECHO = READY + "next: xor ax, ax\nint 0x16\nmov ah, 0x0E\nint 0x10\njmp next\n"
# Waits for a key, moves a sector, prints O or, when that failed, E.
MOVE_SECTOR = """
    xor ax, ax
    mov es, ax
    int 0x16
    mov ax, {function}
    mov bx, {buffer}
    mov cx, {sector}
    mov dx, 0x80
    int 0x13
    mov ax, 0x0E4F
    jnc done
    mov al, 'E'
done:
    int 0x10
"""
READ_SECTOR_1 = MOVE_SECTOR.format(function=0x0201, buffer=0x7E00, sector=2)
WRITE_SECTOR_2 = MOVE_SECTOR.format(function=0x0301, buffer=0x7C00, sector=3)


def plain(output: bytes) -> bytes:
    """The output without its colours."""
    return re.sub(rb"\x1b\[[0-9;]*m", b"", output)


class Session:
    """`pcemu run` in a pseudo terminal."""

    def __init__(self, *arguments: str | Path, rows: int = 30, columns: int = 90) -> None:
        self.output = b""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-c", COMMAND, "run", *map(str, arguments)],
            dimensions=(rows, columns),
            env={**os.environ, "TERM": "xterm-256color"},
            timeout=20,
        )
        self.child.delaybeforesend = None
        self.modes = termios.tcgetattr(self.child.child_fd)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.child.close(force=True)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float) -> None:
        """Take what the session puts out, for that long or until something came."""
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.output += data
        self._stream.feed(data)

    def until(self, condition: Callable[[], bool] | str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not (condition in self.text if isinstance(condition, str) else condition()):
            assert time.monotonic() < deadline, f"{condition!r} did not come:\n{self.text}"
            self.read(0.05)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + 20
        while self.child.isalive() and time.monotonic() < deadline:
            self.read(0.05)
        self.read(0.2)
        assert not self.child.isalive()
        return int(self.child.exitstatus)

    def assert_restored(self) -> None:
        """The terminal is as it was: main screen, modes, cursor, colours."""
        assert self.output.count(b"\x1b[?1049h") == self.output.count(LEAVE) == 1
        assert termios.tcgetattr(self.child.child_fd) == self.modes
        assert self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l")
        assert b"\x1b" not in plain(self.output.partition(LEAVE)[2])


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):  # no window, please
        monkeypatch.delenv(display, raising=False)


def image(path: Path, source: str) -> Path:
    path.write_bytes(boot_drive(source).data)
    return path


def test_write_a_note_and_discard_it_then_commit_it(tmp_path: Path) -> None:
    own = tmp_path / "data" / "pcemu" / "demo.img"
    for answer, kept in (("d", False), ("c", True)):
        with Session() as session:
            session.until("Ctrl-] ends the session")
            session.child.send("n")
            session.until("Type the note")
            session.child.send("Tea at 5? Yes!\r")
            session.until("Written to the disk")
            assert "Tea at 5? Yes!" in session.text
            session.child.send(CTRL_RIGHT_BRACKET)
            session.until("[c/d/k/b]")
            assert LEAVE in session.output
            session.child.sendline(answer)
            assert session.end() == 0
            session.assert_restored()
            assert (b"committed" if kept else b"discarded") in session.output
        assert own.exists() == kept
    assert b"Tea at 5? Yes!" in own.read_bytes()


def test_a_question_is_asked_again_until_it_is_answered(tmp_path: Path) -> None:
    with Session() as session:
        session.until("N new note")
        session.child.send(CTRL_RIGHT_BRACKET)
        for count, answer in enumerate(["", "maybe", "\x03", "\x03"], 1):
            session.until(lambda count=count: session.output.count(b"[c/d/k/b]") == count)  # type: ignore[misc]
            session.child.send(answer if answer == "\x03" else answer + "\n")
        assert session.end() == 0
        assert b"kept" in session.output
    assert (tmp_path / "data" / "pcemu" / "demo.img.pcemu").exists()


def test_keys_that_the_guest_cannot_have_ring_the_bell(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.child.send("aé€b")
        session.until("Rab")
        session.until(lambda: session.output.count(b"\a") == 2)
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0
        session.assert_restored()


def test_a_pasted_text_arrives_whole(tmp_path: Path) -> None:
    text = "The quick brown fox, 1234567890!"
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.child.send(text)
        session.until("R" + text)
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0


def test_a_key_shows_soon_and_an_idle_guest_costs_little(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("ends the session")
        session.read(0.2)
        before, start = cpu_seconds(session.child.pid), time.monotonic()
        quiet = len(session.output)
        session.read(2)
        used = (cpu_seconds(session.child.pid) - before) / (time.monotonic() - start)
        assert len(session.output) == quiet, "nothing is sent while nothing changes"
        assert used < 0.10
        delays = []
        for key in "abcdefghi":
            session.read(0.1)
            sent = time.monotonic()
            session.child.send(key)
            session.until(key)
            delays.append(time.monotonic() - sent)
        # To the guest, through its echo, and back to the terminal, on a machine that may be busy.
        assert sorted(delays)[len(delays) // 2] < 0.06


def cpu_seconds(pid: int) -> float:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_small_terminal_follows_the_cursor_and_a_resized_one_shows_more(tmp_path: Path) -> None:
    lines = READY + "mov cx, 24\nnext: mov ax, 0x0E0A\nint 0x10\nloop next\nmov ax, 0x0E45\nint 0x10\n" + IDLE
    with Session(image(tmp_path / "lines.img", lines), rows=10, columns=40) as session:
        session.until("E")
        assert session.screen.display[9].strip() == "E"
        session.screen.resize(30, 100)
        session.child.setwinsize(30, 100)
        session.until("Ctrl-] ends the session")
        assert session.screen.display[24].strip() == "E"
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0
        session.assert_restored()


def test_a_dying_guest_leaves_its_screen_and_the_terminal_whole(tmp_path: Path) -> None:
    with Session(image(tmp_path / "halt.img", READY + "xor ax, ax\nint 0x16\ncli\nhlt\n")) as session:
        session.until("R")
        session.child.send("x")
        assert session.end() == 6
        session.assert_restored()
        after = session.output.partition(LEAVE)[2]
        assert 0 < after.find(b"R\r\n") < after.find(b"interrupts off")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_restore_the_terminal(number: signal.Signals, code: int) -> None:
    with Session() as session:
        session.until("N new note")
        session.child.kill(number)
        if number == signal.SIGINT:
            session.until("[c/d/k/b]")
            session.child.sendline("d")
        assert session.end() == code
        session.assert_restored()
        assert (b"discarded" if number == signal.SIGINT else b"kept") in session.output


def test_a_terminal_that_hangs_up_does_not_lose_a_commit(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", READY + WRITE_SECTOR_2 + IDLE)
    with Session("--on-exit", "commit", path) as session:
        session.until("R")
        session.child.send("x")
        session.until("RO")
        session.child.ptyproc.fileobj.close()
        deadline = time.monotonic() + 20
        while session.child.isalive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert session.child.exitstatus in (0, 128 + signal.SIGHUP)
    data = path.read_bytes()
    assert data[1024:1536] == data[:512]


def test_a_failing_host_is_told_below_the_screen_and_afterwards(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", READY + READ_SECTOR_1 + IDLE)
    with Session(path, columns=200) as session:
        session.until("R")
        os.truncate(path, 512)
        session.child.send("x")
        session.until("RE")
        session.until("the host failed")
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0
        session.assert_restored()
        assert b"disk.img: the host failed" in session.output.partition(LEAVE)[2]


def test_steps_are_played_before_the_user_takes_over(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO), "--until", "R", "--type", "abc") as session:
        session.until("Rabc")
        session.child.send("d")
        session.until("Rabcd")
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0


def test_a_full_speed_guest_takes_keys_too(tmp_path: Path) -> None:
    with Session("--pace", "max", image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.child.send("abc")
        session.until("Rabc")
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0


def test_the_serial_port_on_a_pty(tmp_path: Path) -> None:
    source = READY + """
        mov ax, 0x00E3          ; 9600 baud, 8 bits
        xor dx, dx
        int 0x14
    wait_for_byte:
        mov ah, 2
        int 0x14
        test ah, 0x80
        jnz wait_for_byte
        mov ah, 0x0E
        int 0x10
        mov ah, 1
        int 0x14
        jmp wait_for_byte
    """
    with Session("--serial", "pty", image(tmp_path / "serial.img", source)) as session:
        session.until("R")
        name = plain(session.output).partition(b"COM1 is ")[2].split()[0].decode()
        terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, b"hi")
        session.until("Rhi")
        assert os.read(terminal, 1) + os.read(terminal, 1) == b"hi"
        os.close(terminal)
        session.child.send(CTRL_RIGHT_BRACKET)
        assert session.end() == 0


def test_stdout_is_the_screens() -> None:
    with Session("--serial", "stdout") as session:
        assert session.end() == 2
        assert b"--serial stdout" in session.output
        assert LEAVE not in session.output


# -- the parts ------------------------------------------------------------------------------------------


@pytest.fixture
def keyboard() -> tuple[FakeClock, Keyboard]:
    clock = FakeClock()
    keyboard = Keyboard(clock)
    return clock, keyboard


def codes(keyboard: Keyboard) -> bytes:
    taken = bytearray()
    while keyboard.pending:
        taken.append(keyboard.take())
    return bytes(taken)


def test_fingers_press_at_once_and_let_go_soon(keyboard: tuple[FakeClock, Keyboard]) -> None:
    clock, board = keyboard
    fingers = Fingers(clock, board)
    fingers.strike(parse_chord("ctrl+c"))
    assert codes(board) == b"\x14\x21"
    clock.advance(KEY_DOWN)
    assert codes(board) == b"\xf0\x21\xf0\x14"
    assert board.down == ()


def test_fingers_wait_for_a_keyboard_that_is_full(keyboard: tuple[FakeClock, Keyboard]) -> None:
    clock, board = keyboard
    fingers = Fingers(clock, board)
    for chord in keys_for_text("abcdefghijklmnopqrstuvwxyz"):
        fingers.strike(chord)
    sent = b""
    for _ in range(2000):
        clock.advance(500_000)
        if board.pending:
            sent += bytes((board.take(),))
    assert sent.count(b"\xf0") == 26
    assert len(sent) == 3 * 26


def screen_with_cursor_at(row: int) -> TextScreen:
    with Machine(MachineConfig()) as pc:
        pc.run(0.05)
        screen = pc.screen
    cursor = type(screen.cursor)(row, 0, 13, 14, True)
    return TextScreen(screen.mode, screen.cells, cursor, screen.fonts)


@pytest.mark.parametrize(
    ("cursor", "rows", "before", "expected"),
    [
        (0, 25, 0, 0), (24, 25, 0, 0), (24, 50, 0, 0),
        (24, 10, 0, 15), (5, 10, 15, 5), (12, 10, 5, 5), (24, 1, 0, 24),
    ],
)  # fmt: skip
def test_first_row(cursor: int, rows: int, before: int, expected: int) -> None:
    assert first_row(screen_with_cursor_at(cursor), rows, before) == expected


def test_a_dumb_or_missing_terminal_has_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert available()
    monkeypatch.setenv("TERM", "dumb")
    assert not available()
    monkeypatch.delenv("TERM")
    assert not available()
