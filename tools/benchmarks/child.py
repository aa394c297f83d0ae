"""Boots FreeDOS as a user's script would: ``child.py IMAGE PACE IDLE_SECONDS [BIOS VGABIOS]``.

Prints a line when the prompt is there and another with what it knows of itself. What only the benchmark
needs is imported after the prompt.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pcemu import Machine, MachineConfig
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive

PROMPT = "C:\\>"


def main(image: str, pace: str, idle_seconds: str, *roms: str) -> None:
    """Boot, idle, tell."""
    disk = MemoryOverlay(RawDrive(image, read_only=True))
    bios, vgabios = map(Path, roms) if roms else (None, None)
    with Machine(MachineConfig(disks=[disk], pace=pace, bios=bios, vgabios=vgabios)) as pc:
        pc.run_until_text(PROMPT)
        print(PROMPT, flush=True)

        import json
        import time

        from tools.benchmarks.process import peak_mebibytes

        facts = {"peak_mebibytes": peak_mebibytes()}
        if float(idle_seconds):
            start, used = time.perf_counter(), time.process_time()
            pc.run(float(idle_seconds))
            used = time.process_time() - used
            facts["idle_percent"] = 100 * used / (time.perf_counter() - start)
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
