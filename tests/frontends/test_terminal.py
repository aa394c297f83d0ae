"""`pcemu run` in a real pseudo terminal: pexpect is the user, and pyte the terminal."""

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

from pcemu.session.record import State
from pcemu.session.session import Session as UndoSession
from tests.boot import IDLE, boot_drive

COMMAND = "from pcemu.cli import main; main()"
LEAVE, SHOW_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"
QUERY_PYTE_CANNOT_READ = b"\x1b[?4m"  # whether there is a modifyOtherKeys
HOST = "\x1d"  # Ctrl-]
MENU = "═ Menu ═"
QUESTION = "What becomes of these changes?"
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

    def press(self, *keys: str) -> None:
        for key in keys:
            self.child.send(key)

    def host(self, key: str) -> None:
        """Press a key after the host key."""
        self.press(HOST)
        self.until(MENU)
        self.press(key)

    def leave(self) -> int:
        """End a session in which nothing was changed; the exit code."""
        self.host("q")
        return self.end()

    def resize(self, rows: int, columns: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    @property
    def after(self) -> str:
        """What was put out after the terminal was given back."""
        return plain(self.output.partition(LEAVE)[2].replace(SHOW_CURSOR, b"")).decode()

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
        self._stream.feed(data.replace(QUERY_PYTE_CANNOT_READ, b""))

    def until(self, condition: Callable[[], bool] | str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not (condition in self.text if isinstance(condition, str) else condition()):
            assert time.monotonic() < deadline, f"{condition!r} did not come:\n{self.text}"
            self.read(0.05)

    def listens(self) -> bool:
        """True when the panel's choices are not dim."""
        for row, line in enumerate(self.screen.display):
            if "║ Commit write" in line:
                return self.screen.buffer[row][line.index("║ Commit write") + 2].fg == "brightcyan"
        return False

    def end(self) -> int:
        """Wait for the end; the exit code."""
        deadline = time.monotonic() + 120
        while self.child.isalive() and time.monotonic() < deadline:
            self.read(0.05)
        self.read(0.2)
        assert not self.child.isalive()
        return int(self.child.exitstatus)

    def assert_restored(self) -> None:
        """The terminal is as it was: main screen, modes, cursor, colours."""
        assert self.output.count(b"\x1b[?1049h") == self.output.count(LEAVE) == 1
        assert termios.tcgetattr(self.child.child_fd) == self.modes
        assert self.output.rfind(SHOW_CURSOR) > self.output.rfind(b"\x1b[?25l")
        assert "\x1b" not in self.after


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):  # no window, please
        monkeypatch.delenv(display, raising=False)


def image(path: Path, source: str) -> Path:
    path.write_bytes(boot_drive(source).data)
    return path


@pytest.mark.parametrize(
    ("answer", "result"), [("d", "discarded"), ("c", "committed"), ("k", "kept"), ("b", "saved")]
)
def test_write_a_note_and_answer_the_question(tmp_path: Path, answer: str, result: str) -> None:
    folder = tmp_path / "data" / "pcemu"
    with Session(rows=25, columns=80) as session:
        session.until("N new note")
        session.press("n")
        session.until("Type the note")
        session.press("Tea at 5? Yes!\r")
        session.until("Written to the disk")
        assert "Tea at 5? Yes!" in session.text
        session.host("q")
        session.until(QUESTION)
        assert "sectors" in session.text
        session.press("\r", answer)  # an Enter that came too late for the guest decides nothing
        if answer == "b":
            session.until("Name of the new image")
            session.press("bran", "\x7f", "nch\r")
        assert session.end() == 0
        session.assert_restored()
        assert result in session.after
    assert (folder / "demo.img").exists() == (answer != "d")
    assert (folder / "demo.img.pcemu").exists() == (answer == "k")
    if answer == "c":
        assert b"Tea at 5? Yes!" in (folder / "demo.img").read_bytes()
    elif answer == "b":
        assert b"Tea at 5? Yes!" in next(folder.glob("branch.*")).read_bytes()


def test_a_session_that_was_ended_by_mistake_goes_on(tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITE_SECTOR_2 + ECHO)
    with Session(disk, "--until", "after all", rows=25, columns=80) as session:
        session.press("x")
        session.until("OR")
        for letter, mistake in zip("ab", ("\x1b", "g"), strict=True):
            session.host("q")
            session.until(QUESTION)
            session.press("\r")  # decides nothing
            session.press(mistake)
            session.until(lambda: QUESTION not in session.text)
            session.press(letter)
            session.until(letter)
        session.press(" after all!")  # the script goes on, too
        session.until("ORab after all!")
        session.host("q")
        session.until(QUESTION)
        session.press("c")
        assert session.end() == 0
        session.assert_restored()
        assert session.after.count("committed") == 1
    assert disk.read_bytes()[1024:1536] == disk.read_bytes()[:512]
    assert not Path(f"{disk}.pcemu").exists()


def test_the_user_is_asked_at_intervals(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", WRITE_SECTOR_2 + ECHO)
    interval = "Commit these changes now?"
    with Session("--ask-every", "30s", "--pace", "max", path, rows=25, columns=80) as session:
        session.press("x")
        session.until(interval)
        session.until(session.listens)
        session.press("\x1b")
        session.until(lambda: interval not in session.text)
        session.until(interval)
        session.until(session.listens)
        session.press("c")
        session.until("the session goes on")
        session.press("a")
        session.until("ORa")
        assert session.leave() == 0
    assert path.read_bytes()[1024:1536] == path.read_bytes()[:512]
    assert not Path(f"{path}.pcemu").exists()


def test_much_is_confirmed(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", READY + WRITE_SECTOR_2 + IDLE)
    with Session(path) as session:
        session.until("R")
        session.press("x")
        session.until("RO")
        session.host("q")
        session.until(QUESTION)
        session.press("d")
        assert session.end() == 0


def test_the_menu_does_what_it_says(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", READY + WRITE_SECTOR_2 + IDLE)
    with Session(path, rows=25, columns=80) as session:
        session.until("R")
        session.press("x")
        session.until("RO")
        session.host("k")
        session.until("checkpoint 1 of disk.img")
        session.host("h")
        session.until("Keys of pcemu: press Ctrl-], let it go")
        session.press("\x1b")
        session.until(lambda: "Keys of pcemu" not in session.text)
        session.host("p")
        session.until(lambda: "Menu" not in session.text)
        session.press(HOST)
        session.until("Go on")
        session.press("p")
        session.host("u")
        session.until("Go back to which checkpoint")
        session.press("\x1b")
        session.until("nothing was undone")
        session.host("u")
        session.until("Go back to which checkpoint")
        session.press("s")
        session.until("Go back to the start?")
        session.press("b")
        session.until("the guest starts afresh")
        session.host("r")
        session.until(lambda: "RO" not in session.text)
        session.until("R")
        session.host("q")
        session.until(lambda: QUESTION in session.text or not session.child.isalive())
        session.press("k")
        assert session.end() == 0
        session.assert_restored()


def test_graphics_are_drawn_in_half_blocks_or_said_not_to_be(tmp_path: Path) -> None:
    show = """
        mov ax, 0x0013
        int 0x10
        mov ax, 0xA000
        mov es, ax
        xor di, di
        mov cx, 32000           ; the upper half
        mov al, 4               ; red
        rep stosb
        xor ax, ax
        int 0x16
        mov ax, 0x0012
        int 0x10
        xor ax, ax
        int 0x16
        mov ax, 0x0003
        int 0x10
        mov ax, 0x0E52
        int 0x10
    """
    with Session(image(tmp_path / "show.img", show + IDLE), rows=25, columns=80) as session:
        session.until(lambda: session.screen.display[0].startswith("▀" * 66))
        session.until(lambda: session.screen.buffer[0][0].fg == session.screen.buffer[0][0].bg == "red")
        session.until(lambda: session.screen.buffer[20][0].fg == session.screen.buffer[20][0].bg == "black")
        session.press("x")
        session.until("a graphics mode in planes")
        session.press("x")
        session.until("R")
        assert session.leave() == 0
        session.assert_restored()


def test_the_host_key_twice_is_the_guests(tmp_path: Path) -> None:
    show = READY + "next: xor ax, ax\nint 0x16\nadd al, 'A'\nmov ah, 0x0E\nint 0x10\njmp next\n"
    with Session(image(tmp_path / "show.img", show)) as session:
        session.until("R")
        session.press(HOST)
        session.until(MENU)
        session.press(HOST)
        session.until("R^")  # 1Dh + 41h
        session.press("\x03")
        session.until("R^D")
        assert session.leave() == 0


@pytest.mark.parametrize(("rows", "columns"), [(25, 80), (40, 120)])
def test_the_side_panel(tmp_path: Path, rows: int, columns: int) -> None:
    say = "mov cx, 78\nnext: mov ax, 0x0E2E\nint 0x10\nloop next\n"
    poll = "poll: in al, 0x61\nout 0x80, al\nmov dx, 0x3F8\nin al, dx\nhlt\njmp poll\n"
    with Session(image(tmp_path / "disk.img", say + poll), rows=rows, columns=columns) as session:
        session.until("." * 78)
        session.host("i")
        session.until("── Registers ──")
        session.until(r"in  3F8 COM1")
        for text in ("CS:EIP 0000:00007C", "DX 000003F8", "masked", "in  061 system control B", "disk.img"):
            session.until(text)
        assert ("." * 78 in session.text) == (columns == 120)
        session.host("i")
        session.until(lambda: "Registers" not in session.text and "." * 78 in session.text)
        assert session.leave() == 0
        session.assert_restored()


def test_the_panel_stays_through_a_resize(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO), rows=25, columns=80) as session:
        session.until("R")
        session.host("i")
        session.until("── Registers ──")
        session.resize(40, 120)
        session.until(lambda: session.screen.display[0].find("Registers") > 80)
        session.resize(25, 80)
        session.until(lambda: 40 < session.screen.display[0].find("Registers") < 80)
        assert session.leave() == 0


def test_keys_that_the_guest_cannot_have_ring_the_bell(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.press("aé€b")
        session.until("Rab")
        session.until(lambda: session.output.count(b"\a") == 2)
        assert session.leave() == 0
        session.assert_restored()


def test_a_pasted_text_arrives_whole(tmp_path: Path) -> None:
    text = "The quick brown fox, 1234567890!"
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.press(text)
        session.until("R" + text)
        assert session.leave() == 0


def test_a_key_shows_soon_and_an_idle_guest_costs_little(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        until = time.monotonic() + 6.5  # until the message has gone
        while time.monotonic() < until:
            session.read(0.2)
        before, start = cpu_seconds(session.child.pid), time.monotonic()
        quiet = len(session.output)
        session.read(2)
        used = (cpu_seconds(session.child.pid) - before) / (time.monotonic() - start)
        assert len(session.output) == quiet, "nothing is sent while nothing changes"
        assert used < 0.25
        delays = []
        for key in "abcdefghi":
            session.read(0.1)
            sent = time.monotonic()
            session.press(key)
            session.until(key)
            delays.append(time.monotonic() - sent)
        # To the guest, through its echo, and back to the terminal, on a machine that may be busy.
        assert sorted(delays)[len(delays) // 2] < 0.25


def cpu_seconds(pid: int) -> float:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_small_terminal_follows_the_cursor_and_a_resized_one_shows_more(tmp_path: Path) -> None:
    lines = READY + "mov cx, 24\nnext: mov ax, 0x0E0A\nint 0x10\nloop next\nmov ax, 0x0E45\nint 0x10\n" + IDLE
    with Session(image(tmp_path / "lines.img", lines), rows=20, columns=60) as session:
        session.until("a larger terminal is needed for 80x25")
        session.until(lambda: session.screen.display[19].strip() == "E", 30)
        session.resize(30, 100)
        session.until(lambda: session.screen.display[24].strip() == "E")
        session.resize(5, 30)
        session.until("too small. Make it at")
        session.resize(25, 80)
        session.until(lambda: session.screen.display[24].strip() == "E", 30)
        assert session.leave() == 0
        session.assert_restored()


def test_a_dying_guest_leaves_its_screen_and_the_terminal_whole(tmp_path: Path) -> None:
    with Session(image(tmp_path / "halt.img", READY + "xor ax, ax\nint 0x16\ncli\nhlt\n")) as session:
        session.until("R")
        session.press("x")
        session.until("The session cannot go on")
        session.press("c")
        assert session.end() == 6
        session.assert_restored()
        assert 0 < session.after.find("R\r\n") < session.after.find("interrupts off")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_restore_the_terminal(number: signal.Signals, code: int) -> None:
    with Session() as session:
        session.until("N new note")
        session.child.kill(number)
        if number == signal.SIGINT:
            session.until(QUESTION)
            session.press("d")
        assert session.end() == code
        session.assert_restored()
        assert (b"discarded" if number == signal.SIGINT else b"kept") in session.output


@pytest.mark.parametrize("wish", ["ask", "commit"])
def test_a_terminal_that_hangs_up_loses_nothing(tmp_path: Path, wish: str) -> None:
    path = image(tmp_path / "disk.img", READY + WRITE_SECTOR_2 + IDLE)
    with Session("--on-exit", wish, path) as session:
        session.until("R")
        session.press("x")
        session.until("RO")
        session.child.ptyproc.fileobj.close()
        deadline = time.monotonic() + 120
        while session.child.isalive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert session.child.exitstatus in (0, 128 + signal.SIGHUP)
    if wish == "ask":  # and nobody is there
        with UndoSession(path) as kept:
            assert kept.found is State.KEPT
            kept.start()
            assert kept.changed_sectors == 1
            kept.commit()
    data = path.read_bytes()
    assert data[1024:1536] == data[:512]


def test_a_failing_host_is_told_below_the_screen_and_afterwards(tmp_path: Path) -> None:
    path = image(tmp_path / "disk.img", READY + READ_SECTOR_1 + IDLE)
    with Session(path, columns=200) as session:
        session.until("R")
        os.truncate(path, 512)
        session.press("x")
        session.until("RE")
        session.until("the host failed")
        assert session.leave() == 0
        session.assert_restored()
        assert b"disk.img: the host failed" in session.output.partition(LEAVE)[2]


def test_steps_are_played_before_the_user_takes_over(tmp_path: Path) -> None:
    with Session(image(tmp_path / "echo.img", ECHO), "--until", "R", "--type", "abc") as session:
        session.until("Rabc")
        session.press("d")
        session.until("Rabcd")
        assert session.leave() == 0


def test_a_full_speed_guest_takes_keys_too(tmp_path: Path) -> None:
    with Session("--pace", "max", image(tmp_path / "echo.img", ECHO)) as session:
        session.until("R")
        session.press("abc")
        session.until("Rabc")
        assert session.leave() == 0


def test_the_serial_port_on_a_pty(tmp_path: Path) -> None:
    source = (
        READY
        + """
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
    )
    with Session("--serial", "pty", image(tmp_path / "serial.img", source)) as session:
        session.until("COM1 is ")
        name = session.text.partition("COM1 is ")[2].split()[0]
        session.press("c")
        session.until("R")
        terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, b"hi")
        session.until("Rhi")
        assert os.read(terminal, 1) + os.read(terminal, 1) == b"hi"
        os.close(terminal)
        assert session.leave() == 0


def test_stdout_is_the_screens() -> None:
    with Session("--serial", "stdout") as session:
        assert session.end() == 2
        assert b"--serial stdout" in session.output
        assert LEAVE not in session.output
