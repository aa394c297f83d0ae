"""The server: where it listens, how many it lets in, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from types import TracebackType
from typing import Self

from pcemu.drives.nbd.connection import Connection
from pcemu.drives.nbd.exports import Export, ExportProvider
from pcemu.drives.nbd.listen import Address, bound_sockets
from pcemu.errors import UsageError

MAX_CONNECTIONS = 256
HANDSHAKE_SECONDS = 10.0
BACKLOG = 128
CLOSING_SECONDS = 10.0


class NbdServer:
    """Lends ``exports`` to NBD clients; for use inside of one event loop.

    ``tls`` makes it refuse everybody without TLS. Of more than ``max_connections`` clients the later ones
    are turned away. An address that other hosts reach wants ``tls``, or ``allow_insecure``.
    """

    def __init__(
        self,
        exports: ExportProvider,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
        handshake_seconds: float = HANDSHAKE_SECONDS,
        allow_insecure: bool = False,
    ) -> None:
        self.connections: set[Connection] = set()
        self._exports = exports
        self._tls = tls
        self._max_connections = max_connections
        self._patience = handshake_seconds
        self._allow_insecure = allow_insecure
        self._servers: list[tuple[asyncio.Server, str]] = []

    async def listen(self, address: Address) -> Address:
        """Take clients at an address, port 0 for a free one; returns which it is. ImageError, UsageError."""
        if not address.is_local and self._tls is None and not self._allow_insecure:
            raise UsageError(
                f"{address}: other hosts could read and write there without TLS, expected a loopback address "
                f"or certificates (--tls-certificates); --allow-insecure does it all the same"
            )
        for bound in bound_sockets(address):
            if not address.path:
                address = address._replace(port=bound.getsockname()[1])
            await self._listen_at(bound, address.path)
        return address

    async def _listen_at(self, bound: socket.socket, path: str) -> None:
        loop = asyncio.get_running_loop()
        make = loop.create_unix_server if path else loop.create_server
        self._servers.append((await make(self._connection, sock=bound, backlog=BACKLOG), path))

    def _connection(self) -> asyncio.BaseProtocol:
        if len(self.connections) >= self._max_connections:
            return _TurnedAway()
        connection = Connection(self._exports, self._tls, self._patience, self._closed)
        self.connections.add(connection)
        return connection

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)

    async def disconnect(self, export: Export) -> None:
        """Let go of all clients of an export, and wait until it is released."""
        users = [connection for connection in self.connections if connection.export is export]
        for connection in users:
            connection.disconnect()
        for connection in users:
            await connection.gone.wait()

    async def close(self) -> None:
        """Take no more clients, let go of those that are there, and wait until their exports are released."""
        for server, path in self._servers:
            server.close()
            if path:
                with contextlib.suppress(OSError):
                    os.unlink(path)  # noqa: PTH108
        self._servers.clear()
        if self.connections:
            leaving = list(self.connections)
            for connection in leaving:
                connection.disconnect()
            gone = asyncio.gather(*(connection.gone.wait() for connection in leaving))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone, CLOSING_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _TurnedAway(asyncio.Protocol):
    """A client too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()
