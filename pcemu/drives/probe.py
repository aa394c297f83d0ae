"""What format an image has, by its content."""

from __future__ import annotations

import os
from enum import StrEnum

from pcemu.drives.hostfile import HOST, Host, HostFile

COOKIE = b"conectix"
FOOTER_SIZES = (512, 511)  # 511 before 2004


class Format(StrEnum):
    """The formats that can be opened."""

    RAW = "raw"
    FIXED = "fixed"
    DYNAMIC = "dynamic"
    DIFFERENCING = "differencing"


def probe(path: str | os.PathLike[str], *, host: Host = HOST) -> Format:
    """Look at an image, without locking it; raw when nothing in it says that it is a VHD.

    What says so but is damaged raises ImageFormatError: to open it as raw must be asked for.
    """
    file = host.open_image(os.fspath(path), read_only=True, lock=False)
    try:
        return probe_file(file)
    finally:
        file.close()


def probe_file(file: HostFile) -> Format:
    """As :func:`probe`, for an open file."""
    if not has_vhd_traces(file):
        return Format.RAW
    from pcemu.drives import vhd_header, vhd_layout  # construct is slow to import, and raw images go without

    return Format(vhd_layout.TYPE_NAMES[vhd_header.read_facts(file).footer.type])


def has_vhd_traces(file: HostFile) -> bool:
    """True when a footer's cookie is at the start of the file or where a footer at its end has it."""
    size = file.size()
    offsets = {0, *(size - length for length in FOOTER_SIZES), size // 512 * 512 - 512}
    fitting = [offset for offset in offsets if 0 <= offset <= size - len(COOKIE)]
    return any(file.read_bytes(offset, len(COOKIE)) == COOKIE for offset in fitting)
