"""A network that misbehaves on demand, between a client and a server on this computer.

::

    with ToxicProxy(("127.0.0.1", 10809)) as proxy:
        connect_to("127.0.0.1", proxy.port)
        proxy.round_trip = 0.02      # s: from now on, half of it in each direction
        proxy.cut()                  # all connections end, as when a cable is pulled and the kernel notices
        proxy.frozen = True          # nothing comes through any more, and nobody is told
        proxy.refusing = True        # who connects is hung up on
        proxy.poison = lambda data: data.replace(b"a", b"b")   # changes what the server says

``from_client`` is all that clients said, ``connections`` how many there were.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

Place = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
PIECE = 1 << 18


class ToxicProxy:
    """Listens on a port of its own on loopback; every connection is passed on to ``server``."""

    def __init__(self, server: Place) -> None:
        self.server = server
        self.round_trip = 0.0
        self.frozen = False
        self.refusing = False
        self.poison: Callable[[bytes], bytes] = bytes
        self.from_client = bytearray()
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            if self.refusing:
                client.close()
                continue
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                if sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets += [client, server]
            self._start(self._pass_on, client, server, self._listen_in)
            self._start(self._pass_on, server, client, lambda data: self.poison(data))

    def _connect(self) -> socket.socket:
        if isinstance(self.server, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.server)
            return sock
        return socket.create_connection(self.server)

    def _listen_in(self, data: bytes) -> bytes:
        self.from_client += data
        return data

    def _pass_on(
        self, source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]
    ) -> None:
        """One direction: pieces leave in the order and at the distance in which they came."""
        pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._start(self._deliver, pieces, target)
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                if not self.frozen:
                    pieces.put((time.monotonic() + self.round_trip / 2, change(data)))
        pieces.put((0.0, b""))

    def _deliver(self, pieces: queue.SimpleQueue[tuple[float, bytes]], target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                when, data = pieces.get()
                if not data:
                    break
                time.sleep(max(0.0, when - time.monotonic()))
                target.sendall(data)
        _hang_up(target)

    def cut(self) -> None:
        """End all connections that there are."""
        with self._lock:
            for sock in self._sockets:
                _hang_up(sock)

    def close(self) -> None:
        """End everything."""
        _hang_up(self._listener)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
