"""Small guest programs, assembled in the test run."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.conftest import require


def assemble(source: str, origin: int = 0x7C00) -> bytes:
    """NASM's output for 16-bit ``source`` at ``origin``."""
    return assemble_with_labels(source, origin)[0]


@cache
def assemble_with_labels(source: str, origin: int = 0x7C00) -> tuple[bytes, dict[str, int]]:
    """NASM's output for 16-bit ``source`` at ``origin``, and the addresses of its labels."""
    require(shutil.which("nasm") is not None, "nasm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "guest.asm")
        symbols = Path(folder, "guest.map")
        path.write_text(f"[map symbols {symbols}]\nbits 16\norg {origin:#x}\n{source}\n")
        target = path.with_suffix(".bin")
        result = subprocess.run(
            ["nasm", "-f", "bin", "-o", target, path], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        rows = (line.split() for line in symbols.read_text().splitlines())
        labels = {row[2]: int(row[0], 16) for row in rows if len(row) == 3 and row[0] == row[1]}
        return target.read_bytes(), labels
