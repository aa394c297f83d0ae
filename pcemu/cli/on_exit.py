"""The end of a session: commit or discard what the guest wrote."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from pcemu.cli.disks import SessionDisk, amount
from pcemu.cli.output import ask, complain, note
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.errors import ImageError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PROGRESS_AFTER = 0.5  # s


class OnExit:
    """Asks the user, unless that was said beforehand (``wish``), and does it."""

    def __init__(
        self,
        disks: Sequence[SessionDisk],
        wish: str,
        interrupts: Interrupts,
        *,
        askable: bool,
        quiet: bool,
    ) -> None:
        self._disks = disks
        self._wish = wish
        self._interrupts = interrupts
        self._askable = askable and sys.stdin.isatty() and sys.stderr.isatty()
        self._quiet = quiet

    def settle(self) -> int:
        """Commit or discard; the exit code, 0 when that worked."""
        changed = [disk for disk in self._disks if disk.changed]
        if not changed:
            return 0
        answer = self._wish
        while True:
            asked = answer == "ask"
            if asked:
                answer = self._ask(changed)
            if answer != "commit":
                self._discard(changed, asked=asked and answer == "discard")
                return 0
            try:
                self._commit(changed)
                return 0
            except ImageError as error:
                complain(str(error))
                if not self._askable:
                    return error.exit_code
            # The changes are still in memory: the user may free the image and try again.
            changed = [disk for disk in self._disks if disk.changed]
            answer = "ask"

    def _ask(self, changed: Sequence[SessionDisk]) -> str:
        """``commit`` or ``discard``; "" when there is no answer."""
        if not self._askable:
            return ""
        question = f"This session changed {_changes(changed)}: commit or discard? [c/d] "
        interrupted = 0
        while interrupted < 2:  # the first Ctrl-C may be one too many for the guest
            ask(question)
            try:
                with self._interrupts.at_once():
                    line = sys.stdin.readline()
            except Interrupted as signal:
                ask("\n")
                interrupted += 1 if signal.by_user else 2
                continue
            if not line:
                ask("\n")
                break
            answer = line.strip().lower()
            for word in ("commit", "discard"):
                if answer and word.startswith(answer):
                    return word
        return ""

    def _commit(self, changed: Sequence[SessionDisk]) -> None:
        for disk in changed:
            sectors = disk.changed
            with ProgressBar(lambda: self._interrupts.number is not None) as progress:
                disk.commit(progress)
            self._say(f"committed {amount(sectors)} to {disk.target}")

    def _discard(self, changed: Sequence[SessionDisk], *, asked: bool) -> None:
        changes = _changes(changed)
        for disk in changed:
            disk.drive.discard_all()
        how = "" if asked or self._wish == "discard" else "; --on-exit commit keeps such changes"
        self._say(f"discarded {changes}{how}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            note(text)


def _changes(disks: Sequence[SessionDisk]) -> str:
    return " and ".join(disk.changes for disk in disks)


class ProgressBar:
    """A context manager and callback for commits: a bar on a terminal when one takes over half a second.

    The first time ``interrupted`` tells of a signal, the user hears why nothing happens.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted
        self._start = time.monotonic()
        self._bar: Bar | None = None
        self._said = False

    def __call__(self, done: int, total: int) -> None:
        """Show how far a commit got."""
        if self._bar is None and time.monotonic() - self._start > PROGRESS_AFTER:
            self._bar = self._open()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)
        if not self._said and self._interrupted():
            self._said = True
            note("still writing: a commit that has begun is finished")

    @staticmethod
    def _open() -> Bar:
        from rich.console import Console  # most commits are done before this is imported
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        bar = Bar(console=console, disable=not console.is_terminal)
        bar.add_task("writing", total=None)
        bar.start()
        return bar

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
