"""Undo sessions under FreeDOS: what the guest wrote goes, stays, waits, survives kills, and goes back."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcemu.cli.upkeep import FLUSH_EVERY
from pcemu.drives.changes_text import describe
from pcemu.drives.drive import Drive
from pcemu.drives.raw import RawDrive
from pcemu.drives.sidecar import SESSIONS
from pcemu.machine import Machine, MachineConfig
from pcemu.session.background import LiveCommit
from pcemu.session.record import State
from pcemu.session.session import Session
from tests.guests.freedos import DATE, FreeDos, HostView, contents

COMMAND = [sys.executable, "-c", "from pcemu.cli import main; main()"]


@pytest.fixture
def disk(image: Path, tmp_path: Path) -> Path:
    """A disk that may be written."""
    return shutil.copyfile(image, tmp_path / "disk.img")


def look(path: Path) -> tuple[object, ...]:
    status = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns, status.st_ino


class Guest(FreeDos):
    """FreeDOS on the drive of a session."""

    def __init__(self, drive: Drive) -> None:
        self.pc = Machine(MachineConfig(disks=[drive], date=DATE))
        self.wait_for_prompt()


@contextmanager
def guest(path: Path, name: str = "default") -> Iterator[tuple[Session, Guest]]:
    with Session(path, name) as session:
        yield session, Guest(session.start())


def host_view(path: Path, folder: Path) -> HostView:
    drive = RawDrive(path, read_only=True)
    try:
        return HostView(drive, folder)
    finally:
        drive.close()


def host_contents(path: Path) -> bytes:
    drive = RawDrive(path, read_only=True)
    try:
        return contents(drive)
    finally:
        drive.close()


def pcemu(*arguments: object, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=stdin, timeout=300)


def test_discard(disk: Path, tmp_path: Path) -> None:
    before = look(disk)
    with guest(disk) as (session, dos):
        dos.write("note.txt", "to be forgotten")
        assert "forgotten" in dos.run("type note.txt")
        assert look(disk) == before
        session.discard()
    assert look(disk) == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "partition.img"] == ["disk.img"]


def test_commit(disk: Path, tmp_path: Path) -> None:
    with guest(disk) as (session, dos):
        dos.run("mkdir deep")
        dos.run("xcopy fdos\\bin\\d*.* deep\\")
        dos.write("note.txt", "to stay")
        session.commit()
    host = host_view(disk, tmp_path)
    host.check()
    assert host.read("NOTE.TXT") == b"to stay\r\n"
    with guest(disk) as (session, dos):
        assert "to stay" in dos.run("type note.txt")
        session.discard()


def test_keep_resume_commit(disk: Path, tmp_path: Path) -> None:
    before = look(disk)
    with guest(disk) as (session, dos):
        dos.write("one.txt", "first")
        session.keep()
    assert look(disk) == before
    with guest(disk) as (session, dos):
        assert session.found is State.KEPT
        assert "first" in dos.run("type one.txt")
        dos.write("two.txt", "second")
        session.commit()
    host = host_view(disk, tmp_path)
    host.check()
    assert {"ONE.TXT", "TWO.TXT"} <= set(host.names())


def test_what_dos_wrote_deleted_and_renamed_is_sound_in_the_chain_and_in_the_image(
    disk: Path, tmp_path: Path
) -> None:
    """fsck.fat and mtools read both: the chain before the commit, in one file, and the image after it."""
    with guest(disk) as (session, dos):
        dos.run("xcopy fdos\\bin\\d*.* work\\")
        dos.write("work\\note.txt", "before the checkpoint")
        session.checkpoint("copied")  # two layers from here on
        dos.run("del work\\debug.com")
        dos.run("ren work\\du.exe disk.use")
        dos.write("work\\more.txt", "after it")
        dos.run("copy work\\more.txt + work\\note.txt work\\both.txt")
        dos.run("mkdir gone")
        dos.run("rmdir gone")
        session.keep()
    _, head = sorted(disk.with_name(disk.name + SESSIONS).glob("*.vhd"))
    converted = tmp_path / "converted.img"
    asked = pcemu("disk", "convert", "--allow-outside", head, converted)
    assert asked.returncode == 0, asked.stderr
    with Session(disk) as session:
        session.commit()
    for path in (converted, disk):
        host = host_view(path, tmp_path)
        host.check()
        names = {name.lower() for name in host.names("WORK")}
        assert {"disk.use", "more.txt", "note.txt", "both.txt"} <= names
        assert not {"debug.com", "du.exe"} & names and "gone/" not in map(str.lower, host.names())
        assert host.read("WORK/BOTH.TXT") == b"after it\r\nbefore the checkpoint\r\n"
        assert host.read("WORK/DISK.USE") == host.read("FDOS/BIN/DU.EXE")
    assert host_contents(converted) == host_contents(disk)


def test_what_the_prompt_says(disk: Path, tmp_path: Path) -> None:
    note = tmp_path / "A rather long name.text"
    note.write_text("long")
    assert pcemu("disk", "put", "--commit", note, f"{disk}:/").returncode == 0
    with guest(disk) as (session, dos):
        dos.write("autoexec.bat", "echo hello")
        dos.run("del arathe~1.tex")
        dos.run("ren fdconfig.sys config.old")
        dos.run("del fdos\\bin\\du.exe")
        for folder in ("a", "a\\b", "a\\b\\c"):
            dos.run(f"mkdir {folder}")
        dos.write("a\\b\\c\\new.txt", "deep down")
        lines = describe(session.changes())
        session.discard()
    assert lines[1].startswith("C: FAT16, ")
    assert lines[1].endswith(": 4 added, 1 modified, 2 deleted, 1 renamed")
    assert [line.strip() for line in lines[2:]] == [
        "+ C:\\A\\",
        "+ C:\\A\\B\\",
        "+ C:\\A\\B\\C\\",
        "+ C:\\A\\B\\C\\NEW.TXT  11 bytes",
        "- C:\\A rather long name.text  4 bytes",
        "~ C:\\AUTOEXEC.BAT  69 → 12 bytes",
        "> C:\\FDCONFIG.SYS is now C:\\CONFIG.OLD",
        "- C:\\FDOS\\BIN\\DU.EXE  " + lines[-1].rpartition("  ")[2],
    ]


def test_three_checkpoints_and_back_to_the_first(disk: Path, tmp_path: Path) -> None:
    with guest(disk) as (session, dos):
        for name in ("one", "two", "three"):
            dos.write(f"{name}.txt", name)
            session.checkpoint(name)
        dos.write("four.txt", "four")
        dos.pc.reset()
        session.revert(session.find("one"))
        dos.wait_for_prompt()
        output = dos.run("dir *.txt")
        assert "ONE" in output
        assert "TWO" not in output
        dos.write("five.txt", "five")
        session.commit()
    host = host_view(disk, tmp_path)
    host.check()
    assert [name for name in host.names() if name.endswith(".TXT")] == ["ONE.TXT", "FIVE.TXT"]


def test_commit_while_the_guest_works(disk: Path, tmp_path: Path) -> None:
    with guest(disk) as (session, dos):
        dos.write("before.txt", "in the image")
        longest = 0.0
        work = LiveCommit(session)
        done = False

        def after_step() -> None:
            nonlocal longest, done
            if not done:
                started = time.perf_counter()
                done = work.poll()
                longest = max(longest, time.perf_counter() - started)

        dos.pc.pacer.after_step = after_step
        dos.run("xcopy fdos\\bin\\*.* copy\\")
        while not done:
            dos.pc.run(0.1)
        dos.pc.pacer.after_step = lambda: None
        assert "in the image" in dos.run("type before.txt")
        assert "No differences" in dos.run("fc /b fdos\\bin\\mem.exe copy\\mem.exe")
        session.discard()
    assert longest < 1, "no benchmark: it is a few hundredths of a second"
    assert host_view(disk, tmp_path).read("BEFORE.TXT") == b"in the image\r\n"


def test_two_machines_on_one_disk(disk: Path, tmp_path: Path) -> None:
    with guest(disk) as (one, first), guest(disk, "two") as (two, second):
        first.write("first.txt", "of the first")
        second.write("second.txt", "of the second")
        assert "first" not in second.run("dir /b *.txt").lower()
        before = contents(one.drive), contents(two.drive)
        one.keep()
        two.keep()
    refused = pcemu("session", "commit", disk)
    assert refused.returncode == 2
    assert "session 'two'" in refused.stderr
    assert pcemu("session", "commit", "--preserve-siblings", disk).returncode == 0
    host = host_view(disk, tmp_path)
    host.check()
    assert host.read("FIRST.TXT") == b"of the first\r\n"
    assert host_contents(disk) == before[0]
    with Session(disk, "two") as two:
        assert contents(two.start()) == before[1]
        two.keep()
    with guest(disk, "two") as (two, second):
        names = second.run("dir /b *.txt").split()
        assert names == ["SECOND.TXT"]
        assert "no errors" in second.run("chkdsk").lower() or "bytes available" in second.pc.fresh_text
        two.discard()


def killed_while(ready: Callable[[], bool], *arguments: object) -> None:
    """Run pcemu and kill it as soon as ``ready``."""
    command = [*COMMAND, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as run:
        deadline = time.monotonic() + 120
        while not ready():
            assert run.poll() is None, run.stderr and run.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        run.kill()
    assert run.returncode == -signal.SIGKILL


@pytest.mark.parametrize("answer", ["commit", "discard"])
def test_killed_in_the_middle_of_writing(disk: Path, tmp_path: Path, answer: str) -> None:
    before = look(disk)
    head = Path(f"{disk}.pcemu", "default-0001.vhd")
    written: list[float] = []

    def flushed() -> bool:
        """A megabyte was written so long ago that a flush came after it."""
        if not written and head.exists() and head.stat().st_blocks * 512 > 1 << 20:
            written.append(time.monotonic())
        return bool(written) and time.monotonic() - written[0] > 2 * FLUSH_EVERY

    killed_while(
        flushed,
        *("run", "--headless", "--until", "C:\\>", "--timeout", "1000"),
        *("--type", "xcopy fdos\\\\bin\\\\*.* copy\\\\\\n", "--until", "never", disk),
    )
    assert look(disk) == before
    with Session(disk) as session:
        assert session.found is State.INTERRUPTED
        session.start()
        assert describe(session.changes())
    run = pcemu("run", "--headless", "--until", "C:\\>", "--on-exit", answer, disk)
    assert run.returncode == 0, run.stderr
    assert not Path(f"{disk}.pcemu").exists()
    if answer == "discard":
        assert look(disk) == before
    else:
        assert "COPY/" in host_view(disk, tmp_path).names()


def test_killed_in_the_middle_of_a_commit(disk: Path, tmp_path: Path) -> None:
    with guest(disk) as (session, dos):
        dos.write("note.txt", "to stay")
        rest = random.Random(4).randbytes(512)
        for lba in range(40_000, 120_000, 4):  # so that the commit takes a while
            session.drive.write(lba, rest)
        session.keep()
    pending = Path(f"{disk}.pcemu-pending")
    killed_while(pending.exists, "session", "commit", disk)
    with Session(disk) as session:
        assert session.found is State.COMMITTING
    refused = pcemu("session", "discard", disk)
    assert refused.returncode == 5
    assert "was interrupted" in refused.stderr
    run = pcemu("run", "--headless", "--until", "C:\\>", "--on-exit", "discard", disk)
    assert run.returncode == 0
    assert "finishing the commit" in run.stderr
    assert host_view(disk, tmp_path).read("NOTE.TXT") == b"to stay\r\n"
    assert not Path(f"{disk}.pcemu").exists()
