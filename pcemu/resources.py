"""The files that come with pcemu: the system ROM, the demo disk, and the font of pcemu's own texts.

An installed package carries them in ``pcemu/data``; in a source tree they lie where they are built.
"""

from __future__ import annotations

from pathlib import Path

from pcemu.errors import ImageNotFoundError

_PACKAGE = Path(__file__).parent
_SOURCES = {"pcemu-bios.rom": "bios", "demo.img": "disks", "font8x16.bin": "bios"}


def resource(name: str) -> Path:
    """The path of a file that comes with pcemu."""
    installed = _PACKAGE / "data" / name
    if installed.exists():
        return installed
    source = _PACKAGE.parent / _SOURCES[name] / name
    if source.exists():
        return source
    raise ImageNotFoundError(f"{installed}: missing from this installation of pcemu; install it again")
