"""A session's drives while they are open: what the guest works on, and what it changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pcemu.drives.chain import Chain
from pcemu.drives.changes import Changes, changed_runs, compare
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import count_sectors
from pcemu.errors import UsageError
from pcemu.session.files import open_session
from pcemu.session.record import SessionRecord


class SessionDrives(SessionRecord):
    """A session's record and its open drives, from the image's own up to the head."""

    _drive: Chain | None = None

    @property
    def drive(self) -> Chain:
        """The drive for the guest; the same object for as long as the session runs. UsageError before."""
        if self._drive is None:
            raise UsageError("the session has no drive before its start() was called; call that first")
        return self._drive

    @property
    def running(self) -> bool:
        """True from the start to the decision."""
        return self._drive is not None

    @property
    def base(self) -> SparseLayer | FlatDrive:
        """The image, open; the drive below the session's first."""
        base = self.drive.layers[-len(self._journal.drives) - 1]
        assert isinstance(base, SparseLayer | FlatDrive)
        return base

    def own_layers(self) -> list[SparseLayer]:
        """The session's drives, open, from the lowest up."""
        count = len(self._journal.drives)
        layers = [layer for layer in self.drive.layers[-count:] if isinstance(layer, SparseLayer)]
        assert len(layers) == count
        return layers

    @property
    def changed_sectors(self) -> int:
        """How many sectors differ from the image, in that they were written."""
        return count_sectors(self.own_layers()[self.preserves :])

    def changes(self, letters: dict[int, str] | None = None) -> Changes:
        """What the session changed, files too."""
        changes = self._compare(int(self.preserves), len(self._journal.drives), letters)
        return changes._replace(preserved=min(self.preserved, changes.sectors))

    def changes_of(self, number: int) -> Changes:
        """What one drive of the session changed."""
        index = self._journal.index(number)
        return self._compare(index, index + 1, None)

    def _compare(self, first: int, stop: int, letters: dict[int, str] | None) -> Changes:
        layers = self.drive.layers
        base = len(layers) - len(self._journal.drives)
        before, after = Chain(layers[: base + first]), Chain(layers[: base + stop])
        return compare(before, after, changed_runs(self.own_layers()[first:stop]), letters)

    # -- opening and closing ----------------------------------------------------------------------

    def _open(self) -> None:
        """Open the drives, into the same object as before."""
        self._open_layers(open_session(self.folder, self.numbers, self._allow_outside, self.host))

    def _open_layers(self, layers: list[FlatDrive | SparseLayer]) -> None:
        try:
            if self._drive is None:
                self._drive = Chain(layers)
            else:
                self._drive.replace_layers(layers)
        except BaseException:
            for layer in layers:
                layer.file.close()
            raise
        self.warnings += [text for text in self._drive.warnings if text not in self.warnings]

    @property
    def dirty(self) -> bool:
        """True when something was written that a power loss would lose."""
        head = self.drive.head
        return isinstance(head, SparseLayer) and head.dirty

    @property
    def open(self) -> bool:
        """True while the drives are open."""
        head = None if self._drive is None else self._drive.head
        return isinstance(head, SparseLayer) and head.file.fd >= 0

    @contextlib.contextmanager
    def set_aside(self) -> Iterator[None]:
        """Close the drives for a moment, so that somebody else can commit to the image."""
        self._close_drive()
        try:
            yield
        finally:
            self._open()

    def _close_drive(self) -> None:
        if self._drive is not None:
            self._drive.close()
