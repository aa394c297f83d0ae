"""The start of a run on disks whose last session may not have been decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from pcemu.cli.disks import SessionDisk, look_at, was_interrupted
from pcemu.cli.on_exit import OnExit, Working, ask_until_sure, undisturbed
from pcemu.cli.progress import ProgressBar
from pcemu.cli.signals import Interrupts
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, Answer, Asker, Question
from pcemu.session.record import State

RESUME = Answer("resume", "go on with them")


def begin(
    disks: Sequence[SessionDisk],
    asker: Asker | None,
    interrupts: Interrupts,
    tell: Callable[[str], None],
    *,
    quiet: bool,
    working: Working | None = None,
) -> None:
    """Start all sessions. ``asker`` decides on those that were interrupted; without it they go on.

    ``tell`` shows the user a line. Interrupted when a signal came instead of an answer: the sessions are as
    they were.
    """
    for disk in disks:
        if disk.found is State.COMMITTING:
            _finish_commit(disk, interrupts, tell, quiet=quiet, working=working)
        disk.start()
        for warning in disk.session.warnings:
            tell(warning)
    asked = [disk for disk in disks if asker is not None and was_interrupted(disk) and disk.changed]
    if asked and asker is not None:
        _decide(asked, asker, interrupts, quiet=quiet, working=working)
    for disk in disks:
        if disk.found is not State.NEW and disk not in asked and disk.changed and not quiet:
            began = time.strftime("%Y-%m-%d %H:%M", time.localtime(disk.session.created))
            what = "interrupted" if was_interrupted(disk) else "kept"
            tell(f"going on with the session of {began}, which was {what}: {disk.changes}")


def _finish_commit(
    disk: SessionDisk,
    interrupts: Interrupts,
    tell: Callable[[str], None],
    *,
    quiet: bool,
    working: Working | None,
) -> None:
    """Start a session whose commit was interrupted, with the rest of that."""
    doing = f"{disk.place}: finishing the commit that was interrupted"
    if not quiet:
        tell(doing)
    with (working or partial(ProgressBar, quiet=quiet))(doing) as bar:
        disk.start(undisturbed(bar, interrupts))


def _decide(
    asked: Sequence[SessionDisk],
    asker: Asker,
    interrupts: Interrupts,
    *,
    quiet: bool,
    working: Working | None,
) -> None:
    found = look_at(asked)
    notes = tuple(line for _, _, lines in found for line in lines)
    text = "The last session was interrupted. What becomes of its changes?"
    commit = () if any(disk.remote for disk in asked) else (COMMIT,)
    # Sudden, as who types ahead means the guest.
    question = Question(text, (RESUME, *commit, DISCARD, BRANCH), notes, sudden=True)
    reply = ask_until_sure(question, found, asker)
    if reply is None:
        interrupts.check()
    if reply is None or reply.word == RESUME.word:
        return
    OnExit(asked, reply, interrupts, asker, quiet=quiet, working=working).settle()
    for disk in asked:
        if disk.session.numbers:  # kept in the end
            disk.session.start()
        else:
            disk.start_afresh()
