"""A session whose image others committed to since it began: what is in conflict, and carrying the rest over.

The lowest drive of such a session *preserves*: each commit of others first puts there what it is about to
overwrite in the image (see `pcemu.drives.commit`), so that the session reads as when it began. With that::

    theirs    what the preserving drive holds: image with it ─► image as it is now
    mine      what the drives above hold: image with the preserving drive ─► head

Where the two have no sector and no file in common, the session's sectors are taken over as they are. Where
sectors meet but files do not, which is usual (directories, FATs), files are carried over one by one. What is
in conflict stays behind, if the user wants so; the whole session is saved as a branch before.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pcemu.drives.chain import Chain
from pcemu.drives.changes import Changes, FileChange, Runs, changed_runs, compare, count_sectors
from pcemu.drives.changes_text import amount
from pcemu.drives.create import create_differencing
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Format
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import copy_layers
from pcemu.errors import UsageError
from pcemu.session.branch import branch_path, save_branch

if TYPE_CHECKING:
    from pcemu.session.session import Session

MAX_NAMED = 8  # files, or runs of sectors, in a message


class Conflicts(NamedTuple):
    """What the session and the others' commits both changed.

    ``sectors`` are rows (first, behind the last), ``files`` paths. ``by_file`` is "" when files can be
    carried over one by one, else why not.
    """

    moved: int
    sectors: Runs
    files: list[str]
    mine: Changes
    by_file: str

    def __str__(self) -> str:
        parts = []
        if self.files:
            parts.append(f"files {_some(self.files)}")
        if len(self.sectors):
            runs = [f"{first}-{stop - 1}" for first, stop in self.sectors.tolist()]
            parts.append(f"{amount(count_sectors(self.sectors))}: {_some(runs)}")
        return "; ".join(parts) or "nothing"


class Rebased(NamedTuple):
    """What was carried over: ``files`` by their paths, or ``sectors`` when that was possible.

    ``left`` are the paths of what was not, and ``branch`` the image in which that is.
    """

    sectors: int
    files: list[str]
    left: list[str]
    branch: str


def find_conflicts(session: Session) -> Conflicts:
    """What stands against a commit of a session that is open. OSError from the host."""
    layers = session.drive.layers
    own = session.own_layers()
    below = layers[: -len(own)]
    moved, written = changed_runs(own[:1]), changed_runs(own[1:])
    then, now = Chain([*below, own[0]]), Chain(below)
    theirs = compare(then, now, moved)
    mine = compare(then, session.drive, written)
    differing = _paths(compare(now, session.drive, _union(moved, written)))
    files = sorted(_paths(theirs).keys() & _paths(mine).keys() & differing.keys())
    return Conflicts(
        count_sectors(moved), _common(moved, written), files, mine, _why_not_by_file(mine, theirs)
    )


def refuse_moved(session: Session) -> None:
    """Refuse to commit a session over what others committed; UsageError."""
    found = find_conflicts(session)
    here = f"{shlex.quote(str(session.image))} --session {shlex.quote(session.name)}"
    raise UsageError(
        f"{session.image}: others committed {amount(found.moved)} since session {session.name!r} began, "
        f"expected it as it was; in conflict: {found}. Carry the session's changes over with `pcemu session "
        f"rebase {here}` and commit then, or save them with `pcemu session branch {here} NAME`"
    )


def rebase(session: Session, branch: str = "", progress: Progress = no_progress) -> Rebased:
    """Put the session's changes on the image as it is now.

    Refused with what is in conflict, unless ``branch`` is the name of an image to save the whole session in
    first: then what is in conflict is left out. The session must have been started and goes on; whoever
    uses its drive must start afresh. A crash leaves the session as it was, or as it is to be.
    """
    found = find_conflicts(session)
    by_sector = not len(found.sectors) and not found.files
    stuck = bool(found.files) or (not by_sector and bool(found.by_file))
    if stuck and not branch:
        why = f"; its files cannot be told apart, as {found.by_file}" if found.by_file else ""
        raise UsageError(
            f"{session.image}: session {session.name!r} cannot be rebased as a whole, in conflict: "
            f"{found}{why}; give a name to save the session under (--save-as NAME), and the rest is rebased"
        )
    path = ""
    if stuck:
        path = branch_path(session.image, branch, session.host)
        save_branch(path, session.base, session.own_layers(), progress, session.host)
    first = session.expect_rebase()
    done = Rebased(0, [], found.files, path)
    try:
        with _new_drives(session, first) as target:
            if by_sector:
                done = done._replace(sectors=_copy_sectors(session, target, progress))
            elif not found.by_file:
                done = done._replace(files=_copy_files(session, target, found))
            target.flush()
    except BaseException:
        session.sweep_rebase()
        raise
    if found.by_file and not by_sector:
        done = done._replace(left=sorted(_paths(found.mine)))
    session.take_rebased()
    return done


@contextlib.contextmanager
def _new_drives(session: Session, first: int) -> Iterator[Chain]:
    """A preserving drive on the image as it is now, and a head on that, as a chain with what is below."""
    below = session.drive.layers[: -len(session.own_layers())]
    paths = [session.folder.drive(first), session.folder.drive(first + 1)]
    with contextlib.ExitStack() as stack:
        parent = session.base
        made: list[SparseLayer] = []
        for path in paths:
            create_differencing(path, parent, host=session.host)
            layer = open_layer(path, False, Format.DIFFERENCING, session.host)
            stack.callback(layer.close)
            assert isinstance(layer, SparseLayer)
            made.append(layer)
            parent = layer
        yield Chain([*below, *made])


def _copy_sectors(session: Session, target: Chain, progress: Progress) -> int:
    head = target.head
    assert isinstance(head, SparseLayer)
    own = session.own_layers()[1:]
    total = count_sectors(changed_runs(own))
    copy_layers(own, head, total, progress)
    return total


def _copy_files(session: Session, target: Chain, found: Conflicts) -> list[str]:
    from pcemu.session.selective import carry

    own = session.own_layers()
    then = Chain(session.drive.layers[: len(session.drive.layers) - len(own) + 1])
    left = set(found.files)
    chosen = {}
    for volume in found.mine.volumes:
        files = [change for change in volume.files if not left & set(_names(change))]
        if files:
            chosen[volume.name] = files
    return carry(then, session.drive, target, found.mine, chosen)


def _paths(changes: Changes) -> dict[str, FileChange]:
    return {path: change for volume in changes.volumes for change in volume.files for path in _names(change)}


def _names(change: FileChange) -> list[str]:
    return [path for path in (change.path, change.old_path) if path is not None]


def _why_not_by_file(mine: Changes, theirs: Changes) -> str:
    """Why not all that the session changed is in files that can be carried over one by one."""
    if mine.partition_table or theirs.partition_table:
        return "the partition table was changed"
    if mine.boot_code or mine.outside:
        return "sectors outside the partitions were changed"
    for volume in mine.volumes:
        if volume.unknown:
            return f"those of {volume.name} cannot be told: {volume.unknown}"
        if volume.formatted or volume.boot_sector:
            return f"{volume.name} was newly formatted"
        if volume.problems:
            return f"{volume.name} is inconsistent: {volume.problems[0]}"
    for volume in theirs.volumes:
        if volume.problems or volume.formatted:
            return f"{volume.name} in the image was formatted or is inconsistent"
    return ""


def _common(one: Runs, other: Runs) -> Runs:
    """The sectors that are in both."""
    found = []
    for first, stop in one.tolist():
        at = int(np.searchsorted(other[:, 1], first, side="right"))
        while at < len(other) and other[at, 0] < stop:
            found.append((max(first, int(other[at, 0])), min(stop, int(other[at, 1]))))
            at += 1
    return np.array(found, np.int64).reshape(-1, 2)


def _union(one: Runs, other: Runs) -> Runs:
    """The sectors that are in any."""
    merged: list[list[int]] = []
    for first, stop in sorted([*one.tolist(), *other.tolist()]):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([first, stop])
    return np.array(merged, np.int64).reshape(-1, 2)


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - MAX_NAMED} more" if len(texts) > MAX_NAMED else ""
    return ", ".join(texts[:MAX_NAMED]) + more
