"""Servers for the tests of remote images: other people's programs, and a web server that counts."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcemu.drives.remote.settings import Settings
from tests.conftest import require

PATIENCE = 120.0  # s for a server to start


def settings_for(folder: Path, **more: object) -> Settings:
    """Settings with their caches in a folder."""
    settings = Settings(lambda: folder)
    for name, value in more.items():
        setattr(settings, name, value)
    return settings


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def running(*command: str | Path, ready: Path | int) -> Iterator[subprocess.Popen[bytes]]:
    """A server program, from the moment on when it listens on a socket's path or a port."""
    require(shutil.which(str(command[0])) is not None, str(command[0]))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            stop = time.monotonic() + PATIENCE
            while not _listens(ready):
                if process.poll() is not None or time.monotonic() > stop:
                    assert process.stderr is not None
                    process.kill()
                    pytest.fail(f"{command[0]} did not start: {process.stderr.read().decode()}")
                time.sleep(0.01)
            yield process
        finally:
            process.kill()
            process.communicate()


def _listens(place: Path | int) -> bool:
    try:
        if isinstance(place, Path):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(os.fspath(place))
        else:
            socket.create_connection(("127.0.0.1", place)).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def qemu_nbd(image: Path, *more: str, export: str = "disk") -> Iterator[int]:
    """qemu-nbd serving a raw image read-only; its port."""
    port = free_port()
    command = ["qemu-nbd", "--read-only", "--persistent", "--shared=10", "-f", "raw", "-x", export]
    with running(*command, "-b", "127.0.0.1", "-p", str(port), *more, str(image), ready=port):
        yield port


@contextlib.contextmanager
def nbdkit(*arguments: str, port: int = 0) -> Iterator[int]:
    """nbdkit with the plugin and options named; its port."""
    port = port or free_port()
    with running("nbdkit", "-f", "-i", "127.0.0.1", "-p", str(port), *arguments, ready=port):
        yield port


@contextlib.contextmanager
def object_store() -> Iterator[Any]:
    """moto's S3 server, which the environment names: a client of botocore's for it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            import boto3

            client = boto3.client("s3")
            yield client
            client.close()
    finally:
        server.stop()


class RangeServer(http.server.ThreadingHTTPServer):
    """A web server with one file at /disk.img, ETag, ranges and preconditions; it notes what it is asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, content: bytes, *, etag: str | None = '"1"', ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.etag = etag
        self.ranges = ranges
        self.preconditions = True
        self.status = 0  # to give instead of an answer
        self.shift = 0  # bytes behind what was asked for is what is sent
        self.answering = threading.Event()  # nobody gets any content while it is not set
        self.answering.set()
        self.outwaited = False  # somebody waited for that to the end
        self.requests: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Of the file."""
        return f"http://127.0.0.1:{self.server_address[1]}/disk.img"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        server = self.server
        wanted = self.headers.get("Range", "")
        server.requests.append(f"{self.command} {wanted}".strip())
        if body and not server.answering.wait(PATIENCE):
            server.outwaited = True
        if self.path != "/disk.img" or server.status:
            self._send(server.status or 404, b"", {})
            return
        headers = {"ETag": server.etag} if server.etag else {}
        if server.preconditions and self.headers.get("If-Match", server.etag) != server.etag:
            self._send(412, b"", headers)
            return
        if not (wanted and server.ranges):
            self._send(200, server.content if body else None, headers | {"X-Size": str(len(server.content))})
            return
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        first, last = first + server.shift, last + server.shift
        part = server.content[first : last + 1]
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(server.content)}"
        self._send(206, part if body else None, headers)

    def _send(self, status: int, body: bytes | None, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.content) if body is None else len(body)))
        self.end_headers()
        if body:
            with contextlib.suppress(OSError):
                self.wfile.write(body)
