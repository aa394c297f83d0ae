"""What the user sees and can do while the server of an image does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from pcemu.cli.signals import Interrupts

Amid = Callable[[str], AbstractContextManager[Callable[[], bool]]]


class Outage:
    """Waits in the guest's place: shows why, and ends the wait when a signal comes or the view is closed.

    ``tell`` shows the user a line; ``meanwhile`` says in it what else the wait means. ``amid`` replaces it
    where there is a view: it shows, in a context, why the guest stands still, and tells whether it shall go
    on. Once the session is ``ending`` nothing is waited for.
    """

    def __init__(
        self,
        interrupts: Interrupts,
        tell: Callable[[str], None],
        meanwhile: str = "; the guest stands still meanwhile",
    ) -> None:
        self._interrupts = interrupts
        self._meanwhile = meanwhile
        self._tell = tell
        self.amid: Amid = self._told
        self.ending = False

    @contextmanager
    def __call__(self, url: str) -> Iterator[Callable[[], bool]]:
        """A wait for the server of ``url``; what this gives tells whether to go on waiting."""
        if not self._undisturbed() or threading.current_thread() is not threading.main_thread():
            yield self._undisturbed
        else:
            why = f"{url}: waiting for the server{self._meanwhile}"
            with self.amid(why) as wanted:

                def going_on() -> bool:
                    self.ending = self.ending or not wanted()  # nor are the reads waited for that follow
                    return self._undisturbed()

                yield going_on

    def _told(self, why: str) -> AbstractContextManager[Callable[[], bool]]:
        self._tell(why)
        return nullcontext(lambda: True)

    def _undisturbed(self) -> bool:
        return not self.ending and self._interrupts.number is None
