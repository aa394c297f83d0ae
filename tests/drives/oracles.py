"""What other programs read from images: qemu-img and 7-Zip; a test that asks one is skipped without it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import require

QEMU, SEVEN_ZIP, VHDIINFO = "qemu-img", "7zz", "vhdiinfo"


def run(*command: str | Path) -> bytes:
    """The output of another program."""
    require(shutil.which(str(command[0])) is not None, str(command[0]))
    return subprocess.run(command, check=True, capture_output=True, timeout=300).stdout


def qemu_agrees(image: Path, model: bytes | bytearray, form: str = "vpc") -> None:
    """qemu reads ``model`` from a fixed or dynamic image (or a raw one), and finds no fault with it."""
    reference = image.with_name(image.name + ".reference")
    reference.write_bytes(model)
    said = run(QEMU, "compare", "-f", form, "-F", "raw", image, reference)
    reference.unlink()
    assert b"identical" in said


def seven_zip_agrees(image: Path, model: bytes | bytearray) -> None:
    """7-Zip reads ``model`` from a VHD of any kind, with all that it is built on."""
    assert run(SEVEN_ZIP, "x", "-so", "-tVHD", image) == model
