"""What the commands of `pcemu session` share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pcemu.cli.disk_common import DISK, OUTSIDE_HELP, work
from pcemu.errors import UsageError

if TYPE_CHECKING:
    from pcemu.session.folder import SessionFolder
    from pcemu.session.journal import Journal
    from pcemu.session.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])

GO_ON_COMMITTING = "nothing is lost; commit again, which goes on there"
ALLOW_OUTSIDE = "pcemu.allow_outside"

disk_argument = click.argument("disk", type=DISK)
_name_option = click.option(
    "--session", "name", metavar="NAME", default="default", help="A session besides the usual one."
)


def _keep_in_mind(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    ctx.meta[ALLOW_OUTSIDE] = value


_outside_option = click.option(
    "--allow-outside", is_flag=True, expose_value=False, callback=_keep_in_mind, help=OUTSIDE_HELP
)


def name_option(command: Command) -> Command:
    """Add the options that say which session to open, and how."""
    return _name_option(_outside_option(command))


def allow_outside() -> bool:
    """What the running command was told."""
    allowed: bool = click.get_current_context().meta[ALLOW_OUTSIDE]
    return allowed


@contextmanager
def opened(disk: Path, name: str, *, started: bool = True) -> Iterator[Session]:
    """The session of a disk, which must have one; its drives are open when ``started``."""
    from pcemu.cli.disks import session_folder
    from pcemu.session.record import State
    from pcemu.session.session import Session

    with Session(disk, name, fallback=session_folder(), allow_outside=allow_outside()) as session:
        if session.found is State.NEW:
            raise UsageError(
                f"{disk}: has no session {name!r}, expected one that was kept or interrupted; "
                f"`pcemu session list` shows all"
            )
        kept = session.found is State.KEPT
        if started and session.found is State.COMMITTING:
            doing = "finishing the commit that was interrupted"
            _tell([f"{disk}: {doing}"])
            with work(doing, GO_ON_COMMITTING, quiet=_quiet()) as progress:
                session.start(progress)
        elif started:
            session.start()
        if started:
            _tell(session.warnings)
        try:
            yield session
        finally:
            if kept and session.numbers:
                session.keep()  # looking at it does not make it an interrupted one


def _tell(warnings: list[str]) -> None:
    """Print what the session warns of, such as an image that was written to, unless that is not wanted."""
    from pcemu.cli.output import note

    if not _quiet():
        for warning in warnings:
            note(warning)


def _quiet() -> bool:
    """What the running command was told; False where it has no such option."""
    return bool(click.get_current_context().params.get("quiet"))


def session_row(folder: SessionFolder) -> dict[str, Any]:
    """What is known of a session without locking it; the keys are those of `pcemu session list --json`."""
    from pcemu.drives.hostfile import HOST
    from pcemu.errors import ImageError
    from pcemu.session.journal import read_journal

    journal: Journal | None = None
    with contextlib.suppress(ImageError, OSError):
        journal = read_journal(folder.journal, HOST)
    users = folder.holder()
    drives = [Path(path) for path in folder.drives().values()]
    state = "damaged" if journal is None else journal.state
    if journal is not None and not users and (state == "active" or "commit" in journal.pending):
        state = "committing" if "commit" in journal.pending else "interrupted"
    return {
        "image": folder.image,
        "session": folder.name,
        "state": state,
        "created": journal.created if journal else min([path.stat().st_mtime for path in drives], default=0),
        "checkpoints": max(0, len(drives) - 1),
        "size": sum(path.stat().st_blocks * 512 for path in drives),
        "in_use_by": users,
        "folder": folder.path,
    }


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
