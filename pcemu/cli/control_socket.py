"""The server's end of what :mod:`pcemu.cli.server_control` describes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pcemu.cli.server_control import MAX_LINE, control_path
from pcemu.drives.lineage import Progress
from pcemu.drives.nbd.listen import unix_socket
from pcemu.errors import ImageAccessError, PcemuError

Handler = Callable[[dict[str, Any], Progress], Awaitable[dict[str, Any]]]
TELL_EVERY = 0.1  # s


class Control:
    """The server's end: ``handle`` is given each request, and what it raises on purpose is told.

    It is given, too, what tells how far it is, from any thread.
    """

    def __init__(self, image: Path, handle: Handler) -> None:
        self._path = control_path(image)
        self._handle = handle
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Begin. ImageAccessError when another server has the image."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.parent.chmod(0o700)
            bound = unix_socket(str(self._path))
        except OSError as error:
            raise ImageAccessError(
                f"{self._path}: cannot be made: {error.strerror or error}; another server may serve the "
                f"same image (`pcemu serve --list`), or a shorter XDG_RUNTIME_DIR may be needed"
            ) from error
        self._server = await asyncio.start_unix_server(self._answer, sock=bound, limit=MAX_LINE)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            request = json.loads(await reader.readline())
            try:
                reply: dict[str, Any] = {"done": await self._handle(request, _teller(writer))}
            except PcemuError as error:
                reply = {"error": str(error), "exit_code": error.exit_code}
            except OSError as error:
                reply = {
                    "error": f"the server's host failed: {error}",
                    "exit_code": ImageAccessError.exit_code,
                }
            except (KeyError, TypeError) as error:
                reply = {"error": f"the server does not know what to do: {error!r}", "exit_code": 2}
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def close(self) -> None:
        """End."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)


def _teller(writer: asyncio.StreamWriter) -> Progress:
    """Tells who asked how far it is, now and then; a client that is gone needs not know."""
    loop = asyncio.get_running_loop()
    next_time = 0.0

    def write(done: int, total: int) -> None:
        if not writer.is_closing():
            writer.write(json.dumps({"progress": [done, total]}).encode() + b"\n")

    def tell(done: int, total: int) -> None:
        nonlocal next_time
        if loop.time() >= next_time:
            next_time = loop.time() + TELL_EVERY
            loop.call_soon_threadsafe(write, done, total)

    return tell
