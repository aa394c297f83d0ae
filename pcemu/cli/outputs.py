"""Files that a run writes beside its disks: none of them may be an image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcemu.drives.locks import lock_file
from pcemu.errors import ImageAccessError, UsageError


def refuse_images(outputs: Iterable[tuple[str, Path | None]]) -> None:
    """UsageError when a file to be written is an image in use; of each, the option that names it.

    Every image of a session is locked, also those that its disks descend from.
    """
    for option, path in outputs:
        if path is not None and path.is_file() and _in_use(path):
            raise UsageError(f"{option} {path}: is a disk image that is in use, expected another file")


def _in_use(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            lock_file(file.fileno(), str(path), shared=False)
    except ImageAccessError:
        return True
    except OSError:  # writing it will tell
        pass
    return False
