"""A source that outlives its connections: it asks again, ever more slowly, until a read has taken too long.

Whenever it connects it looks whether what is on the server is still what it was. If not, no read succeeds any
more: two versions of an image must never be mixed.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from pcemu.drives.remote.background import Background, outwait
from pcemu.drives.remote.identity import version_of
from pcemu.drives.remote.settings import Settings
from pcemu.drives.remote.source import ByteSource, SourceChanged, connect
from pcemu.errors import ImageAccessError, ImageFormatError, PcemuError

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # s
CLOSING_LOOK = 0.1  # s between two looks whether a connection is wanted no more
STALL_PART = 3  # a server that is silent for this part of the timeout is taken for lost

Connect = Callable[[str, float], ByteSource]
Found = tuple[ByteSource, tuple[int, str]]
"""A connection, with the size and version that it finds."""


class PatientSource:
    """Readable bytes on a server that may go away and come back.

    Raises ImageError or UsageError when it cannot be reached at first, or is not waited for any longer;
    SourceChanged when it is not the one that is ``expected``, a size and a version; None takes what is there.
    """

    def __init__(
        self,
        url: str,
        expected: tuple[int, str] | None,
        settings: Settings,
        connect: Connect = connect,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.url = url
        self._settings = settings
        self._connect = connect
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._changed: SourceChanged | None = None
        try:
            source, found = self._open_first()
        except OSError as error:
            if error.errno == errno.ECANCELED:
                raise ImageAccessError(f"{url}: {error.strerror}; try again") from error
            why = error.strerror or str(error)
            raise ImageAccessError(f"{url}: the connection is lost: {why}; try again") from error
        self._source: ByteSource | None = source
        self.size, self._version = self._expected = expected or found
        if found != self._expected:
            source.close()
            raise self._change(found)

    @property
    def version(self) -> str:
        """What is compared on every connect, besides the size."""
        return self._version

    @property
    def _stall(self) -> float:
        return max(1.0, self._settings.timeout / STALL_PART)

    def read(self, offset: int, size: int) -> bytes | bytearray:
        """``size`` bytes from ``offset`` on; OSError when that took too long, or cannot be any more."""
        deadline = self._settings.clock() + self._settings.timeout
        pause = FIRST_PAUSE
        while True:
            source = None
            try:
                source = self._current()
                return source.read(offset, size)
            except (ConnectionError, TimeoutError) as error:
                self._drop(source)
                why = error.strerror or str(error)
            except (SourceChanged, ValueError) as error:
                raise OSError(errno.EIO, str(error).removeprefix(f"{self.url}: "), self.url) from error
            except PcemuError as error:  # the server is away, or there and does not have it now
                if isinstance(error, ImageFormatError) and source is not None:  # it will not do another time
                    raise OSError(errno.EIO, str(error).removeprefix(f"{self.url}: "), self.url) from error
                why = str(error).removeprefix(f"{self.url}: ")
            left = deadline - self._settings.clock()
            if left <= 0 or self._closing.is_set():
                text = f"gave no answer for {self._settings.timeout:g} s ({why})"
                raise OSError(errno.ETIMEDOUT, text, self.url)
            self._wait(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _current(self) -> ByteSource:
        """The source; connected anew, by one thread while the others wait, when it was lost."""
        with self._lock:
            if self._changed is not None:
                raise self._changed
            if self._closing.is_set():
                raise ConnectionError(errno.ECONNABORTED, "it was closed", self.url)
            if self._source is None:
                source, found = self._open()
                if found != self._expected:
                    source.close()
                    raise self._change(found)
                self._source = source
            return self._source

    def _open_first(self) -> Found:
        """As :meth:`_open`, while somebody may want to see that it takes long."""
        made = self._begin()
        try:
            outwait(made.wait, self._settings.waiting, self.url)
        except OSError:
            made.drop()
            raise
        return made.result()

    def _open(self) -> Found:
        """A new connection, and what it finds; not waited for when this is closed meanwhile."""
        made = self._begin()
        while not made.wait(CLOSING_LOOK):
            if self._closing.is_set():
                made.drop()
                raise ConnectionError(errno.ECONNABORTED, "it was closed", self.url)
        return made.result()

    def _begin(self) -> Background[Found]:
        return Background(self._make, lambda found: found[0].close(), f"connect {self.url}")

    def _make(self) -> Found:
        source = self._connect(self.url, self._stall)
        try:
            return source, (source.size, version_of(source))
        except BaseException:
            source.close()
            raise

    def _change(self, found: tuple[int, str]) -> SourceChanged:
        what, then = (f"{found[0]} bytes", self._expected[0]) if found[0] != self._expected[0] else (
            f"the version {found[1][:40]!r}", repr(self._expected[1][:40])
        )  # fmt: skip
        self._changed = SourceChanged(
            f"{self.url}: was changed on the server: it has {what}, expected {then} as when it was first "
            f"used; have the old image restored there, or see `pcemu disk cache clear --help`"
        )
        return self._changed

    def _drop(self, source: ByteSource | None) -> None:
        """A connection is lost: the next read makes another, unless one did already."""
        with self._lock:
            if source is None or source is not self._source:
                return
            self._source = None
        source.close()

    def close(self) -> None:
        """Let go of the server; reads under way end soon."""
        self._closing.set()
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()
