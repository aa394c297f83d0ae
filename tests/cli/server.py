"""`pcemu serve` and `protect` as processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def environment(folder: Path) -> dict[str, str]:
    """With data and run-time folders of the tests' own; the latter higher up, as sockets have short paths."""
    runtime = folder.parent / "run"
    runtime.mkdir(mode=0o700, exist_ok=True)
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_RUNTIME_DIR": str(runtime),
    }


class Server:
    """A running server; ``uris`` are what it printed."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self.folder = folder
        self.socket = folder / "nbd.sock"
        command = [sys.executable, "-m", "pcemu", *map(str, arguments)]
        if "--listen" not in arguments:
            command += ["--listen", f"unix:{self.socket}"]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().strip()

    def uri(self, export: str) -> str:
        return f"nbd+unix:///{export}?socket={self.socket}"

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; exit code and stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=300)
        return self.process.returncode, said


@contextlib.contextmanager
def server(folder: Path, *arguments: str | Path) -> Iterator[Server]:
    """A server until the end of the block; killed when it is still there."""
    found = Server(folder, *arguments)
    try:
        if not found.first:
            raise AssertionError(found.process.communicate(timeout=300)[1])
        yield found
    finally:
        found.process.kill()
        found.process.wait()
        for stream in (found.process.stdout, found.process.stderr):
            assert stream is not None
            stream.close()


def pcemu(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """Another command of the same user: exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "pcemu", *map(str, arguments)],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
