"""The files that come with pcemu: the ROM, the demo disk, boot code of new disks, a font for pcemu's texts.

An installed package carries them in ``pcemu/data``; in a source tree they lie where they are built.
"""

from __future__ import annotations

from pathlib import Path

from pcemu.errors import ImageNotFoundError

_PACKAGE = Path(__file__).parent
_SOURCES = {
    "pcemu-bios.rom": "bios",
    "font8x16.bin": "bios",
    "demo.img": "disks",
    "mbr.bin": "disks",
    "nosystem.bin": "disks",
}


def resource(name: str) -> Path:
    """The path of a file that comes with pcemu."""
    installed = _PACKAGE / "data" / name
    if installed.exists():
        return installed
    source = _PACKAGE.parent / _SOURCES[name] / name
    if source.exists():
        return source
    raise ImageNotFoundError(f"{installed}: missing from this installation of pcemu; install it again")
