"""What takes long, made by a thread of its own; and how whoever wants it waits.

The standard library's futures do as much. They bring its logging along, which takes longer to import than all
that a start from a warm cache has to do for a remote image.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pcemu.drives.remote.settings import Waiting

LONG, LOOK = 0.5, 0.1  # s until a wait is long; between two looks whether it shall go on

Made = TypeVar("Made")


class Background(Generic[Made]):
    """What ``make`` gives or raises; the program's end does not wait for it.

    ``close`` lets go of what was made for nobody.
    """

    def __init__(self, make: Callable[[], Made], close: Callable[[Made], object], name: str) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._unwanted = False
        self._made: list[Made] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        try:
            self._made.append(self._make())
        except BaseException as error:
            self._error = error
        with self._lock:
            self._done.set()
            unwanted = self._unwanted
        if unwanted:
            self._let_go()

    def wait(self, seconds: float) -> bool:
        """True when it is done, at the latest after so many seconds."""
        return self._done.wait(seconds)

    def result(self) -> Made:
        """What was made, or the error, once it is done."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._made[0]

    def drop(self) -> None:
        """Let go of what is made, as soon as it is."""
        with self._lock:
            self._unwanted = True
            done = self._done.is_set()
        if done:
            self._let_go()

    def _let_go(self) -> None:
        if self._made:
            self._close(self._made[0])


def outwait(done: Callable[[float], bool], waiting: Waiting, url: str, long: float = LONG) -> None:
    """Return once ``done`` says True, which waits for as many seconds as it is told.

    Where that takes more than ``long`` seconds, ``waiting`` is entered with ``url``. OSError when nobody
    wants to wait any more.
    """
    if done(long):
        return
    with waiting(url) as going_on:
        while not done(LOOK):
            if not going_on():
                raise OSError(errno.ECANCELED, "the server was not waited for any longer", url)
