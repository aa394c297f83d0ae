"""--on-exit: what becomes of all that was written, said beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, KEEP, Reply

Command = TypeVar("Command", bound=Callable[..., Any])

ON_EXIT = ("ask", COMMIT.word, DISCARD.word, KEEP.word, BRANCH.word)


def on_exit_option(default: str, whose: str) -> Callable[[Command], Command]:
    """The option, for writes of ``whose``; its value is a Reply."""
    return click.option(
        "--on-exit",
        metavar="WHAT",
        callback=_on_exit,
        shell_complete=_complete_on_exit,
        default=default,
        show_default=True,
        help=f"What becomes of {whose} writes: ask, commit, discard, keep or branch:NAME.",
    )


def _on_exit(ctx: click.Context, parameter: click.Parameter, value: str) -> Reply:
    """The answer to the question at the end."""
    word, colon, name = value.partition(":")
    if word not in ON_EXIT or bool(name) != (word == BRANCH.word) or (colon and not name):
        raise click.BadParameter(f"{value!r}: expected ask, commit, discard, keep or branch:NAME")
    return Reply(word, name)


def _complete_on_exit(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    words = [word + (":" if word == BRANCH.word else "") for word in ON_EXIT]
    return [word for word in words if word.startswith(incomplete)]
