"""QEMU's own tools on its own formats, as peers of the drives engine.

What they take includes the start of a process, which is measured, too, and taken off where it matters.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from tools.benchmarks.figures import Unavailable

BENCH, IO = "qemu-img", "qemu-io"
STARTS = 3
LEAST = 1e-6  # seconds
RUN = re.compile(r"Run completed in ([0-9.]+) seconds")


class Took(NamedTuple):
    """Seconds by the wall, and of processors."""

    wall: float
    processor: float


def available() -> bool:
    """True where the tools are installed."""
    return shutil.which(BENCH) is not None and shutil.which(IO) is not None


def run(*command: str | Path) -> str:
    """Run a tool; what it prints."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def beyond_start(*command: str | Path) -> Took:
    """What a tool takes, without its start; never nothing, as others divide by it."""
    whole = timed(*command)[0]
    starts = [timed(command[0], "--version")[0] for _ in range(STARTS)]  # one may be dearer than the whole
    wall, processor = min(each.wall for each in starts), min(each.processor for each in starts)
    return Took(max(LEAST, whole.wall - wall), max(LEAST, whole.processor - processor))


def timed(*command: str | Path) -> tuple[Took, str]:
    """What a tool takes, all in all, and what it prints."""
    before, start = _processor_seconds(), time.perf_counter()
    printed = run(*command)
    return Took(time.perf_counter() - start, _processor_seconds() - before), printed


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def create(
    path: Path, form: str, size: int | None = None, parent: Path | None = None, **options: str
) -> None:
    """A new image; ``parent`` is a qcow2 image, or raw when it ends in .img."""
    command: list[str | Path] = [BENCH, "create", "-q", "-f", form]
    if options:
        command += ["-o", ",".join(f"{name}={value}" for name, value in options.items())]
    if parent is not None:
        command += ["-b", parent, "-F", "raw" if parent.suffix == ".img" else "qcow2"]
    run(*command, path, *([] if size is None else [str(size)]))


def bench(
    path: Path, form: str, *, count: int, size: int, step: int, depth: int = 1, write: bool = False
) -> Took:
    """``count`` requests of ``size`` bytes, ``step`` bytes apart, ``depth`` at a time."""
    numbers = {"-c": count, "-s": size, "-S": step, "-d": depth}
    options = [text for name, number in numbers.items() for text in (name, str(number))]
    took, printed = timed(BENCH, "bench", "-f", form, *options, *(["-w"] if write else []), path)
    found = RUN.search(printed)
    if found is None:
        raise Unavailable(f"{BENCH} bench did not tell how long it took")
    return Took(float(found[1]), took.processor)
