"""A session's drives as files: opening them as what the journal says they are, and who else needs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

from pcemu.drives.hostfile import Host
from pcemu.drives.newfile import exists
from pcemu.drives.open import open_layers
from pcemu.drives.probe import Ends
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import Family, read_child, registered
from pcemu.drives.replace import remove_image
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.vhd_header import read_facts
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from pcemu.session.folder import SessionFolder, sessions_of
from pcemu.session.journal import ACTIVE, DriveNote, Journal, JournalDamaged, read_journal

Layers = list[FlatDrive | SparseLayer]


def open_session(folder: SessionFolder, numbers: Sequence[int], allow_outside: bool, host: Host) -> Layers:
    """All layers from the ultimate parent to the session's head.

    They must be the session's drives, on its image: whoever put the files there has no say in what is read.
    """
    paths = [folder.drive(number) for number in numbers]
    missing = [path for path in paths if not exists(path, host)]
    if missing:
        raise ImageFormatError(
            f"{folder.image}: its session has lost {', '.join(missing)}, expected all of its drives; "
            f"restore what is missing from a copy, or give the session up with `pcemu session discard`"
        )
    try:
        layers = open_layers(paths[-1], allow_outside=True, host=host)
    except ImageFormatError as error:
        raise ImageFormatError(f"{error}; or give the session up with `pcemu session discard`") from error
    try:
        _check(folder, paths, layers, allow_outside, host)
    except BaseException:
        for layer in layers:
            layer.file.close()
        raise
    return layers


def _check(
    folder: SessionFolder, paths: Sequence[str], layers: Layers, allow_outside: bool, host: Host
) -> None:
    found = [os.path.realpath(layer.file.path) for layer in layers]
    expected = [folder.image, *map(os.path.realpath, paths)]
    if found[-len(expected) :] != expected:
        raise ImageFormatError(
            f"{folder.image}: its session consists of {', '.join(found)}, expected {', '.join(expected)}; "
            f"the session's folder is not as it was left: restore it from a copy"
        )
    below = found[: -len(paths)]
    for parent, child in pairwise(below):
        place = os.path.dirname(child)  # noqa: PTH120
        if not allow_outside and os.path.commonpath([parent, place]) != place:
            raise ImageAccessError(
                f"{child}: its parent is {parent}, expected a file in its own folder; if you trust the "
                f"image, let it lie outside with --allow-outside"
            )


def rebuild(folder: SessionFolder, damage: str, now: float, host: Host) -> Journal:
    """A journal from the drives alone: names and notes are lost, no sector is.

    ``damage`` says what is the matter with the old one; nothing, when there is none.
    """
    journal = Journal(image=folder.image, created=now)
    drives = {} if folder.is_new else folder.drives()
    if drives and not damage:
        for path in drives.values():  # a crash came before the first journal
            remove_if_empty(path, host)
        drives = folder.drives()
    if not drives:
        return journal
    order = _order(folder, drives, damage)
    for number in order:
        written = host.stat(drives[number]).st_mtime
        journal.drives.append(DriveNote(number, written, None if number == order[-1] else written))
    journal.created = journal.drives[0].began
    journal.next_number = max(order) + 1
    journal.state = ACTIVE
    return journal


def _order(folder: SessionFolder, drives: dict[int, str], damage: str) -> list[int]:
    """The drives' numbers from the oldest up; they must be one chain on the image."""
    numbers = {os.path.realpath(path): number for number, path in drives.items()}
    above: dict[str, str] = {}
    for path in numbers:
        child = read_child(path, host=folder.host)
        if child is not None and child.parent is not None:
            above[child.parent.real] = path
    order = []
    at = folder.image
    while at in above:
        at = above.pop(at)
        order.append(numbers[at])
    if len(order) != len(drives):
        lost = ", ".join(path for number, path in drives.items() if number not in order)
        raise ImageFormatError(
            f"{damage or f'{folder.journal}: is missing'}; it cannot be made anew, as {lost} is not part of "
            f"one chain on {folder.image}; look at them with `pcemu disk chain`"
        )
    return order


def remove_if_empty(path: str, host: Host) -> None:
    """Remove a drive that holds nothing, if it is there."""
    child = read_child(path, host) if exists(path, host) else None
    if child is not None and child.empty:
        remove_image(path, host)


def refuse_children(folder: SessionFolder, names: Sequence[str], host: Host) -> None:
    """Refuse to take drives away that somebody has built images on; ``names`` are in the folder."""
    own = {os.path.realpath(path) for path in folder.drives(names).values()}
    others = [os.path.realpath(path) for path in folder.strangers(names)] if own else []
    for path in own:
        others += registered(path, host)
    for path in dict.fromkeys(others):
        child = None if path in own else read_child(path, host)
        if child is not None and child.parent is not None and child.parent.real in own:
            raise UsageError(
                f"{folder.image}: {child.path} is built on its session {folder.name!r}, expected nothing "
                f"there; remove or convert that first"
            )


def refuse_siblings(folder: SessionFolder, fallback: str | None, host: Host) -> bool:
    """Refuse a commit that would change what other sessions of the image are built on.

    True when there are some that preserve: those are made for it. An image that nobody can write to, such as
    one on a server, is refused before: there is nothing to be done about its sessions.
    """
    _expect_writable(folder.image, host)
    sessions = [each for each in sessions_of(folder.image, fallback, host) if each.name != folder.name]
    preserving = [each for each in sessions if _preserves(each, host)]
    others = [_describe(each) for each in sessions if each.drives() and each not in preserving]
    beside = Family(host).look_in(os.path.dirname(folder.image))  # noqa: PTH120
    known = {os.path.realpath(path) for each in (folder, *preserving) for path in each.drives().values()}
    found = [child.path for child in beside]
    for path in dict.fromkeys([*found, *registered(folder.image, host)]):
        child = None if path in known else read_child(path, host)
        if child is not None and child.parent is not None and child.parent.real == folder.image:
            others.append(child.path)
    if others:
        verb = "is" if len(others) == 1 else "are"
        raise UsageError(
            f"{folder.image}: the commit would change what {', '.join(others)} {verb} built on, expected no "
            f"other session or child; commit or discard that first, or commit with --preserve-siblings, "
            f"which copies there what would be lost"
        )
    return bool(preserving)


def _expect_writable(image: str, host: Host) -> None:
    file = host.open_image(image, read_only=False, lock=False)
    try:
        ends = Ends(file)
        if ends.have_vhd_traces():
            read_facts(ends)
    finally:
        file.close()


def _preserves(folder: SessionFolder, host: Host) -> bool:
    """True for a session whose lowest drive is there for what others' commits overwrite."""
    try:
        journal = read_journal(folder.journal, host)
    except JournalDamaged:
        return False
    return journal is not None and bool(journal.drives) and journal.drives[0].preserves


def _describe(folder: SessionFolder) -> str:
    users = folder.holder()
    used = f" (in use by process {', '.join(map(str, users))})" if users else ""
    return f"session {folder.name!r}{used}"
