"""Repairing what a dynamic or differencing image can be repaired of: one of its two footers is lost."""

from __future__ import annotations

import os

from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.probe import Ends
from pcemu.drives.vhd_header import read_facts
from pcemu.drives.vhd_layout import FOOTER_SIZE, TYPE_FIXED
from pcemu.errors import ImageFormatError


def repair(path: StrPath, *, host: Host = HOST) -> list[str]:
    """Restore a lost footer from the other one; sentences about what was done, none when all was well.

    Nothing else is changed. What cannot be repaired raises ImageFormatError, as opening it does.
    """
    path = os.fspath(path)
    with told(path, "the repair", "mend that and run it again"):
        file = host.open_image(path, read_only=False)
        try:
            return _repair(file)
        finally:
            file.close()


def _repair(file: HostFile) -> list[str]:
    ends = Ends(file)
    if not ends.have_vhd_traces():
        raise ImageFormatError(
            f"{file.path}: has no trace of a VHD's footers or header, expected one of them; if it is a "
            f"raw image, there is nothing to repair, else restore it from a copy"
        )
    facts = read_facts(ends)
    if facts.footer.type == TYPE_FIXED:
        return []
    footer = facts.footer.pack()
    status = file.status()
    done = []
    if facts.tail_lost:
        restore_tail(file, footer, facts.end)
        done.append(f"{file.path}: the footer at the end was lost; restored from its copy at the start")
    if ends.read(0, FOOTER_SIZE) != footer:
        file.write(footer, 0)
        done.append(f"{file.path}: the footer's copy at the start was lost; restored from the one at the end")
    if done:
        file.take_after(status, times=True)  # it reads the same: its children need no warning
    file.sync()  # also when there was nothing to do: it may be what failed in an earlier try
    return done


def restore_tail(file: HostFile, footer: bytes, end: int) -> None:
    """Put a footer behind all blocks, where it is the last thing in the file."""
    file.write(footer, end)
    file.sync()
    if file.size() > end + FOOTER_SIZE:  # a block that was never used, or half of one
        file.truncate(end + FOOTER_SIZE)
        file.sync()


def mend_tail(path: str, host: Host) -> None:
    """As :func:`repair`, of an image that an interrupted operation is known to have been extending."""
    file = host.open_image(path, read_only=False)
    try:
        ends = Ends(file)
        if ends.have_vhd_traces():
            facts = read_facts(ends)
            if facts.tail_lost:
                restore_tail(file, facts.footer.pack(), facts.end)
    finally:
        file.close()
