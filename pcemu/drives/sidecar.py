"""Small files beside an image, for what a raw image has no room for."""

from __future__ import annotations

import errno
import os

from pcemu.drives.hostfile import O_PLAIN, Host, HostFile, retried

PENDING = ".pcemu-pending"  # an operation under way: pcemu.drives.intents
CHILDREN = ".pcemu-children"  # children in other folders: pcemu.drives.registry
SESSIONS = ".pcemu"  # a folder with the drives of undo sessions on the image: pcemu.session
MAX_SIZE = 1 << 20


def is_pending(image: str, host: Host) -> bool:
    """True when an operation on an image is under way; its path must be without links."""
    try:
        retried(host.calls.stat, image + PENDING)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no path at all
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
    return True  # also when the host cannot tell: who reads it will be told why


def read_sidecar(path: str, host: Host) -> bytes | None:
    """All of a small file, of which no more than a megabyte is looked at; None when there is none."""
    try:
        # Not blocking: it may be a FIFO that somebody put there.
        flags = os.O_RDONLY | O_PLAIN | getattr(os, "O_NONBLOCK", 0)
        file = HostFile(host.calls, retried(host.calls.open, path, flags), path, read_only=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return bytes(file.read_bytes(0, min(file.size(), MAX_SIZE)))
    finally:
        file.close()


def append_line(path: str, line: bytes, host: Host) -> None:
    """Add a line that lasts to a file, which is made when it is not there."""
    made = read_sidecar(path, host) is None
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | O_PLAIN
    file = HostFile(host.calls, retried(host.calls.open, path, flags), path, read_only=False)
    try:
        file.write(line, file.size())
        file.sync_all()
    finally:
        file.close()
    if made:
        host.sync_dir_of(path)


def remove_sidecar(path: str, host: Host) -> None:
    """Remove a file for good; nothing happens when it is gone."""
    try:
        host.unlink(path)
    except FileNotFoundError:
        return
    host.sync_dir_of(path)
