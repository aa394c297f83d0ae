"""What the commands say: results on stdout, everything else on stderr; colours for people only.

A reader that went away (a closed pipe, a terminal that hung up) is no reason to fail: what a session has to
do at its end, such as a commit, must still be done. Results that a full disk did not take are told.

Names and paths come from images, which a stranger may have made: nothing in them steers the terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click

GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.ECONNRESET, errno.ESHUTDOWN)
# All control characters but tabs and ends of lines; of escape sequences, colours are let through.
CONTROLS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")

_lost: OSError | None = None
_names: dict[str, str] = {}
_held: list[tuple[TextIO, str, bool, dict[str, Any]]] | None = None


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Inside, all output waits for the end: the terminal shows something else."""
    global _held
    waiting: list[tuple[TextIO, str, bool, dict[str, Any]]] = []
    _held = waiting
    try:
        yield
    finally:
        _held = None
        for stream, text, newline, style in waiting:
            _print(stream, text, newline=newline, **style)


def name_for_people(path: str, name: str) -> None:
    """From now on a file is called by what the user called it, in all that people read."""
    _names[path] = _names[os.path.realpath(path)] = name


def spoken(text: str) -> str:
    """A text as people should read it."""
    for path, name in _names.items():
        if path in text:  # not in the name of a file beside it
            text = re.sub(re.escape(path) + r"(?!\.pcemu)", name.replace("\\", r"\\"), text)
    return text


def result(text: str) -> None:
    """Print ``text`` on stdout; characters that its encoding does not have become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    _print(sys.stdout, text.encode(encoding, "replace").decode(encoding))


def note(text: str) -> None:
    """Tell the user something on stderr."""
    _print(sys.stderr, f"pcemu: {spoken(text)}", dim=True)


def complain(text: str) -> None:
    """Tell the user on stderr that something went wrong."""
    _print(sys.stderr, f"pcemu: {spoken(text)}", fg="red")


def say(text: str) -> None:
    """Print a line of a question, or of what is being talked about, on stderr."""
    _print(sys.stderr, spoken(text))


def ask(question: str) -> None:
    """Put a question on stderr; the answer follows on the same line."""
    _print(sys.stderr, question, newline=False)


def lost() -> str:
    """Why results could not be written; "" when they could, or nobody is there to read them."""
    return "" if _lost is None else _lost.strerror or str(_lost)


def _print(stream: TextIO, text: str, *, newline: bool = True, **style: Any) -> None:
    if _held is not None:
        _held.append((stream, text, newline, style))
        return
    text = CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)  # as JSON has it, too
    # Without a colour setting, click looks whether the stream is a terminal.
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        click.echo(click.style(text, **style) if style else text, stream, newline, color=colour)
    except OSError as error:
        if stream is sys.stdout and error.errno not in GONE:
            global _lost
            _lost = error
        with contextlib.suppress(OSError):  # lest Python complains at exit about what it could not flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
