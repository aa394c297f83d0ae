"""Work on a session's drives while the guest goes on: committing, and merging old checkpoints.

The guest writes to the head alone, and what is below it is frozen. So another thread can bring the frozen
drives into the image, or two of them together, with the same operations as ever. What the guest reads stays
the same at every instant: a sector of the image that is being written is one that the frozen drives hide.

The guest's thread calls :meth:`Background.poll` between two stretches of guest code. It waits there only to
freeze the head, whose data another thread has brought to the disk just before, and to exchange the drives
when all is done. A kill at any instant leaves what :meth:`pcemu.session.session.Session.recover` finishes.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod

from pcemu.drives.chain import Layer
from pcemu.drives.commit import commit
from pcemu.drives.hostfile import Host, HostFile
from pcemu.drives.lineage import Progress, no_progress
from pcemu.drives.locks import lock_file
from pcemu.drives.open import open_layer
from pcemu.drives.probe import Format
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError
from pcemu.session.session import Session

LOOK = 0.05  # s between two looks how far it is


class _OwnImages(Host):
    """A host that does not lock the images that this process holds already."""

    def __init__(self, host: Host, images: list[str]) -> None:
        super().__init__(host.calls)
        self._images = {os.path.realpath(image) for image in images}

    def open_image(self, path: str, *, read_only: bool, lock: bool = True, is_file: bool = False) -> HostFile:
        """As ever, but for the lock."""
        own = os.path.realpath(path) in self._images
        return super().open_image(path, read_only=read_only, lock=lock and not own, is_file=is_file)


class Background(ABC):
    """One piece of work; ``done`` and ``total`` sectors tell how far it is.

    :meth:`poll` returns True when it is done, and raises what went wrong: then the session is as before, or,
    when a commit has begun, its rest is done by the next one.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.done = self.total = 0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._cancelled = False

    @abstractmethod
    def poll(self) -> bool:
        """Go on with the next part when the last is done; the guest must stand still meanwhile."""

    def wait(self, progress: Progress = no_progress) -> None:
        """Return when it is done; ``progress`` is told how far it is."""
        while not self.poll():
            progress(self.done, self.total)
            if self._thread is not None:
                self._thread.join(LOOK)

    def cancel(self) -> None:
        """Stop as soon as possible; what has begun is finished by the next commit or start."""
        self._cancelled = True
        if self._thread is not None:
            self._thread.join()

    @abstractmethod
    def _work(self) -> None:
        """What the other thread does."""

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pcemu session", daemon=False)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    @property
    def _working(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _check(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _progress(self, done: int, total: int) -> None:
        if self._cancelled:
            raise InterruptedError("cancelled")
        self.done, self.total = done, total

    def _let_go(self, layers: list[Layer]) -> None:
        """Close images that were removed: the file system takes its time to free what they held."""
        threading.Thread(target=lambda: [layer.close() for layer in layers], name="pcemu close").start()

    def _own_host(self) -> Host:
        session = self._session
        return _OwnImages(session.host, [session.image, *map(session.path, session.numbers)])


class LiveCommit(Background):
    """Commits all that was written up to now; the guest goes on in a new drive.

    Raises ImageAccessError when another process uses the image, and UsageError, naming them, when other
    sessions are built on it; with ``preserve_siblings`` they get the sectors that they would lose.
    """

    def __init__(self, session: Session, *, preserve_siblings: bool = False) -> None:
        super().__init__(session)
        self._preserve = preserve_siblings
        if not preserve_siblings:
            session.refuse_siblings()
        base = session.base
        try:
            lock_file(base.file.fd, session.image, shared=False)
        except ImageAccessError:
            lock_file(base.file.fd, session.image, shared=True)  # a change that fails lets go of the old one
            raise
        self._number = 0  # of the newest frozen drive
        self._start()

    def _work(self) -> None:
        if not self._number:
            head = self._session.drive.head
            assert isinstance(head, SparseLayer)
            head.file.sync()  # so that freezing it has little left to bring to the disk
            return
        path = self._session.path(self._number)
        commit(
            path,
            self._session.image,
            preserve_siblings=self._preserve,
            allow_outside=True,
            progress=self._progress,
            host=self._own_host(),
        )

    def poll(self) -> bool:
        """See :class:`Background`."""
        if self._working:
            return False
        session = self._session
        try:
            self._check()
            if not self._number:
                self._number = session.checkpoint(automatic=True, to_commit=True)
                self._start()
                return False
            self._exchange()
        except BaseException:
            session.give_up_commit()
            lock_file(session.base.file.fd, session.image, shared=True)
            raise
        return True

    def _exchange(self) -> None:
        """Go on above the image as it is now, and the empty drive that the commit has left."""
        session = self._session
        layers = list(session.drive.layers)
        count = len(session.numbers)
        at = len(layers) - count + session.numbers.index(self._number)
        below = len(layers) - count
        base = session.base
        lock_file(base.file.fd, session.image, shared=True)
        emptied = open_layer(session.path(self._number), True, Format.DIFFERENCING, session.host)
        fresh: Layer = base
        if not isinstance(base, FlatDrive):  # it has grown, and knows new blocks
            fresh = open_layer(session.image, True, None, session.host)
        old = layers[below : at + 1]
        session.drive.replace_layers([*layers[: below - 1], fresh, emptied, *layers[at + 1 :]])
        session.forget_committed(self._number)
        if fresh is not base:
            base.close()
        self._let_go(old)


class LiveMerge(Background):
    """Makes a checkpoint part of the next one."""

    def __init__(self, session: Session, number: int) -> None:
        super().__init__(session)
        self._number = number
        session.expect_merge(number)
        self._start()

    def _work(self) -> None:
        self._session.merge_now(self._number, self._progress, self._own_host())

    def poll(self) -> bool:
        """See :class:`Background`."""
        if self._working:
            return False
        self._check()
        session = self._session
        layers = list(session.drive.layers)
        at = len(layers) - len(session.numbers) + session.numbers.index(self._number)
        above = session.numbers[session.numbers.index(self._number) + 1]
        merged = open_layer(session.path(above), True, Format.DIFFERENCING, session.host)
        session.drive.replace_layers([*layers[:at], merged, *layers[at + 2 :]])
        session.forget_merged(self._number)
        self._let_go(layers[at : at + 2])
        return True
