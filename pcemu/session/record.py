"""What is known of a session: its journal, its lock, and the notes on its drives."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import COMMIT, Intent, read_intent
from pcemu.drives.lineage import StrPath, told
from pcemu.drives.replace import remove_image
from pcemu.errors import ImageAccessError, ImageNotFoundError, UsageError
from pcemu.session.files import rebuild, refuse_siblings
from pcemu.session.folder import DEFAULT_NAME, folder_for, sessions_of
from pcemu.session.journal import (
    KEPT,
    MAX_NOTE,
    DriveNote,
    Journal,
    JournalDamaged,
    read_journal,
    write_journal,
)

START = "start"
FULL = (errno.ENOSPC, errno.EDQUOT)
BEGINNING = 0  # where to revert to, besides the numbers of checkpoints


class State(StrEnum):
    """How a session was found."""

    NEW = "new"
    KEPT = "kept"
    INTERRUPTED = "interrupted"
    COMMITTING = "committing"


class SessionRecord:
    """The session ``name`` of an image, locked for this process until :meth:`close`.

    ``found`` is its state when it was opened. ``fallback`` is a folder for sessions of images beside which
    nothing can be written. ``clock`` gives seconds since 1970. ``warnings`` are for the user. Raises
    ImageError or UsageError; an OSError comes from the host.
    """

    def __init__(
        self,
        image: StrPath,
        name: str = DEFAULT_NAME,
        *,
        fallback: StrPath | None = None,
        allow_outside: bool = False,
        host: Host = HOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.image = os.fspath(image)
        self.name = name
        self.warnings: list[str] = []
        self.host = host
        self._clock = clock
        self._allow_outside = allow_outside
        self._fallback = None if fallback is None else os.fspath(fallback)
        self._expect_image()
        with told(self.image, "opening its session", "make room there, or mend its disk"):
            self.folder = folder_for(self.image, name, self._fallback, host)
            self.folder.take()
        if not self.folder.has_locks:
            self.warnings.append(
                f"{self.folder.path}: its file system has no locks, so nothing keeps other programs away "
                f"from {self.image} and its session: see to it that no other one uses them meanwhile"
            )
        try:
            self._journal = self._load()
            self.found = self._state()
        except BaseException:
            self.folder.release()
            raise

    def _expect_image(self) -> None:
        """Refuse to begin where there is nothing to work on."""
        try:
            self.host.open_image(self.image, read_only=True, lock=False).close()
        except ImageNotFoundError:
            left = [each.path for each in sessions_of(self.image, self._fallback, self.host)]
            if not left:
                raise
            raise ImageNotFoundError(
                f"{self.image}: is not there, expected the image of the session in {left[0]}; move it back, "
                f"or that folder along with it, or remove the folder to give the session up"
            ) from None

    def _load(self) -> Journal:
        damage = ""
        try:
            journal = read_journal(self.folder.journal, self.host)
        except JournalDamaged as error:
            journal, damage = None, str(error)
        if journal is None:
            journal = rebuild(self.folder, damage, self._clock(), self.host)
            if journal.drives:
                self.warnings.append(
                    f"{damage or f'{self.folder.journal}: is missing'}; it was made anew from the session's "
                    f"drives: names and notes of checkpoints are lost, nothing else"
                )
                self._write(journal, needed=False)
        if "remove" in journal.pending:
            self._remove_all(journal, self.folder.names())
            journal = Journal(image=self.folder.image, created=self._clock())
        return journal

    def _state(self) -> State:
        if not self._journal.drives:
            return State.NEW
        if self._half_commit() is not None:
            return State.COMMITTING
        return State.KEPT if self._journal.state == KEPT else State.INTERRUPTED

    def _half_commit(self) -> Intent | None:
        """The note of a commit of this session that did not finish."""
        intent = read_intent(self.folder.image, self.host)
        own = [os.path.realpath(self._path(drive)) for drive in self._journal.drives]
        own.append(os.path.realpath(self.folder.selection))
        mine = intent is not None and intent.operation == COMMIT and intent.source in own
        return intent if mine else None

    # -- notes ---------------------------------------------------------------------------------------

    @property
    def created(self) -> float:
        """When the session began."""
        return self._journal.created

    @property
    def drives(self) -> list[DriveNote]:
        """From the oldest to the head; all but the last are frozen."""
        return [drive for drive in self._journal.drives if not drive.emptied]

    @property
    def checkpoints(self) -> list[DriveNote]:
        """From the oldest to the newest."""
        return [drive for drive in self.drives if drive.frozen is not None]

    @property
    def numbers(self) -> list[int]:
        """Of all drives from the image up to the head."""
        return [drive.number for drive in self._journal.drives]

    def path(self, number: int) -> str:
        """Where a drive of the session lies; KeyError when there is none of this number."""
        return self._path(self._journal.drives[self._journal.index(number)])

    def _path(self, drive: DriveNote) -> str:
        return self.folder.drive(drive.number)

    def _note(self, number: int) -> DriveNote:
        """The notes on a checkpoint; UsageError when it is none, as the head is."""
        for drive in self.checkpoints:
            if drive.number == number:
                return drive
        raise self._no_checkpoint(str(number or START))

    def _no_checkpoint(self, text: str, *places: str) -> UsageError:
        """What to say to ``text``, where one of ``places`` would have done as well as a checkpoint."""
        known = [f"{drive.number} {drive.name}".rstrip() for drive in self.checkpoints]
        known = known or ["one to be made before, in the menu or by --checkpoint-every"]
        return UsageError(
            f"{self.image}: has no checkpoint {text!r} in its session {self.name!r}, expected "
            f"{' or '.join([*places, ', '.join(known)])}"
        )

    def sizes(self) -> dict[int, int]:
        """Bytes that each drive takes on the host, by number."""
        found = {}
        for drive in self.drives:
            with contextlib.suppress(FileNotFoundError):
                status = self.host.stat(self._path(drive))
                found[drive.number] = getattr(status, "st_blocks", status.st_size // 512) * 512
        return found

    def find(self, text: str) -> int:
        """The number of the checkpoint that ``text`` names or numbers; ``start`` is the beginning."""
        for drive in self.checkpoints:
            if text and text == drive.name:
                return drive.number
        if text in (START, "0"):
            return BEGINNING
        if text.isdecimal():
            for drive in self.checkpoints:
                if drive.number == int(text):
                    return drive.number
        raise self._no_checkpoint(text, START)

    def surplus(self, keep: int) -> int | None:
        """The oldest automatic checkpoint, when there are more than ``keep`` of them; None when not.

        Those with a name or a pin are not automatic any more. The newest is never it, as the drive above is
        being written.
        """
        automatic = [each for each in self.checkpoints if each.automatic and not (each.name or each.pinned)]
        if len(automatic) <= keep or automatic[0] is self.checkpoints[-1]:
            return None
        return automatic[0].number

    def name_checkpoint(self, number: int, name: str) -> None:
        """Name a checkpoint, or take its name away. Named ones are never merged."""
        self._check_words(name, "", number)
        self._note(number).name = name
        self._save()

    def note(self, number: int, text: str) -> None:
        """Write something down about a checkpoint."""
        self._check_words("", text)
        self._note(number).note = text
        self._save()

    def pin(self, number: int, pinned: bool = True) -> None:
        """Keep a checkpoint from being merged, or let it go again."""
        self._note(number).pinned = pinned
        self._save()

    def _check_words(self, name: str, note: str, number: int = BEGINNING) -> None:
        """Refuse what is too long, and a name for checkpoint ``number`` (none yet) that others go by."""
        if len(name) > 100 or len(note) > MAX_NOTE:
            raise UsageError(f"expected a name of up to 100 and a note of up to {MAX_NOTE} characters")
        if name == START or name.isdecimal():
            raise UsageError(
                f"a checkpoint cannot be called {name!r}, which means another one; choose a word"
            )
        if name and any(drive.name == name for drive in self.checkpoints if drive.number != number):
            raise UsageError(f"{self.image}: has a checkpoint {name!r} already, expected another name")

    # -- operations under way ------------------------------------------------------------------------

    def _add_head(self) -> DriveNote:
        head = DriveNote(self._journal.next_number, self._clock())
        self._journal.drives.append(head)
        self._journal.next_number += 1
        return head

    def forget_committed(self, number: int) -> None:
        """Note that the image has what drive ``number`` held and those below, which are gone."""
        index = self._journal.index(number)
        self._journal.drives[:index] = []
        self._journal.drives[0].emptied = len(self._journal.drives) > 1
        self._journal.pending = {}
        self._save()

    def expect_merge(self, number: int) -> None:
        """Note that a checkpoint is about to be merged."""
        self._journal.pending = {"merge": number}
        self._save()

    def _above(self, number: int) -> DriveNote:
        return self._journal.drives[self._journal.index(number) + 1]

    def forget_merged(self, number: int) -> None:
        """Note that a merge is done."""
        self._above(number).began = self._note(number).began
        self._above(number).preserved += self._note(number).preserved
        self._journal.drives.remove(self._note(number))
        self._journal.pending = {}
        self._save()

    def expect_rebase(self) -> int:
        """Note that new drives are about to be made for the session; the number of the first."""
        self._journal.pending = {"rebase": self._journal.next_number}
        self._save()
        return self._journal.next_number

    def switch_to_rebased(self) -> None:
        """Note that the new drives, one that preserves and the head, are the session's from here on."""
        first = self._add_head()
        first.preserves, first.pinned, first.frozen = True, True, self._clock()
        self._add_head()
        del self._journal.drives[:-2]
        self._save()

    def forget_rebase(self) -> None:
        """Note that the old drives, or the new, are gone."""
        self._journal.pending = {}
        self._save()

    @property
    def preserves(self) -> bool:
        """True when the lowest drive takes what others' commits overwrite in the image, and nothing else."""
        return bool(self._journal.drives) and self._journal.drives[0].preserves

    @property
    def preserved(self) -> int:
        """Sectors of all drives that hold what the image had before files were committed."""
        return sum(drive.preserved for drive in self._journal.drives)

    def note_preserved(self, sectors: int) -> None:
        """Note that a commit of files gave the lowest drive that many sectors to preserve."""
        self._journal.drives[0].preserved += sectors
        self._save(needed=False)

    def give_up_commit(self) -> None:
        """Forget about a commit that did not begin."""
        if self._half_commit() is None and "commit" in self._journal.pending:
            self._journal.pending = {}
            self._save()

    def refuse_siblings(self) -> bool:
        """Refuse a commit that would change what other sessions of the image are built on.

        True when there are some that preserve what it overwrites.
        """
        return refuse_siblings(self.folder, self._fallback, self.host)

    def _refuse_half(self) -> None:
        if self._half_commit() is not None:
            raise ImageAccessError(
                f"{self.image}: a commit of its session {self.name!r} was interrupted, expected it finished "
                f"before anything else; `pcemu session commit` finishes it, `pcemu session keep` likewise, "
                f"and keeps what came after it"
            )

    def _save(self, *, needed: bool = True) -> None:
        self._write(self._journal, needed=needed)

    def _write(self, journal: Journal, *, needed: bool = True) -> None:
        """Write the journal. What is not ``needed`` is left out where there is no room for it.

        So a full disk keeps nobody from looking at a session, or from giving it up, which makes room.
        """
        advice = "nothing is lost; make room there, or mend its disk, and try again"
        try:
            with told(self.folder.journal, "writing the session's journal", advice):
                write_journal(self.folder.journal, journal, self.host)
        except ImageAccessError as error:
            cause = error.__cause__
            if needed or not (isinstance(cause, OSError) and cause.errno in FULL):
                raise

    def _remove_all(self, journal: Journal, names: Sequence[str]) -> None:
        """Remove the drives, the newest first, then the rest; the next start finishes it after a crash.

        ``names`` are in the session's folder.
        """
        if journal.drives:
            journal.pending = {"remove": 0}
            self._write(journal, needed=False)
        for _, path in sorted(self.folder.drives(names).items(), reverse=True):
            remove_image(path, self.host)
        self.folder.remove(names)
        journal.drives, journal.pending = [], {}
