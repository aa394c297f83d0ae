"""Benchmarks of a parent on a server: FreeDOS boots from an NBD export, 20 ms of a round trip away.

The server is qemu-nbd; the network is a proxy in this process, which delays all that passes by half of the
round trip. Local and remote boots take turns, in processes of their own, so that a busy host meets both.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pcemu.testing.toxic_proxy import ToxicProxy
from tools.benchmarks.booting import PROMPT, ROOT
from tools.benchmarks.figures import Benchmark, Figure, Sample, Unavailable

SERVER = "qemu-nbd"
ROUND_TRIP = 0.02  # s
AWAY = f"{ROUND_TRIP * 1000:g} ms away"
PATIENCE = 10.0  # s
READ_REQUEST = b"\x25\x60\x95\x13\0\0\0\0"  # magic, no flags, NBD_CMD_READ


class Remote:
    """The benchmarks on one ``image``, which is never written to."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._warm = False

    def boot(self) -> Sample:
        """Local, from an empty cache, and from a full one."""
        if shutil.which(SERVER) is None:
            raise Unavailable(f"{SERVER} is missing: install QEMU's tools to measure remote parents")
        if not self._warm:  # compiled modules, and the host's own cache
            self._run(str(self._image))
            self._warm = True
        with self._served() as proxy, tempfile.TemporaryDirectory() as data:
            url = f"nbd://127.0.0.1:{proxy.port}/disk"
            self._environment["XDG_DATA_HOME"] = data
            cold = self._run(url)
            local = self._run(str(self._image))
            requests = proxy.from_client.count(READ_REQUEST)
            warm = self._run(url)
            again = proxy.from_client.count(READ_REQUEST) - requests
        return {
            "remote-warm": warm,
            "remote-warm/local": local,
            "remote-cold": cold - local,
            "remote-requests": requests,
            "remote-requests/warm": again,
        }

    def _run(self, disk: str) -> float:
        """Seconds that `pcemu run` takes to the prompt, from the start of its process to the end."""
        command = [sys.executable, "-c", "from pcemu.cli import main; main()", "run", "--headless", "--quiet"]
        start = time.perf_counter()
        options = ["--until", PROMPT, "--on-exit", "discard", disk]
        subprocess.run([*command, *options], env=self._environment, check=True)
        return time.perf_counter() - start

    @contextlib.contextmanager
    def _served(self) -> Iterator[ToxicProxy]:
        """The image behind the slow network."""
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/socket"
            command = [SERVER, "--read-only", "--persistent", "--shared=8", "-f", "raw", "-x", "disk"]
            command += ["-k", path]
            with subprocess.Popen([*command, str(self._image)]) as server:
                try:
                    stop = time.monotonic() + PATIENCE
                    while not Path(path).exists():
                        if time.monotonic() > stop or server.poll() is not None:
                            raise Unavailable(f"{SERVER} does not start; see its message above")
                        time.sleep(0.01)
                    with ToxicProxy(path) as proxy:
                        proxy.round_trip = ROUND_TRIP
                        yield proxy
                finally:
                    server.terminate()

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [Benchmark("remote-boot", FIGURES, self.boot)]


FIGURES = (
    Figure("remote-warm", f"pcemu run from NBD, {AWAY}, warm cache", "s", 1.1, against=("local",)),
    Figure("remote-cold", "… empty cache, more than local", "s", 2.0),
    Figure("remote-requests", "… reads at the server meanwhile", ""),
)
NAMES = ("remote-boot",)
