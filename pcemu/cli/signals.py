"""Signals that end a session: noted when they come, acted upon where the guest stands still.

An exception from a signal handler could strike in the middle of an instruction's callback or of a commit,
so the handlers only take note; :meth:`Interrupts.check` raises where it is safe.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(Exception):
    """A signal asked for the session's end; ``exit_code`` is what shells make of it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number
        self.exit_code = 128 + number

    @property
    def by_user(self) -> bool:
        """True for Ctrl-C."""
        return self.number == signal.SIGINT


class Interrupts:
    """A context manager that keeps the signals for itself; ``number`` is the last one that came, or None."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._at_once = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            self._old[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._at_once:
            raise Interrupted(number)
        self.number = number

    def check(self) -> None:
        """Raise Interrupted when a signal came since the last check."""
        number, self.number = self.number, None
        if number is not None:
            raise Interrupted(number)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal raises Interrupted at once: for waits that only an exception ends."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
