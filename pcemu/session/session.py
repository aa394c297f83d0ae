"""The undo session: everything a guest writes goes to differencing drives until the user decides.

::

             start                        commit ─► merged into the image, session removed
    nothing ──────► ACTIVE ─── end ────── discard ─► session removed, image untouched
                     │ ▲                  branch ──► saved as a child of the image, session removed
         crash, kill │ │ resume           keep ───► KEPT: resumed or decided later
                     ▼ │
                 INTERRUPTED

The image is opened read-only, under a shared lock, and stays as it is to the byte until a commit. The head,
the last drive, takes all writes. A checkpoint freezes it and goes on in a new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing
from pcemu.drives.freeze import freeze, revert
from pcemu.drives.hostfile import Host
from pcemu.drives.intents import MERGE, Intent, read_intent
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.merge import merge
from pcemu.drives.newfile import exists
from pcemu.drives.open import open_layer, open_layers
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import read_child
from pcemu.drives.repair import mend_tail
from pcemu.drives.replace import finish, remove_image
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import PcemuError, UsageError
from pcemu.session.branch import branch_path, save_branch, sweep_branches
from pcemu.session.drives import SessionDrives
from pcemu.session.files import refuse_children, remove_if_empty
from pcemu.session.journal import ACTIVE, KEPT
from pcemu.session.record import BEGINNING, State

if TYPE_CHECKING:
    from pcemu.session.rebase import Rebased


class Session(SessionDrives):
    """A session and its drives: running, going back, and deciding.

    ``drive`` is there between :meth:`start` and the decision.
    """

    finished = 0  # sectors of a commit that was interrupted, which recover() brought into the image

    # -- running ------------------------------------------------------------------------------------

    def start(self, progress: Progress = no_progress) -> Chain:
        """Begin, or go on where the session stopped, see :meth:`recover`; the drive for the guest.

        A session that runs is left alone, as after a branch that could not be made.
        """
        if self.open:
            return self.drive
        self.recover(progress)
        if self._journal.drives:
            self._journal.state = ACTIVE
            self._save(needed=False)
            self._open()
        else:
            self.folder.hold()
            self._journal.created = self._clock()
            self._open_layers(self._make_first_drive())
        return self.drive

    def _make_first_drive(self) -> list[FlatDrive | SparseLayer]:
        """The drive with all below it: the image must be one that can be opened by itself."""
        layers = open_layers(self.image, read_only=True, allow_outside=self._allow_outside, host=self.host)
        try:
            path = self.folder.drive(self._journal.next_number)
            create_differencing(path, layers[-1], host=self.host)
            self._add_head()
            self._save()
            return [*layers, open_layer(path, False, Format.DIFFERENCING, self.host)]
        except BaseException:
            for layer in layers:
                layer.close()
            raise

    def recover(self, progress: Progress = no_progress) -> None:
        """Finish what a crash interrupted, a commit too; does nothing when nothing was."""
        if self.found in (State.INTERRUPTED, State.COMMITTING):
            for path in self.folder.drives().values():
                mend_tail(path, self.host)  # a power loss while it grew
            sweep_branches(self.folder.image, self.host)
        pending = self._journal.pending
        half = self._half_commit()
        if exists(self.folder.selection, self.host):
            self._finish_selection(half, progress)
            half = None
        if half is not None:
            self.finished = self._write_into_image(half.source, progress)
            own = {os.path.realpath(self._path(drive)): drive.number for drive in self._journal.drives}
            self.forget_committed(own[half.source])
        elif "commit" in pending:
            self._look_after_commit(pending["commit"])
        elif "revert" in pending:
            self._revert_files(pending["revert"])
        elif "merge" in pending:
            self._merge_files(pending["merge"], progress)
        elif "rebase" in pending:
            self.sweep_rebase()

    def _finish_selection(self, half: Intent | None, progress: Progress) -> None:
        """A commit of chosen files that has begun is finished; another is forgotten."""
        if half is not None:
            self._write_into_image(half.source, progress, preserve_siblings=True)
        remove_image(self.folder.selection, self.host)

    def _look_after_commit(self, number: int) -> None:
        """A commit whose note is not there was finished, or did not begin: the drives tell."""
        below = self._journal.drives[: self._journal.index(number)]
        if all(exists(self._path(drive), self.host) for drive in below):
            self._journal.pending = {}
            self._save()
        else:
            self.forget_committed(number)

    # -- checkpoints --------------------------------------------------------------------------------

    def checkpoint(
        self, name: str = "", note: str = "", *, automatic: bool = False, to_commit: bool = False
    ) -> int:
        """Freeze the head and go on in a new drive; the number of the checkpoint.

        The guest must not write meanwhile. With ``to_commit`` the journal says at once that the checkpoint
        and what is below it is about to be committed.
        """
        self._check_words(name, note)
        head = self._journal.drives[-1]
        before = (head.frozen, head.automatic, head.name, head.note)
        path = self.folder.drive(self._journal.next_number)

        def record() -> None:
            head.frozen, head.automatic, head.name, head.note = self._clock(), automatic, name, note
            self._add_head()
            if to_commit:
                self._journal.pending = {"commit": head.number}
            self._save()

        remove_if_empty(path, self.host)  # from a crash before the journal knew of it
        count = len(self._journal.drives)
        try:
            freeze(self.drive, path, record=record, host=self.host)
        except BaseException:
            if len(self._journal.drives) > count:
                self._journal.drives.pop()
                self._journal.next_number -= 1
                head.frozen, head.automatic, head.name, head.note = before
                self._journal.pending = {}
                self._save()
            raise
        return head.number

    def revert(self, to: int = BEGINNING) -> None:
        """Throw away all that was written after a checkpoint; the guest must start afresh from the drive."""
        if to != BEGINNING:
            self._note(to)  # or it is refused
        self._refuse_half()
        running = self.running
        if not running:
            self.recover()
        self._close_drive()
        try:
            self._revert_files(to)
        finally:
            if running:
                self._open()

    def _revert_files(self, to: int) -> None:
        journal = self._journal
        self._refuse_half()
        journal.pending = {"revert": to}
        self._save()
        emptied = [drive for drive in journal.drives[:1] if drive.emptied]
        kept = journal.drives[: journal.index(to) + 1] if to else emptied
        head = journal.drives[-1]
        target = self._path(kept[-1]) if kept else self.image
        revert(self._path(head), target, allow_outside=True, host=self.host)
        head.began = self._clock()
        head.note, head.preserved = "", 0
        journal.drives = [*kept, head]
        journal.pending = {}
        self._save()

    def merge(self, number: int, progress: Progress = no_progress) -> None:
        """Make a checkpoint part of the next drive; there is no going back to it then."""
        running = self.running
        self._close_drive()
        try:
            self._merge_files(number, progress)
        finally:
            if running:
                self._open()

    def _merge_files(self, number: int, progress: Progress) -> None:
        self.expect_merge(number)
        self.merge_now(number, progress, self.host)
        self.forget_merged(number)

    def merge_now(self, number: int, progress: Progress, host: Host) -> None:
        """The part of a merge that takes time."""
        path, above = self.path(number), self._path(self._above(number))
        if exists(path, self.host):
            merge(above, path, allow_outside=True, progress=progress, host=host)
        else:  # only the last part of an earlier call is missing
            index = self.numbers.index(number)
            below = os.path.realpath(self.path(self.numbers[index - 1])) if index else self.folder.image
            intent = read_intent(below, host)
            if intent is not None and intent.operation == MERGE:
                finish(below, intent, host)

    # -- the end ------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Leave the session as it is, to be decided later."""
        self._close_drive()
        if self._journal.drives:
            self._journal.state = KEPT
            self._save(needed=False)  # else it counts as interrupted

    def commit(self, progress: Progress = no_progress, *, preserve_siblings: bool = False) -> int:
        """Write everything into the image; how many sectors. Afterwards there is no session.

        When it fails, or is killed, nothing is lost: the same call goes on with it. Other sessions of the
        image are named and it is refused, unless ``preserve_siblings`` first gives them the sectors that
        they would lose.
        """
        self._close_drive()
        self.recover()
        if not self._journal.drives:
            self._remove_all(self._journal, self.folder.names())
            return 0
        self._refuse_moved()
        preserve_siblings = preserve_siblings or self.refuse_siblings()
        refuse_children(self.folder, self.folder.names(), self.host)
        head = self._journal.drives[-1]
        self._journal.pending = {"commit": head.number}
        self._save()
        try:
            written = self._write_into_image(self._path(head), progress, preserve_siblings=preserve_siblings)
        except BaseException:
            with contextlib.suppress(PcemuError, OSError):  # the next start looks after it all the same
                if self._half_commit() is None:
                    self._look_after_commit(head.number)
            raise
        self._remove_all(self._journal, self.folder.names())
        return written

    def _write_into_image(self, source: str, progress: Progress, *, preserve_siblings: bool = False) -> int:
        """Commit a drive and those below it; how many sectors."""
        return commit(
            source,
            self.image,
            preserve_siblings=preserve_siblings,
            allow_outside=True,
            progress=progress,
            host=self.host,
        )

    def commit_files(
        self,
        only: Sequence[str] = (),
        except_: Sequence[str] = (),
        *,
        preserve_siblings: bool = False,
        progress: Progress = no_progress,
    ) -> list[str]:
        """Write the chosen changed files into the image; their paths. The session goes on with the rest.

        ``only`` and ``except_`` are patterns such as ``C:\\SAVES\\**``. Refused when a file system is not
        consistent. The session must have been started; the guest must start afresh, if there is one.
        """
        from pcemu.session.selective import Patterns, carry, choose  # no run needs these

        self._refuse_moved()
        if not preserve_siblings:
            self.refuse_siblings()
        changes, before = self.changes(), self.changed_sectors
        chosen = choose(changes, Patterns(only, except_), self.image)
        selection = self.folder.selection
        create_differencing(selection, self.base, host=self.host)
        try:
            layer = open_layer(selection, False, Format.DIFFERENCING, self.host)
            with contextlib.closing(layer):
                below = self.drive.layers[: -len(self._journal.drives)]
                done = carry(Chain(below), self.drive, Chain([*below, layer]), changes, chosen)
        except BaseException:
            remove_image(selection, self.host)
            raise
        self._close_drive()
        try:
            self._write_into_image(selection, progress, preserve_siblings=True)  # of this one at least
            remove_image(selection, self.host)
        finally:
            self._open()
        self.note_preserved(self.changed_sectors - before)
        return done

    def discard(self) -> None:
        """Throw away all that was written; the image is as if nothing had been."""
        self._close_drive()
        self._refuse_half()
        names = self.folder.names()
        refuse_children(self.folder, names, self.host)
        self._remove_all(self._journal, names)

    def branch_path(self, name: str) -> str:
        """Where :meth:`branch` saves; UsageError for a name that is none, or taken."""
        return branch_path(self.image, name, self.host)

    def branch(self, name: str, progress: Progress = no_progress) -> str:
        """Save all that was written as a child of the image; its path. The image stays as it was.

        ``name`` may be a path; a bare name is taken to be in the image's folder, with ``.vhd``.
        """
        path = self.branch_path(name)
        self._refuse_half()
        self._close_drive()
        self.recover()
        self._open()
        save_branch(path, self.base, self.own_layers(), progress, self.host)
        self.discard()
        return path

    # -- an image that others commit to ----------------------------------------------------------------

    def preserve(self) -> None:
        """Have the lowest drive preserve: the session must have been started, and nothing written yet.

        The image can then be committed to by others without mixing that up with this session's changes.
        """
        drives = self._journal.drives
        if not self.preserves:
            if any(not layer.is_empty() for layer in self.own_layers()):
                raise UsageError(
                    f"{self.image}: its session {self.name!r} began without a drive for what others commit, "
                    f"expected a new one; commit or discard it, or take another name"
                )
            if len(drives) == 1:
                self.checkpoint("start of the client")
            drives[0].preserves = drives[0].pinned = True
            self._save()

    @property
    def moved(self) -> bool:
        """True when others committed to the image since the session began."""
        if not self.preserves:
            return False
        child = read_child(self._path(self._journal.drives[0]), self.host)
        return child is not None and not child.empty

    def _refuse_moved(self) -> None:
        if self.moved:
            from pcemu.session.rebase import refuse_moved  # which few sessions need

            with contextlib.ExitStack() as stack:
                if not self.open:
                    self._open()
                    stack.callback(self._close_drive)
                refuse_moved(self)

    def sweep_rebase(self) -> None:
        """Remove the drives that a rebase replaced, or the new ones of one that was cut off."""
        for number in sorted(self.folder.drives().keys() - set(self.numbers), reverse=True):
            remove_image(self.folder.drive(number), self.host)
        self.forget_rebase()

    def rebase(self, branch: str = "", progress: Progress = no_progress) -> Rebased:
        """Put the changes on the image as others have left it; see :func:`pcemu.session.rebase.rebase`."""
        from pcemu.session.rebase import rebase  # which few sessions need

        return rebase(self, branch, progress)

    def take_rebased(self) -> None:
        """Go on in the two new drives that hold what is to be the session's from here on."""
        self._close_drive()
        try:
            self.switch_to_rebased()
            self.sweep_rebase()
        finally:
            self._open()

    def close(self) -> None:
        """Let go of everything, as it is: what was not decided is found interrupted the next time."""
        try:
            self._close_drive()
        finally:
            self._drive = None
            if not self._journal.drives:
                self._remove_traces()
            self.folder.release()

    def _remove_traces(self) -> None:
        """A session that never began leaves nothing behind."""
        with contextlib.suppress(OSError):
            if exists(self.folder.lock_path, self.host) and not self.folder.exists():
                self.folder.remove(self.folder.names())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
