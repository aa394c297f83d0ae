"""Going back to a checkpoint while a session runs: the list to choose from, and what the choice throws away.

What is asked are questions of :mod:`pcemu.frontends.prompt`, so that any front end can ask them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pcemu.cli.disks import SessionDisk
from pcemu.cli.session_common import age_text, date_text
from pcemu.drives.changes_text import size_text
from pcemu.frontends.prompt import Answer, Asker, Question
from pcemu.session.journal import DriveNote
from pcemu.session.record import BEGINNING

BACK = Answer("back", "go back and restart the guest")
LATER = Answer("later", "go on, and throw nothing away")
START = "start"
RESTART = (
    "The guest starts afresh from its disk, as if it had been switched off then: what it holds in memory "
    "(RAM) is not part of a checkpoint."
)


def choose(disks: Sequence[SessionDisk], asker: Asker) -> tuple[SessionDisk, int] | None:
    """Which disk goes back, and the number of the checkpoint or BEGINNING; None when none does."""
    disk: SessionDisk | None = disks[0]
    if len(disks) > 1:
        disk = _choose_disk(disks, asker)
    if disk is None:
        return None
    which = f"Go back to which checkpoint of {disk.name}?"
    reply = asker(Question(which, _moments(disk), escape=LATER.word))
    if reply is None or reply.word == LATER.word:
        return None
    number = BEGINNING if reply.word == START else int(reply.word)
    notes = _loss(disk, number), RESTART
    sure = asker(Question(f"Go back to {name_of(disk, number)}?", (BACK, LATER), notes))
    return (disk, number) if sure is not None and sure.word == BACK.word else None


def name_of(disk: SessionDisk, number: int) -> str:
    """``checkpoint 3 “before-install”``, or ``the start``"""
    if number == BEGINNING:
        return "the start"
    name = next(each.name for each in disk.session.checkpoints if each.number == number)
    return f"checkpoint {number}" + (f" “{name}”" if name else "")


def _choose_disk(disks: Sequence[SessionDisk], asker: Asker) -> SessionDisk | None:
    answers = [Answer(str(place), str(disk.path)) for place, disk in enumerate(disks, 1)]
    reply = asker(Question("Which disk goes back?", (*answers, LATER), escape=LATER.word))
    return None if reply is None or reply.word == LATER.word else disks[int(reply.word) - 1]


def _moments(disk: SessionDisk) -> tuple[Answer, ...]:
    """All checkpoints, the newest first; then the start, and staying."""
    session = disk.session
    sizes = session.sizes()
    checkpoints = [
        Answer(str(each.number), _words(each, sizes.get(each.number, 0)))
        for each in reversed(session.checkpoints)
    ]
    began = f"{date_text(session.created)}  {age_text(session.created):>7} ago  the image as it is"
    return (*checkpoints, Answer(START, began), LATER)


def _words(checkpoint: DriveNote, size: int) -> str:
    """Time, age, size on the host, then what the user said of it."""
    when = checkpoint.frozen or checkpoint.began
    marks = "pinned" if checkpoint.pinned else "automatic" if checkpoint.automatic else ""
    words = f"{date_text(when)}  {age_text(when):>7} ago  {size_text(size):>10}  {marks:9}"
    said = ": ".join(text for text in (checkpoint.name, " ".join(checkpoint.note.split())) if text)
    return f"{words}  {said}".rstrip()


def _loss(disk: SessionDisk, number: int) -> str:
    """What was written since, and how many checkpoints go with it."""
    session = disk.session
    sizes = session.sizes()
    newer = [each.number for each in session.checkpoints if each.number > number]
    lost = size_text(sum(size for each, size in sizes.items() if each > number))
    gone = f" and {len(newer)} newer checkpoint{'' if len(newer) == 1 else 's'}" if newer else ""
    return f"{lost} on the host that were written since{gone} are thrown away for good."
