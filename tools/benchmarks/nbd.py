"""Benchmarks of the NBD server beside qemu-nbd: the same clients, qemu-img bench and nbdcopy, for both.

Both servers are processes of their own at Unix sockets, on images in one folder that are warm. Each has the
chain in its own format: differencing VHDs here, qcow2 there, the same places written in both. Rates are by
the wall, as clients see them; the servers take turns. The processors' time of a server for a request is shown
besides, which a busy host disturbs less.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.benchmarks import qemu_img
from tools.benchmarks.drives import DRIVE, KIB, QUEUE, READ_STEP, Drives
from tools.benchmarks.figures import Benchmark, Figure, Sample, Unavailable

PEER = "qemu-nbd"
READS = 60_000
WRITES = 20_000
COPIES = 4
IDLE = 100
PATIENCE = 20.0  # s
TURNS = 3
DEPTH = 64
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Nbd:
    """The benchmarks; ``drives`` has the chains."""

    def __init__(self, folder: Path, drives: Drives) -> None:
        self._folder = folder
        self._drives = drives

    def benchmarks(self) -> list[Benchmark]:
        """All of them."""
        return [
            Benchmark("nbd-read", READ_FIGURES, self.read),
            Benchmark("nbd-write", WRITE_FIGURES, self.write),
            Benchmark("nbd-copy", COPY_FIGURES, self.copy),
            Benchmark("nbd-idle", IDLE_FIGURES, self.idle),
        ]

    def read(self) -> Sample:
        """4 KiB random reads, 16 at a time."""
        _need("qemu-img", PEER)
        sample: Sample = {}
        raw = self._drives.base
        for key, own, (image, form) in (
            ("raw", raw, (raw, "raw")),
            ("chain", self._drives.heads[DEPTH], (self._drives.qemu_heads[DEPTH], "qcow2")),
        ):
            rates: dict[str, list[float]] = {}
            times: dict[str, list[float]] = {}
            with self._pcemu(own, "--read-only") as mine, self._qemu(image, form, "-r") as theirs:
                for _ in range(TURNS):
                    for name, server in (("", mine), (f"/{PEER}", theirs)):
                        before = server.processor()
                        took = _bench(server.uri, READS, write=False)
                        rates.setdefault(name, []).append(READS / took / 1000)
                        times.setdefault(name, []).append((server.processor() - before) / READS * 1e6)
            for name in rates:
                sample[f"{key}{name}"] = max(rates[name])
                sample[f"{key}-processor{name}"] = min(times[name])
        return sample

    def write(self) -> Sample:
        """4 KiB writes, 16 at a time: to a session here, to a child of the same image there."""
        _need("qemu-img", PEER)
        child = self._folder / "written.qcow2"
        qemu_img.create(child, "qcow2", parent=self._drives.base)
        with self._pcemu(self._drives.base, "--on-exit", "discard") as mine:
            rate = WRITES / _bench(mine.uri, WRITES, write=True) / 1000
        with self._qemu(child, "qcow2") as theirs:
            peer = WRITES / _bench(theirs.uri, WRITES, write=True) / 1000
        child.unlink()
        return {"write": rate, f"write/{PEER}": peer}

    def copy(self) -> Sample:
        """A whole raw image to nowhere."""
        _need("nbdcopy", PEER)
        best: dict[str, float] = {}
        raw = self._drives.base
        with self._pcemu(raw, "--read-only") as mine, self._qemu(raw, "raw", "-r") as theirs:
            for _ in range(COPIES):
                for name, server in (("copy", mine), (f"copy/{PEER}", theirs)):
                    start = time.perf_counter()
                    qemu_img.run("nbdcopy", server.uri, "null:")
                    rate = DRIVE / (time.perf_counter() - start) / 1e9
                    best[name] = max(best.get(name, 0.0), rate)
        return best

    def idle(self) -> Sample:
        """The memory of a server with clients that are there and do nothing, each with a drive of its own."""
        with self._pcemu(self._drives.base, "--per-client-undo") as server, contextlib.ExitStack() as stack:
            nothing = server.memory()
            for number in range(IDLE):
                stack.enter_context(_client(server.socket, f"client{number}"))
            return {"idle": server.memory(), "idle-none": nothing}

    # -- servers -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _pcemu(self, image: Path, *options: str) -> Iterator[_Server]:
        path = self._folder / "pcemu.sock"
        command = [sys.executable, "-m", "pcemu", "serve", str(image), "--name", "disk", "--quiet"]
        with _running([*command, "--listen", f"unix:{path}", *options], path) as server:
            yield server

    @contextlib.contextmanager
    def _qemu(self, image: Path, form: str, *options: str) -> Iterator[_Server]:
        path = self._folder / "qemu.sock"
        command = [PEER, "-t", "-e", "16", "-k", str(path), "-f", form, "-x", "disk", *options, str(image)]
        with _running(command, path) as server:
            yield server


class _Server:
    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self._process = process
        self.socket = path
        self.uri = f"nbd+unix:///disk?socket={path}"

    def processor(self) -> float:
        """Seconds of processors so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """MiB resident."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        if found is None:
            raise Unavailable("the host does not tell how much memory a process has")
        return int(found[1]) / 1024


@contextlib.contextmanager
def _running(command: Sequence[str], path: Path) -> Iterator[_Server]:
    path.unlink(missing_ok=True)
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        stop = time.monotonic() + PATIENCE
        while not _listens(path):
            if process.poll() is not None or time.monotonic() > stop:
                raise Unavailable(f"{command[0]} does not serve {path}")
            time.sleep(0.05)
        yield _Server(process, path)
    finally:
        process.terminate()
        process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@contextlib.contextmanager
def _client(path: Path, name: str) -> Iterator[None]:
    """A client that has opened its export and waits."""
    export = f"disk@{name}".encode()
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(PATIENCE)
        connected.connect(str(path))
        connected.recv(18, socket.MSG_WAITALL)
        connected.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\1" + len(export).to_bytes(4, "big") + export)
        connected.recv(10, socket.MSG_WAITALL)
        yield


def _bench(uri: str, count: int, *, write: bool) -> float:
    """Seconds for requests that jump through the whole drive, as good as at random."""
    options = [
        "-c",
        str(count),
        "-s",
        str(4 * KIB),
        "-S",
        str(READ_STEP % DRIVE),
        "-d",
        str(QUEUE),
        "-t",
        "none",
    ]
    printed = qemu_img.run("qemu-img", "bench", "-f", "raw", *options, *(["-w"] if write else []), uri)
    found = qemu_img.RUN.search(printed)
    if found is None:
        raise Unavailable("qemu-img bench did not tell how long it took")
    return float(found[1])


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is missing; install qemu-utils and libnbd-bin")


READ_FIGURES = (
    Figure("raw", "NBD 4 KiB reads, 16 at a time, raw", "k/s", 1.0, at_least=True, against=(PEER,)),
    Figure("chain", "… a chain of 64 layers", "k/s", 3.0, at_least=True, against=(PEER,)),
    Figure("raw-processor", "… the server's time for one, raw", "µs"),
    Figure("chain-processor", "… a chain of 64 layers", "µs"),
)
WRITE_FIGURES = (Figure("write", "NBD 4 KiB writes, 16 at a time, to a child", "k/s"),)
COPY_FIGURES = (Figure("copy", "nbdcopy of 256 MiB, raw", "GB/s", 0.7, at_least=True, against=(PEER,)),)
IDLE_FIGURES = (
    Figure("idle", f"{IDLE} idle clients with per-client undo", "MiB", 200),
    Figure("idle-none", "… none", "MiB"),
)
NAMES = ("nbd-read", "nbd-write", "nbd-copy", "nbd-idle")
