"""Host ends of the serial port: the program's own output, a file, a pseudo terminal, or nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from pcemu.errors import UsageError

try:
    import fcntl
    import pty
    import tty
except ImportError:  # Windows
    pty = None  # type: ignore[assignment]

READ_SIZE = 4096
EXPECTED = "stdout, file:PATH, pty or none"


class SerialEnd(Protocol):
    """What the cable leads to."""

    @property
    def sink(self) -> Callable[[int], None] | None:
        """Takes each byte from the guest; None when nothing is plugged in."""
        ...

    @property
    def description(self) -> str:
        """What the user has to be told to find it; "" for nothing."""
        ...

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when there is input for the guest; None without input."""
        ...

    def read(self) -> bytes:
        """Input for the guest that is there now."""
        ...

    def close(self) -> None:
        """Let go of the host's end."""
        ...


class Unplugged:
    """Nothing at the other end."""

    sink: Callable[[int], None] | None = None
    description = ""

    def fileno(self) -> int | None:
        """No input."""
        return None

    def read(self) -> bytes:
        """Nothing."""
        return b""

    def close(self) -> None:
        """Nothing to let go of."""


class ByteFile(Unplugged):
    """Writes each byte to a file at once, so that another program can follow it.

    When the host fails, ``on_error`` is told once and later bytes are dropped: they left the guest's chip.
    """

    def __init__(self, file: BinaryIO, on_error: Callable[[OSError], None]) -> None:
        self._file = file
        self._on_error = on_error
        self._failed = False
        self.sink = self.write

    def write(self, byte: int) -> None:
        """Take one byte of the guest."""
        if self._failed:
            return
        try:
            self._file.write(bytes((byte,)))
            self._file.flush()
        except OSError as error:
            self._failed = True
            self._on_error(error)

    def close(self) -> None:
        """Close the file, unless it is the program's own output."""
        if self._file is not sys.stdout.buffer:
            with contextlib.suppress(OSError):  # told by write() already
                self._file.close()


class PseudoTerminal:
    """A pty: ``description`` names the device that a terminal program can open.

    A byte that finds no room because nobody reads is dropped, as on a three-wire cable.
    """

    def __init__(self) -> None:
        # The other side stays open here, too: without it, reading fails until somebody opens the device.
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        flags = fcntl.fcntl(self._master, fcntl.F_GETFL)
        fcntl.fcntl(self._master, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        self.description = os.ttyname(self._slave)
        self.sink: Callable[[int], None] | None = self.write

    def write(self, byte: int) -> None:
        """Take one byte of the guest."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, bytes((byte,)))

    def fileno(self) -> int | None:
        """Readable when somebody typed."""
        return self._master

    def read(self) -> bytes:
        """What was typed into the device."""
        try:
            return os.read(self._master, READ_SIZE)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Remove the device."""
        os.close(self._master)
        os.close(self._slave)


def open_serial(spec: str, on_error: Callable[[OSError], None]) -> SerialEnd:
    """The host's end that ``spec`` asks for: ``stdout``, ``file:PATH``, ``pty`` or ``none``. UsageError."""
    kind, _, path = spec.partition(":")
    if kind == "file" and path:
        return open_file(Path(path), on_error)
    if spec == "stdout":
        return ByteFile(sys.stdout.buffer, on_error)
    if spec == "pty":
        if pty is None:
            raise UsageError("serial port 'pty': there are no pseudo terminals on this system; use file:PATH")
        return PseudoTerminal()
    if spec == "none":
        return Unplugged()
    raise UsageError(f"serial port {spec!r} is not known, expected {EXPECTED}")


def open_file(path: Path, on_error: Callable[[OSError], None]) -> ByteFile:
    """A new file for what the guest puts out. UsageError when it cannot be written."""
    try:
        return ByteFile(path.open("wb", buffering=0), on_error)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; name another file") from error
