"""A fleet of guests on one image, through a Dask cluster of two processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from pcemu.examples.fleet import Job, Outcome, run_guest, undone_session
from pcemu.session.session import Session
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, unpack

ROOT = Path(__file__).parents[2]
GUESTS = 50
KEYS = r"echo I am guest {number} > RESULT.TXT\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(HARD_DISK, HARD_DISK_SHA256, tmp_path_factory.mktemp("fleet"))


def fleet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pcemu.examples.fleet", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=590)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def semaphores_here() -> bool:
    """False on hosts without shared memory; Dask's processes need it."""
    try:
        multiprocessing.Lock()
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not semaphores_here(), reason="needs semaphores: /dev/shm")
def test_fifty_guests_on_one_image(image: Path, tmp_path: Path) -> None:
    before = digest(image)
    into = tmp_path / "results"
    done = fleet(image, "--count", str(GUESTS), "--type", KEYS, "--result", "\\RESULT.TXT", "--into", into)
    assert (done.returncode, done.stdout.strip()) == (0, f"50 of 50 results are in {into}"), done.stderr
    for number in range(1, GUESTS + 1):
        assert (into / str(number)).read_text().strip() == f"I am guest {number}"
    assert len(list(into.iterdir())) == GUESTS
    assert digest(image) == before
    assert not Path(f"{image}.pcemu").exists()  # every session is undone
    assert f"pcemu: {GUESTS} of {GUESTS} guests are done" in done.stderr


def test_what_a_guest_does_wrong_is_told_and_undone(image: Path) -> None:
    job = Job(1, str(image), "cd nowhere\n", "C:\\>", "\\NOTHING.TXT", 60.0)
    outcome = run_guest(job)
    assert outcome == Outcome(1, b"", outcome.trouble)
    assert "has no NOTHING.TXT" in outcome.trouble
    late = run_guest(job._replace(prompt="never", timeout=0.5))
    assert "did not show 'never'" in late.trouble
    missing = run_guest(job._replace(image="nowhere.img"))
    assert "no such file" in missing.trouble
    assert not Path(f"{image}.pcemu").exists()


def test_what_a_killed_worker_left_is_thrown_away(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    with Session(image, "fleet1") as session:
        session.start().write(0, b"x" * 512)
    with undone_session(image, "fleet1") as session:
        sector = bytearray(512)
        session.drive.read(0, sector)
        assert not any(sector)
    assert not Path(f"{image}.pcemu").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), 2, "no Dask scheduler answers"),
        (("--count", "0"), 2, "want at least 1"),
        (("--into", "/dev/null/x"), 2, "cannot be made"),
    ],
)
def test_wrong_usage_gets_a_sentence(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    done = fleet("x.img", "--type", "x", "--result", "x", "--into", tmp_path / "into", *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert words in done.stderr
