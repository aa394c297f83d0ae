#!/usr/bin/env python3
"""Build the boot code of new disks: disks/mbr.asm and disks/nosystem.asm become .bin files beside them.

    tools/build_boot.py             build and replace them
    tools/build_boot.py --check     build, compare with those that are kept, exit 1 when they differ

Needs nasm.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISKS = ROOT / "disks"
SOURCES = ("mbr", "nosystem")
MAX_SIZE = 440

sys.path.insert(0, str(ROOT))
from tools.build_rom import BuildError, difference  # noqa: E402  (the project's folder is not on the path)


def build(name: str) -> bytes:
    """The code that a source makes. Raises BuildError."""
    nasm = shutil.which("nasm")
    if nasm is None:
        raise BuildError("nasm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "code.bin"
        command = [nasm, "-f", "bin", "-Wall", "-Werror", "-o", str(target), f"{name}.asm"]
        run = subprocess.run(command, cwd=DISKS, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BuildError(f"nasm refuses disks/{name}.asm:\n{run.stderr.rstrip()}")
        code = target.read_bytes()
    if len(code) > MAX_SIZE:
        raise BuildError(f"disks/{name}.asm makes {len(code)} bytes, expected at most {MAX_SIZE}")
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all was built (and, with --check, is what is kept)."""
    parser = argparse.ArgumentParser(description="Build the boot code of new disks.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    for name in SOURCES:
        path = DISKS / f"{name}.bin"
        try:
            code = build(name)
        except BuildError as error:
            print(error, file=sys.stderr)
            return 1
        if not options.check:
            path.write_bytes(code)
            print(f"disks/{name}.bin: {len(code)} bytes")
            continue
        found = "it is missing" if not path.exists() else difference(code, path.read_bytes())
        if found is not None:
            print(f"disks/{name}.bin is not what its source builds ({found}); run tools/build_boot.py")
            return 1
        print(f"disks/{name}.bin is what its source builds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
