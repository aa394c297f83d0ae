"""The steps of a scripted session: keys to type, keys to press, text to wait for, in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from pcemu.errors import TimeoutReached, UsageError
from pcemu.keys import keys_for_text, parse_chord

if TYPE_CHECKING:
    from pcemu.machine import Machine

ESCAPES = {"n": "\n", "r": "\n", "t": "\t", "b": "\b", "e": "\x1b", "\\": "\\"}
ORDER = "pcemu.cli.script.order"


class Step(Protocol):
    """One thing to do."""

    def play(self, pc: Machine, timeout: float) -> None:
        """Do it within ``timeout`` seconds of virtual time. TimeoutReached."""
        ...


@dataclass(frozen=True)
class Type:
    """Type a text."""

    text: str

    def play(self, pc: Machine, timeout: float) -> None:
        """Return when the guest took the last key."""
        pc.type(self.text, timeout)


@dataclass(frozen=True)
class Press:
    """Press keys together."""

    chord: str

    def play(self, pc: Machine, timeout: float) -> None:
        """Return when the guest took the keys."""
        pc.press(self.chord, timeout)


@dataclass(frozen=True)
class Until:
    """Wait for a text."""

    text: str

    def play(self, pc: Machine, timeout: float) -> None:
        """Return when the text appeared since the last typed key."""
        try:
            pc.run_until(lambda: pc.shows(self.text), timeout)
        except TimeoutReached:
            raise TimeoutReached(
                f"--until {self.text!r}: the screen did not show it within {timeout:g} s of virtual time; "
                "look at the screen for what came instead, or give a longer --timeout"
            ) from None


def typed(text: str) -> Type:
    """A step from the value of ``--type``. UsageError for what cannot be typed."""
    plain = unescape(text)
    keys_for_text(plain)
    return Type(plain)


def pressed(chord: str) -> Press:
    """A step from the value of ``--press``. UsageError for what is no key."""
    parse_chord(chord)
    return Press(chord)


def awaited(text: str) -> Until:
    """A step from the value of ``--until``. UsageError when it is empty."""
    if not text:
        raise UsageError("--until '': expected a text to wait for")
    return Until(text)


STEPS: dict[str, Callable[[str], Step]] = {"typed": typed, "pressed": pressed, "awaited": awaited}
"""How to make a step from a value, by the name of the option's parameter."""


def unescape(text: str) -> str:
    r"""``text`` with ``\n \r \t \b \e \\`` replaced by what they mean. UsageError on any other."""

    def meaning(match: re.Match[str]) -> str:
        letter = match[1]
        if letter not in ESCAPES:
            raise UsageError(
                rf"--type {text!r}: '\{letter}' has no meaning, expected one of \n \t \b \e \\; "
                r"write \\ for a backslash"
            )
        return ESCAPES[letter]

    return re.sub(r"\\(.?)", meaning, text, flags=re.DOTALL)


class ScriptCommand(click.Command):
    """A command that remembers in which order its step options came: click keeps only each option's own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice, first for the order alone."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def steps(ctx: click.Context) -> list[Step]:
    """The steps that the command line asks for, in its order. UsageError."""
    values: dict[str, Iterator[str]] = {name: iter(ctx.params[name]) for name in STEPS}
    return [STEPS[name](next(values[name])) for name in ctx.meta[ORDER] if name in STEPS]
