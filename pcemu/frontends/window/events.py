"""What happens to a window, in our own words: what a display reports and a view acts upon."""

from __future__ import annotations

from dataclasses import dataclass

from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.window.layout import Size


@dataclass(frozen=True, slots=True)
class KeyDown:
    """A key went down: its USB usage ID, the character printed on it, and what it types."""

    scancode: int
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class KeyUp:
    """A key came up."""

    scancode: int


@dataclass(frozen=True, slots=True)
class MouseDown:
    """The left button went down at ``point`` (pixels)."""

    point: Size


@dataclass(frozen=True, slots=True)
class MouseMoved:
    """The mouse is at ``point``; ``dragging``: its left button is down."""

    point: Size
    dragging: bool


@dataclass(frozen=True, slots=True)
class MouseUp:
    """The left button came up."""

    point: Size


@dataclass(frozen=True, slots=True)
class FocusLost:
    """Keys go to another window from now on."""


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The user wants the window to go."""


Event = KeyDown | KeyUp | MouseDown | MouseMoved | MouseUp | Wheel | Resized | FocusLost | CloseRequested
