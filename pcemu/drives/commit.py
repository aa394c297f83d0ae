"""Commit: what the layers above an image hold goes into it, the newest copy of each sector.

The target is the ultimate parent or any other image that the source is built on, raw, fixed, dynamic or
differencing. Afterwards the source is an empty child of the target, and the layers that were between them
are gone. It reads the same at every instant::

    1. all locked; other images that are built on the target are found
    2. the intent noted beside the target, for good
    3. those others get the sectors that the target is about to lose
    4. sectors copied to the target, which is synced
    5. the others told what the target looks like now
    6. the source replaced by an empty child of the target
    7. the layers between removed, then the note

A commit that was cut off anywhere is finished by the same call: it repeats from 3, as nothing is taken out of
the source before the target has all of it. Until then the target by itself is refused (it holds half of the
changes), the source reads as ever, and cannot be discarded.
"""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Self

from pcemu.drives.chain import Chain
from pcemu.drives.content import read_padded
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fingerprint import Fingerprint
from pcemu.drives.freeze import parent_path
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.intents import COMMIT, Intent, write_intent
from pcemu.drives.lineage import (
    Lineage,
    Progress,
    StrPath,
    Warn,
    no_progress,
    no_warning,
    refuse_commit,
    told,
)
from pcemu.drives.open import open_layer
from pcemu.drives.parents import fingerprint_kept
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.registry import Child, Family, names_of
from pcemu.drives.relink import remember_parent
from pcemu.drives.repair import mend_tail
from pcemu.drives.replace import finish, make_empty, retired_of
from pcemu.drives.resize import grow_layer
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import BUFFER_SIZE, copy_layers, count_sectors, missing_in, pieces_of, space_for
from pcemu.errors import ImageAccessError, UsageError

RESTART = "nothing is lost: mend that and commit again, which goes on where this stopped"


def commit(
    path: StrPath,
    into: StrPath | None = None,
    *,
    preserve_siblings: bool = False,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> int:
    """Write what ``path`` and the layers below it hold into ``into``; None means its ultimate parent.

    Returns how many sectors were written. Other images that are built on the target, or on a layer between,
    would change with it. They are named and it is refused; with ``preserve_siblings`` they first get the
    sectors that they would lose.

    None of the images may be in use. ``progress`` may raise to cancel; then, and after any failure or a
    kill, the drive reads as before and the same call finishes it. Raises ImageError or UsageError.
    """
    with told(path, "the commit", RESTART):
        _mend_after_crash(path, allow_outside, host)
        operation = _Commit(path, into, allow_outside, warn, host)
        with contextlib.ExitStack() as emptied:
            with operation:
                total = operation.prepare(preserve_siblings, progress)
                operation.copy(total, progress)
                operation.switch(emptied)
            operation.clean_up()
        return total


def commit_to_parent(
    path: StrPath,
    *,
    preserve_siblings: bool = False,
    allow_outside: bool = False,
    progress: Progress = no_progress,
    warn: Warn = no_warning,
    host: Host = HOST,
) -> int:
    """As :func:`commit`, of one layer into the one right below it."""
    return commit(
        path,
        parent_path(path, allow_outside, host),
        preserve_siblings=preserve_siblings,
        allow_outside=allow_outside,
        progress=progress,
        warn=warn,
        host=host,
    )


def _mend_after_crash(path: StrPath, allow_outside: bool, host: Host) -> None:
    """Images that an earlier call was extending when it was cut off may lack their tail footer."""
    with Lineage(
        path, writable_above=None, read_only=True, allow_outside=allow_outside, host=host
    ) as lineage:
        targets = [number for number, intent in lineage.intents() if intent.operation == COMMIT]
    for real in lineage.reals[targets[0] : -1] if targets else ():
        mend_tail(real, host)


class _Commit:
    """One commit, with its images open: ``sources`` go into ``target``, ``siblings`` are preserved."""

    def __init__(
        self, path: StrPath, into: StrPath | None, allow_outside: bool, warn: Warn, host: Host
    ) -> None:
        self.host = host
        self.lineage = Lineage(
            path, writable_above=into, inclusive=True, allow_outside=allow_outside, warn=warn, host=host
        )
        self.siblings: list[SparseLayer] = []
        self.statuses: list[os.stat_result] = []  # of the siblings, before they were written to
        try:
            self.head = self.lineage.head
            self.number = self.lineage.border
            if self.number == len(self.lineage.layers) - 1:
                raise UsageError(f"{self.lineage.path}: is the target itself, expected an image below it")
            self.target = self.lineage.layers[self.number]
            self.target_path = self.lineage.reals[self.number]
            self.sources = self.lineage.children()[self.number :]
            self.source_paths = self.lineage.reals[self.number + 1 :]
            self.intent = self._pending()
            self.resumed = self.intent is not None
        except BaseException:
            self.lineage.close()
            raise

    def _pending(self) -> Intent | None:
        """The note that an earlier call left; those of other operations are dealt with."""
        found = None
        for number, intent in self.lineage.intents():
            target = self.lineage.reals[number]
            if number == self.number and intent.operation == COMMIT:
                found = intent  # of this source: others were refused when the images were opened
            else:
                refuse_commit(self.lineage.path, "another commit", target, intent)
                finish(target, intent, self.host, self.lineage.reals)
        if found is not None and found.source_id != self.head.unique_id:
            refuse_commit(self.lineage.path, "another commit", self.target_path, found)
        return found

    def prepare(self, preserve: bool, progress: Progress) -> int:
        """All that comes before the first change of the target; returns how many sectors are to be copied."""
        kept, others = self._others()
        preserve = preserve or (self.intent is not None and bool(self.intent.preserved))
        if others and not preserve:
            raise UsageError(
                f"{self.target_path}: {names_of(others)} built on it and would change with it, expected "
                f"{self.lineage.path} alone; discard or convert the other first, or have its sectors "
                f"preserved (--preserve-siblings)"
            )
        total = count_sectors(self.sources)
        self._check_space(total, len(others))
        if kept:
            self.siblings.append(self.sources[0])
        for child in others:
            if child.fits(self.target, self._looks()):
                self.siblings.append(self._open_sibling(child))
        self._check_sizes()
        progress(0, total)
        if self.intent is None:
            preserved = tuple([sibling.unique_id for sibling in self.siblings])
            self.intent = Intent(
                COMMIT,
                self.lineage.path,
                self.head.unique_id,
                retired_of(self.sources[kept:-1]),
                preserved,
                fingerprint_kept(self.sources[0]),
            )
            write_intent(self.target_path, self.intent, self.host)
        self.statuses = [sibling.file.status() for sibling in self.siblings]
        if self.siblings:
            self._preserve_siblings()
        return total

    def _open_sibling(self, child: Child) -> SparseLayer:
        if self.intent is not None:
            mend_tail(child.path, self.host)
        layer = open_layer(child.path, False, Format.DIFFERENCING, self.host)
        assert isinstance(layer, SparseLayer)
        return layer

    def _check_sizes(self) -> None:
        for sibling in self.siblings:
            if sibling.sectors < self.head.sectors > self.target.sectors:
                raise UsageError(
                    f"{sibling.file.path}: has {sibling.sectors} sectors, expected at least the "
                    f"{self.head.sectors} that {self.target_path} will have after the commit; resize it first"
                )

    def _looks(self) -> list[Fingerprint]:
        """How a raw target looked and looks, as children that are right remember it."""
        found = [fingerprint_kept(self.sources[0]), self.intent and self.intent.before]
        return [each for each in found if each is not None]

    def _others(self) -> tuple[int, list[Child]]:
        """How many of the sources must stay, counted from the lowest; all images that would change."""
        family = Family(self.host)
        own = set(self.source_paths)
        retired = () if self.intent is None else self.intent.retired
        own.update(each.path for each in retired)

        def strangers(layer: SparseLayer | FlatDrive) -> list[Child]:
            return [each for each in family.children_of(layer, self._looks()) if each.path not in own]

        others = strangers(self.target)
        kept = 0
        for number, source in enumerate(self.sources[:-1], 1):
            found = strangers(source)
            if found:
                kept = number
                others += found
        return kept, others

    def _check_space(self, total: int, siblings: int) -> None:
        free = self.host.free_space(self.target_path)
        needed = space_for(self.target, self.sources, total, free) + total * SECTOR_SIZE * siblings
        if needed > free:
            raise ImageAccessError(
                f"{self.target_path}: its disk has {free} bytes free, expected {needed} for the commit; "
                f"make room and commit again"
            )

    def _preserve_siblings(self) -> None:
        """Give siblings what they read from the target where it is about to change: zeros behind its end.

        Run again after a crash it finds all those sectors in the siblings: the target's, by then changed,
        are not looked at.
        """
        below = Chain(self.lineage.layers[: self.number + 1])
        buffer = memoryview(bytearray(BUFFER_SIZE))
        step = BUFFER_SIZE // SECTOR_SIZE
        for sibling in self.siblings:
            for piece in pieces_of(self.sources):
                for first, count in missing_in(sibling, piece.lba, piece.sectors):
                    for lba in range(first, first + count, step):
                        part = buffer[: min(step, first + count - lba) * SECTOR_SIZE]
                        read_padded(below, lba, part)
                        sibling.write(lba, part)
            sibling.flush()

    def copy(self, total: int, progress: Progress) -> None:
        """Bring the target up to date."""
        if self.head.sectors > self.target.sectors:
            self.target = grow_layer(self.target, self.head.sectors * SECTOR_SIZE, self.host)
            self.lineage.layers[self.number] = self.target
        elif self.resumed:  # it may have grown in a call that failed before that was safe
            self.target.file.sync()
            self.host.sync_dir_of(self.target_path)
        copy_layers(self.sources, self.target, total, progress)
        self.target.flush()
        self.target.file.sync()

    def switch(self, emptied: contextlib.ExitStack) -> None:
        """Empty the source, now that the target has all of it; it is locked as long as ``emptied``."""
        for sibling, status in zip(self.siblings, self.statuses, strict=True):
            remember_parent(sibling, self.target)
            sibling.file.take_after(status, times=True)  # it reads the same: its children need no warning
        made = make_empty(self.head, self.target, self.host, same_content=True)
        emptied.callback(made.close)

    def clean_up(self) -> None:
        """Remove what nobody needs any more, and the note."""
        assert self.intent is not None
        finish(self.target_path, self.intent, self.host)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.lineage.close)
            for sibling in self.siblings:
                stack.callback(sibling.close)
