"""What happens to a terminal, in our own words: what a display reports and a view acts upon."""

from __future__ import annotations

from dataclasses import dataclass

from pcemu.frontends.events import Resized, Wheel

Place = tuple[int, int]
"""(row, column) of a cell of the terminal."""


@dataclass(frozen=True, slots=True)
class KeyTyped:
    """A key, as :mod:`pcemu.frontends.terminal.keys` knows it."""

    name: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """The terminal typed a text from its clipboard."""

    text: str


@dataclass(frozen=True, slots=True)
class Clicked:
    """The left button went down."""

    place: Place


@dataclass(frozen=True, slots=True)
class Pointed:
    """The mouse moved with a button down; most terminals tell of no other moves."""

    place: Place


@dataclass(frozen=True, slots=True)
class HungUp:
    """The terminal is gone."""


Event = KeyTyped | Pasted | Clicked | Pointed | Wheel | Resized | HungUp
