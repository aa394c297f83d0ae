"""`pcemu run` without a terminal: what it prints, what it exits with, and what becomes of the images."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from pcemu import cli
from pcemu.cli.script import unescape
from pcemu.drives.create import create_differencing
from pcemu.drives.hostfile import HostFile, SystemCalls
from pcemu.drives.raw import RawDrive
from pcemu.errors import UsageError
from pcemu.resources import resource
from pcemu.session.session import Session
from tests.assembler import assemble
from tests.boot import IDLE, boot_drive

Run = Callable[..., tuple[int, str, str]]
NOBODY = 65534

READY = "mov ax, 0x0E52\nint 0x10\n"  # prints R
# Prints R, waits for a key, writes the boot sector to sector 2 (CHS 0/0/3), prints W and says it too.
WRITER = f"""
    xor ax, ax
    mov es, ax
    {READY}
    xor ax, ax
    int 0x16
    mov ax, 0x0301
    mov bx, 0x7C00
    mov cx, 3
    mov dx, 0x80
    int 0x13
    mov ax, 0x0E57
    int 0x10
    say 'W'
    {IDLE}
"""
WRITE = ("--until", "R", "--type", "x", "--until", "W")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's data go to the test's folder, and nobody is there to be asked."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the console script in this process; gives exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pcemu", "run", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return int(exit_.value.code or 0), out, err

    return run


def image(path: Path, source: str) -> Path:
    """An image file that boots a few lines of assembly."""
    path.write_bytes(boot_drive(source).data)
    return path


def fingerprint(path: Path) -> tuple[str, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns


def test_without_a_disk_the_demo_disk_boots(run: Run) -> None:
    before = fingerprint(resource("demo.img"))
    code, out, err = run("--timeout", "2")
    assert code == 0
    assert "pcemu demo disk" in out
    assert "booted for the first time" in out
    assert "\x1b" not in out + err
    assert err.count("\n") == 1
    assert "kept" in err
    assert "demo.img" in err
    assert "pcemu session commit" in err
    assert fingerprint(resource("demo.img")) == before


def test_an_unchanged_demo_disk_leaves_no_copy(run: Run, tmp_path: Path) -> None:
    assert run("--timeout", "2", "--on-exit", "discard")[0] == 0
    assert list((tmp_path / "data" / "pcemu").iterdir()) == []


def test_a_committed_demo_disk_is_the_users_own_copy(run: Run, tmp_path: Path) -> None:
    note = ("--until", "N new note", "--type", r"nA note\n", "--until", "Written to the disk", "-q")
    before = fingerprint(resource("demo.img"))
    assert run(*note, "--on-exit", "commit") == (0, "", "")
    assert fingerprint(resource("demo.img")) == before
    assert (tmp_path / "data" / "pcemu" / "demo.img").exists()
    code, out, _ = run("--until", "N new note", "--on-exit", "discard")
    assert code == 0
    assert "A note" in out
    assert "booted 2 times" in out


def test_steps_are_done_in_the_order_given(run: Run, tmp_path: Path) -> None:
    source = f"{READY}\nnext: xor ax, ax\nint 0x16\nmov ah, 0x0E\nint 0x10\njmp next"
    echo = image(tmp_path / "echo.img", source)
    steps = ("--until", "R", "--type", "a", "--press", "shift+b", "--until", "B", "--type", "c")
    code, out, _ = run(*steps, "--press", "d", echo)
    assert code == 0
    assert out.rstrip().endswith("RaBcd")


def test_the_image_changes_in_a_commit_alone(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    before = fingerprint(disk)
    for arguments in ((), ("--on-exit", "keep"), ("--on-exit", "discard"), ("--on-exit", "branch:saved")):
        assert run(*WRITE, *arguments, disk)[0] == 0
        assert fingerprint(disk) == before
    (tmp_path / "saved.vhd").unlink()  # which would change with the image
    code, _, err = run(*WRITE, "--on-exit", "commit", disk)
    assert code == 0
    assert "committed 1 sector (0.5 KiB)" in err
    data = disk.read_bytes()
    assert data[1024:1536] == data[:512]
    assert len(data) == 1 << 20


def test_a_name_that_is_taken_is_refused_before_the_session(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    (tmp_path / "saved.vhd").touch()
    code, out, err = run(*WRITE, "--on-exit", "branch:saved", disk)
    assert (code, out) == (2, "")
    assert "saved.vhd: exists" in err
    assert not Path(f"{disk}.pcemu").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("10min", 600), ("1h30m5sec", 5405)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    from pcemu.cli.run import run as command

    context = command.make_context("run", ["--ask-every", text])
    assert context.params["ask_every"] == seconds


def test_a_session_that_changed_nothing_says_nothing(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", READY + IDLE)
    assert run("--until", "R", disk)[2] == ""


BAD_IMAGES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "missing": (lambda path: None, 3, "no such file"),
    "empty": (lambda path: path.touch(), 4, "empty"),
    "one byte": (lambda path: path.write_bytes(b"x"), 4, "multiple of 512"),
    "truncated": (lambda path: path.write_bytes(bytes(1000)), 4, "multiple of 512"),
    "directory": (lambda path: path.mkdir(), 4, "directory"),
}
if hasattr(os, "mkfifo"):
    BAD_IMAGES["fifo"] = (os.mkfifo, 4, "neither a file")


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named_in_one_line(run: Run, tmp_path: Path, kind: str) -> None:
    make, expected, words = BAD_IMAGES[kind]
    path = tmp_path / "bad.img"
    make(path)
    before = fingerprint(path) if path.is_file() else None
    good = image(tmp_path / "good.img", READY + IDLE)
    for disks in ((path,), (good, path)):
        code, out, err = run("--timeout", "1", *disks)
        assert code == expected
        assert out == ""
        assert err.count("\n") == 1
        assert str(path) in err
        assert words in err
    assert before == (fingerprint(path) if path.is_file() else None)
    RawDrive(good).close()  # which nobody holds any more


def test_a_path_that_the_host_does_not_take_is_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / ("n" * 300), tmp_path / "file" / "below"):
        code, out, err = run("--timeout", "1", path)
        assert (code, out) == (5, "") and str(path) in err
        assert err.endswith("; check the path, its permissions and its folder's\n")


def test_a_raw_image_that_is_called_a_vhd_runs_once_it_is_renamed(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.vhd", READY + IDLE)
    code, _, err = run("--until", "R", disk)
    assert code == 4 and "if it is a raw image, rename it to .img" in err
    assert run("--until", "R", disk.rename(tmp_path / "disk.img"))[0] == 0


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may read everything; so be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_permission(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to others as a whole
        Path(folder).chmod(0o755)
        path = image(Path(folder) / "secret.img", READY + IDLE)
        path.chmod(0)
        # click asks this function for the real user's rights; but opening it must tell.
        monkeypatch.setattr(os, "access", lambda *arguments, **options: False)
        with without_privileges():
            code, out, err = run("--timeout", "1", path)
        assert (code, out, err.count("\n")) == (5, "", 1)
        assert f"{path}: " in err
        assert "Permission denied" in err


def test_a_busy_image(run: Run, tmp_path: Path) -> None:
    path = image(tmp_path / "busy.img", WRITER)
    before = fingerprint(path)
    holder = RawDrive(path)
    code, out, err = run("--timeout", "1", path)
    holder.close()
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert str(path) in err
    assert "busy" in err
    assert fingerprint(path) == before


def test_a_commit_waits_for_no_other_session(run: Run, tmp_path: Path) -> None:
    path = image(tmp_path / "shared.img", WRITER)
    before = fingerprint(path)
    reader = RawDrive(path, read_only=True)
    code, _, err = run("-q", *WRITE, "--on-exit", "commit", path)
    reader.close()
    assert code == 5
    assert "busy" in err
    assert fingerprint(path) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--memory", "1"), "memory of 1 MiB"),
        (("--mips", "0"), "MIPS"),
        (("--date", "2024-02-30"), "2024-02-30"),
        (("--date", "1850-01-01"), "1980 to 2099"),
        (("--timeout", "0"), "--timeout"),
        (("--timeout", "nan"), "--timeout"),
        (("--type", r"\q"), r"'\q' has no meaning"),
        (("--type", "é"), "US keyboard"),
        (("--press", "ctrl+foo"), "no key 'foo'"),
        (("--until", ""), "expected a text"),
        (("--serial", "modem"), "file:PATH"),
        (("--serial", "file:/nowhere/x"), "/nowhere/x"),
        (("--debug-console", "/nowhere/x"), "/nowhere/x"),
        (("--firmware-log", "/nowhere/x"), "/nowhere/x"),
        (("--bios", "/nowhere/x"), "/nowhere/x"),
        (("--bios", __file__), "expected 64, 128, 192 or 256 KiB"),
        (("--vgabios", "/nowhere/x"), "/nowhere/x"),
        (("--vgabios", __file__), "give another one, too"),
        (("--pace", "slow"), "slow"),
        (("--on-exit", "forget"), "branch:NAME"),
        (("--on-exit", "branch:"), "branch:NAME"),
        (("--on-exit", "commit:x"), "branch:NAME"),
        (("--on-exit", "branch:.x"), "no name for a branch"),
        (("--on-exit", "branch:x.img"), "x.img: a child under this name would be taken for a raw image"),
        (("--on-exit", "branch:/nowhere/x"), "/nowhere: no such folder"),
        (("--checkpoint-every", "soon"), "1h"),
        (("--ask-every", "0"), "1h"),
        (("--session", "a/b"), "session's name"),
        (("--colour",), "--colour"),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run("--timeout", "1", *arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert "Traceback" not in err


def test_a_wrong_rom_is_one_sentence_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", READY + IDLE)
    rom = tmp_path / "empty.rom"
    rom.write_bytes(bytes(0x20000))
    before = fingerprint(disk), sorted(tmp_path.iterdir())
    code, out, err = run("--until", "R", "--bios", rom, disk)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{rom}: this is no system ROM" in err
    assert (fingerprint(disk), sorted(tmp_path.iterdir())) == before


def test_a_rom_that_is_given_is_started_and_its_log_kept(run: Run, tmp_path: Path) -> None:
    code = assemble("mov dx, 0x402\nmov al, 'L'\nout dx, al\nsti\nhlt\njmp $ - 1")
    rom = tmp_path / "tiny.rom"
    rom.write_bytes(code.ljust(0xFFF0, b"\xff") + bytes.fromhex("ea000000f0").ljust(16, b"\xff"))
    log = tmp_path / "log"
    exit_code, _, err = run("--timeout", "1", "--bios", rom, "--firmware-log", log)
    assert (exit_code, err) == (0, "")
    assert log.read_bytes() == b"L"


@pytest.mark.parametrize("option", ["--serial", "--debug-console", "--firmware-log", "--screenshot"])
def test_no_output_goes_into_an_image(run: Run, tmp_path: Path, option: str) -> None:
    raw, vhd = (".png", ".png") if option == "--screenshot" else (".img", ".vhd")
    parent = image(tmp_path / f"parent{raw}", READY + IDLE)
    child = tmp_path / f"child{vhd}"
    create_differencing(child, parent)
    before = fingerprint(parent), fingerprint(child)
    for disk, target in ((parent, parent), (child, child), (child, parent)):
        value = f"file:{target}" if option == "--serial" else target
        code, out, err = run("--until", "R", option, value, disk)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"{option} {target}: is a disk image that is in use" in err
    assert (fingerprint(parent), fingerprint(child)) == before


def test_too_many_disks_and_one_twice(run: Run, tmp_path: Path) -> None:
    disks = [image(tmp_path / f"{i}.img", READY + IDLE) for i in range(5)]
    code, _, err = run("--timeout", "1", *disks)
    assert code == 2
    assert "5 disks" in err
    code, _, err = run("--timeout", "1", disks[0], disks[0])
    assert code == 2
    assert "twice" in err


def test_a_guest_that_cannot_go_on(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "halt.img", f"{READY}\ncli\nhlt")
    code, out, err = run("--timeout", "5", disk)
    assert code == 6
    assert out.rstrip().endswith("R")
    assert "interrupts off" in err
    assert "0000:7C" in err


def test_a_wait_that_fails_still_shows_and_settles(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    picture = tmp_path / "end.png"
    steps = (*WRITE, "--until", "never", "--timeout", "3")
    code, out, err = run(*steps, "--screenshot", picture, "--on-exit", "commit", disk)
    assert code == 7
    assert out.rstrip().endswith("RW")
    assert "--until 'never'" in err
    assert "committed 1 sector" in err
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_screenshot_that_cannot_be_written_does_not_lose_the_changes(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    code, _, err = run(*WRITE, "--screenshot", "/nowhere/x.png", "--on-exit", "commit", disk)
    assert code == 2
    assert "/nowhere/x.png" in err
    assert "committed 1 sector" in err


def test_what_the_guest_sends(run: Run, tmp_path: Path) -> None:
    source = """
        mov ax, 0x00E3          ; 9600 baud, 8 bits
        xor dx, dx
        int 0x14
        mov ax, 0x0153          ; send S
        int 0x14
        say 'D'
    """
    disk = image(tmp_path / "disk.img", source + IDLE)
    debug = tmp_path / "debug"
    code, out, _ = run("-q", "--timeout", "1", "--serial", "stdout", "--debug-console", debug, disk)
    assert (code, out, debug.read_bytes()) == (0, "S", b"D")
    code, out, _ = run("-q", "--timeout", "1", "--serial", f"file:{tmp_path / 'serial'}", disk)
    assert (code, out, (tmp_path / "serial").read_bytes()) == (0, "", b"S")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_file_that_fills_up_is_told_once(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "say 'a'\nsay 'b'\n" + READY + IDLE)
    code, _, err = run("-q", "--until", "R", "--debug-console", "/dev/full", disk)
    assert code == 0
    assert err == "pcemu: what the guest puts out is lost from here on: No space left on device\n"


def test_the_clock_starts_where_told(run: Run, tmp_path: Path) -> None:
    source = "mov ah, 4\nint 0x1A\nmov al, cl\nout 0xE9, al\nmov al, dh\nout 0xE9, al\n"
    disk = image(tmp_path / "disk.img", source + IDLE)
    debug = tmp_path / "debug"
    arguments = ("-q", "--timeout", "2", "--debug-console", debug)
    assert run(*arguments, "--date", "1999-12-31T23:00", disk)[0] == 0
    assert debug.read_bytes() == b"\x99\x12"


@pytest.mark.skipif(os.name == "nt", reason="signals end processes at once there")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_end_the_session_in_order(tmp_path: Path, name: str, code: int) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    console = tmp_path / "console"
    command = "from pcemu.cli import main; main()"
    steps = ("--debug-console", console, *WRITE, "--until", "never", "--timeout", "1e6", "--pace", "realtime")
    process = subprocess.Popen(
        [sys.executable, "-c", command, "run", *steps, "--on-exit", "commit", disk],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (console.exists() and console.read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert out.rstrip().endswith("RW")
    assert f"interrupted by {name}" in err
    assert "committed 1 sector" in err
    assert disk.read_bytes()[1024:1026] != bytes(2)


def test_a_commit_that_has_begun_is_finished(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    copy_from = HostFile.copy_from

    def interrupted_copy(file: HostFile, source: HostFile, *arguments: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        copy_from(file, source, *arguments)

    monkeypatch.setattr(HostFile, "copy_from", interrupted_copy)
    code, _, err = run(*WRITE, "--on-exit", "commit", disk)
    assert code == 0
    assert "still writing" in err
    assert "committed 1 sector" in err
    data = disk.read_bytes()
    assert data[1024:1536] == data[:512]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_commit_that_fails_loses_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk = image(tmp_path / "disk.img", WRITER)

    def broken(file: HostFile, *arguments: object) -> None:
        raise OSError(code, os.strerror(code), str(disk))

    with monkeypatch.context() as patch:
        patch.setattr(HostFile, "copy_from", broken)
        exit_code, _, err = run("-q", *WRITE, "--on-exit", "commit", disk)
    assert exit_code == 5
    assert f"{disk}" in err
    assert os.strerror(code) in err
    assert "commit again" in err
    code, _, err = run("--until", "R", "--on-exit", "discard", disk)
    assert code == 0
    assert "finishing the commit" in err
    data = disk.read_bytes()
    assert data[1024:1536] == data[:512]


def test_changes_do_not_go_into_an_image_that_another_program_changed(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    assert run(*WRITE, disk)[0] == 0
    disk.write_bytes(b"y" * (1 << 20))
    before = fingerprint(disk)
    code, _, err = run("--until", "R", "--on-exit", "commit", disk)
    assert code == 4
    assert "was changed or is another image" in err
    assert fingerprint(disk) == before


def test_commands_that_are_proposed_can_be_typed_as_they_are(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "my disk.img", WRITER)
    err = run(*WRITE, "--session", "alice", "--on-exit", "keep", disk)[2]
    assert f"`pcemu session commit '{disk}' --session alice`" in err
    assert f"`pcemu session discard '{disk}' --session alice`" in err
    assert f"`pcemu run '{disk}' --session alice` goes on with them" in err


def test_a_kept_session_goes_on(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    before = fingerprint(disk)
    assert "kept 1 sector (0.5 KiB) on disk.img" in run(*WRITE, "--on-exit", "keep", disk)[2]
    code, _, err = run(*WRITE, "--on-exit", "discard", disk)
    assert code == 0
    assert "going on with the session of" in err
    assert "which was kept: 1 sector" in err
    assert fingerprint(disk) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.img"]


def test_checkpoints_by_virtual_time(run: Run, tmp_path: Path) -> None:
    """Of a guest that writes every few seconds, for minutes of its time; the oldest become one."""
    waiting = "again: mov cx, 300\nwait_: hlt\nloop wait_\nmov byte [0x7DFD], cl"
    writer = WRITER.replace("xor ax, ax\n    int 0x16", waiting).replace("say 'W'", "jmp again")
    disk = image(tmp_path / "disk.img", writer)
    steps = ("--until", "R", "--timeout", "590", "--until", "never")
    code, _, _ = run("-q", *steps, "--checkpoint-every", "1m", "--keep-checkpoints", "3", disk)
    assert code == 7
    with Session(disk) as session:
        assert 3 <= len(session.checkpoints) <= 4  # the last merge may not have been done in time
        assert session.checkpoints[-1].number == 9
        session.discard()


def test_two_sessions_of_one_image(run: Run, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", WRITER)
    assert run("-q", *WRITE, "--session", "other", disk)[0] == 0
    code, _, err = run("-q", *WRITE, "--on-exit", "commit", disk)
    assert code == 2
    assert "session 'other'" in err
    assert "--preserve-siblings" in err
    assert run("-q", "--until", "R", "--on-exit", "commit", "--preserve-siblings", disk)[0] == 0
    data = disk.read_bytes()
    assert data[1024:1536] == data[:512]
    assert run("-q", "--until", "R", "--session", "other", "--on-exit", "discard", disk)[0] == 0


def test_what_the_host_failed_at_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        xor ax, ax
        mov es, ax
        mov ax, 0x0201
        mov bx, 0x7E00
        mov cx, 2
        mov dx, 0x80
        int 0x13
    """
    disk = image(tmp_path / "disk.img", source + READY + IDLE)
    preadv = SystemCalls.preadv

    def broken(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offset == 512 and os.fstat(fd).st_ino == disk.stat().st_ino:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(disk))
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(SystemCalls, "preadv", staticmethod(broken))
    code, _, err = run("--until", "R", disk)
    assert code == 0
    assert err == f"pcemu: {disk}: the host failed, and the guest was told of it: Input/output error\n"


@pytest.mark.parametrize(
    ("text", "keys"),
    [(r"dir\n", "dir\n"), (r"C:\\new\\n", r"C:\new\n"), (r"\t\b\e\r", "\t\b\x1b\n"), ("plain", "plain")],
)
def test_escapes(text: str, keys: str) -> None:
    assert unescape(text) == keys


@pytest.mark.parametrize("text", [r"\d", "\\", "a\\"])
def test_wrong_escapes(text: str) -> None:
    with pytest.raises(UsageError, match="has no meaning"):
        unescape(text)


def test_help_tells_the_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    lines = out.splitlines()
    for number in (0, 2, 3, 4, 5, 6, 7, 130):
        assert any(line.split()[:1] == [str(number)] for line in lines), number
    assert max(map(len, lines)) <= 100


def test_tab_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Complete(ShellComplete):
        name = "test"
        source_template = ""

    complete = Complete(cli.cli, {}, "pcemu", "_PCEMU_COMPLETE")

    def words(*arguments: str) -> list[str]:
        return [item.value for item in complete.get_completions(list(arguments[:-1]), arguments[-1])]

    assert words("r") == ["run"]
    assert words("run", "--on-exit", "") == ["ask", "commit", "discard", "keep", "branch:"]
    assert words("run", "--on-exit", "b") == ["branch:"]
    assert "--until" in words("run", "--type", "x", "--u")
    assert isinstance(cli.cli, click.Group)
