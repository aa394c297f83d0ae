"""Benchmarks of the terminal: how soon it is there, how soon it answers, and what it costs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from tools.benchmarks.figures import Benchmark, Figure, Sample, Unavailable
from tools.benchmarks.terminal_child import KEYS, READY

ROOT = Path(__file__).resolve().parent.parent.parent
IDLE_SECONDS = 10.0
SIZE = b"\x19\x00\x50\x00\x00\x00\x00\x00"  # 25 rows, 80 columns
BETWEEN_KEYS = 0.1  # s
PATIENCE = 5.0  # s
FIGURES = (
    Figure("terminal-start", "Terminal: from its first import to its first frame", "s"),
    Figure("terminal-key", "Terminal: key sent to character received", "ms", 40),
    Figure("terminal-frame", "Terminal: frame in which all cells change", "ms of a core"),
    Figure("terminal-idle", "Terminal: idle FreeDOS prompt at pace realtime", "% of a core", 10),
    Figure("terminal-panel", "Terminal: the same with the side panel", "% of a core"),
)


class Terminal:
    """The benchmark on one ``image``, which is never written to, in a pseudo terminal of 80×25."""

    def __init__(self, image: Path) -> None:
        self._image = image

    def sample(self) -> Sample:
        """Measure all figures once."""
        program = str(Path(__file__).with_name("terminal_child.py"))
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, SIZE)
        run = subprocess.Popen(
            [sys.executable, program, str(self._image), str(IDLE_SECONDS)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
            stdin=its,
            stdout=its,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(its)
        assert run.stderr is not None
        user = User(ours)
        with run, run.stderr as said:
            facts: Sample = {}
            if said.readline().decode().strip() == READY:
                facts["terminal-key"] = median(user.strike(letter) for letter in KEYS) * 1e3
            rest = said.read()
        os.close(ours)
        if run.returncode or not facts:
            raise Unavailable(f"the terminal could not be measured: {rest.decode(errors='replace')}")
        facts.update(json.loads(rest))
        return facts

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [Benchmark("terminal", FIGURES, self.sample)]


class User:
    """Who sits before the terminal: types, and sees characters come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits_for = b""
        self._came = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        with suppress(OSError):
            while data := os.read(self._descriptor, 65536):
                if self._waits_for and self._waits_for in data:
                    self._came.set()

    def strike(self, letter: str) -> float:
        """Seconds from sending a letter until it came back on the screen."""
        time.sleep(BETWEEN_KEYS)
        self._came.clear()
        self._waits_for = letter.encode()
        start = time.perf_counter()
        os.write(self._descriptor, self._waits_for)
        if not self._came.wait(PATIENCE):
            raise Unavailable(f"the terminal did not show {letter!r}")
        return time.perf_counter() - start
