"""QEMU as a peer: the same disk, the same guest, ``-accel tcg``, nothing else attached."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tools.benchmarks.figures import Unavailable
from tools.benchmarks.marks import Marks
from tools.benchmarks.process import peak_mebibytes, processor_seconds

PROGRAM = "qemu-system-i386"
OPTIONS = [
    *("-accel", "tcg", "-m", "32", "-display", "none", "-net", "none"),
    *("-serial", "none", "-parallel", "none", "-monitor", "none"),
]
TEXT_MEMORY, TEXT_SIZE = 0xB8000, 4000
POLL = 0.02  # each look at the screen costs QEMU about 2 ms
TIMEOUT = 120.0


def available() -> bool:
    """True where QEMU is installed."""
    return shutil.which(PROGRAM) is not None


def _command(image: Path, *options: str) -> list[str]:
    drive = f"file={image},format=raw,if=ide,snapshot=on"
    return [PROGRAM, *OPTIONS, "-drive", drive, *options]


def run_guest(image: Path, *, wall: bool = False) -> Marks:
    """Boot a benchmark's own guest, and note when it sets its marks."""
    command = _command(image, "-debugcon", "stdio")
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        marks = Marks(time.perf_counter if wall else lambda: processor_seconds(process.pid))
        guard = threading.Timer(TIMEOUT, process.kill)
        guard.start()
        try:
            while not marks.ended:
                byte = process.stdout.read(1)
                if not byte:
                    raise Unavailable(f"{PROGRAM} ended before its guest did, or took over {TIMEOUT:g} s")
                marks.set(byte[0])
        finally:
            guard.cancel()
            process.kill()
    return marks


class Qemu:
    """A QEMU that boots ``image`` and is watched through its QMP socket."""

    def __init__(self, image: Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name, "qmp")
        self._dump = Path(self._folder.name, "text")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(_command(image, "-qmp", f"unix:{path},server=on,wait=off"))
        self._socket = socket.socket(socket.AF_UNIX)
        self._connect(path)
        self._lines = self._socket.makefile("rw")
        self._lines.readline()
        self._ask("qmp_capabilities")

    def _connect(self, path: Path) -> None:
        while True:
            try:
                self._socket.connect(str(path))
                return
            except OSError:
                if self._process.poll() is not None:
                    raise Unavailable(f"{PROGRAM} did not start; see its message above") from None
                time.sleep(0.001)

    def __enter__(self) -> Qemu:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()
        self._folder.cleanup()

    def _ask(self, command: str, **arguments: Any) -> None:
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while "return" not in (answer := json.loads(self._lines.readline())):
            if "error" in answer:
                raise Unavailable(f"{PROGRAM} refused {command}: {answer['error']}")

    def wait_for_text(self, text: str) -> float:
        """Seconds from the start of the process to the last look at the screen that did not show ``text``.

        That is up to :data:`POLL` before it appeared: what the looking costs is not held against QEMU.
        """
        wanted = text.encode("cp437")
        before = 0.0
        while before < TIMEOUT:
            now = time.perf_counter() - self._started
            self._ask("pmemsave", val=TEXT_MEMORY, size=TEXT_SIZE, filename=str(self._dump))
            if wanted in self._dump.read_bytes()[::2]:
                return before
            before = now
            time.sleep(POLL)
        raise Unavailable(f"{PROGRAM} did not show {text!r} within {TIMEOUT:g} s")

    def processor_seconds(self) -> float:
        """Processor time used so far."""
        return processor_seconds(self._process.pid)

    def peak_mebibytes(self) -> float:
        """The most memory that was resident so far, in MiB."""
        return peak_mebibytes(self._process.pid)
