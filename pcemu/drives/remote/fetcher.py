"""Brings units from a server: those that are asked for, and those that will be, several at a time.

A read that misses fetches a *window* of units; one that goes on where the window ends doubles it, so that a
sequential reader soon waits no more, while scattered reads cost little besides::

    miss          ████░░░░░░░░░░░░      256 KiB, aligned
    goes on           ████████░░░░      512 KiB, and so on up to 4 MiB; the next window is
    half-way                  ░░░░      fetched while this one is being read

Units that the cache has no room for are held in memory for a moment.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from pcemu.drives.remote.background import LONG, LOOK, outwait
from pcemu.drives.remote.cache_file import UNIT_SECTORS, CacheFile, out_of_room, unit_sectors, units_of
from pcemu.drives.remote.content import Content
from pcemu.drives.remote.settings import Waiting

if TYPE_CHECKING:  # where nothing is missing, nobody waits for its import
    from concurrent.futures import Future, ThreadPoolExecutor

FIRST_WINDOW, LARGEST_WINDOW = 4, 64  # units
JOB_UNITS = 4  # asked for in one request
IN_FLIGHT = 8  # requests
HELD_UNITS = 256

Data = bytes | memoryview


class Fetcher:
    """Fetches into ``cache``; ``content`` is called when something is missing for the first time.

    ``waiting`` is entered with ``url`` while a reader waits long.
    """

    def __init__(
        self,
        cache: CacheFile,
        sectors: int,
        content: Callable[[], Content],
        may_grow: Callable[[], bool],
        url: str,
        waiting: Waiting,
    ) -> None:
        self._cache = cache
        self._sectors = sectors
        self._url = url
        self._waiting = waiting
        self._long = LONG
        self._units = units_of(sectors)
        self._content = content
        self._may_grow = may_grow
        self._lock = threading.Lock()
        self._coming: dict[int, Future[dict[int, Data]]] = {}
        self._held: OrderedDict[int, Data] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._window = 0
        self._ahead = (0, 0)  # the last window
        self.troubles: list[OSError] = []  # the cache could not be written

    def reading(self, first: int, stop: int) -> None:
        """Units from ``first`` to before ``stop`` are about to be read: fetch what is needed, and ahead."""
        begin, end = self._ahead
        missing = any(not self._is_here(unit) for unit in range(first, stop))
        if missing and not all(unit in self._coming for unit in range(first, stop)):
            goes_on = begin <= first <= end and begin < end
            self._window = min(LARGEST_WINDOW, self._window * 2) if goes_on else FIRST_WINDOW
            start = first if goes_on else first // FIRST_WINDOW * FIRST_WINDOW
            self._ahead = (first, max(stop, start + self._window))
            self._request(start, self._ahead[1])
        elif begin < end and (begin + end) // 2 <= first < end < self._units:
            self._window = min(LARGEST_WINDOW, self._window * 2)
            self._ahead = (end, end + self._window)
            self._request(*self._ahead)

    def get(self, unit: int) -> Data | None:
        """A unit's data, when it is there; None when the cache has it. OSError when it cannot be fetched."""
        while not self._cache.has(unit):
            with self._lock:
                held = self._held.get(unit)
                coming = self._coming.get(unit)
            if held is not None:
                return held
            if coming is None:
                self._request(unit, unit + 1)
                continue
            data = self._outwait(coming).get(unit)
            if data is not None:
                return data
        return None

    def _outwait(self, coming: Future[dict[int, Data]]) -> dict[int, Data]:
        """What a request brings. OSError; also when nobody wants to wait any more."""
        from concurrent.futures import wait

        try:
            outwait(lambda seconds: bool(wait((coming,), seconds).done), self._waiting, self._url, self._long)
        except OSError:
            self._long = LOOK  # whoever gave up is asked sooner the next time
            raise
        self._long = LONG
        return coming.result()

    def _is_here(self, unit: int) -> bool:
        return self._cache.has(unit) or unit in self._held

    def _request(self, start: int, stop: int) -> None:
        """Ask for what is missing of a range of units."""
        with self._lock:
            wanted = [
                unit
                for unit in range(start, min(stop, self._units))
                if unit not in self._coming
                and unit not in self._held
                and not self._cache.has(unit)
                and not self._cache.look_again(unit)
            ]
            if not wanted:
                return
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(IN_FLIGHT, "fetch")
            for first, end in _jobs(wanted):
                future = self._pool.submit(self._fetch, first, end)
                for unit in range(first, end):
                    self._coming[unit] = future

    def _fetch(self, first: int, stop: int) -> dict[int, Data]:
        """Fetch units and keep them; those that could not be kept, by number."""
        try:
            count = (stop - 1 - first) * UNIT_SECTORS + unit_sectors(stop - 1, self._sectors)
            data = memoryview(self._content().read(first * UNIT_SECTORS, count))
            size = UNIT_SECTORS * 512
            return {
                unit: part
                for unit in range(first, stop)
                if not self._keep(unit, part := data[(unit - first) * size : (unit + 1 - first) * size])
            }
        finally:
            with self._lock:
                for unit in range(first, stop):
                    self._coming.pop(unit, None)

    def _keep(self, unit: int, data: memoryview) -> bool:
        """Put a unit into the cache; False when it is held in memory instead."""
        if self._may_grow():
            try:
                self._cache.add(unit, data)
                return True
            except OSError as error:  # reading goes on without
                if not out_of_room(error) and not self.troubles:
                    self.troubles.append(error)
        with self._lock:
            self._held[unit] = data
            while len(self._held) > HELD_UNITS:
                self._held.popitem(last=False)
        return False

    def close(self) -> None:
        """Wait for what is on its way; the source should be closed before."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _jobs(units: list[int]) -> list[tuple[int, int]]:
    """Runs (first, behind the last) of neighbours, none longer than a request."""
    jobs: list[tuple[int, int]] = []
    for unit in units:
        if jobs and jobs[-1][1] == unit and unit - jobs[-1][0] < JOB_UNITS:
            jobs[-1] = (jobs[-1][0], unit + 1)
        else:
            jobs.append((unit, unit + 1))
    return jobs
