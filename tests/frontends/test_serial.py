"""The host's ends of COM1."""

from __future__ import annotations

import errno
import os
import select
from io import BytesIO
from pathlib import Path

import pytest

from pcemu.errors import UsageError
from pcemu.frontends import serial
from pcemu.frontends.serial import ByteFile, open_file, open_serial


def no_error(error: OSError) -> None:
    raise error


def read_exactly(descriptor: int, count: int) -> bytes:
    """What a terminal delivers in pieces."""
    data = b""
    while len(data) < count and select.select([descriptor], [], [], 5)[0]:
        data += os.read(descriptor, count - len(data))
    return data


def test_none_is_unplugged() -> None:
    end = open_serial("none", no_error)
    assert (end.sink, end.fileno(), end.read(), end.description) == (None, None, b"", "")
    end.close()


def test_a_file_can_be_followed_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "com1"
    end = open_serial(f"file:{path}", no_error)
    assert end.sink is not None
    end.sink(0x41)
    assert path.read_bytes() == b"A"
    end.sink(0x00)
    end.sink(0xFF)
    end.close()
    assert path.read_bytes() == b"A\x00\xff"
    assert end.fileno() is None


def test_stdout_stays_open(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    end = open_serial("stdout", no_error)
    assert end.sink is not None
    end.sink(0x80)
    end.close()
    print("more", flush=True)
    assert capfdbinary.readouterr().out == b"\x80more\n"


def test_a_full_disk_is_told_once() -> None:
    class Full(BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    errors: list[OSError] = []
    end = ByteFile(Full(), errors.append)
    for byte in b"abc":
        end.write(byte)
    end.close()
    assert [error.errno for error in errors] == [errno.ENOSPC]


def test_a_pty_carries_bytes_both_ways() -> None:
    end = open_serial("pty", no_error)
    assert end.sink is not None
    descriptor = end.fileno()
    assert descriptor is not None
    assert end.read() == b""
    terminal = os.open(end.description, os.O_RDWR | os.O_NOCTTY)
    try:
        for byte in b"\r\n\x03\xff":  # nothing is translated
            end.sink(byte)
        assert read_exactly(terminal, 4) == b"\r\n\x03\xff"
        os.write(terminal, b"\x03\r")
        assert read_exactly(descriptor, 2) == b"\x03\r"
        assert end.read() == b""
        os.write(terminal, b"z")
        assert select.select([descriptor], [], [], 5)[0]
        assert end.read() == b"z"
    finally:
        os.close(terminal)
        end.close()


def test_a_pty_that_nobody_reads_does_not_stop_the_guest() -> None:
    end = open_serial("pty", no_error)
    assert end.sink is not None
    for _ in range(100_000):
        end.sink(0x55)
    end.close()


@pytest.mark.parametrize("spec", ["", "modem", "file", "file:", "pty:x", "stdout:"])
def test_unknown_ends_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="file:PATH"):
        open_serial(spec, no_error)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}: cannot be written: Is a directory"):
        open_file(tmp_path, no_error)


def test_systems_without_ptys_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "pty", None)
    with pytest.raises(UsageError, match="no pseudo terminals"):
        open_serial("pty", no_error)
