"""Waiting for a server, and being called away from it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pcemu.cli.outage import Outage
from pcemu.cli.signals import Interrupts

URL = "nbd://example.com/disk"


def test_a_signal_ends_the_wait_and_those_that_follow() -> None:
    told: list[str] = []
    with Interrupts() as interrupts:
        outage = Outage(interrupts, told.append)
        with outage(URL) as going_on:
            assert going_on()
            os.kill(os.getpid(), signal.SIGINT)
            assert not going_on()
        with outage(URL) as going_on:
            assert not going_on()
        assert told == [f"{URL}: waiting for the server; the guest stands still meanwhile"]
        assert interrupts.number == signal.SIGINT  # for who runs the guest


def test_a_view_shows_the_wait_and_may_end_it() -> None:
    shown: list[str] = []
    answers = iter((True, False))

    @contextmanager
    def amid(why: str) -> Iterator[Callable[[], bool]]:
        shown.append(why)
        yield lambda: next(answers)

    told: list[str] = []
    outage = Outage(Interrupts(), told.append)
    outage.amid = amid
    with outage(URL) as going_on:
        assert going_on()
        assert not going_on()
    with outage(URL) as going_on:
        assert not going_on()
    assert len(shown) == 1
    assert not told


def test_nothing_is_waited_for_at_the_end_and_nothing_shown_by_other_threads() -> None:
    told: list[str] = []
    outage = Outage(Interrupts(), told.append)
    answers: list[bool] = []

    def wait() -> None:
        with outage(URL) as going_on:
            answers.append(going_on())

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    outage.ending = True
    wait()
    assert answers == [True, False]
    assert not told
