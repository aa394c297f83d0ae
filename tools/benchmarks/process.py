"""What the host says of a process, and waiting for what this one does on the side."""

from __future__ import annotations

import threading
from pathlib import Path


def peak_mebibytes(process: int | str = "self") -> float:
    """The most memory that a process had resident so far (VmHWM), in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def processor_seconds(process: int) -> float:
    """Processor time that the threads of a process had so far."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def settle() -> None:
    """Return when the host has freed what was removed; pcemu lets a thread wait for that."""
    for thread in threading.enumerate():
        if thread.name == "pcemu close":
            thread.join()
