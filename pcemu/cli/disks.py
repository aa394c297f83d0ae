"""The disks of a session: images that stay as they are below a memory layer, until the user decides."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.overlay import MemoryOverlay
from pcemu.drives.raw import RawDrive
from pcemu.errors import ImageAccessError, UsageError
from pcemu.resources import resource

Progress = Callable[[int, int], None]
"""Called with sectors done and sectors in all."""


class SessionDisk:
    """An image that is open for reading, and what the guest wrote on it in ``drive``.

    ``target`` is the file that a commit writes; the image itself unless it must stay as it came.
    """

    def __init__(self, path: Path, target: Path | None = None) -> None:
        self.path = path
        self.target = target or path
        self._image = RawDrive(path, read_only=True)
        self._identity = _identity(path)
        self.drive = MemoryOverlay(self._image)

    @property
    def changed(self) -> int:
        """Sectors that the guest wrote."""
        return self.drive.changed_sectors

    @property
    def changes(self) -> str:
        """What the guest changed, in words."""
        return f"{amount(self.changed)} on {self.path.name}"

    def commit(self, progress: Progress | None = None) -> None:
        """Write the changes into the target. ImageError when that fails; then they are all still there."""
        # Our own shared lock would keep us from the exclusive one.
        self._image.close()
        if self.target != self.path:
            self._copy_to_target()
        target = RawDrive(self.target)
        try:
            self._check_identity()
            self.drive.parent = target
            try:
                self.drive.commit(progress)
            finally:
                target.close()
                self._identity = _identity(self.path)
        except OSError as error:
            raise ImageAccessError(
                f"{self.target}: writing the changes failed: {error.strerror}; "
                "the image may hold a part of them, and memory still holds them all"
            ) from error
        finally:
            target.close()

    def _check_identity(self) -> None:
        if _identity(self.path) != self._identity:
            raise ImageAccessError(
                f"{self.path}: was changed by another program since this session began; "
                "expected it as it was, for the session's changes no longer fit it"
            )

    def _copy_to_target(self) -> None:
        if self.target.exists():
            raise ImageAccessError(
                f"{self.target}: was made by another session since this one began, expected no such file; "
                "the session's changes no longer fit it"
            )
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            part = self.target.with_name(self.target.name + ".part")
            shutil.copyfile(self.path, part)
            part.replace(self.target)
        except OSError as error:
            raise ImageAccessError(f"{self.target}: cannot be made: {error.strerror}") from error
        self.path = self.target
        self._identity = _identity(self.path)

    def close(self) -> None:
        """Forget what was not committed, and let go of the image."""
        self.drive.discard_all()
        self._image.close()


def _identity(path: Path) -> tuple[int, ...]:
    """What changes when somebody else replaces or writes the file."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def amount(sectors: int) -> str:
    """Sectors in words: ``3 sectors (1.5 KiB)``."""
    size = sectors * SECTOR_SIZE / 1024
    unit = "KiB"
    if size >= 1024:
        size, unit = size / 1024, "MiB"
    return f"{sectors} sector{'' if sectors == 1 else 's'} ({size:.1f} {unit})"


def open_disks(paths: Sequence[Path]) -> list[SessionDisk]:
    """The disks for ``paths``, all of them or none; the demo disk without any. ImageError, UsageError."""
    for index, path in enumerate(paths):
        if any(_same_file(path, other) for other in paths[:index]):
            raise UsageError(f"{path}: was given twice, expected a different image for each disk")
    disks: list[SessionDisk] = []
    try:
        if not paths:
            disks.append(demo_disk())
        for path in paths:
            disks.append(SessionDisk(path))
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


def demo_disk() -> SessionDisk:
    """The demo disk as the user left it; what comes with pcemu is never written."""
    own = _data_folder() / "demo.img"
    return SessionDisk(own if own.exists() else resource("demo.img"), target=own)


def _data_folder() -> Path:
    """Where the system keeps a user's data of programs."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base or Path.home() / "AppData" / "Local") / "pcemu"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "pcemu"
