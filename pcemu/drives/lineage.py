"""An image with all that it is built on, opened for an operation on several of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from pcemu.drives.hostfile import Host, close_all
from pcemu.drives.intents import COMMIT, Intent, read_intent
from pcemu.drives.open import open_layers
from pcemu.drives.replace import finish
from pcemu.drives.sparse import SparseLayer
from pcemu.errors import ImageAccessError, ImageNotFoundError, PcemuError, UsageError

Progress = Callable[[int, int], None]
"""Called with (sectors done, sectors in all); what it raises cancels the operation."""

Warn = Callable[[str], None]
"""Called with each sentence for the user, such as that a parent was written to since its child was made."""

StrPath = str | os.PathLike[str]


def no_progress(done: int, total: int) -> None:
    """For those who do not watch."""


def no_warning(text: str) -> None:
    """For those who do not listen."""


class Lineage:
    """The images from the ultimate parent, ``layers[0]``, up to the one that was named.

    Those above ``writable_above``, a path, are open exclusively, the others shared: all are exclusive when
    it is None. With ``inclusive`` it is exclusive itself. ``read_only`` means shared for all. ``warn`` hears
    what opening them warns of.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        writable_above: StrPath | None,
        inclusive: bool = False,
        read_only: bool = False,
        allow_outside: bool,
        warn: Warn = no_warning,
        host: Host,
    ) -> None:
        self.host = host
        self.path = os.path.realpath(path)
        border = None if writable_above is None else _identity(writable_above, host)
        writing = not read_only

        def writable(identity: tuple[int, int]) -> bool:
            nonlocal writing
            if identity == border and writing:
                writing = False
                return inclusive
            return writing

        self.layers = open_layers(
            self.path, read_only=read_only, allow_outside=allow_outside, writable=writable, host=host
        )
        self.reals = [os.path.realpath(layer.file.path) for layer in self.layers]
        try:
            identities = [layer.file.identity for layer in self.layers]
            if border is not None and border not in identities:
                raise UsageError(
                    f"{os.fspath(writable_above or '')}: is not what {self.path} is built on, "
                    f"expected one of {', '.join(self.reals[:-1]) or 'none, as it has no parent'}"
                )
            self.border = 0 if border is None else identities.index(border)
            for layer in self.layers:
                for text in layer.warnings:
                    warn(text)
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> SparseLayer:
        """The image that was named, a differencing one: raises UsageError when it is not."""
        head = self.layers[-1]
        if not isinstance(head, SparseLayer) or not head.is_child:
            raise UsageError(f"{self.path}: is no differencing image, expected one; name a child")
        return head

    def children(self) -> list[SparseLayer]:
        """All but the ultimate parent."""
        return [layer for layer in self.layers[1:] if isinstance(layer, SparseLayer)]

    def intents(self) -> Iterator[tuple[int, Intent]]:
        """The notes of operations under way: (number of the target, note)."""
        for number, real in enumerate(self.reals):
            intent = read_intent(real, self.host)
            if intent is not None:
                yield number, intent

    def finish_pending(self, operation: str) -> None:
        """Finish what was interrupted; a half commit is refused, as only a commit can finish it."""
        for number, intent in self.intents():
            refuse_commit(self.path, operation, self.reals[number], intent)
            finish(self.reals[number], intent, self.host, self.reals)

    def close(self) -> None:
        """Flush and let go of all, from the head down."""
        close_all(reversed(self.layers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_commit(path: str, operation: str, target: str, intent: Intent) -> None:
    """Refuse an operation on ``path`` while a commit into ``target`` is half done."""
    if intent.operation == COMMIT:
        raise ImageAccessError(
            f"{path}: a commit of {intent.source} into {target} was interrupted, expected it finished before "
            f"{operation}; commit {intent.source} into {target} again"
        )


def _identity(path: StrPath, host: Host) -> tuple[int, int]:
    try:
        status = host.stat(os.fspath(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ImageNotFoundError(
            f"{os.fspath(path)}: no such file; give the path of an existing disk image"
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ImageAccessError(
            f"{os.fspath(path)}: cannot be looked at: {why}; check the path, its permissions and its folder's"
        ) from error
    return (status.st_dev, status.st_ino)


@contextlib.contextmanager
def told(path: StrPath, operation: str, advice: str) -> Iterator[None]:
    """Turn a failure of the host into a sentence about an operation on ``path``."""
    try:
        yield
    except PcemuError:
        raise
    except OSError as error:
        where = f" at {error.filename}" if error.filename and error.filename != os.fspath(path) else ""
        raise ImageAccessError(
            f"{os.fspath(path)}: {operation} failed{where}: {error.strerror or error}; {advice}"
        ) from error
