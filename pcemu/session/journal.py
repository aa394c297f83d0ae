"""The journal of an undo session: which drives it has, in what order, and what the user said of them.

A JSON file with a version and a checksum, always whole on disk: written under another name, synced, renamed
over the old one, the folder synced. What it says of an operation under way (``pending``) is enough to
finish that after a crash::

    {"revert": 3}    everything above drive 3 goes away (0: everything)
    {"commit": 3}    drive 3 and those below it go into the base image
    {"merge": 3}     drive 3 becomes part of the next one
    {"rebase": 3}    drive 3 and those above it replace all others
    {"remove": 0}    the session goes away with all its drives
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pcemu.drives.hostfile import Host
from pcemu.drives.newfile import remove, temporary_name
from pcemu.drives.sidecar import read_sidecar
from pcemu.errors import ImageAccessError, ImageFormatError

FORMAT = "pcemu session"
VERSION = 1
ACTIVE, KEPT = "active", "kept"
STATES = (ACTIVE, KEPT)
OPERATIONS = ("revert", "commit", "merge", "rebase", "remove")
MAX_NOTE = 10_000


class JournalDamaged(ImageFormatError):
    """The journal is not what was written."""


@dataclass
class DriveNote:
    """One drive of a session. It is a checkpoint when it is ``frozen``; the last one, the head, is not.

    ``number`` counts the session's drives from 1 and never comes again. Times are seconds since 1970.
    ``emptied``: its content was committed; it stays because the next drive is built on it. ``preserves``: it
    holds nothing of this session's, only what the image had before others committed to it. ``preserved``:
    so many of its sectors hold what the image had before files of this session were committed.
    """

    number: int
    began: float
    frozen: float | None = None
    automatic: bool = False
    name: str = ""
    note: str = ""
    pinned: bool = False
    emptied: bool = False
    preserves: bool = False
    preserved: int = 0


@dataclass
class Journal:
    """What there is to know of a session; ``drives`` from the oldest to the head."""

    image: str
    created: float
    state: str = ACTIVE
    next_number: int = 1
    drives: list[DriveNote] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)

    def index(self, number: int) -> int:
        """Where the drive of this number is in ``drives``; KeyError when there is none."""
        for index, drive in enumerate(self.drives):
            if drive.number == number:
                return index
        raise KeyError(number)


def write_journal(path: str, journal: Journal, host: Host) -> None:
    """Write it for good: after any crash there is the old one or this."""
    body = asdict(journal)
    content = {"format": FORMAT, "version": VERSION, "checksum": _checksum(body), "session": body}
    text = json.dumps(content, indent=1)
    temporary = temporary_name(path)
    file = host.create(temporary)
    try:
        try:
            file.write(text.encode(), 0)
            file.sync_all()
        finally:
            file.close()
        host.rename(temporary, path)
    except BaseException:
        remove(temporary, host)
        raise
    host.sync_dir_of(path)


def read_journal(path: str, host: Host) -> Journal | None:
    """What :func:`write_journal` wrote last; None when there is nothing. JournalDamaged, ImageAccessError."""
    try:
        data = read_sidecar(path, host)
    except OSError as error:
        raise ImageAccessError(
            f"{path}: cannot be read: {error.strerror}, expected the journal of a session; what is there is "
            f"not pcemu's: move it away, and the journal is made anew from the session's drives"
        ) from error
    if data is None:
        return None
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise ValueError("is no session")
        if content["version"] != VERSION:
            raise ValueError(f"is of version {content['version']}")
        body = content["session"]
        if content["checksum"] != _checksum(body):
            raise ValueError("has a wrong checksum")
        return _from_body(body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else "is garbage or cut off"
        raise JournalDamaged(
            f"{path}: {why}, expected the journal of a session (version {VERSION})"
        ) from error


def _from_body(body: dict[str, Any]) -> Journal:
    drives = [DriveNote(**drive) for drive in body["drives"]]
    journal = Journal(**{**body, "drives": drives})
    numbers = [drive.number for drive in drives]
    sound = (
        isinstance(journal.image, str)
        and journal.state in STATES
        and numbers == sorted(set(numbers))
        and all(0 < number < journal.next_number for number in numbers)
        and all(operation in OPERATIONS for operation in journal.pending)
    )
    if not sound:
        raise ValueError("makes no sense")
    return journal


def _checksum(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
