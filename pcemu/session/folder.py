"""Where an undo session lies: beside its image, in a folder with the image's name and ``.pcemu``.

::

    games.img
    games.img.pcemu/default.json        the journal
                    default.lock        held by the process that runs the session, or works on it
                    default-0001.vhd    its drives, each a differencing image on the one before
                    other.json …        another session of the same image

Where nothing can be written beside the image, the folder is in the user's own data folder; that of a block
device always, as what is beside it in /dev is memory.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcemu.drives.hostfile import O_PLAIN, Host, HostFile, retried
from pcemu.drives.locks import holders, lock_file
from pcemu.drives.newfile import is_temporary, temporary_name
from pcemu.drives.sidecar import PENDING, SESSIONS
from pcemu.errors import ImageAccessError, UsageError

DEFAULT_NAME = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}")
JOURNAL, LOCK = ".json", ".lock"
FIRST_DRIVE = "-0001.vhd"
DRIVE = re.compile(r"-(\d{4,9})\.vhd")
FILE = re.compile(rf"({NAME.pattern})(?:\.json|\.lock|{DRIVE.pattern})")
LOCK_TRIES = 20
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class SessionFolder:
    """The files of one session, by name. ``image`` is without links."""

    def __init__(self, image: str, name: str, folder: str, host: Host) -> None:
        self.image = image
        self.name = name
        self.path = folder
        self.host = host
        self.is_new = False  # when it was locked, there was no trace of it
        self.has_locks = True
        self._lock: HostFile | None = None

    @property
    def journal(self) -> str:
        """The path of the journal."""
        return os.path.join(self.path, self.name + JOURNAL)  # noqa: PTH118

    @property
    def lock_path(self) -> str:
        """The path of the file that is locked."""
        return os.path.join(self.path, self.name + LOCK)  # noqa: PTH118

    def drive(self, number: int) -> str:
        """The path of a drive."""
        return os.path.join(self.path, f"{self.name}-{number:04}.vhd")  # noqa: PTH118

    @property
    def selection(self) -> str:
        """The path of the child that holds chosen files on their way into the image."""
        return os.path.join(self.path, f"{self.name}-selection.vhd")  # noqa: PTH118

    def drives(self, names: Sequence[str] | None = None) -> dict[int, str]:
        """The drives that are there, by number; among ``names``, when the folder was just listed."""
        found = {}
        start = f"{self.name}-"
        among = self.names() if names is None else names
        own = [name for name in among if name.startswith(start)]  # among those of many sessions
        for name in own:
            match = DRIVE.fullmatch(name.removeprefix(self.name))
            if match:
                found[int(match[1])] = os.path.join(self.path, name)  # noqa: PTH118
        return dict(sorted(found.items()))

    def strangers(self, names: Sequence[str]) -> list[str]:
        """The files among ``names`` that are no session's, whose drives are built on their image alone."""
        sessions = {name.removesuffix(JOURNAL) for name in names if name.endswith(JOURNAL)}
        usual = {name + ending for name in sessions for ending in (JOURNAL, LOCK, FIRST_DRIVE)}
        found = []
        for name in sorted(set(names) - usual):  # few, of hundreds
            match = FILE.fullmatch(name)
            if not (match and match[1] in sessions) and not is_temporary(name):
                found.append(os.path.join(self.path, name))  # noqa: PTH118
        return found

    def exists(self) -> bool:
        """True when there is any trace of the session."""
        if self._is_unknown():
            return False
        names = self.names()
        return self.name + JOURNAL in names or bool(self.drives(names))

    def _is_unknown(self) -> bool:
        """No trace of the session, told by three names: to list those of hundreds takes longer."""
        for path in (self.journal, self.lock_path, self.drive(1)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.host.stat(path)
                return False
        return True

    def names(self) -> list[str]:
        """All files in the folder, also those of other sessions, which may be hundreds."""
        try:
            return self.host.names_in(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def make(self) -> None:
        """Make the folder, for good; the end of another session may remove it at once."""
        try:
            self.host.mkdir(self.path)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # it was just removed
                if not stat.S_ISDIR(self.host.stat(self.path).st_mode):
                    raise ImageAccessError(
                        f"{self.path}: is no folder, expected that of the image's sessions; move it away"
                    ) from None
            return
        except FileNotFoundError:  # of the user's data folder nothing may be there yet
            os.makedirs(self.path, exist_ok=True)  # noqa: PTH103
        self.host.sync_dir_of(self.path)

    def is_writable(self) -> bool:
        """Files can be made in the folder, or it is gone again. May be wrong just while it comes and goes."""
        return os.access(self.path, os.W_OK) or not os.path.lexists(self.path)

    # -- lock ---------------------------------------------------------------------------------------

    def take(self) -> None:
        """Lock the session for this process. ImageAccessError, naming who has it."""
        flags = os.O_RDWR | os.O_CREAT | O_PLAIN
        for _ in range(LOCK_TRIES):
            self.make()
            self.is_new = self._is_unknown()
            try:
                fd = retried(self.host.calls.open, self.lock_path, flags)
            except FileNotFoundError:  # the last session was just removed, and the folder with it
                continue
            file = HostFile(self.host.calls, fd, self.lock_path, read_only=False)
            try:
                self.has_locks = lock_file(file.fd, self.lock_path, shared=False) or os.name == "nt"
                if self._is_named(file):
                    self._lock = file
                    return
            except ImageAccessError:
                found = holders(file.fd)
                who = ", ".join(map(str, found)) or "unknown"
                file.close()
                how = "end that, or commit from its menu"
                if os.getpid() in found:
                    how = "that is this one: close the Session that has it"
                raise ImageAccessError(
                    f"{self.image}: its session {self.name!r} is in use by process {who}, expected it free; "
                    f"{how}, or take another session (--session NAME)"
                ) from None
            file.close()  # removed by the one before, who was just leaving
        raise ImageAccessError(f"{self.lock_path}: is replaced again and again; try again later")

    def hold(self) -> None:
        """Take the lock again, if it was removed with the session that was decided; ImageAccessError."""
        if self._lock is None or not self._is_named(self._lock):
            self.release()
            self.take()

    def _is_named(self, file: HostFile) -> bool:
        if os.name == "nt":
            return True
        try:
            named = self.host.stat(file.path)
        except FileNotFoundError:
            return False
        status = file.status()
        return (named.st_dev, named.st_ino) == (status.st_dev, status.st_ino)

    def release(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def holder(self) -> list[int]:
        """The processes that have the session, as far as the kernel tells."""
        try:
            fd = retried(self.host.calls.open, self.lock_path, os.O_RDONLY | O_PLAIN)
        except OSError:
            return []
        try:
            return holders(fd)
        finally:
            self.host.calls.close(fd)

    # -- end ----------------------------------------------------------------------------------------

    def remove(self, names: Sequence[str]) -> None:
        """Remove what is left besides the drives, the lock last; ``names`` are in the folder."""
        self._sweep(self.path, names, (f".{self.name}.", f".{self.name}-"))
        with contextlib.suppress(OSError):
            beside, image = os.path.split(self.image)
            self._sweep(beside, self.host.names_in(beside), (f".{image}{PENDING}.",))
        self._unlink(self.journal)
        self._unlink(self.lock_path)
        with contextlib.suppress(OSError):
            self.host.sync_dir_of(self.journal)
            self.host.rmdir(self.path)
            self.host.sync_dir_of(self.path)

    def _sweep(self, folder: str, names: Sequence[str], starts: tuple[str, ...]) -> None:
        """Remove files that a crash kept from getting their name."""
        with contextlib.suppress(OSError):
            for name in names:
                if name.startswith(starts) and is_temporary(name):
                    self._unlink(os.path.join(folder, name))  # noqa: PTH118

    def _unlink(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.host.unlink(path)


def check_name(name: str) -> str:
    """``name``, if a session may be called that; UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r}: cannot be a session's name, expected up to 32 letters, digits and underscores"
        )
    return name


def folder_for(image: str, name: str, fallback: str | None, host: Host) -> SessionFolder:
    """The session's folder: where it is; else where it can be made.

    ``fallback`` is the folder for sessions of images beside which nothing can be written.
    """
    real = os.path.realpath(image)
    _expect_room_in_names(image, real, host)
    places = list(_places(real, fallback))
    found = [SessionFolder(real, check_name(name), place, host) for place in places]
    for each in found:
        if each.exists():
            return each
    for each in found:
        try:
            each.make()
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            continue
        if any(each.is_writable() for _ in range(LOCK_TRIES)):
            return each
    raise ImageAccessError(
        f"{image}: no session can be made, as neither {' nor '.join(places)} can be written, expected a "
        f"folder for what the guest writes; check the permissions"
    )


def _expect_room_in_names(image: str, real: str, host: Host) -> None:
    """Refuse an image whose name leaves no room for those of files beside it, which a commit needs."""
    longest = temporary_name(real + PENDING)
    try:
        host.stat(longest)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(
                f"{image}: its name is too long for a session, which needs names of "
                f"{len(os.fsencode(longest)) - len(os.fsencode(real))} bytes more beside it; rename the image"
            ) from error


def sessions_of(image: str, fallback: str | None, host: Host) -> list[SessionFolder]:
    """All sessions of an image that leave a trace, by name."""
    real = os.path.realpath(image)
    found: dict[str, SessionFolder] = {}
    for place in _places(real, fallback):
        try:
            names = host.names_in(place)
        except OSError:
            continue
        for entry in sorted(names):
            match = NAME.match(entry)
            if match and match[0] not in found:
                folder = SessionFolder(real, match[0], place, host)
                if folder.exists():
                    found[match[0]] = folder
    return [found[name] for name in sorted(found)]


def _places(real: str, fallback: str | None) -> Iterator[str]:
    if fallback is None or not Path(real).is_block_device():
        yield real + SESSIONS
    if fallback is not None:
        digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
        yield os.path.join(fallback, f"{os.path.basename(real)}-{digest}{SESSIONS}")  # noqa: PTH118, PTH119
