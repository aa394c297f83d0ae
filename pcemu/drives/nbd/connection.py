"""One client's connection: bytes between its transport, the handshake, and the transmission phase."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from pcemu.drives.nbd.exports import Export, ExportProvider
from pcemu.drives.nbd.handshake import (
    REFUSALS,
    Agreement,
    Malformed,
    Open,
    Receive,
    Send,
    Tls,
    handshake,
)
from pcemu.drives.nbd.replies import PIECE
from pcemu.drives.nbd.transmission import Transmission

INPUT_SIZE = PIECE + (64 << 10)
WRITE_LIMIT = 0  # bytes of replies that may wait for the client before its requests wait, too
TLS_WRITE_LIMIT = 256 << 10  # asyncio's TLS knows no limit of 0
SEND_BUFFER = 1 << 20  # asked of the kernel for a Unix socket, so that a large reply goes out in one

# Later versions of Python keep a view of what they cannot send at once.
_TRANSPORTS_COPY = sys.version_info < (3, 12)

log = logging.getLogger(__name__)


class Connection(asyncio.BufferedProtocol):
    """A client, from its greeting to its end.

    ``closed`` is called once, at the end, when ``gone`` is set. ``tls`` None: in the clear. The handshake may
    take ``patience`` seconds.
    """

    def __init__(
        self,
        exports: ExportProvider,
        tls: ssl.SSLContext | None,
        patience: float,
        closed: Callable[[Connection], None],
    ) -> None:
        self.peer = ""
        self.since = time.time()
        self.export: Export | None = None
        self.gone = asyncio.Event()
        self._exports = exports
        self._tls = tls
        self._patience = patience
        self._closed = closed
        self._input = memoryview(bytearray(INPUT_SIZE))
        self._start = 0
        self._filled = 0
        self._steps: Generator[Any, Any, Agreement | None] | None = None
        self._wanted = 0  # bytes that the handshake waits for
        self._transmission: Transmission | None = None
        self._paused = False  # the client does not take its replies
        self._reading = True
        self._secure = False
        self._lost = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    # -- what the transport calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client; or go on, after TLS came up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_LIMIT)
        self.peer = _peer_name(transport)
        _set_up(transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._patience, self._close, "it took too long over the handshake")
        self._steps = handshake(self._exports, Tls.NONE if self._tls is None else Tls.REQUIRED)
        self._step(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._start and self._filled == INPUT_SIZE:
            rest = self._filled - self._start
            self._input[:rest] = self._input[self._start : self._filled]
            self._start, self._filled = 0, rest
        return self._input[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._filled += nbytes
        self._work()

    def pause_writing(self) -> None:
        """The client does not take its replies as fast as it asks."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        self._work()

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        if self._lost:
            return
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._steps = None
        self._task = asyncio.ensure_future(self._finish(self._task))

    async def _finish(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and task is not asyncio.current_task():
            await asyncio.gather(task, return_exceptions=True)
        export, self.export = self.export, None
        if export is not None:
            await self._exports.release(export)
        self.gone.set()
        self._closed(self)

    # -- work -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        transmission = self._transmission
        if transmission is None:
            self._serve_handshake()
            return
        if self._transport is None:
            return
        try:
            self._start = transmission.work(self._input, self._start, self._filled)
        except Malformed as error:
            self._close(str(error))
            return
        if transmission.broken:
            self._close(transmission.broken)
        elif transmission.finished:
            self._transport.close()
        elif self._start == self._filled:
            self._start = self._filled = 0
            self._listen(True)
        else:
            self._listen(self._start > 0 or self._filled < INPUT_SIZE)

    def _listen(self, listen: bool) -> None:
        """Take more from the client, or let it wait while there is no place for it."""
        if listen != self._reading and self._transport is not None:
            self._reading = listen
            if listen:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _serve_handshake(self) -> None:
        while self._steps is not None and 0 < self._wanted <= self._filled - self._start:
            wanted, self._wanted = self._wanted, 0
            data = bytes(self._input[self._start : self._start + wanted])
            self._start += wanted
            self._step(data)
        if self._start == self._filled:
            self._start = self._filled = 0
        elif self._transmission is None:
            self._listen(self._start > 0 or self._filled < INPUT_SIZE)

    def _step(self, sent: Any) -> None:
        """Do what the handshake wants, until it has to wait for something."""
        assert self._steps is not None
        while self._transport is not None:
            try:
                step = self._steps.send(sent)
            except StopIteration as end:
                self._end_handshake(end.value)
                return
            except Malformed as error:
                self._close(str(error))
                return
            sent = None
            if isinstance(step, Send):
                self._transport.write(step.data)
            elif isinstance(step, Receive):
                self._wanted = step.size
                return
            else:
                work = self._open(step.name) if isinstance(step, Open) else self._upgrade()
                self._task = asyncio.ensure_future(work)
                return

    async def _open(self, name: str) -> None:
        found: Any = self.export
        if found is None or found.name != name:
            if found is not None:
                self.export = None
                await self._exports.release(found)
            try:
                found = self.export = await self._exports.open(name)
            except REFUSALS as error:
                found = error
        self._task = None
        if self._transport is not None:
            self._step(found)
            self._work()

    async def _upgrade(self) -> None:
        """What came before TLS is up, came from anybody: it must not be there."""
        assert self._transport is not None and self._tls is not None
        if self._start != self._filled:
            self._close("it sent more in the clear behind STARTTLS")
            return
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                self._transport, self, self._tls, server_side=True, ssl_handshake_timeout=self._patience
            )
        except (OSError, ssl.SSLError, ConnectionError) as error:
            self._close(f"TLS failed: {error}")
            self.connection_lost(error)  # nobody else tells
            return
        if secure is None:  # cut off meanwhile: that, too, nobody else tells
            self.connection_lost(None)
            return
        self._transport = secure
        self._secure = True
        secure.set_write_buffer_limits(high=TLS_WRITE_LIMIT)
        self._task = None
        self._step(None)
        self._work()

    def _end_handshake(self, agreement: Agreement | None) -> None:
        self._steps = None
        assert self._transport is not None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if agreement is None:
            self._transport.close()
            return
        log.info("%s uses %r", self.peer, agreement.export.name)
        self._transmission = Transmission(agreement, self._send, self._work, lambda: not self._paused)

    def _send(self, data: memoryview) -> bool:
        """Send a part of the output buffer; False when the transport goes on using it."""
        transport = self._transport
        if transport is None:
            return True
        if self._secure:
            transport.write(bytes(data))
            return True
        transport.write(data)
        return _TRANSPORTS_COPY or not transport.get_write_buffer_size()

    def _close(self, why: str) -> None:
        if self._transport is not None:
            log.warning("%s: connection closed: %s", self.peer or "a client", why)
            self._transport.abort()

    def disconnect(self) -> None:
        """Let the client go at once."""
        if self._transport is not None:
            self._transport.abort()


def _set_up(transport: asyncio.Transport) -> None:
    """Make a Unix socket wide; of other clients, have the kernel find out when their host is gone."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return
    if connected.family == getattr(socket, "AF_UNIX", None):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    else:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _peer_name(transport: asyncio.Transport) -> str:
    """Who is there, for people: an address, or the process behind a Unix socket."""
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        return f"{peer[0]}:{peer[1]}"
    connected = transport.get_extra_info("socket")
    if connected is not None and hasattr(socket, "SO_PEERCRED"):
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return f"process {int.from_bytes(credentials[:4], sys.byteorder)}"
    return "a process of this host"
