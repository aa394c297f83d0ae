"""Making things behind the caller's back, and waiting for them."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pcemu.drives.remote.background import Background, outwait

URL = "nbd://example.com/disk"


def test_what_was_made_or_raised_is_given() -> None:
    closed: list[int] = []
    made = Background(lambda: 5, closed.append, "test")
    assert made.result() == 5
    assert made.wait(0)
    failed: Background[int] = Background(lambda: 1 // 0, closed.append, "test")
    with pytest.raises(ZeroDivisionError):
        failed.result()
    failed.drop()
    assert not closed


@pytest.mark.parametrize("late", [False, True])
def test_what_nobody_wants_is_let_go_of_also_when_it_comes_late(late: bool) -> None:
    may_go_on, closed = threading.Event(), threading.Event()

    def make() -> int:
        may_go_on.wait(20)
        return 5

    made = Background(make, lambda made: closed.set() if made == 5 else None, "test")
    if late:
        made.drop()
        assert not closed.is_set()
        may_go_on.set()
    else:
        may_go_on.set()
        made.result()
        made.drop()
    assert closed.wait(20)


def test_a_long_wait_is_told_and_can_be_ended() -> None:
    events: list[str] = []
    answers = iter((True, True, False))

    @contextmanager
    def waiting(url: str) -> Iterator[Callable[[], bool]]:
        events.append(url)
        yield lambda: next(answers)
        events.append("not reached, as the wait is broken off")

    def never(seconds: float) -> bool:
        events.append("look")
        return False

    outwait(lambda seconds: True, waiting, URL)
    assert not events
    with pytest.raises(OSError, match="not waited for any longer") as caught:
        outwait(never, waiting, URL)
    assert (caught.value.errno, caught.value.filename) == (errno.ECANCELED, URL)
    assert events == ["look", URL, "look", "look", "look"]
