"""What the commands of `pcemu session` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcemu.cli.disk_common import DISK
from pcemu.errors import UsageError

if TYPE_CHECKING:
    from pcemu.session.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])

disk_argument = click.argument("disk", type=DISK)
name_option = click.option(
    "--session", "name", metavar="NAME", default="default", help="A session besides the usual one."
)


@contextmanager
def opened(disk: Path, name: str, *, started: bool = True) -> Iterator[Session]:
    """The session of a disk, which must have one; its drives are open when ``started``."""
    from pcemu.cli.disks import session_folder
    from pcemu.session.record import State
    from pcemu.session.session import Session

    with Session(disk, name, fallback=session_folder()) as session:
        if session.found is State.NEW:
            raise UsageError(
                f"{disk}: has no session {name!r}, expected one that was kept or interrupted; "
                f"`pcemu session list` shows all"
            )
        kept = session.found is State.KEPT
        if started:
            session.start()
        try:
            yield session
        finally:
            if kept and session.numbers:
                session.keep()  # looking at it does not make it an interrupted one


def date_text(when: float) -> str:
    """``2024-02-29 13:14``"""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def age_text(when: float, now: float | None = None) -> str:
    """How long ago, in one or two units: ``3 min``."""
    seconds = max(0.0, (time.time() if now is None else now) - when)
    for unit, size, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86_400)} days"
