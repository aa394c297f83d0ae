"""Processes that use images are killed, again and again, on a real file system: what was promised is there.

A killed process leaves its last writes in the host's memory, so this shows what the crash replay cannot: that
locks end with the process, that nothing depends on an orderly end, and that the next process goes on.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.open import open_drive
from pcemu.drives.orphans import orphans_in, remove_leftovers
from pcemu.testing.faults import FaultyCalls
from pcemu.testing.recording import Promise, RecordingCalls
from tests.drives import kill_program
from tests.drives.independent_vhd import SECTOR, ZEROS, ImageChain, files_in, make_sparse
from tests.drives.kill_program import FLUSH_EVERY, SECTORS, SEED, request
from tests.drives.operations import OPERATIONS, Freezing, Operation
from tests.drives.proof import scaled

KILLS = scaled(10, 100)
KILLS_OF_EACH = scaled(1, 4)  # operation: of 27, more than 100
LONGEST = 0.04  # seconds

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")]


@pytest.fixture(scope="module")
def program() -> Iterator[subprocess.Popen[bytes]]:
    """The program that forks those who are killed."""
    command = [sys.executable, kill_program.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(120) == 0


def ask(program: subprocess.Popen[bytes], *words: object) -> Iterator[tuple[bytes, int]]:
    """Have a line done; what is told of it, up to the process's end and exit code."""
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write((" ".join(map(str, words)) + "\n").encode())
    program.stdin.flush()
    for line in program.stdout:
        word, number = line.split()
        yield word, int(number)
        if word == b"ended":
            return


def kill_writer(
    program: subprocess.Popen[bytes], path: Path, start: int, delay: float, *, after_a_flush: bool
) -> int:
    """Start a writer at a request, kill it ``delay`` seconds later, and say up to where it had flushed.

    The seconds count from its start, or from the first flush that it tells of.
    """
    flushed, writer, killed = start, 0, False
    for word, number in ask(program, "write", start, path):
        if word == b"ended":
            assert number == -signal.SIGKILL, "the writer ended by itself"
        elif word == b"process":
            writer = number
        else:
            flushed = number
        if writer and not killed and (flushed > start or not after_a_flush):
            time.sleep(delay)
            os.kill(writer, signal.SIGKILL)
            killed = True
    return flushed


def effects(number: int) -> list[tuple[int, bytes]]:
    """The sectors that a request changes."""
    lba, what = request(number)
    if isinstance(what, int):
        return [(lba + n, ZEROS) for n in range(what)]
    return [(lba + n, what[n * SECTOR : (n + 1) * SECTOR]) for n in range(len(what) // SECTOR)]


def check(folder: Path, head: str, content: list[bytes], flushed: int) -> None:
    """All before number ``flushed`` is there; the requests up to the next flush may be, too."""
    fitting = [{data} for data in content]
    for number in range(flushed, flushed + FLUSH_EVERY):
        for lba, data in effects(number):
            fitting[lba].add(data)
    chain = ImageChain(files_in(folder), head)
    drive = open_drive(folder / head)  # for writing: no lock was left
    whole = bytearray(SECTORS * SECTOR)
    drive.read(0, whole)
    drive.close()
    for lba in range(SECTORS):
        data = chain.sector(lba)
        assert data in fitting[lba], f"sector {lba} after {flushed} requests"
        assert data == whole[lba * SECTOR : (lba + 1) * SECTOR]


def test_what_was_flushed_is_there_after_each_of_many_kills(
    program: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    rng = random.Random(9)
    base = {lba: rng.randbytes(SECTOR) for lba in rng.sample(range(SECTORS), 300)}
    content = [base.get(lba, ZEROS) for lba in range(SECTORS)]
    (tmp_path / "base").write_bytes(make_sparse(SECTORS * SECTOR, rng.randbytes(16), base))
    parents, head, done = {"base": (tmp_path / "base").read_bytes()}, "base", 0
    for kill in range(KILLS):
        if kill % 25 == 0:  # a new layer now and then
            parents[head] = (tmp_path / head).read_bytes()
            create_differencing(tmp_path / f"head{kill}", tmp_path / head)
            head = f"head{kill}"
        delay = rng.random() * LONGEST
        flushed = kill_writer(program, tmp_path / head, done, delay, after_a_flush=kill % 3 > 0)
        for number in range(done, flushed):
            for lba, data in effects(number):
                content[lba] = data
        done = flushed
        check(tmp_path, head, content, done)
    for name, data in parents.items():
        assert (tmp_path / name).read_bytes() == data, f"{name} was written"
    print(f"{KILLS} kills, {done} requests")
    assert done >= KILLS * 2 // 3 * FLUSH_EVERY


def kill_in(program: subprocess.Popen[bytes], operation: Operation, folder: Path, moment: int) -> bool:
    """Do an operation in a process that dies at a system call; False when it did not come so far."""
    told = dict(ask(program, "operate", OPERATIONS.index(operation), moment, folder))
    assert told[b"ended"] in (0, -signal.SIGKILL)
    return told[b"ended"] != 0


def do_again(operation: Operation, folder: Path, promise: Any) -> None:
    """As a user would, who starts it once more; but a child that is there is gone on with."""
    if not isinstance(operation, Freezing):
        operation.resume(folder, RecordingCalls(folder), promise[1])
    elif not (folder / "frozen").exists():
        operation.run(folder, RecordingCalls(folder), random.Random(SEED))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_an_operation_that_was_killed_is_finished_by_doing_it_again(
    program: subprocess.Popen[bytes], operation: Operation, tmp_path: Path
) -> None:
    """At random calls, the second attempt of some killed, too; each in half of a write, if it is one."""
    rng = random.Random(f"kills in {operation}")
    prepared, whole = tmp_path / "prepared", tmp_path / "whole"
    prepared.mkdir()
    operation.prepare(prepared, rng)
    shutil.copytree(prepared, whole)
    calls = FaultyCalls(whole)
    operation.run(whole, calls, random.Random(SEED))
    *_, meanwhile, done = [call.value for call in calls.recording.log if isinstance(call, Promise)]
    for kill in range(KILLS_OF_EACH):
        folder = tmp_path / str(kill)
        shutil.copytree(prepared, folder)
        moment = rng.randrange(len(calls.made))
        assert kill_in(program, operation, folder, moment)
        operation.check(files_in(folder), meanwhile)
        if rng.random() < 0.5 and kill_in(program, operation, folder, rng.randrange(len(calls.made))):
            operation.check(files_in(folder), meanwhile)
        do_again(operation, folder, meanwhile)
        operation.check(files_in(folder), done)
        remove_leftovers(orphans_in(folder))
        assert names_in(folder) == names_in(whole), f"killed at call {moment}, {calls.made[moment]}"
