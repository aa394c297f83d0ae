"""A server in a thread of the test, for clients that are programs."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from pcemu.drives.drive import Drive
from pcemu.drives.nbd.exports import DriveExports, ImpatientHost
from pcemu.drives.nbd.listen import Address
from pcemu.drives.nbd.server import NbdServer
from tests.conftest import require

LOCAL = Address("127.0.0.1", 0)


class Running:
    """``at`` is where it listens; ``server`` belongs to its own thread."""

    def __init__(self, at: Address, server: NbdServer) -> None:
        self.at = at
        self.server = server

    def uri(self, export: str = "disk", *, tls: bool = False) -> str:
        return self.at.uri(export, tls=tls)


@contextlib.contextmanager
def serving(
    drives: Mapping[str, Drive],
    address: Address = LOCAL,
    *,
    tls: ssl.SSLContext | None = None,
    read_only: bool = False,
    host: ImpatientHost | None = None,
    max_connections: int = 256,
    handshake_seconds: float = 10.0,
) -> Iterator[Running]:
    """Serve drives until the end of the block."""
    ready: list[Running] = []
    failed: list[BaseException] = []
    is_up = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        exports = DriveExports(drives, read_only=read_only)
        server = NbdServer(
            exports, tls=tls, max_connections=max_connections, handshake_seconds=handshake_seconds
        )
        if host is not None:
            host.begin()
        async with server:
            ready.append(Running(await server.listen(address), server))
            is_up.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(main())
            loop.run_until_complete(loop.shutdown_default_executor())
        except BaseException as error:
            failed.append(error)
        finally:
            loop.close()
            is_up.set()

    thread = threading.Thread(target=run)
    thread.start()
    is_up.wait()
    try:
        if not failed:
            yield ready[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    if failed:
        raise failed[0]


def program(*command: str | Path, succeeds: bool = True, input: str | None = None) -> str:
    """What a program prints on both outputs."""
    require(shutil.which(str(command[0])) is not None, str(command[0]))
    done = subprocess.run(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
        input=input,
    )
    assert (done.returncode == 0) is succeeds, f"{command}: {done.stdout}"
    return done.stdout


def nbdsh(uri: str, script: str, *, succeeds: bool = True) -> str:
    """Run Python with libnbd's ``h``, connected to ``uri``; by Debian's own interpreter, which has libnbd."""
    interpreter = "/usr/bin/python3"
    found = (
        Path(interpreter).exists()
        and not subprocess.run([interpreter, "-c", "import nbd"], capture_output=True, check=False).returncode
    )
    require(found, "python3-libnbd")
    whole = f"import nbd, sys\nh = nbd.NBD()\nh.add_meta_context('base:allocation')\nh.connect_uri({uri!r})\n"
    return program(interpreter, "-c", whole + script, succeeds=succeeds)
