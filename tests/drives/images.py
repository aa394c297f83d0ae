"""Stacks of images for tests: every format, and differencing images on each of them."""

from __future__ import annotations

import random
from pathlib import Path

from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.open import open_drive

KIB, MIB = 1 << 10, 1 << 20

# name: the layers from the base up, each a format or the block size of a differencing image
STACKS: dict[str, tuple[str | int, ...]] = {
    "raw": ("raw",),
    "fixed": ("fixed",),
    "dynamic": ("dynamic", 2 * MIB),
    "dynamic of 512 KiB": ("dynamic", 512 * KIB),
    "dynamic of 4 KiB": ("dynamic", 4 * KIB),
    "child of raw": ("raw", 2 * MIB),
    "child of fixed": ("fixed", 512 * KIB),
    "child of dynamic": ("dynamic", 2 * MIB, 2 * MIB),
    "small blocks on large": ("dynamic", 2 * MIB, 4 * KIB),
    "large blocks on small": ("dynamic", 4 * KIB, 8 * MIB),
    "four layers": ("fixed", 2 * MIB, 64 * KIB, 512 * KIB, 4 * KIB),
}


def make_base(path: Path, kind: str, size: int, block_size: int = 2 * MIB) -> None:
    """An empty image."""
    if kind == "raw":
        path.write_bytes(b"")
        with path.open("r+b") as file:
            file.truncate(size)
    elif kind == "fixed":
        create_fixed(path, size)
    else:
        create_dynamic(path, size, block_size=block_size)


def make_stack(folder: Path, name: str, size: int, seed: int = 1) -> tuple[Path, bytearray]:
    """Build a stack whose lower layers are filled at random: the head, and what it must hold."""
    base, *blocks = STACKS[name]
    path = folder / ("base.img" if base == "raw" else "base.vhd")
    block = int(blocks.pop(0)) if base == "dynamic" else 0
    make_base(path, str(base), size, block)
    model = bytearray(size)
    rng = random.Random(seed)
    for number, block_size in enumerate(blocks):
        fill(path, model, rng)
        child = folder / f"child{number}.vhd"
        create_differencing(child, path, block_size=int(block_size))
        path = child
    return path, model


def fill(path: Path, model: bytearray, rng: random.Random, writes: int = 30) -> None:
    """Random writes to an image and to its model."""
    drive = open_drive(path)
    for _ in range(writes):
        count = rng.choice((1, 8, 40))
        lba = rng.randrange(drive.sectors - count)
        data = rng.randbytes(count * 512)
        drive.write(lba, data)
        model[lba * 512 : (lba + count) * 512] = data
    drive.close()
