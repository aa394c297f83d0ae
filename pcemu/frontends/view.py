"""What window and terminal have in common: a view of a machine that somebody else runs."""

from __future__ import annotations

from typing import Protocol


class SessionEnded(Exception):
    """The user ended the session, or the terminal or the window went away."""


class View(Protocol):
    """Shows the guest's screen and takes the user's keys, between two stretches of guest code.

    SessionEnded comes out of :meth:`update` and :meth:`wait`.
    """

    def update(self) -> None:
        """Take keys that came, and draw what changed when it is time for that."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for that long, or until a key came that the guest should see now."""
        ...

    def alarm(self, text: str) -> None:
        """Show a message of the host beside the guest's screen."""
        ...
