#!/usr/bin/env python3
"""Build what disks/ keeps: the demo disk, and the boot code of new disks.

    tools/build_disk.py             build and replace disks/demo.img, mbr.bin and nosystem.bin
    tools/build_disk.py --check     build, compare with those that are kept, exit 1 when they differ

Needs nasm. The same source gives the same bytes everywhere: nothing of the host gets into the images.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DISKS = ROOT / "disks"
IMAGE = DISKS / "demo.img"
IMAGE_SIZE = 1 << 20
BOOT_CODE = (DISKS / "mbr.bin", DISKS / "nosystem.bin")
MAX_BOOT_CODE = 440

sys.path.insert(0, str(ROOT))
from tools.assembling import BuildError, assemble, checking, deliver  # noqa: E402  (see build_rom.py)


def build() -> bytes:
    """The demo disk that the source makes, 1 MiB. Raises BuildError."""
    image = assemble(DISKS / "demo.asm")
    if len(image) != IMAGE_SIZE:
        raise BuildError(f"the image has {len(image)} bytes, expected {IMAGE_SIZE}")
    return image


def build_boot_code(path: Path) -> bytes:
    """The boot code that stands in `path`, made anew. Raises BuildError."""
    code = assemble(path.with_suffix(".asm"))
    if len(code) > MAX_BOOT_CODE:
        raise BuildError(f"disks/{path.stem}.asm makes {len(code)} bytes, expected at most {MAX_BOOT_CODE}")
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all was built (and, with --check, is what is kept)."""
    check = checking("Build pcemu's demo disk and the boot code of new disks.", arguments)
    try:
        built = {IMAGE: build()} | {path: build_boot_code(path) for path in BOOT_CODE}
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return deliver(built, check, "tools/build_disk.py")


if __name__ == "__main__":
    sys.exit(main())
