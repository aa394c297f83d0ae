"""The end of a session: what becomes of all that the guest wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from pcemu.cli.disks import Progress, SessionDisk, look_at
from pcemu.cli.output import complain, note
from pcemu.cli.progress import ProgressBar
from pcemu.cli.signals import Interrupts
from pcemu.drives.changes import Changes
from pcemu.drives.changes_text import amount
from pcemu.errors import ImageAccessError, PcemuError
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, GO_ON, KEEP, Answer, Asker, Question, Reply

MUCH_DATA = 32 << 20  # bytes
MANY_FILES = 50
Working = Callable[[str], AbstractContextManager[Progress]]
Look = tuple[SessionDisk, Changes | None, list[str]]

YES = Answer("yes", "do it")
NO = Answer("no", "ask again")


class OnExit:
    """Asks the user, unless that was said beforehand (``wish``), and does it.

    ``wish`` is ask, commit, discard, keep, or branch with a name. ``asker`` is None when there is nobody to
    ask: then the session is kept. ``working`` shows, in a context, how far a commit or a branch is;
    ``refused`` tells the user why something was not done.
    """

    def __init__(
        self,
        disks: Sequence[SessionDisk],
        wish: Reply,
        interrupts: Interrupts,
        asker: Asker | None,
        *,
        quiet: bool,
        preserve_siblings: bool = False,
        working: Working | None = None,
        refused: Callable[[str], None] = complain,
    ) -> None:
        self._disks = disks
        self._wish = wish
        self._interrupts = interrupts
        self._asker = asker
        self._quiet = quiet
        self._preserve = preserve_siblings
        self._refused = refused
        self.decision = "nothing"
        """What became of the changes."""
        self._working = working or partial(ProgressBar, quiet=quiet)

    def settle(self) -> int:
        """Do what was decided; the exit code, 0 when that worked."""
        for disk in self._disks:
            if not disk.changed:
                disk.session.discard()
        changed = [disk for disk in self._disks if disk.changed]
        reply: Reply | None = self._wish
        while changed:
            if reply is not None and reply.word == "ask":
                reply = self._ask(changed)
            try:
                self._do(reply or Reply(KEEP.word), changed)
                self.decision = (reply or KEEP).word
                return 0
            except PcemuError as error:
                self._refused(str(error))
                code = error.exit_code
            except OSError as error:  # such as no room for what was not brought to the disk yet
                place = changed[0].session.folder.path
                self._refused(f"{place}: {error.strerror or error}; make room there, or mend its disk")
                code = ImageAccessError.exit_code
            # Nothing is lost: the user may mend what went wrong and try again.
            changed = [disk for disk in changed if disk.session.numbers]
            if self._asker is None:
                self._keep(changed)
                self.decision = KEEP.word
                return code
            if not self._start_again(changed):
                self.decision = KEEP.word
                return code
            reply = Reply("ask")
        return 0

    def _start_again(self, changed: Sequence[SessionDisk]) -> bool:
        """Open the sessions for another answer; False when half a commit cannot be finished now either."""
        for disk in changed:
            try:
                if not disk.session.open:
                    disk.session.start()
            except (PcemuError, OSError):  # which was told just now
                self._refused(
                    f"{disk.place}: its session is left as it is; when that is mended, `pcemu session commit "
                    f"{disk.typed}` goes on"
                )
                return False
        return True

    def _ask(self, changed: Sequence[SessionDisk]) -> Reply | None:
        """What the user wants; None when nobody answers."""
        return None if self._asker is None else ask_at_end(changed, self._asker)

    def _do(self, reply: Reply, changed: Sequence[SessionDisk]) -> None:
        if reply.word != DISCARD.word:
            for disk in changed:
                if disk.session.open:
                    disk.drive.flush()  # where that fails, nothing is closed yet and all is still there
        if reply.word == COMMIT.word:
            self._commit(changed)
        elif reply.word == DISCARD.word:
            self._discard(changed)
        elif reply.word == BRANCH.word:
            self._branch(reply.text, changed)
        else:
            self._keep(changed)

    def _commit(self, changed: Sequence[SessionDisk]) -> None:
        for disk in changed:
            sectors = disk.changed
            with self._working(f"Writing the changes into {disk.place}") as bar:
                disk.session.commit(undisturbed(bar, self._interrupts), preserve_siblings=self._preserve)
            self._say(f"committed {amount(sectors)} to {disk.place}")

    def _discard(self, changed: Sequence[SessionDisk]) -> None:
        for disk in changed:
            changes = disk.changes
            disk.session.discard()
            self._say(f"discarded {changes}; {disk.place} stays as it is")

    def _branch(self, name: str, changed: Sequence[SessionDisk]) -> None:
        for number, disk in enumerate(changed, 1):
            its_name = _branch_name(name, number, len(changed))
            changes = disk.changes
            with self._working(f"Saving the changes as {its_name}") as bar:
                path = disk.session.branch(its_name, undisturbed(bar, self._interrupts))
            self._say(f"saved {changes} as {path}; {disk.place} stays as it is")

    def _keep(self, changed: Sequence[SessionDisk]) -> None:
        for disk in changed:
            changes = disk.changes if disk.session.running else "the changes"
            disk.session.keep()
            self._say(
                f"kept {changes}, to be decided later: `pcemu session "
                f"{'branch' if disk.remote else 'commit'} {disk.typed}{' NAME' if disk.remote else ''}` or "
                f"`pcemu session discard {disk.typed}`; `pcemu run {disk.typed}` goes on with them"
            )

    def _say(self, text: str) -> None:
        if not self._quiet:
            note(text)


def refuse_branch(disks: Sequence[SessionDisk], wish: Reply) -> None:
    """UsageError at once for a branch whose name would be refused at the end."""
    if wish.word == BRANCH.word:
        for number, disk in enumerate(disks, 1):
            disk.session.branch_path(_branch_name(wish.text, number, len(disks)))


def _branch_name(name: str, number: int, count: int) -> str:
    """The name of the branch of one of several disks, which are counted from 1 on."""
    return name if count == 1 else f"{name}-{number}"


def undisturbed(bar: Progress, interrupts: Interrupts) -> Progress:
    """What shows how far a commit got; when a signal came, the user hears why nothing happens."""
    said = False

    def progress(done: int, total: int) -> None:
        nonlocal said
        bar(done, total)
        if not said and interrupts.number is not None:
            said = True
            note("still writing: a commit that has begun is finished")

    return progress


def ask_at_end(changed: Sequence[SessionDisk], asker: Asker, *, may_go_on: bool = False) -> Reply | None:
    """What becomes of the changes; GO_ON when the session is not over, where ``may_go_on`` offers that."""
    found = look_at(changed)
    notes = tuple(line for _, _, lines in found for line in lines)
    commit = () if any(disk.remote for disk in changed) else (COMMIT,)
    go_on = (GO_ON,) if may_go_on else ()
    question = Question(
        "What becomes of these changes?",
        (*commit, DISCARD, KEEP, BRANCH, *go_on),
        notes,
        escape=GO_ON.word if may_go_on else "",
    )
    return ask_until_sure(question, found, asker)


def ask_until_sure(question: Question, found: Sequence[Look], asker: Asker) -> Reply | None:
    """The answer to a question about the changes ``found``; what is about much is asked once more."""
    while True:
        reply = asker(question)
        loss = _loss(reply, found)
        if reply is None or not loss:
            return reply
        sure = asker(Question(loss, (YES, NO)))
        if sure is None:
            return None
        if sure.word == YES.word:
            return reply


def _loss(reply: Reply | None, found: Sequence[Look]) -> str:
    """What to ask once more, when an answer is about much; nothing otherwise."""
    if reply is None or reply.word not in (COMMIT.word, DISCARD.word):
        return ""
    looks = [changes for _, changes, _ in found if changes is not None]
    files = sum(len(volume.files) for changes in looks for volume in changes.volumes)
    size = sum(changes.size for changes in looks)
    if size < MUCH_DATA and files < MANY_FILES:
        return ""
    what = f"{amount(sum(changes.sectors for changes in looks))} in {files:,} files"
    if reply.word == DISCARD.word:
        return f"{what} will be gone for good. Discard them?"
    return f"{what} will be written over what the image holds now, for good. Commit them?"
