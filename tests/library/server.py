"""An HTTP server for tests, which serves one file well or badly, as told request by request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler"], None]
ETAG = '"first"'


class Handler(BaseHTTPRequestHandler):
    """Asks the server for the next behaviour, the last one again and again."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append((self.path, dict(self.headers.items())))
        behaviour = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            behaviour(self)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests are quiet."""

    def head(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def start(self) -> int:
        """Answer with what was asked for, up to the content; where that begins."""
        content, etag = self.server.content, self.server.etag
        asked = self.headers.get("Range")
        if asked is None or self.headers.get("If-Range", etag) != etag:
            self.head(200, len(content), ETag=etag)
            return 0
        first = int(asked.removeprefix("bytes=").partition("-")[0])
        if first >= len(content):
            self.head(416, 0, Content_Range=f"bytes */{len(content)}")
            return len(content)
        span = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self.head(206, len(content) - first, ETag=etag, Content_Range=span)
        return first


class FileServer(ThreadingHTTPServer):
    """``script``: what to do with each request; ``requests``: paths and headers of all so far."""

    daemon_threads = True

    def __init__(self, content: bytes, *script: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.etag = ETAG
        self.script = list(script) or [well]
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/1.4/file.zip"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


@contextmanager
def serve(content: bytes, *script: Behaviour) -> Iterator[FileServer]:
    server = FileServer(content, *script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def well(handler: Handler) -> None:
    """As it should be."""
    handler.wfile.write(handler.server.content[handler.start() :])


def breaks_off(after: int) -> Behaviour:
    """Closes the connection after some bytes."""

    def behave(handler: Handler) -> None:
        first = handler.start()
        handler.wfile.write(handler.server.content[first : first + after])

    return behave


def stalls(after: int) -> Behaviour:
    """Says nothing more after some bytes, until the test is over."""

    def behave(handler: Handler) -> None:
        first = handler.start()
        handler.wfile.write(handler.server.content[first : first + after])
        handler.wfile.flush()
        handler.server.over.wait(30)

    return behave


def redirects(to: str) -> Behaviour:
    return lambda handler: handler.head(302, 0, Location=to)


def says(status: int, **headers: str) -> Behaviour:
    return lambda handler: handler.head(status, 0, **headers)


def ignores_ranges(handler: Handler) -> None:
    handler.head(200, len(handler.server.content))
    handler.wfile.write(handler.server.content)


def never_ends(handler: Handler) -> None:
    """No length, and more and more."""
    handler.head(200, None)
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(1 << 16))


def wrong_range(handler: Handler) -> None:
    """Another part than was asked for."""
    content = handler.server.content
    if "Range" in handler.headers:
        handler.head(206, 10, ETag=ETAG, Content_Range=f"bytes 0-9/{len(content)}")
        handler.wfile.write(content[:10])
    else:
        well(handler)


def garbage(handler: Handler) -> None:
    handler.wfile.write(b"this is no HTTP at all\r\n\r\n")
