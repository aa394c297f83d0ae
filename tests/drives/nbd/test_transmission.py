"""Requests and replies, against a model of bytes; 100,000 random ones, damaged ones among them."""

from __future__ import annotations

import errno
import os
import random
import struct
import tracemalloc
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from pcemu.drives.hostfile import SystemCalls
from pcemu.drives.nbd.exports import Listed
from pcemu.drives.nbd.handshake import Malformed, Tls
from pcemu.drives.nbd.replies import PIECE
from pcemu.drives.open import open_drive
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.nbd.harness import (
    BLOCK_STATUS,
    CACHE,
    DF,
    DISC,
    FAST_ZERO,
    FLUSH,
    FUA,
    NO_HOLE,
    READ,
    REQ_ONE,
    TRIM,
    WRITE,
    WRITE_ZEROES,
    Exports,
    Link,
    negotiate,
    option,
    request,
    string,
)

PROOF = 100_000 if os.environ.get("PCEMU_PROOF") == "full" else 5_000
EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP = 1, 5, 22, 28, 75, 95
SIZE = 1 << 20


def link_with(size: int = SIZE, **options: bool) -> tuple[Link, bytearray]:
    model = bytearray(random.Random(1).randbytes(size))
    drive = MemoryDrive(size // 512)
    drive.write(0, bytes(model))
    return Link(drive, **options), model


def content(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(data for _, data in sorted(parts))


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 512), (512, 4096), (3, 10), (511, 2), (1000, 5000), (0, SIZE), (77, PIECE + 1000), (SIZE - 1, 1)],
)
def test_any_range_is_read_and_written(structured: bool, offset: int, length: int) -> None:
    link, model = link_with(structured=structured)
    reply = link.ask(READ, offset, length)
    assert reply.error == 0
    assert content(reply.parts) == model[offset : offset + length]
    data = random.Random(2).randbytes(length)
    assert link.ask(WRITE, offset, length, data).error == 0
    model[offset : offset + length] = data
    assert content(link.ask(READ, 0, SIZE).parts) == model


def test_many_requests_of_one_arrival_are_answered_together() -> None:
    link, model = link_with()
    link.feed(b"".join(request(READ, number, number * 4096, 4096) for number in range(16)))
    replies = link.replies()
    assert [content(replies[number].parts) for number in range(16)] == [
        model[number * 4096 : (number + 1) * 4096] for number in range(16)
    ]
    assert link.largest > 16 * 4096


@pytest.mark.parametrize("step", [1, 7, 27, 28, 29, 4096])
def test_requests_may_come_in_pieces(step: int) -> None:
    link, model = link_with()
    data = request(WRITE, 1, 512, 3000, b"x" * 3000) + request(READ, 2, 0, 4096)
    for at in range(0, len(data), step):
        link.feed(data[at : at + step])
    model[512:3512] = b"x" * 3000
    replies = link.replies()
    assert replies[1].error == 0
    assert content(replies[2].parts) == model[:4096]


@pytest.mark.parametrize(
    ("kind", "offset", "length", "flags", "error"),
    [
        (READ, SIZE - 511, 512, 0, EINVAL),
        (READ, 1 << 63, 512, 0, EINVAL),
        (READ, 0, 0, 0, EINVAL),
        (READ, 0, 0xFFFFFFFF, 0, EINVAL),
        (READ, 0, 512, NO_HOLE, EINVAL),
        (READ, 0, PIECE + 1, DF, EOVERFLOW),
        (WRITE_ZEROES, SIZE - 1, 2, 0, ENOSPC),
        (WRITE_ZEROES, 0, 512, FAST_ZERO | NO_HOLE, ENOTSUP),
        (TRIM, SIZE, 1, 0, EINVAL),
        (FLUSH, 0, 1, 0, EINVAL),
        (CACHE, SIZE - 511, 512, 0, EINVAL),
        (CACHE, 0, 512, NO_HOLE, EINVAL),
        (99, 0, 512, 0, EINVAL),
        (BLOCK_STATUS, SIZE - 1, 2, 0, EINVAL),
    ],
)
def test_what_cannot_be_is_refused_with_the_errors_of_the_specification(
    kind: int, offset: int, length: int, flags: int, error: int
) -> None:
    link, model = link_with()
    reply = link.ask(kind, offset, length, flags=flags)
    assert (reply.error, reply.parts) == (error, [])
    assert content(link.ask(READ, 0, SIZE).parts) == model


def test_a_write_that_is_refused_is_taken_in_and_forgotten() -> None:
    link, model = link_with()
    assert link.ask(WRITE, SIZE - 512, 1024, bytes(1024)).error == ENOSPC
    assert link.ask(WRITE, 0, 40 << 20, bytes(40 << 20)).error in (ENOSPC, EINVAL)
    assert content(link.ask(READ, 0, SIZE).parts) == model


@pytest.mark.parametrize("kind", [WRITE, TRIM, WRITE_ZEROES])
def test_nobody_writes_to_a_read_only_export(kind: int) -> None:
    link, model = link_with(read_only=True)
    assert link.ask(kind, 0, 512, bytes(512) if kind == WRITE else b"").error == EPERM
    assert content(link.ask(READ, 0, SIZE).parts) == model


@pytest.mark.parametrize(("offset", "length"), [(0, 4096), (100, 1000), (5, 3), (513, 100_000)])
@pytest.mark.parametrize("flags", [0, NO_HOLE, FUA, FAST_ZERO])
def test_zeroes_are_exact_and_a_trim_touches_nothing_else(offset: int, length: int, flags: int) -> None:
    link, model = link_with()
    assert link.ask(WRITE_ZEROES, offset, length, flags=flags).error == 0
    model[offset : offset + length] = bytes(length)
    assert content(link.ask(READ, 0, SIZE).parts) == model
    assert link.ask(TRIM, offset + 200_000, length).error == 0
    after = content(link.ask(READ, 0, SIZE).parts)
    assert after[: offset + 200_000] == model[: offset + 200_000]
    assert after[offset + length + 200_000 :] == model[offset + length + 200_000 :]


class Failing(MemoryDrive):
    """Its host has a bad day."""

    number = errno.EIO

    def read(self, lba: int, buffer: bytearray | memoryview) -> None:
        if lba >= 1024:
            raise OSError(self.number, os.strerror(self.number))
        super().read(lba, buffer)

    def write(self, lba: int, data: bytes | bytearray | memoryview) -> None:
        raise OSError(self.number, os.strerror(self.number))

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "told"), [(errno.EIO, EIO), (errno.ENOSPC, ENOSPC), (errno.EDQUOT, ENOSPC), (errno.EBADF, EIO)]
)
def test_a_failure_of_the_host_is_told_and_the_connection_lives(number: int, told: int) -> None:
    drive = Failing(4096)
    drive.number = number
    link = Link(drive)
    assert link.ask(READ, 1 << 20, 4096).error == told
    assert link.ask(WRITE, 0, 4096, bytes(4096)).error == told
    assert link.ask(WRITE, 0, 100_000, bytes(100_000)).error == told
    assert link.ask(FLUSH, 0, 0).error == told
    assert link.ask(READ, 0, 4096).error == 0


def test_a_large_simple_reply_that_breaks_off_ends_the_connection() -> None:
    """The client has the head of a reply that says all is well: nothing else can be told."""
    link = Link(Failing(4096), structured=False)
    link.feed(request(READ, 1, 0, 1 << 20))
    assert link.transmission.broken


def test_a_large_structured_reply_that_breaks_off_tells_the_error() -> None:
    link = Link(Failing(4096))
    reply = link.ask(READ, 0, 1 << 20)
    assert reply.error == EIO
    assert content(reply.parts) == bytes(512 << 10)


def test_no_more_is_read_than_the_client_takes() -> None:
    link, model = link_with(16 << 20)
    link.room = False
    link.feed(b"".join(request(READ, number, 0, 16 << 20) for number in range(10)))
    assert link.largest == 0
    link.room = True
    link.feed(request(READ, 10, 0, 512))
    assert content(link.replies()[10].parts) == model[:512]


@pytest.mark.parametrize("holes", [True, False])
def test_zeroes_are_fast_only_where_the_host_punches_holes(
    holes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(calls: SystemCalls, fd: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not holes:
        monkeypatch.setattr(SystemCalls, "punch_hole", refuse)
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * SIZE)
    drive = open_drive(path)
    link = Link(drive)
    assert link.ask(WRITE_ZEROES, 700, 70_000, flags=FAST_ZERO).error == (0 if holes else ENOTSUP)
    expected = bytes(70_000) if holes else b"x" * 70_000
    assert path.read_bytes() == b"x" * 700 + expected + b"x" * (SIZE - 70_700)
    assert link.ask(WRITE_ZEROES, 700, 70_000).error == 0
    assert path.read_bytes() == b"x" * 700 + bytes(70_000) + b"x" * (SIZE - 70_700)
    drive.close()


@pytest.mark.parametrize("kind", [READ, BLOCK_STATUS])
def test_who_takes_no_replies_gets_no_more_however_small_they_are(kind: int) -> None:
    """Nor are they kept for it: the server's memory would be the client's to fill."""
    link, _ = link_with()
    link.room = False
    for number in range(100):  # each arrives by itself
        link.feed(request(kind, number, 0, 512))
    assert link.largest == 0
    link.room = True
    link.feed(request(READ, 100, 0, 512))
    assert len(link.replies()) == 101


def test_a_client_that_stops_taking_replies_stops_all_that_arrived_together() -> None:
    link, _ = link_with()
    taken = 0

    def send(data: memoryview) -> bool:
        nonlocal taken
        taken += len(data)
        link.room = False
        return True

    link.transmission._send = send
    link.feed(b"".join(request(BLOCK_STATUS, number, 0, 512) for number in range(11_000)))
    assert taken <= PIECE + 1024


def test_a_range_is_read_ahead_when_the_client_asks(tmp_path: Path) -> None:
    """In a thread, as it may take long; and not more than a read may ask for, though it names all."""

    class Watched(MemoryDrive):
        def read(self, lba: int, buffer: bytearray | memoryview) -> None:
            read.append((lba, len(buffer) // 512))
            super().read(lba, buffer)

    read: list[tuple[int, int]] = []
    link = Link(Watched(80 << 11))
    assert link.ask(CACHE, 700, 5000) == (0, [], [])
    assert read == [(1, 11)]
    read.clear()
    assert link.ask(CACHE, 0, 80 << 20).error == 0
    assert sum(count for _, count in read) == 32 << 11
    assert max(count for _, count in read) * 512 <= PIECE
    assert Link(MemoryDrive(64), read_only=True).ask(CACHE, 0, 512).error == 0


def test_a_flush_of_a_thread_holds_up_writes_but_no_reads() -> None:
    link, _ = link_with()
    link._work()
    link._in[:28] = request(FLUSH, 1, 0, 0)
    link._filled = 28
    link._work()  # the flush is with a thread that has not begun
    data = request(READ, 2, 0, 512) + request(WRITE, 3, 0, 512, bytes(512)) + request(READ, 4, 0, 512)
    link._in[: len(data)] = data
    link._start, link._filled = 0, len(data)
    link._work()
    assert list(link.replies()) == [2]
    link.later.run()
    replies = link.replies()
    assert list(replies) == [1, 3, 4]
    assert content(replies[4].parts) == bytes(512)


def test_goodbye_is_said_when_all_is_answered() -> None:
    link, _ = link_with()
    data = request(FLUSH, 1, 0, 0) + request(DISC, 0, 0, 0)
    link._in[: len(data)] = data
    link._filled = len(data)
    link._work()
    assert not link.transmission.finished
    link.later.run()
    assert link.transmission.finished
    assert link.replies()[1].error == 0


def test_what_is_no_request_ends_the_connection() -> None:
    link, _ = link_with()
    with pytest.raises(Malformed):
        link.feed(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_block_status_tells_holes_and_reads_of_holes_carry_no_data(tmp_path: Path) -> None:
    base = tmp_path / "base.img"
    with base.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(1 << 20)
        file.write(b"x" * 65536)
    create_differencing(tmp_path / "child.vhd", base)
    drive = open_drive(tmp_path / "child.vhd")
    drive.write(8192, b"y" * 4096)
    link = Link(drive)
    extents = link.ask(BLOCK_STATUS, 0, 8 << 20).extents
    assert sum(length for length, _ in extents) == 8 << 20
    at, data = 0, []
    for length, flags in extents:
        assert flags in (0, 3)
        if not flags:
            data.append((at, length))
        at += length
    assert data == [(1 << 20, 65536), (4 << 20, 4096)]
    assert link.ask(BLOCK_STATUS, 0, 8 << 20, flags=REQ_ONE).extents == [(1 << 20, 3)]
    assert link.ask(BLOCK_STATUS, 100, 8000).extents == [(8000, 3)]
    drive.close()


class _Client:
    """Makes up requests, right and wrong, and knows what must come back."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng = rng
        self.size = size
        self.model = bytearray(size)
        self.expected: dict[int, bytes] = {}
        self.sizes: dict[int, int] = {}
        self.cookie = 0

    def batch(self, count: int) -> bytes:
        """What may be under way at once: what threads do comes last, as its order is nobody's promise."""
        kinds = [*self.rng.choices((READ, WRITE, BLOCK_STATUS), k=count - 1)]
        kinds.append(self.rng.choice((TRIM, WRITE_ZEROES, FLUSH)))
        return b"".join(self.next(kind) for kind in kinds)

    def next(self, kind: int) -> bytes:
        rng = self.rng
        self.cookie += 1
        offset = rng.randrange(self.size)
        length = min(rng.choice((1, 512, 512, 4096, 4096, 5000, 70_000)), self.size - offset)
        if rng.random() < 0.7:
            offset, length = offset & ~511, max(512, length & ~511)
            offset = min(offset, self.size - length)
        flags = 0
        if rng.random() < 0.1:  # out of bounds, or never heard of
            offset, length, flags = rng.choice(
                ((self.size - 1, 4096, 0), (1 << 63, 512, 0), (offset, 0xFFFFFFF0, 0), (0, 512, 1 << 9))
            )
            if kind == WRITE:
                kind = READ
            if rng.random() < 0.1:
                kind = rng.randrange(8, 65536)
            return request(kind, self.cookie, offset, length, flags=flags)
        data = b""
        if kind == READ:
            self.expected[self.cookie] = bytes(self.model[offset : offset + length])
            self.sizes[self.cookie] = length
        elif kind == WRITE:
            data = rng.randbytes(length)
            self.model[offset : offset + length] = data
        elif kind == WRITE_ZEROES:
            flags = rng.choice((0, FUA, NO_HOLE, FAST_ZERO))
            self.model[offset : offset + length] = bytes(length)
        elif kind == TRIM:  # which this drive does as zeros
            first, stop = -(-offset // 512) * 512, (offset + length) // 512 * 512
            if first < stop:
                self.model[first:stop] = bytes(stop - first)
        elif kind == FLUSH:
            offset = length = 0
        return request(kind, self.cookie, offset, length, data, flags)


@pytest.mark.parametrize("structured", [True, False])
def test_random_requests_agree_with_a_model(structured: bool) -> None:
    size = 64 << 10
    rng = random.Random(structured)
    client = _Client(rng, size)
    link = Link(MemoryDrive(size // 512), structured=structured)
    tracemalloc.start()
    try:
        for _ in range(PROOF // 40):
            batch = client.batch(20)
            cut = rng.randrange(len(batch))
            link.feed(batch[:cut])
            link.feed(batch[cut:])
            replies = link.replies(client.sizes)
            for cookie, data in client.expected.items():
                assert content(replies[cookie].parts) == data, cookie
            assert all(replies[cookie].error in (0, EINVAL, ENOSPC) for cookie in replies)
            client.expected.clear()
            client.sizes.clear()
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_damaged_requests_neither_crash_nor_read_beyond_the_export() -> None:
    """What lies around the drive's bytes is never in a reply."""
    rng = random.Random(3)
    drive = MemoryDrive(64)
    client = _Client(rng, 64 * 512)
    ended = 0
    for _ in range(PROOF // 4):
        link = Link(drive, structured=rng.random() < 0.5, read_only=rng.random() < 0.2)
        data = bytearray(client.batch(2))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(min(len(data), 60))] = rng.randrange(256)
        try:
            link.feed(bytes(data[: rng.randrange(28, len(data) + 1)]))
        except Malformed:
            ended += 1
        assert link.largest <= PIECE + 64
    assert ended


def test_the_name_of_an_export_that_is_too_long_ends_the_handshake() -> None:
    """NBD_OPT_EXPORT_NAME knows no refusal."""
    with pytest.raises(Malformed):
        negotiate(b"\0\0\0\3" + option(1, b"x" * 70_000), Exports(Link(MemoryDrive(64)).export))


def test_a_refusal_is_cut_between_letters() -> None:
    """Strings are UTF-8, also those that are cut."""
    data = struct.pack(">I", 4096) + b"x" + "ü".encode() * 2047 + b"x" + b"\0\0"
    _, sent, _ = negotiate(b"\0\0\0\3" + option(7, data), Exports(Link(MemoryDrive(64)).export))
    magic, number, kind, length = struct.unpack_from(">QIII", sent, 18)
    assert (magic, number, kind) == (0x3E889045565A9, 7, 0x80000006)
    assert 0 < length <= 4096
    assert "no such export" in sent[38 : 38 + length].decode() or length == 4096


def test_an_image_whose_name_is_no_text_is_listed_all_the_same() -> None:
    class Odd(Exports):
        def listed(self) -> list[Listed]:
            return [Listed("disk", os.fsdecode(b"/images/\xff.img"))]

    _, sent, _ = negotiate(b"\0\0\0\3" + option(3), Odd(Link(MemoryDrive(64)).export))
    assert sent.count(b"/images/?.img") == 1


def test_damaged_handshakes_end_in_an_agreement_or_a_refusal() -> None:
    rng = random.Random(4)
    drive = MemoryDrive(64)
    exports = Exports(Link(drive).export)
    whole = [
        option(8),
        option(3),
        option(10, string("disk") + b"\0\0\0\1" + string("base:allocation")),
        option(9, string("") + bytes(4)),
        option(6, string("disk") + b"\0\2\0\3\0\1"),
        option(5),
        option(7, string("disk") + b"\0\0"),
        option(1, b"disk"),
        option(2),
    ]
    outcomes = {"agreed": 0, "refused": 0, "waits": 0}
    for _ in range(PROOF // 4):
        data = bytearray(rng.choice((b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\3")))
        data += b"".join(rng.choices(whole, k=rng.randrange(1, 6)))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            data += rng.randbytes(rng.randrange(200))
        try:
            agreement, sent, waits = negotiate(bytes(data), exports, rng.choice((Tls.NONE, Tls.REQUIRED)))
        except Malformed:
            outcomes["refused"] += 1
            continue
        assert len(sent) < 10_000
        if agreement is None:
            outcomes["waits" if waits else "refused"] += 1
        else:
            assert agreement.export is exports.export
            outcomes["agreed"] += 1
    assert all(outcomes.values()), outcomes
