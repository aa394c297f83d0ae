"""Connections that come and go, under a clock of the test's own."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Sequence

import pytest

from pcemu.drives.remote.patience import PatientSource
from pcemu.drives.remote.settings import Settings
from pcemu.drives.remote.source import SourceChanged
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError
from tests.drives.remote.servers import settings_for

URL = "nbd://example.com/disk"


class Wire:
    """A network with one server; ``plan`` says what becomes of each read or connect, None: it works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.content = bytes(range(256)) * 4
        self.version: str | None = "1"
        self.plan: list[BaseException | None] = []
        self.connects = 0
        self.pauses: list[float] = []

    def settings(self, timeout: float) -> Settings:
        def clock() -> float:
            return self.now

        from pathlib import Path

        return settings_for(Path("unused"), timeout=timeout, clock=clock)

    def source(self, timeout: float = 30.0, expected: tuple[int, str] | None = None) -> PatientSource:
        return PatientSource(URL, expected, self.settings(timeout), self.connect, self.wait)

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def connect(self, url: str, stall: float) -> Connection:
        self.connects += 1
        self.step()
        return Connection(self)

    def step(self) -> None:
        self.now += 0.01
        error = self.plan.pop(0) if self.plan else None
        if error is not None:
            raise error


class Connection:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.size = len(wire.content)
        self.version = wire.version
        self.open = True

    def read(self, offset: int, size: int) -> bytes:
        assert self.open
        self.wire.step()
        return self.wire.content[offset : offset + size]

    def read_all(self, places: Sequence[tuple[int, int]]) -> Iterable[bytes]:
        return [self.read(*place) for place in places]

    def close(self) -> None:
        self.open = False


def lost() -> OSError:
    return ConnectionResetError(errno.ECONNRESET, "reset")


def test_a_lost_connection_is_made_again_ever_more_slowly() -> None:
    wire = Wire()
    source = wire.source()
    wire.plan = [lost(), lost(), TimeoutError(), ImageAccessError(f"{URL}: refused"), lost()]
    assert source.read(10, 5) == bytes(range(10, 15))
    assert wire.pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert wire.connects == 6
    source.read(0, 1)
    assert wire.connects == 6


def test_a_read_fails_in_time_and_the_next_may_succeed() -> None:
    wire = Wire()
    source = wire.source(timeout=10)
    wire.plan = [lost() for _ in range(20)]
    with pytest.raises(OSError, match="gave no answer for 10 s") as caught:
        source.read(0, 1)
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.filename == URL
    assert 10 <= wire.now <= 10.5
    assert max(wire.pauses) <= 5
    wire.plan = []
    assert source.read(3, 1) == b"\3"


def test_what_the_servers_disk_says_is_told_at_once() -> None:
    wire = Wire()
    source = wire.source()
    wire.plan = [OSError(errno.EIO, "the server says: Input/output error")]
    with pytest.raises(OSError, match="the server says"):
        source.read(0, 1)
    assert wire.pauses == []


def test_a_server_that_cannot_do_it_is_not_asked_again() -> None:
    wire = Wire()
    source = wire.source()
    wire.plan = [ImageFormatError(f"{URL}: sends whole files only")]
    with pytest.raises(OSError, match=r"^\[Errno \d+\] sends whole files only"):
        source.read(0, 1)
    assert (wire.pauses, wire.connects) == ([], 1)


def change_size(wire: Wire) -> None:
    wire.content += b"more"


def change_version(wire: Wire) -> None:
    wire.version = "2"


def change_content(wire: Wire) -> None:
    wire.content = b"x" + wire.content[1:]


@pytest.mark.parametrize("change", [change_size, change_version, change_content])
def test_another_image_behind_the_address_is_never_read(change: Callable[[Wire], None]) -> None:
    wire = Wire()
    wire.version = None if change is change_content else "1"  # then it is told by what the bytes are
    source = wire.source()
    expected = (source.size, source.version)
    change(wire)
    assert source.read(1, 1) == b"\1"  # the connection is still one to what it was
    wire.plan = [lost()]
    for _ in range(3):
        with pytest.raises(OSError, match="was changed on the server") as caught:
            source.read(0, 1)
        assert caught.value.errno == errno.EIO
    assert wire.now < 1
    with pytest.raises(SourceChanged, match=r"was changed on the server.*cache clear"):
        wire.source(expected=expected)


@pytest.mark.parametrize("error", [lost(), TimeoutError(errno.ETIMEDOUT, "timed out")])
def test_the_first_connection_must_work(error: OSError) -> None:
    wire = Wire()
    wire.plan = [error]
    with pytest.raises(ImageAccessError, match="the connection is lost"):
        wire.source()
    assert wire.pauses == []
    wire.plan = [ImageNotFoundError("no such export")]
    with pytest.raises(ImageNotFoundError):
        wire.source()


def test_many_readers_share_one_new_connection() -> None:
    wire = Wire()
    source = wire.source()
    source._drop(source._source)
    threads = [threading.Thread(target=source.read, args=(0, 1)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.connects == 2


def test_closing_ends_those_who_wait() -> None:
    wire = Wire()
    source = wire.source()
    source.close()
    with pytest.raises(OSError, match="closed"):
        source.read(0, 1)
    assert wire.connects == 1
