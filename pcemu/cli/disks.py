"""The disks of a run: images with an undo session each."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pcemu.cli.output import spoken
from pcemu.drives.chain import Chain
from pcemu.drives.changes import Changes
from pcemu.drives.changes_text import amount, describe
from pcemu.drives.lineage import no_progress
from pcemu.drives.partitions import drive_letters, read_partitions
from pcemu.drives.registry import Family
from pcemu.errors import ImageAccessError, UsageError
from pcemu.library.names import data_folder, resolve_disk
from pcemu.resources import resource
from pcemu.session.folder import DEFAULT_NAME
from pcemu.session.record import State
from pcemu.session.session import Session

Progress = Callable[[int, int], None]
"""Called with sectors done and sectors in all."""


class SessionDisk:
    """An image and its session, which is this process' alone until :meth:`close`.

    ``place`` is what the user called the image, a path or an address, and ``name`` a shorter form of it;
    ``typed`` names it and the session on a command line. ``remote`` is True where nothing can be committed to
    it. ``found`` is the state that the session was found in. ``allow_outside`` lets an image name a parent
    outside its own folder. Raises ImageError or UsageError.
    """

    def __init__(self, path: Path, session: str = DEFAULT_NAME, *, allow_outside: bool = False) -> None:
        self.path = path
        self.place = spoken(str(path))
        self.remote = self.place != str(path)
        self.name = self.place if self.remote else path.name
        self._name = session
        self.typed = typed(self.place, session)
        self._allow_outside = allow_outside
        self._changed = 0
        self.session = self._open()
        self.found = self.session.found

    def _open(self) -> Session:
        return Session(self.path, self._name, fallback=session_folder(), allow_outside=self._allow_outside)

    def start(self, progress: Progress = no_progress) -> None:
        """Begin, or go on where the session stopped; ``progress`` is of a commit that must be finished."""
        if not self.session.running:
            self.session.start(progress)

    def start_afresh(self) -> None:
        """Begin a new session after the old one was decided."""
        self.session.close()
        self.session = self._open()
        self.start()

    @property
    def drive(self) -> Chain:
        """What the guest works on."""
        return self.session.drive

    @property
    def changed(self) -> int:
        """Sectors that the guest wrote; 0 once that was decided.

        While the session's drives are closed, as during a commit and after one that was refused, as many as
        there were before.
        """
        if not self.session.numbers:
            return 0
        if self.session.open:
            self._changed = self.session.changed_sectors
        return self._changed

    @property
    def changes(self) -> str:
        """How much the guest changed, in words."""
        return f"{amount(self.changed)} on {self.name}"

    def close(self) -> None:
        """Let go of the image and its session."""
        self.session.close()


def typed(place: str, session: str) -> str:
    """A disk and its session as they are named on a command line."""
    option = "" if session == DEFAULT_NAME else f" --session {shlex.quote(session)}"
    return shlex.quote(place) + option


class DemoDisk(SessionDisk):
    """A copy of the demo disk, which is the user's own once something was committed to it."""

    def __init__(self, path: Path, session: str = DEFAULT_NAME) -> None:
        self._original = resource("demo.img")
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f"{path.name}.{os.getpid()}")
                shutil.copyfile(self._original, part)
                part.replace(path)
        except OSError as error:
            raise ImageAccessError(f"{path}: cannot be made: {error.strerror}; check its folder") from error
        super().__init__(path, session)

    def close(self) -> None:
        """Leave no copy behind that holds nothing of the user's, and that nothing is built on."""
        super().close()
        with contextlib.suppress(OSError):
            needed = self.session.folder.exists() or Family().built_on(os.path.realpath(self.path))
            if not needed and self.path.read_bytes() == self._original.read_bytes():
                self.path.unlink()


def open_disks(
    paths: Sequence[Path], session: str = DEFAULT_NAME, *, allow_outside: bool = False
) -> list[SessionDisk]:
    """The disks for ``paths``, all of them or none; the demo disk without any. ImageError, UsageError."""
    paths = [resolve_disk(path) for path in paths]
    for index, path in enumerate(paths):
        if any(_same_file(path, other) for other in paths[:index]):
            raise UsageError(f"{path}: was given twice, expected a different image for each disk")
    disks: list[SessionDisk] = []
    try:
        if not paths:
            disks.append(DemoDisk(data_folder() / "demo.img", session))
        for path in paths:
            disks.append(SessionDisk(path, session, allow_outside=allow_outside))
    except BaseException:
        for disk in disks:
            disk.close()
        raise
    return disks


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # missing or out of reach, which opening it will tell
        return False


def look_at(disks: Sequence[SessionDisk]) -> list[tuple[SessionDisk, Changes | None, list[str]]]:
    """What the guest changed on each disk, and in words; None where the host cannot read it."""
    found: list[tuple[SessionDisk, Changes | None, list[str]]] = []
    try:
        letters = drive_letters([read_partitions(disk.drive).partitions for disk in disks])
    except OSError:
        letters = [{} for _ in disks]
    for disk, its_letters in zip(disks, letters, strict=True):
        try:
            changes = disk.session.changes(its_letters)
        except OSError as error:
            why = f"{disk.changes}; which files cannot be told: {error.strerror or error}"
            found.append((disk, None, [why]))
            continue
        lines = describe(changes)
        found.append((disk, changes, [f"{disk.name}: {lines[0]}", *(f"  {line}" for line in lines[1:])]))
    return found


def session_folder() -> Path:
    """Where the sessions of images are beside which nothing can be written."""
    return data_folder() / "sessions"


def was_interrupted(disk: SessionDisk) -> bool:
    """True when the last session was neither decided nor kept."""
    return disk.found is State.INTERRUPTED
