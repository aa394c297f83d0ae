"""The names of disks: files in the user's data folder, which commands take where they take a path.

::

    <data folder>/disks/freedos.img     known as freedos, and as freedos.img
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pcemu.drives.sidecar import SESSIONS
from pcemu.errors import ImageNotFoundError, UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}")
SUFFIXES = (".img", ".vhd")
WINDOWS_DEVICES = re.compile(r"CON|PRN|AUX|NUL|(COM|LPT)[1-9]", re.IGNORECASE)


class NamedDisk(NamedTuple):
    """A disk in the user's data folder."""

    name: str
    path: Path


def data_folder() -> Path:
    """Where the system keeps a user's data of programs."""
    import platformdirs

    return Path(platformdirs.user_data_dir("pcemu", appauthor=False))


def disks_folder() -> Path:
    """Where the disks are that are known by name."""
    return data_folder() / "disks"


def known_disks() -> list[NamedDisk]:
    """All of them, by name. Where two files differ in their suffix alone, the name includes it."""
    try:
        files = sorted(path for path in disks_folder().iterdir() if path.suffix in SUFFIXES)
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = [path.stem for path in files]
    found = [NamedDisk(path.name if stems.count(path.stem) > 1 else path.stem, path) for path in files]
    return [disk for disk in found if NAME.fullmatch(disk.path.stem)]


def looks_like_name(text: str) -> bool:
    """True for what can only be a name, or a file in the present folder."""
    stem = next((text.removesuffix(suffix) for suffix in SUFFIXES if text.endswith(suffix)), text)
    return bool(NAME.fullmatch(stem))


def find_disk(path: Path) -> Path:
    """The disk that ``path`` names: a path, which wins, or else a known name; ``path`` when it is neither.

    A folder is no disk, so a name wins over it: ``new games --from-folder games`` leaves both.
    """
    try:
        return resolve_disk(path)
    except ImageNotFoundError:
        return path


def resolve_disk(path: Path) -> Path:
    """As :func:`find_disk`; ImageNotFoundError when a name is not known, UsageError when it has two files."""
    text = str(path)
    try:
        folder = path.is_dir()
        taken = (path.exists() and not folder) or path.is_symlink()
    except OSError:  # such as a name that is too long, which opening it will tell
        return path
    if taken or not looks_like_name(text):
        return path
    if Path(text + SESSIONS).is_dir():  # an image that was moved away from its session, which will be told
        return path
    files = [file for file in _files(text) if file.exists()]
    if len(files) > 1:
        raise UsageError(
            f"{text}: there are {' and '.join(file.name for file in files)}, expected a name for one disk; "
            f"add the suffix"
        )
    if files:
        return files[0]
    if folder:
        return path
    names = [disk.name for disk in known_disks()]
    known = f"the known names are {', '.join(names)}" if names else "no disk is known by name yet"
    how = "`pcemu get freedos` downloads it" if text == "freedos" else "check the path, or see `pcemu list`"
    raise ImageNotFoundError(
        f"{text}: no such file, and no disk of that name, expected one of both ({known}); {how}"
    )


def _files(name: str) -> Iterator[Path]:
    """Where a disk of this name may be."""
    if name.endswith(SUFFIXES):
        yield disks_folder() / name
    else:
        for suffix in SUFFIXES:
            yield disks_folder() / (name + suffix)


def path_for_new(name: str, suffix: str = ".img") -> Path:
    """Where a new disk of that name goes; UsageError when it cannot have it."""
    stem = name
    for known in SUFFIXES:
        if name.endswith(known):
            stem, suffix = name.removesuffix(known), known
    if not NAME.fullmatch(stem) or WINDOWS_DEVICES.fullmatch(stem):
        raise UsageError(
            f"{name!r}: cannot be the name of a disk, expected up to 64 letters, digits, - and _; or give a "
            f"path"
        )
    for path in _files(stem):
        if path.exists():
            raise UsageError(
                f"{stem}: is the name of {path}, expected one that is not taken; choose another name, "
                f"or remove that file"
            )
    return disks_folder() / (stem + suffix)
