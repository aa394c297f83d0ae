"""Virtual time: an integer number of nanoseconds, and the queue of events that devices put on it.

Time moves only because the guest executes, touches a port, or waits in HLT; never because the host's
clock moved. The processor asks :attr:`Clock.deadline` how far it may run, and is told through
``on_earlier`` when a device, in the middle of a slice, asks for something sooner than that.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
FOREVER = 1 << 62


class Timer:
    """A callback that is due at ``when`` (ns); ``cancel()`` forgets it."""

    __slots__ = ("callback", "when")

    def __init__(self, when: int, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    @property
    def active(self) -> bool:
        """True until it has fired or was cancelled."""
        return self.callback is not None

    def cancel(self) -> None:
        """Forget the callback; harmless when it has fired already."""
        self.callback = None


class Clock:
    """Virtual nanoseconds since power-on, and the events that are due on them.

    ``elapsed`` gives the nanoseconds that the running slice has used so far (0 outside a slice), so that
    a device that reads :attr:`now` inside a port access sees the instant of that access.
    """

    def __init__(self) -> None:
        self._base = 0
        self._order = 0
        self._queue: list[tuple[int, int, Timer]] = []
        self.elapsed: Callable[[], int] = lambda: 0
        self.on_earlier: Callable[[int], None] = lambda when: None

    @property
    def now(self) -> int:
        """The present instant in ns."""
        return self._base + self.elapsed()

    @property
    def deadline(self) -> int:
        """When the next event is due (ns); ``FOREVER`` without one."""
        queue = self._queue
        while queue and queue[0][2].callback is None:
            heappop(queue)
        return queue[0][0] if queue else FOREVER

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` once at ``when`` (ns); the past means as soon as possible."""
        timer = Timer(when, callback)
        earlier = not self._queue or when < self._queue[0][0]
        self._order += 1
        heappush(self._queue, (when, self._order, timer))
        if earlier:
            self.on_earlier(when)
        return timer

    def call_after(self, delay: int, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` once, ``delay`` ns from now."""
        return self.call_at(self.now + delay, callback)

    def advance_to(self, when: int) -> None:
        """Move time forward to ``when`` without running what is due; time never goes back."""
        if when > self._base:
            self._base = when

    def run_due(self) -> None:
        """Run, in the order of their instants, all events that are due now."""
        queue = self._queue
        while queue and queue[0][0] <= self._base:
            timer = heappop(queue)[2]
            callback = timer.callback
            if callback is not None:
                timer.callback = None
                callback()

    def run_until(self, when: int) -> None:
        """Move time to ``when``, stopping at each event on the way: what an idle machine does."""
        while (due := self.deadline) <= when:
            self.advance_to(due)
            self.run_due()
        self.advance_to(when)
