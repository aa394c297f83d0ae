"""A progress bar for what takes long, on a terminal; nothing for what does not."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PROGRESS_AFTER = 0.5  # s


class ProgressBar:
    """A context manager and callback: a bar on stderr when the work takes over half a second.

    ``doing`` stands before the bar. Nothing is shown where stderr is no terminal, or when ``quiet``.
    """

    def __init__(self, doing: str, *, quiet: bool = False) -> None:
        self._doing = doing
        self._quiet = quiet
        self._start = time.monotonic()
        self._bar: Bar | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how far the work got."""
        if self._bar is None and not self._quiet and time.monotonic() - self._start > PROGRESS_AFTER:
            self._bar = self._open()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def _open(self) -> Bar:
        from rich.console import Console  # most work is done before this is imported
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        bar = Bar(console=console, disable=not console.is_terminal, transient=True)
        bar.add_task(self._doing, total=None)
        bar.start()
        return bar

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
