"""A reading NBD client: many requests in flight on one connection.

One thread owns the socket from the handshake on, as TLS does not allow two; callers leave a request with it
and wait. Nothing that the server says is believed unchecked: the first answer that does not fit a request
ends the connection, and all that wait learn that it is lost.

**Not implemented**: writing, block status, more than one connection, extended headers; Windows, which cannot
poll a pipe.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from pcemu.drives import nbd_protocol as nbd
from pcemu.drives.remote.address import NbdAddress
from pcemu.drives.remote.nbd_handshake import shake_hands
from pcemu.drives.remote.nbd_replies import Replies, Request
from pcemu.errors import ImageAccessError, ImageFormatError

Asked = tuple[list[Request], int, int]
"""Requests, and which part of what they bring was wanted: from where on, how much."""
RECEIVE_SIZE = 1 << 18
DISCONNECT_PATIENCE = 1.0  # s


class NbdClient:
    """An export, for reading; a ByteSource. A server that says nothing for ``timeout`` seconds is lost."""

    def __init__(self, address: NbdAddress, timeout: float) -> None:
        self._url = address.url
        self._timeout = timeout
        sock = _open_socket(address, timeout)
        try:
            sock, self._export = shake_hands(sock, address)
            if self._export.minimum > 1 << 16:
                raise ImageFormatError(
                    f"{self._url}: the server wants blocks of {self._export.minimum} bytes, expected at most "
                    f"65536; have it serve smaller ones"
                )
        except BaseException:
            sock.close()
            raise
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()
        self._outbox: deque[bytes] = deque()
        self._waiting: dict[int, Request] = {}
        self._cookie = 0
        self._lost: OSError | None = None
        self._heard = time.monotonic()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"nbd {self._url}", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Of the export, in bytes."""
        return self._export.size

    @property
    def version(self) -> None:
        """NBD tells none."""
        return None

    def read(self, offset: int, size: int) -> bytearray:
        """``size`` bytes from ``offset`` on; OSError."""
        return self.read_all([(offset, size)])[0]

    def read_all(self, places: Sequence[tuple[int, int]]) -> list[bytearray]:
        """Several parts, in one round trip."""
        asked = [self._ask(*place) for place in places]
        self._wake()
        return [self._collect(each) for each in asked]

    def _ask(self, offset: int, size: int) -> Asked:
        """Have what it takes to read a part ready to be sent, in whole blocks of the server's."""
        block = max(self._export.minimum, 1)
        first = offset // block * block
        stop = min(-(-(offset + size) // block) * block, self.size)
        step = max(block, self._export.maximum // block * block)
        requests = [self._put(at, min(step, stop - at)) for at in range(first, stop, step)]
        return requests, offset - first, size

    def _collect(self, asked: Asked) -> bytearray:
        requests, start, size = asked
        parts = [self._wait(request) for request in requests]
        data = parts[0] if len(parts) == 1 else bytearray().join(parts)
        return data if len(data) == size else data[start : start + size]

    def _put(self, offset: int, size: int) -> Request:
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if not self._waiting:
                self._heard = time.monotonic()  # the server's silence counts from now
            self._cookie += 1
            request = self._waiting[self._cookie] = Request(offset, size)
            self._outbox.append(
                nbd.REQUEST.pack(nbd.NBD_REQUEST_MAGIC, 0, nbd.NBD_CMD_READ, self._cookie, offset, size)
            )
        return request

    def _wait(self, request: Request) -> bytearray:
        while not request.done.wait(max(0.01, self._heard + self._timeout - time.monotonic())):
            if time.monotonic() >= self._heard + self._timeout:
                self._give_up(TimeoutError(errno.ETIMEDOUT, "the server does not answer", self._url))
        if request.error is not None:
            raise request.error
        return request.data

    def close(self) -> None:
        """Tell the server, and let go."""
        with self._lock:
            if self._lost is None:
                self._outbox.append(nbd.REQUEST.pack(nbd.NBD_REQUEST_MAGIC, 0, nbd.NBD_CMD_DISC, 0, 0, 0))
        self._give_up(ConnectionError(errno.ECONNABORTED, "the connection was closed", self._url))
        self._thread.join()

    # -- the thread that owns the socket -------------------------------------------------------------

    def _run(self) -> None:
        replies = Replies(self._waiting, self._export.structured, self._lock)
        try:
            self._serve(replies)
        except OSError as error:
            why = error.strerror or str(error)
            self._give_up(ConnectionError(errno.ECONNRESET, f"the connection is lost: {why}", self._url))
        finally:
            self._sock.close()
            with self._lock:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1

    def _serve(self, replies: Replies) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        rest = b""
        leave_at = 0.0
        while True:
            rest = self._write(rest)
            if self._lost is not None:  # what is still to be sent is the farewell
                leave_at = leave_at or time.monotonic() + DISCONNECT_PATIENCE
                if not (rest or self._outbox) or time.monotonic() > leave_at:
                    return
            while self._read(replies):
                pass
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if rest else 0))
            if not self._outbox:
                poll.poll(DISCONNECT_PATIENCE * 1000 if leave_at else None)
            with self._lock:
                if select.select([self._wake_read], [], [], 0)[0]:
                    os.read(self._wake_read, 4096)

    def _write(self, rest: bytes) -> bytes:
        """Send what is there to send; what the socket does not take now."""
        with self._lock:
            data = rest + b"".join(self._outbox)
            self._outbox.clear()
        try:
            while data:
                data = data[self._sock.send(data) :]
        except OSError as error:
            if not _would_block(error):
                raise
        return data

    def _read(self, replies: Replies) -> bool:
        """Take what the server sent; False when there is nothing."""
        try:
            data = self._sock.recv(RECEIVE_SIZE)
        except OSError as error:
            if _would_block(error):
                return False
            raise
        if not data:
            raise ConnectionError("the server hung up")
        self._heard = time.monotonic()
        replies.feed(data)
        return True

    def _give_up(self, why: OSError) -> None:
        """Tell all that wait that the connection is lost."""
        with self._lock:
            self._lost = self._lost or why
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for request in waiting:
            request.fail(why)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._wake_write >= 0:
                os.write(self._wake_write, b"\0")


def _would_block(error: OSError) -> bool:
    if isinstance(error, BlockingIOError | InterruptedError):
        return True
    import ssl

    return isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError)


def _open_socket(address: NbdAddress, timeout: float) -> socket.socket:
    """A connected socket. ImageAccessError tells what may be amiss."""
    try:
        if address.socket:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(address.socket)
            except BaseException:
                sock.close()
                raise
            return sock
        # Names in ASCII need no tables of Unicode, which are slow to import for a str.
        host: Any = address.host.encode() if address.host.isascii() else address.host
        sock = socket.create_connection((host, address.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    except (OSError, UnicodeError) as error:  # the latter: no host can have this name
        where = address.socket or f"{address.host} port {address.port}"
        why = getattr(error, "strerror", None) or error
        raise ImageAccessError(
            f"{address.url}: cannot connect to {where}: {why}; is the server running, and may this computer "
            f"reach it?"
        ) from error
