"""The start of a run on disks whose last session may not have been decided."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pcemu.cli.disks import SessionDisk, look_at, was_interrupted
from pcemu.cli.on_exit import OnExit
from pcemu.cli.output import note
from pcemu.cli.signals import Interrupts
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, Answer, Asker, Question
from pcemu.session.record import State

RESUME = Answer("resume", "go on with them")


def begin(disks: Sequence[SessionDisk], asker: Asker | None, interrupts: Interrupts, *, quiet: bool) -> None:
    """Start all sessions. ``asker`` decides on those that were interrupted; without it they go on.

    Interrupted when a signal came instead of an answer: the sessions are as they were.
    """
    for disk in disks:
        if disk.found is State.COMMITTING and not quiet:
            note(f"{disk.path}: finishing the commit that was interrupted")
        disk.start()
        for warning in disk.session.warnings:
            note(warning)
    asked = [disk for disk in disks if asker is not None and was_interrupted(disk) and disk.changed]
    if asked and asker is not None:
        _decide(asked, asker, interrupts, quiet=quiet)
    for disk in disks:
        if disk.found is not State.NEW and disk not in asked and disk.changed and not quiet:
            began = time.strftime("%Y-%m-%d %H:%M", time.localtime(disk.session.created))
            what = "interrupted" if was_interrupted(disk) else "kept"
            note(f"going on with the session of {began}, which was {what}: {disk.changes}")


def _decide(asked: Sequence[SessionDisk], asker: Asker, interrupts: Interrupts, *, quiet: bool) -> None:
    notes = tuple(line for _, _, lines in look_at(asked) for line in lines)
    text = "The last session was interrupted. What becomes of its changes?"
    reply = asker(Question(text, (RESUME, COMMIT, DISCARD, BRANCH), notes))
    if reply is None:
        interrupts.check()
    if reply is None or reply.word == RESUME.word:
        return
    OnExit(asked, reply, interrupts, asker, quiet=quiet).settle()
    for disk in asked:
        if disk.session.numbers:  # kept in the end
            disk.session.start()
        else:
            disk.start_afresh()
