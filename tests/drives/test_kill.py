"""A process that writes to a differencing drive is killed, again and again: what it flushed is there.

On a real file system. The killed process leaves its last writes in the host's memory, so this shows what the
crash replay cannot: that locks end with the process, and that nothing depends on an orderly end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.open import open_drive
from tests.drives import kill_writer
from tests.drives.independent_vhd import SECTOR, ZEROS, ImageChain, files_in, make_sparse
from tests.drives.kill_writer import FLUSH_EVERY, SECTORS, request
from tests.drives.proof import scaled

KILLS = scaled(10, 100)
LONGEST = 0.04  # seconds

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")]


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    """The program that forks writers."""
    command = [sys.executable, kill_writer.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def kill_one(
    program: subprocess.Popen[bytes], path: Path, start: int, delay: float, *, after_a_flush: bool
) -> int:
    """Start a writer at a request, kill it ``delay`` seconds later, and say up to where it had flushed.

    The seconds count from its start, or from the first flush that it tells of.
    """
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(f"{path} {start}\n".encode())
    program.stdin.flush()
    flushed, writer, killed = start, 0, False
    for line in program.stdout:
        word, number = line.split()
        if word == b"ended":
            assert int(number) == -signal.SIGKILL, "the writer ended by itself"
            break
        if word == b"writer":
            writer = int(number)
        else:
            flushed = int(number)
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
        flushed = kill_one(program, tmp_path / head, done, delay, after_a_flush=kill % 3 > 0)
        for number in range(done, flushed):
            for lba, data in effects(number):
                content[lba] = data
        done = flushed
        check(tmp_path, head, content, done)
    for name, data in parents.items():
        assert (tmp_path / name).read_bytes() == data, f"{name} was written"
    print(f"{KILLS} kills, {done} requests")
    assert done >= KILLS * 2 // 3 * FLUSH_EVERY
