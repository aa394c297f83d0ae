"""What a run does for its undo sessions between two stretches of guest code.

What the guest wrote is brought to the host's disk every few seconds, as DOS never asks for it, and sooner
when the guest has nothing to do: it has halted for nearly all of the last stretch. Checkpoints
are made by virtual time, so that a guest at full speed has as many in an hour of its own as any other.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pcemu.cli.disks import Progress, SessionDisk, look_at
from pcemu.cli.going_back import choose, name_of
from pcemu.cli.on_exit import ask_until_sure
from pcemu.drives.changes_text import amount
from pcemu.drives.hostfile import LOST
from pcemu.drives.lineage import no_progress
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError, PcemuError, UsageError
from pcemu.frontends.prompt import COMMIT, Answer, Asker, Question, Reply
from pcemu.session.background import Background, LiveCommit, LiveMerge

FLUSH_EVERY = 2.0  # s
IDLE_FLUSH = 0.25  # s, of an idle guest
IDLE = 0.9  # of virtual time is spent halted
FULL_LOOK = 0.5  # s between two looks whether a full disk has room again
ROOM = 16 << 20  # bytes
WAY_OUT = "End the session or close it instead, and you decide about what was written so far"
FILES = Answer("files", "write some files, and go on with the rest", needs="which, such as C:\\SAVES\\**")
LATER = Answer("later", "go on and decide another time")


class Upkeep:
    """``tell`` shows the user a line that is good to know, ``warn`` one that must be read.

    ``wait`` passes some seconds and raises when the user wants to go; ``holding`` shows, in a context, why
    the guest stands still, and ``working`` also how far that is. ``reset`` presses the guest's reset button.
    ``asker`` is None when there is nobody to ask; ``refuse`` tells why a decision was not carried out.
    ``now`` is virtual time in seconds, and ``halted`` how much of it the processor was halted so far.
    ``checkpoint_every`` and ``ask_every`` are in virtual seconds, None for never.
    ``patience``: so many seconds of the host's time a full disk is waited for, None for ever.
    """

    def __init__(
        self,
        disks: Sequence[SessionDisk],
        now: Callable[[], float],
        tell: Callable[[str], None],
        warn: Callable[[str], None],
        reset: Callable[[], None],
        *,
        halted: Callable[[], float] = lambda: 0.0,
        checkpoint_every: float | None = None,
        keep_checkpoints: int = 24,
        ask_every: float | None = None,
        preserve_siblings: bool = False,
        patience: float | None = None,
    ) -> None:
        self._disks = disks
        self._patience = patience
        self._now = now
        self._halted = halted
        self._seen = (now(), halted())
        self._unsafe: dict[SessionDisk, str] = {}  # what was said of disks that cannot be flushed
        self._tell = tell
        self._warn = warn
        self._reset = reset
        self._keep = keep_checkpoints
        self._preserve = preserve_siblings
        self._every = checkpoint_every
        self._ask_every = ask_every
        self._next = now() + (checkpoint_every or 0)
        self._next_question = now() + (ask_every or 0)
        self._flushed = time.monotonic()
        self._work: list[Background] = []
        self._full: SessionDisk | None = None
        self.wait: Callable[[float], None] = time.sleep
        self.holding: Callable[[str], AbstractContextManager[object]] = nullcontext
        self.working: Callable[[str], AbstractContextManager[Progress]] = lambda doing: nullcontext(
            no_progress
        )
        self.refuse: Callable[[str], None] = warn
        self.asker: Asker | None = None
        self.committed = False
        """True once this run wrote something into an image."""

    def after_step(self) -> None:
        """Do what is due; the guest stands still meanwhile."""
        if self._full is not None:
            self._wait_for_room(self._full)
        if self._work:
            self._go_on()
        if time.monotonic() - self._flushed > (IDLE_FLUSH if self._is_idle() else FLUSH_EVERY):
            self._flush()
        if self._every is not None and self._now() >= self._next:
            self._next += ((self._now() - self._next) // self._every + 1) * self._every
            self._checkpoint_by_time()
        if self._ask_every is not None and self._now() >= self._next_question:
            self._next_question = self._now() + self._ask_every
            self._ask()

    def checkpoint(self, name: str = "", *, automatic: bool = False) -> str:
        """Freeze what the guest has written on all disks; what to tell the user. PcemuError.

        An automatic one is made only where there is something new.
        """
        made = []
        for disk in self._disks:
            head = disk.drive.head
            if automatic and isinstance(head, SparseLayer) and head.is_empty():
                continue
            number = disk.session.checkpoint(name, automatic=automatic)
            made.append(f"checkpoint {number} of {disk.name}")
            self._thin_out(disk)
        return ", ".join(made)

    def revert(self) -> str:
        """Let the user choose a checkpoint, take the disk back to it, and restart the guest. PcemuError."""
        if self.asker is None:
            raise UsageError("going back throws away what was written since: there is nobody to ask")
        self.finish()
        choice = choose(self._disks, self.asker)
        if choice is None:
            return "nothing was undone"
        disk, number = choice
        where = name_of(disk, number)
        self._reset()  # first, as it ends what the guest is writing
        disk.session.revert(number)
        return f"{disk.name} is at {where}; the guest starts afresh, as its RAM cannot be brought back"

    def _checkpoint_by_time(self) -> None:
        try:
            self.checkpoint(automatic=True)
        except PcemuError as error:
            self._warn(str(error))

    def _thin_out(self, disk: SessionDisk) -> None:
        number = disk.session.surplus(self._keep)
        if number is not None and not self._work:
            self._work.append(LiveMerge(disk.session, number))

    def _is_idle(self) -> bool:
        """True when the guest did next to nothing since the last call."""
        (then, halted), self._seen = self._seen, (self._now(), self._halted())
        return self._seen[1] - halted > IDLE * (self._seen[0] - then)

    def _flush(self) -> None:
        for disk in self._disks:
            if disk.session.dirty:
                try:
                    disk.drive.flush()
                    self._unsafe.pop(disk, None)
                except OSError as error:
                    if error.strerror != LOST:  # which room would not bring back
                        self.on_host_error(error)
                    text = f"{disk.name}: what was written is not safe yet: {error.strerror}"
                    if self._unsafe.get(disk) != text:
                        self._warn(text)
                    self._unsafe[disk] = text
        self._flushed = time.monotonic()

    def _go_on(self) -> None:
        """Look after what another thread does."""
        for work in list(self._work):
            try:
                if work.poll():
                    self._work.remove(work)
                    if isinstance(work, LiveCommit):
                        self.committed = True
                        self._tell(f"committed {amount(work.done)}; the session goes on")
            except PcemuError as error:
                self._work.remove(work)
                (self.refuse if isinstance(work, LiveCommit) else self._warn)(str(error))

    @property
    def activity(self) -> str:
        """What another thread does, and how far it is; "" when there is nothing."""
        return ", ".join(
            f"{'committing' if isinstance(work, LiveCommit) else 'merging'} "
            f"{100 * work.done // max(1, work.total)} %"
            for work in self._work
        )

    def finish_commits(self) -> None:
        """Wait for the end of a commit that another thread does."""
        for work in [work for work in self._work if isinstance(work, LiveCommit)]:
            self._work.remove(work)
            try:
                with self.working("Finishing the commit that was begun") as progress:
                    work.wait(progress)
                self.committed = True
            except PcemuError as error:
                self.refuse(str(error))

    def finish(self) -> None:
        """End what another thread does: a commit is finished, a merge can wait for the next start."""
        self.finish_commits()
        for work in self._work:
            work.cancel()
        self._work.clear()

    # -- a full disk ---------------------------------------------------------------------------------

    def on_host_error(self, error: OSError) -> None:
        """The host failed; when its disk is full, the next step waits until there is room."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._full = min(
                self._disks, key=lambda disk: disk.session.host.free_space(disk.session.folder.path)
            )

    def _wait_for_room(self, disk: SessionDisk) -> None:
        place = disk.session.folder.path
        why = f"{place}: its disk is full; the guest waits. Make room, and it goes on"
        self._warn(why)
        waited = 0.0
        with self.holding(f"{why}. {WAY_OUT}"):
            while disk.session.host.free_space(place) < ROOM:
                if self._patience is not None and waited >= self._patience:
                    raise ImageAccessError(
                        f"{place}: its disk was full for {self._patience:g} s; the session is kept up to "
                        f"there: make room and run it again"
                    )
                self.wait(FULL_LOOK)
                waited += FULL_LOOK
        self._full = None
        self._warn("there is room again; the guest goes on")

    # -- questions -----------------------------------------------------------------------------------

    def commit(self) -> str:
        """Let the user commit now, all or some files, while the session goes on; what to tell. PcemuError."""
        if self.asker is None:
            raise UsageError("a commit is decided by the user: there is nobody to ask")
        if self._work:
            raise UsageError("the last commit or merge is not done yet; try again in a moment")
        changed = [disk for disk in self._disks if disk.changed]
        if not changed:
            return "nothing was changed"
        reply = self._question("What shall be written into the image now?", (COMMIT, FILES, LATER), changed)
        if reply is None or reply.word == LATER.word:
            return "nothing was committed"
        if reply.word == FILES.word:
            return self._commit_files(changed, reply.text)
        refused = self._begin_commit(changed)
        if not self._work:
            raise refused[0]
        return "; ".join(["committing while the guest goes on", *map(str, refused)])

    def _commit_files(self, changed: Sequence[SessionDisk], pattern: str) -> str:
        """The guest stands still meanwhile, and notices nothing: what it reads stays the same."""
        files: list[str] = []
        refused: list[PcemuError] = []
        for disk in changed:
            try:
                with self.working(f"Writing files into {disk.place}; the guest stands still") as progress:
                    files += disk.session.commit_files(
                        [pattern], preserve_siblings=self._preserve, progress=progress
                    )
            except UsageError as error:
                refused.append(error)
        if not files:
            raise refused[0]
        self.committed = True
        return f"committed {len(files)} file{'' if len(files) == 1 else 's'}; the rest can still be undone"

    def _begin_commit(self, changed: Sequence[SessionDisk]) -> list[PcemuError]:
        """Begin where that can be done; why it cannot elsewhere."""
        refused = []
        for disk in changed:
            try:
                self._work.append(LiveCommit(disk.session, preserve_siblings=self._preserve))
            except PcemuError as error:
                refused.append(error)
        return refused

    def _ask(self) -> None:
        """Commit what there is, if the user wants it, so that the session does not grow for ever."""
        changed = [disk for disk in self._disks if disk.changed]
        if self.asker is None or not changed or self._work:
            return
        reply = self._question("Commit these changes now?", (COMMIT, LATER), changed, sudden=True)
        if reply is not None and reply.word == COMMIT.word:
            for error in self._begin_commit(changed):
                self.refuse(str(error))

    def _question(
        self, text: str, answers: tuple[Answer, ...], changed: Sequence[SessionDisk], *, sudden: bool = False
    ) -> Reply | None:
        assert self.asker is not None
        found = look_at(changed)
        notes = tuple(line for _, _, lines in found for line in lines)
        question = Question(text, answers, notes, escape=LATER.word, sudden=sudden)
        return ask_until_sure(question, found, self.asker)
