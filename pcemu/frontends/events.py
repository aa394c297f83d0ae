"""What happens to a window and to a terminal alike; the rest is in the events.py of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """The mouse's wheel was turned by ``steps``, up when positive."""

    steps: int


@dataclass(frozen=True, slots=True)
class Resized:
    """The window or terminal has another size, or its content was lost."""
