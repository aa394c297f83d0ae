"""The server's protocol objects without sockets or threads; the test itself reads the replies."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pcemu.drives.drive import SECTOR_SIZE, Drive
from pcemu.drives.nbd.connection import INPUT_SIZE
from pcemu.drives.nbd.exports import Done, Export, ExportRefused, Listed
from pcemu.drives.nbd.handshake import Agreement, Open, Receive, Send, Tls, handshake
from pcemu.drives.nbd.transmission import Transmission

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16


def option(number: int, data: bytes = b"") -> bytes:
    return b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data


def string(text: str) -> bytes:
    return struct.pack(">I", len(text.encode())) + text.encode()


def request(kind: int, cookie: int, offset: int, length: int, data: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie, offset, length) + data


class Reply(NamedTuple):
    """All that came for one cookie. ``parts`` are (offset, data), ``extents`` (length, flags)."""

    error: int
    parts: list[tuple[int, bytes]]
    extents: list[tuple[int, int]]


class Exports:
    """One export, under the name ``disk``."""

    def __init__(self, export: Export) -> None:
        self.export = export

    def listed(self) -> list[Listed]:
        return [Listed("disk", "a disk")]

    def check(self, name: str) -> None:
        if name not in ("", "disk"):
            raise ExportRefused(f"{name!r}: no such export")

    async def open(self, name: str) -> Export:
        self.check(name)
        return self.export

    async def release(self, export: Export) -> None:
        pass


class Later:
    """Threads that work when the test says so."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callable[[], object], Done]] = deque()

    def __call__(self, work: Callable[[], object], done: Done) -> None:
        self.waiting.append((work, done))

    def run(self) -> None:
        while self.waiting:
            work, done = self.waiting.popleft()
            error: BaseException | None = None
            try:
                work()
            except Exception as raised:
                error = raised
            done(error)


def negotiate(data: bytes, exports: Exports, tls: Tls = Tls.NONE) -> tuple[Agreement | None, bytes, bool]:
    """What a client that sends ``data`` gets: agreement, bytes sent to it, whether more was expected."""
    steps = handshake(exports, tls)
    sent = bytearray()
    answer: object = None
    at = 0
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return end.value, bytes(sent), False
        answer = None
        if isinstance(step, Send):
            sent += step.data
        elif isinstance(step, Receive):
            assert 0 < step.size <= 1 << 16
            if at + step.size > len(data):
                return None, bytes(sent), True
            answer = data[at : at + step.size]
            at += step.size
        elif isinstance(step, Open):
            try:
                exports.check(step.name)
                answer = exports.export
            except ExportRefused as error:
                answer = error


class Link:
    """A client's connection in the transmission phase. ``room`` False: the client takes no replies."""

    def __init__(self, drive: Drive, *, structured: bool = True, read_only: bool = False) -> None:
        self.later = Later()
        self.export = Export("disk", drive, self.later, read_only=read_only)
        self.room = True
        self.largest = 0
        self.structured = structured
        self._in = memoryview(bytearray(INPUT_SIZE))
        self._start = self._filled = 0
        self._out = bytearray()
        agreement = Agreement(self.export, structured, structured)
        self.transmission = Transmission(agreement, self._send, self._work, lambda: self.room)

    def _send(self, data: memoryview) -> bool:
        self.largest = max(self.largest, len(data))
        self._out += data
        return True

    def _work(self) -> None:
        self._start = self.transmission.work(self._in, self._start, self._filled)
        if self._start == self._filled:
            self._start = self._filled = 0

    def feed(self, data: bytes) -> None:
        """Let the server take ``data`` as fast as it does."""
        view = memoryview(data)
        while view:
            if self._filled == INPUT_SIZE:
                rest = self._filled - self._start
                assert rest < INPUT_SIZE, "it does not take what it was sent"
                self._in[:rest] = self._in[self._start : self._filled]
                self._start, self._filled = 0, rest
            part = view[: INPUT_SIZE - self._filled]
            self._in[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
            self._work()
            self.later.run()

    def replies(self, sizes: dict[int, int] | None = None) -> dict[int, Reply]:
        """What came back, by cookie; ``sizes`` of reads that simple replies carry data for."""
        found: dict[int, Reply] = {}
        finished: set[int] = set()
        data, at = bytes(self._out), 0
        self._out.clear()
        while at < len(data):
            (magic,) = struct.unpack_from(">I", data, at)
            if magic == 0x67446698:
                error, cookie = struct.unpack_from(">IQ", data, at + 4)
                at += 16
                size = 0 if error or sizes is None else sizes.get(cookie, 0)
                assert cookie not in found
                found[cookie] = Reply(error, [(-1, data[at : at + size])] if size else [], [])
                assert at + size <= len(data)
                at += size
                continue
            assert magic == 0x668E33EF, hex(magic)
            flags, kind, cookie, size = struct.unpack_from(">HHQI", data, at + 4)
            payload = data[at + 20 : at + 20 + size]
            assert len(payload) == size
            at += 20 + size
            assert cookie not in finished
            reply = found.get(cookie, Reply(0, [], []))
            if kind == 1:
                reply.parts.append((struct.unpack(">Q", payload[:8])[0], payload[8:]))
            elif kind == 2:
                offset, length = struct.unpack(">QI", payload)
                reply.parts.append((offset, bytes(length)))
            elif kind == 5:
                assert struct.unpack(">I", payload[:4]) == (1,)
                reply.extents.extend(struct.iter_unpack(">II", payload[4:]))
            elif kind == 0x8001:
                error, length = struct.unpack(">IH", payload[:6])
                assert len(payload) == 6 + length
                reply = reply._replace(error=error)
            else:
                assert kind == 0
            found[cookie] = reply
            if flags & 1:
                finished.add(cookie)
        assert not self.structured or finished == found.keys()
        return found

    def ask(self, kind: int, offset: int, length: int, data: bytes = b"", flags: int = 0) -> Reply:
        """One request and its reply."""
        self.feed(request(kind, 77, offset, length, data, flags))
        return self.replies({77: length} if kind == READ else {})[77]


def sectors_of(size: int) -> int:
    return size // SECTOR_SIZE
