"""The server's end of what :mod:`pcemu.cli.server_control` describes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pcemu.cli.server_control import MAX_LINE, control_path
from pcemu.drives.nbd.listen import unix_socket
from pcemu.errors import ImageAccessError, PcemuError

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Control:
    """The server's end: ``handle`` is given each request, and what it raises on purpose is told."""

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
                reply: dict[str, Any] = {"done": await self._handle(request)}
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
