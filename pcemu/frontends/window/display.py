"""A window of the host: pixels, events, the clipboard. The one place of pcemu that knows pygame.

Drawing goes to a surface in main memory that the host shows as it is. On X11 the way over the graphics
processor, which SDL would take by itself, is many times slower for a few changed cells.

The clipboard is reached by the one type of pygame.scrap that SDL serves; pygame's own name for text,
SCRAP_TEXT, is not known there.

**Not implemented**: pixels of their own on a macOS Retina display (the system doubles each pixel there).
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it goes to stdout

import numpy as np

from pcemu.errors import UsageError
from pcemu.frontends.events import Resized, Wheel
from pcemu.frontends.picture import Dots
from pcemu.frontends.window.events import (
    CloseRequested,
    Event,
    FocusLost,
    KeyDown,
    KeyUp,
    MouseDown,
    MouseMoved,
    MouseUp,
)
from pcemu.frontends.window.layout import Layout, Rect, Size, fitting_scale, window_size
from pcemu.frontends.window.painter import Pixels

# pygame would look for its own files with this, which takes longer to import than all that is needed.
_hide = "pkg_resources"
_hidden = sys.modules.setdefault(_hide, None) is None  # type: ignore[arg-type]

import pygame  # noqa: E402

if _hidden:
    del sys.modules[_hide]

LEFT_BUTTON = 1
BORDER = 0, 0, 0

# SDL reads these from the environment; whoever set them has the last word.
HINTS = {
    "SDL_WINDOWS_DPI_AWARENESS": "permonitorv2",  # pixels are pixels
    "SDL_VIDEO_X11_WMCLASS": "pcemu",
    "SDL_NO_SIGNAL_HANDLERS": "1",
    "SDL_VIDEO_ALLOW_SCREENSAVER": "1",
}
CLIPBOARD_TYPE = "text/plain;charset=utf-8"
CLIPBOARD_ENCODING = "utf-16-le" if sys.platform == "win32" else "utf-8"  # of that type, in spite of its name
INVISIBLE = ("dummy", "evdev", "offscreen")
"""What SDL takes when no display answers."""
UNACCELERATED = "SDL_FRAMEBUFFER_ACCELERATION"


class NoDisplay(Exception):
    """There is no display to open a window on; the message says why."""


def connect() -> None:
    """Reach the host's display; harmless when that was done before. NoDisplay."""
    for name, value in HINTS.items():
        os.environ.setdefault(name, value)
    try:
        pygame.display.init()
        pygame.display.get_desktop_sizes()
    except pygame.error as error:
        raise NoDisplay(str(error)) from None
    driver = pygame.display.get_driver()
    if driver in INVISIBLE and not os.environ.get("SDL_VIDEODRIVER"):
        disconnect()
        raise NoDisplay("it does not answer")
    if driver == "x11":
        os.environ.setdefault(UNACCELERATED, "0")


def disconnect() -> None:
    """Let go of the display."""
    pygame.display.quit()


class Display:
    """An open window. ``scale``: of the picture it is made for (as large as reasonable when None)."""

    def __init__(self, title: str, scale: int | None, full_screen: bool) -> None:
        connect()
        self._desktop: Size = pygame.display.get_desktop_sizes()[0]
        self._windowed = window_size(scale or fitting_scale(self._desktop))
        self._picture: pygame.Surface | None = None
        pygame.display.set_caption(title)
        try:
            self._open(full_screen)
        except pygame.error as error:
            raise NoDisplay(str(error)) from None
        pygame.key.stop_text_input()  # an input method would keep keys for itself
        pygame.scrap.init()
        pygame.key.set_repeat()  # repetition is the guest's keyboard's business

    def _open(self, full_screen: bool) -> None:
        self.full_screen = full_screen
        if full_screen:
            pygame.display.set_mode(self._desktop, pygame.FULLSCREEN)
        else:
            pygame.display.set_mode(self._windowed, pygame.RESIZABLE)

    def close(self) -> None:
        """Close the window."""
        disconnect()

    # -- the window

    @property
    def size(self) -> Size:
        """Pixels of the window."""
        width, height = self._surface.get_size()
        return width, height

    @property
    def _surface(self) -> pygame.Surface:
        surface = pygame.display.get_surface()
        assert surface is not None
        return surface

    def resize(self, size: Size) -> None:
        """Make a window of this size, which the host may refuse."""
        self._windowed = size
        self._open(False)

    def toggle_full_screen(self) -> None:
        """Full screen, or back to the window as it was."""
        if not self.full_screen:
            self._windowed = self.size
        self._open(not self.full_screen)

    # -- drawing

    @property
    def shifts(self) -> tuple[int, int, int]:
        """Where red, green and blue are in a pixel."""
        red, green, blue, _ = self._surface.get_shifts()
        return red, green, blue

    def canvas(self, size: Size) -> Pixels:
        """An empty picture, an array of (height, width), for :meth:`show` to show."""
        self._picture = pygame.Surface(size, 0, self._surface)
        pixels: Pixels = np.asarray(self._picture.get_view("2")).view(np.uint32).T
        return pixels

    def show(self, area: Rect, layout: Layout) -> Rect:
        """Put a part of the picture on the window; where it is there."""
        assert self._picture is not None
        if not layout.scale:
            return self._show_blended(layout)
        target = layout.scaled(area)
        part = self._picture.subsurface(area)
        pygame.transform.scale(part, target[2:], self._surface.subsurface(target))
        return target

    def _show_blended(self, layout: Layout) -> Rect:
        """The whole picture, enlarged beyond its size without blending and then blended down to it."""
        assert self._picture is not None
        target = layout.picture
        width, height = self._picture.get_size()
        larger = width * -(-target.width // width), height * -(-target.height // height)
        enlarged = pygame.transform.scale(self._picture, larger)
        pygame.transform.smoothscale(enlarged, target[2:], self._surface.subsurface(target))
        return target

    def clear(self) -> None:
        """Paint the window black."""
        self._surface.fill(BORDER)

    def paste(self, dots: Dots, at: Size, scale: int) -> Rect:
        """Draw ``dots``, (height, width, 3), enlarged ``scale`` times at ``at``; where they are."""
        image = pygame.image.frombuffer(dots.tobytes(), dots.shape[1::-1], "RGB")
        large = pygame.transform.scale(image, (dots.shape[1] * scale, dots.shape[0] * scale))
        self._surface.blit(large, at)
        return Rect(*at, *large.get_size())

    def flush(self, areas: list[Rect]) -> None:
        """Let the user see what was drawn in these areas of the window."""
        pygame.display.update(areas)

    # -- the clipboard

    def copy(self, text: str) -> None:
        """Put ``text`` into the clipboard. UsageError when the host has none."""
        try:
            pygame.scrap.put(CLIPBOARD_TYPE, f"{text}\0".encode(CLIPBOARD_ENCODING))
        except pygame.error as error:
            raise UsageError(f"the clipboard cannot be used: {error}") from None

    def clipboard(self) -> str:
        """The clipboard's text, "" when there is none."""
        try:
            data = pygame.scrap.get(CLIPBOARD_TYPE) or b""
        except pygame.error:
            return ""
        return data.decode(CLIPBOARD_ENCODING, "replace").partition("\0")[0]

    # -- events

    def events(self, timeout: float = 0.0) -> list[Event]:
        """What happened; waits for that up to ``timeout`` seconds."""
        raw = []
        if timeout > 0:
            first = pygame.event.wait(max(1, round(timeout * 1000)))
            if first.type != pygame.NOEVENT:
                raw.append(first)
        raw += pygame.event.get()
        found = (_translate(event) for event in raw)
        return [event for event in found if event is not None]


def _translate(event: pygame.event.Event) -> Event | None:
    kind = event.type
    if kind == pygame.KEYDOWN:
        return KeyDown(event.scancode, _label(event.key), event.unicode)
    if kind == pygame.KEYUP:
        return KeyUp(event.scancode)
    if kind == pygame.MOUSEMOTION:
        return MouseMoved(event.pos, bool(event.buttons[0]))
    if kind == pygame.MOUSEBUTTONDOWN and event.button == LEFT_BUTTON:
        return MouseDown(event.pos)
    if kind == pygame.MOUSEBUTTONUP and event.button == LEFT_BUTTON:
        return MouseUp(event.pos)
    if kind == pygame.MOUSEWHEEL:
        return Wheel(event.y)
    if kind in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
        return Resized()
    if kind == pygame.WINDOWFOCUSLOST:
        return FocusLost()
    if kind == pygame.QUIT:
        return CloseRequested()
    return None


def _label(keycode: int) -> str:
    """The character that is printed on a key; "" when it has none."""
    try:
        return chr(keycode).lower() if 0x20 < keycode < 0x7F else ""
    except ValueError:
        return ""
