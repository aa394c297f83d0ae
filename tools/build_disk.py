#!/usr/bin/env python3
"""Build the demo disk: disks/demo.asm becomes disks/demo.img.

    tools/build_disk.py             build and replace disks/demo.img
    tools/build_disk.py --check     build, compare with disks/demo.img, exit 1 when they differ

Needs nasm. The same source gives the same bytes everywhere: nothing of the host gets into the image.
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
IMAGE = DISKS / "demo.img"
IMAGE_SIZE = 1 << 20

sys.path.insert(0, str(ROOT))
from tools.build_rom import BuildError, difference  # noqa: E402  (the project's folder is not on the path)


def build() -> bytes:
    """The image that the source makes, 1 MiB. Raises BuildError."""
    nasm = shutil.which("nasm")
    if nasm is None:
        raise BuildError("nasm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "demo.img"
        command = [nasm, "-f", "bin", "-Wall", "-Werror", "-o", str(target), "demo.asm"]
        run = subprocess.run(command, cwd=DISKS, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BuildError(f"nasm refuses disks/demo.asm:\n{run.stderr.rstrip()}")
        image = target.read_bytes()
    if len(image) != IMAGE_SIZE:
        raise BuildError(f"the image has {len(image)} bytes, expected {IMAGE_SIZE}")
    return image


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the image was built (and, with --check, is the one that is kept)."""
    parser = argparse.ArgumentParser(description="Build pcemu's demo disk.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    try:
        image = build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    name = IMAGE.relative_to(ROOT)
    if not options.check:
        IMAGE.write_bytes(image)
        print(f"{name}: {len(image)} bytes")
        return 0
    if not IMAGE.exists():
        print(f"{name} is missing; run tools/build_disk.py", file=sys.stderr)
        return 1
    found = difference(image, IMAGE.read_bytes())
    if found is not None:
        print(f"{name} is not what the source builds ({found}); run tools/build_disk.py", file=sys.stderr)
        return 1
    print(f"{name} is what the source builds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
