"""Benchmarks of the window: how soon it is there, how soon it answers, and what it costs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.benchmarks.figures import Benchmark, Figure, Sample, Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent
IDLE_SECONDS = 10.0
SCREEN = "1600x1000x24"
FIGURES = (
    Figure("window-start", "Window: from its first import to its first frame", "s", 0.5),
    Figure("window-key", "Window: key event to changed picture", "ms", 40),
    Figure("window-frame", "Window: frame in which all cells change, 2x", "ms of a core", 2),
    Figure("window-idle", "Window: idle FreeDOS prompt at pace realtime", "% of a core", 15),
)


class Window:
    """The benchmark on one ``image``, which is never written to, on a display of its own."""

    def __init__(self, image: Path) -> None:
        self._image = image

    def sample(self) -> Sample:
        """Measure all figures once."""
        program = str(Path(__file__).with_name("window_child.py"))
        with _display() as name:
            run = subprocess.run(
                [sys.executable, program, str(self._image), str(IDLE_SECONDS)],
                env={**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": name},
                stdout=subprocess.PIPE,
                check=False,
            )
        if run.returncode:
            raise Unavailable("the window could not be measured; see its message above")
        sample: Sample = json.loads(run.stdout)
        return sample

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [Benchmark("window", FIGURES, self.sample)]


@contextmanager
def _display() -> Iterator[str]:
    """An Xvfb; its name."""
    if shutil.which("Xvfb") is None:
        raise Unavailable("Xvfb is missing; install it for the window's figures")
    ours, its = os.pipe()
    command = ["Xvfb", "-displayfd", str(its), "-screen", "0", SCREEN, "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[its], stderr=subprocess.DEVNULL) as server:
        os.close(its)
        try:
            with os.fdopen(ours) as file:
                yield f":{file.readline().strip()}"
        finally:
            server.terminate()
