"""Writing out a file while more is written to it, so that the sync at the end has little left to wait for."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from pcemu.drives.hostfile import HostFile

EVERY = 8 << 20


class Writeback:
    """Starts the host's writing out of ``file`` again and again; within ``with``, and the file open longer.

    A thread does it, as the host lets nobody go on before its disk's queue has room.
    """

    def __init__(self, file: HostFile) -> None:
        self._file = file
        self._waiting = 0
        self._wanted = threading.Event()
        self._over = False
        self._thread: threading.Thread | None = None

    def wrote(self, size: int) -> None:
        """So many bytes more were written."""
        self._waiting += size
        if self._waiting >= EVERY:
            self._waiting = 0
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_out, name="pcemu writeback")
                self._thread.start()

    def _write_out(self) -> None:
        while self._wanted.wait() and not self._over:
            self._wanted.clear()
            self._file.start_writeback()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._over = True
            self._wanted.set()
            self._thread.join()
