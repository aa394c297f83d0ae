"""What `pcemu run --json` says at the end: one line for programs, with keys that stay as they are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pcemu.cli.disks import SessionDisk
from pcemu.drives.drive import SECTOR_SIZE

ENDED, FAILED, TIMEOUT, INTERRUPTED, REFUSED = "ended", "failed", "timeout", "interrupted", "refused"
NOTHING = "nothing"


@dataclass
class Awaited:
    """A text of --until, and the virtual time when it came (s); None when it did not."""

    text: str
    at: float | None = None


@dataclass
class DiskReport:
    """What the guest wrote on a disk, and whether there is still a session of it to be decided."""

    image: str
    changed_sectors: int
    changed_bytes: int
    session: str = ""


@dataclass
class Report:
    """The line, as it is gathered while the session runs.

    ``outcome`` is one of the words above; ``refused`` when the session did not even begin. ``decision`` is
    what became of the changes: commit, discard, keep, branch, or nothing where nothing was changed.
    """

    outcome: str = REFUSED
    exit_code: int = 0
    error: str | None = None
    screen: str = ""
    until: list[Awaited] = field(default_factory=list)
    virtual_seconds: float = 0.0
    wall_seconds: float = field(default_factory=time.monotonic)
    decision: str = NOTHING
    disks: list[DiskReport] = field(default_factory=list)
    screenshot: str | None = None

    def note_disks(self, disks: Sequence[SessionDisk]) -> None:
        """What was changed, before that is decided."""
        self.disks = [
            DiskReport(str(disk.path), disk.changed, disk.changed * SECTOR_SIZE) for disk in disks
        ]

    def note_decision(self, decision: str, disks: Sequence[SessionDisk]) -> None:
        """What was decided, and what is left."""
        self.decision = decision
        for report, disk in zip(self.disks, disks, strict=True):
            report.session = "kept" if disk.session.numbers else "none"

    def line(self) -> str:
        """All of it as JSON."""
        values = asdict(self)
        values["wall_seconds"] = round(time.monotonic() - self.wall_seconds, 3)
        values["virtual_seconds"] = round(self.virtual_seconds, 6)
        return json.dumps(values, ensure_ascii=False)
