"""Where a session is shown: in a window, in the terminal, or nowhere while it runs."""

from __future__ import annotations

import os
import sys

from pcemu.errors import UsageError

WINDOW, TERMINAL, HEADLESS = UIS = ("window", "terminal", "headless")


def choose(wanted: str | None, *, scripted: bool) -> str:
    """The user interface to take: ``wanted``, or the best that there is. UsageError when it cannot be had.

    A script (``scripted``) whose output goes to a file or to another program needs none.
    """
    if wanted == WINDOW:
        reason = _no_window()
        if reason is not None:
            raise UsageError(f"--ui window: {reason}; --ui terminal and --ui headless need no display")
    elif wanted == TERMINAL:
        reason = _no_terminal()
        if reason is not None:
            raise UsageError(f"--ui terminal: {reason}; --ui headless needs no terminal")
    if wanted is not None:
        return wanted
    if not (scripted and not sys.stdout.isatty()) and _display_named() and _no_window() is None:
        return WINDOW
    return TERMINAL if _no_terminal() is None else HEADLESS


def _display_named() -> bool:
    """True when the host's environment names a display."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _no_terminal() -> str | None:
    """Why the screen cannot be shown in the terminal; None when it can."""
    if sys.platform == "win32":
        return "terminals of Windows are not supported"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "standard input and output are not a terminal"
    if os.environ.get("TERM", "dumb") == "dumb":
        return "the terminal cannot place text (TERM is not set, or says dumb)"
    return None


def _no_window() -> str | None:
    """Why no window can be opened; None when it can."""
    if not _display_named() and not os.environ.get("SDL_VIDEODRIVER"):
        return "no display was found (DISPLAY and WAYLAND_DISPLAY are not set)"
    try:
        from pcemu.frontends.window import display  # whoever needs no window does not wait for pygame
    except ImportError as error:
        return f"pygame cannot be used: {error}"
    try:
        display.connect()
    except display.NoDisplay as error:
        return f"the display cannot be used: {error}"
    return None
