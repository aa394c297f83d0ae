"""What format an image has, by its content."""

from __future__ import annotations

import os
from enum import StrEnum

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.errors import ImageFormatError

COOKIE = b"conectix"
HEADER_COOKIE = b"cxsparse"
FOOTER_SIZE = 512
OLD_FOOTER_SIZE = 511  # before 2004
HEAD_SIZE = 8192
TAIL_SIZE = 1024
RAW_SUFFIXES = (".img", ".raw", ".dd", ".bin")


class Ends:
    """The first and last bytes of an image, read once: most of what opening it looks at is there."""

    def __init__(self, file: HostFile) -> None:
        self.file = file
        self.size = size = file.size()
        self._head = bytearray(min(size, HEAD_SIZE))
        file.read(self._head, 0)
        self._tail = bytearray(min(size, TAIL_SIZE))
        self._tail_offset = size - len(self._tail)
        file.read(self._tail, self._tail_offset)

    def read(self, offset: int, size: int) -> bytearray:
        """``size`` bytes inside the file from ``offset`` on."""
        end = offset + size
        if end <= len(self._head):
            return self._head[offset:end]
        at = offset - self._tail_offset
        if at >= 0:
            return self._tail[at : at + size]
        return self.file.read_bytes(offset, size)

    def footer_places(self) -> list[tuple[int, int]]:
        """(offset, length) of where a footer at the end may be."""
        places = []
        if self.size % SECTOR_SIZE == OLD_FOOTER_SIZE:
            places.append((self.size - OLD_FOOTER_SIZE, OLD_FOOTER_SIZE))
        last = self.size // SECTOR_SIZE * SECTOR_SIZE - FOOTER_SIZE
        if last >= 0:
            places.append((last, FOOTER_SIZE))
        return places

    def have_vhd_traces(self) -> bool:
        """True when a footer's cookie is at the start of the file or where a footer at its end has it.

        Or, when both footers are lost, a header's behind the first.
        """
        if self._head.startswith(COOKIE):
            return True
        if self.size > FOOTER_SIZE and self.read(FOOTER_SIZE, len(HEADER_COOKIE)) == HEADER_COOKIE:
            return True
        return any(self.read(offset, len(COOKIE)) == COOKIE for offset, _ in self.footer_places())


def is_raw(ends: Ends) -> bool:
    """True when nothing in an image file says that it is a VHD.

    Raises ImageFormatError when its name alone says so: a lost VHD used as a raw image would get worse.
    """
    if ends.have_vhd_traces():
        return False
    path = ends.file.path
    if ends.size and path.lower().endswith(".vhd"):
        raise ImageFormatError(
            f"{path}: has neither a VHD's footer nor its header, expected the word 'conectix' in its last "
            f"sector, as its name ends in .vhd; restore it from a copy or, if it is a raw image, rename it "
            f"to .img or use --format raw where a command has it"
        )
    return True


class Format(StrEnum):
    """The formats that can be opened."""

    RAW = "raw"
    FIXED = "fixed"
    DYNAMIC = "dynamic"
    DIFFERENCING = "differencing"


def probe(path: str | os.PathLike[str], *, host: Host = HOST) -> Format:
    """Look at an image, without locking it; raw when neither content nor name says that it is a VHD.

    What says so but is none, or damaged, raises ImageFormatError: to open it as raw must be asked for.
    """
    file = host.open_image(os.fspath(path), read_only=True, lock=False)
    try:
        return probe_file(file)
    finally:
        file.close()


def probe_file(file: HostFile) -> Format:
    """As :func:`probe`, for an open file."""
    ends = Ends(file)
    if is_raw(ends):
        return Format.RAW
    from pcemu.drives import vhd_header, vhd_layout  # construct is slow to import, and raw images go without

    return Format(vhd_layout.TYPE_NAMES[vhd_header.read_facts(ends).footer.type])


