"""Benchmarks of many machines on one parent: what the start of the hundredth costs beside the first's."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median

from pcemu.drives.create import create_dynamic
from pcemu.session.session import Session
from tools.benchmarks.figures import Benchmark, Figure, Sample

CLIENTS = 100
LOOKS = 10  # starts of which the median is taken, at either end
SIZE = 500 << 20


class Sharing:
    """The benchmarks, with their image in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sharing"

    def start(self) -> Sample:
        """Sessions on one image, all open at once: how long each takes, and of that the processor's part."""
        self._folder.mkdir()
        base = self._folder / "base.vhd"
        create_dynamic(base, SIZE)
        took: list[float] = []
        used: list[float] = []
        sessions: list[Session] = []
        for number in range(CLIENTS + LOOKS):
            start, processor = time.perf_counter(), time.process_time()
            session = Session(base, f"client{number}")
            session.start()
            took.append((time.perf_counter() - start) * 1000)
            used.append((time.process_time() - processor) * 1000)
            sessions.append(session)
        ends: list[float] = []
        for session in sessions:
            start = time.process_time()
            session.discard()
            session.close()
            ends.append((time.process_time() - start) * 1000)
        shutil.rmtree(self._folder)
        return {
            "sharing-start": median(took[-LOOKS:]),
            "sharing-start/first": median(took[:LOOKS]),
            "sharing-processor": median(used[-LOOKS:]),
            "sharing-processor/first": median(used[:LOOKS]),
            "sharing-discard": median(ends[:LOOKS]),
            "sharing-discard/last": median(ends[-LOOKS:]),
        }

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [Benchmark("sharing-start", FIGURES, self.start)]


FIGURES = (
    Figure("sharing-start", f"Start of the {CLIENTS}th session on an image", "ms", 1.1, against=("first",)),
    Figure("sharing-processor", "… of the processor's time", "ms"),
    Figure("sharing-discard", f"Discard beside {CLIENTS} others; of the processor's time", "ms"),
)
NAMES = ("sharing-start",)
