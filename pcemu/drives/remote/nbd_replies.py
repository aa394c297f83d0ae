"""The server's half of NBD's transmission phase: replies, taken apart and checked, without any I/O.

A read is done when a reply says so *and* its chunks cover the request exactly, each byte once. Everything
else raises ConnectionError: after a garbled message nobody knows where the next one begins.
"""

from __future__ import annotations

import errno
import os
import threading

from pcemu.drives import nbd_protocol as nbd

MAX_ERROR_PAYLOAD = nbd.ERROR.size + nbd.NBD_MAX_STRING + nbd.OFFSET.size
HEADS = {
    nbd.NBD_SIMPLE_REPLY_MAGIC: nbd.SIMPLE_REPLY.size,
    nbd.NBD_STRUCTURED_REPLY_MAGIC: nbd.STRUCTURED_REPLY.size,
}
MAGIC_SIZE = 4


class Request:
    """A read on its way. ``done`` is set when ``data`` is whole, or ``error`` says why it is not."""

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.size = size
        self.data = bytearray(size)  # holes stay as they are
        self.error: OSError | None = None
        self.done = threading.Event()
        self.pieces: list[tuple[int, int]] = []

    def place(self, offset: int, size: int) -> int:
        """Where a piece of the export begins in ``data``; ConnectionError when it is not part of the read."""
        start = offset - self.offset
        if size <= 0 or start < 0 or start + size > self.size:
            raise ConnectionError("a reply with data that nobody asked for")
        self.pieces.append((start, start + size))
        return start

    def finish(self) -> None:
        """The last chunk has come; ConnectionError when they do not cover the read."""
        if self.error is None:
            at = 0
            for start, stop in sorted(self.pieces):
                if start != at:
                    break
                at = stop
            if at != self.size or sum(stop - start for start, stop in self.pieces) != self.size:
                raise ConnectionError("a reply whose pieces do not fit together")
        self.done.set()

    def fail(self, error: OSError) -> None:
        """It will not be done any more."""
        self.error = error
        self.done.set()


class Replies:
    """Takes the server's bytes as they come; ``waiting`` holds the requests by their cookies."""

    def __init__(self, waiting: dict[int, Request], structured: bool, lock: threading.Lock) -> None:
        self._waiting = waiting
        self._structured = structured
        self._lock = lock
        self._buffer = bytearray()
        self._needed = MAGIC_SIZE

    def feed(self, data: bytes) -> None:
        """Finish what these bytes complete. ConnectionError when the server talks nonsense."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= self._needed:
            used = self._next(at)
            if not used:
                continue
            at += used
            self._needed = MAGIC_SIZE
        del self._buffer[:at]

    def _next(self, at: int) -> int:
        """Handle the message at ``at``: its size; 0 when it is not all there, ``_needed`` is larger then."""
        magic = int.from_bytes(self._buffer[at : at + MAGIC_SIZE], "big")
        head = HEADS.get(magic)
        if head is None:
            raise ConnectionError(f"a reply that begins with {magic:#010x}")
        if self._needed < head:
            self._needed = head
            return 0
        if magic == nbd.NBD_SIMPLE_REPLY_MAGIC:
            return self._simple(at)
        return self._chunk(at)

    def _simple(self, at: int) -> int:
        head = nbd.SIMPLE_REPLY.size
        _, error, cookie = nbd.SIMPLE_REPLY.unpack_from(self._buffer, at)
        request = self._find(cookie)
        size = 0 if error else request.size
        if not error and self._structured:
            raise ConnectionError("a simple reply to a read, where structured ones were agreed on")
        if self._needed < head + size:
            self._needed = head + size
            return 0
        if error:
            request.error = error_of(error)
        else:
            request.data[:] = memoryview(self._buffer)[at + head : at + head + size]
            request.pieces.append((0, size))
        self._finish(cookie, request)
        return head + int(size)

    def _chunk(self, at: int) -> int:
        head = nbd.STRUCTURED_REPLY.size
        _, flags, kind, cookie, length = nbd.STRUCTURED_REPLY.unpack_from(self._buffer, at)
        request = self._find(cookie)
        limit = MAX_ERROR_PAYLOAD
        if kind == nbd.NBD_REPLY_TYPE_OFFSET_DATA:
            limit = nbd.OFFSET.size + request.size
        if length > limit or not self._structured:
            raise ConnectionError(f"a chunk of type {kind} with {length} bytes")
        if self._needed < head + length:
            self._needed = head + length
            return 0
        with memoryview(self._buffer) as view:
            self._take(request, kind, view[at + head : at + head + length])
        if flags & nbd.NBD_REPLY_FLAG_DONE:
            self._finish(cookie, request)
        return head + int(length)

    def _take(self, request: Request, kind: int, payload: memoryview) -> None:
        """Put the content of a chunk where it belongs."""
        with payload:
            if kind == nbd.NBD_REPLY_TYPE_OFFSET_DATA and len(payload) > nbd.OFFSET.size:
                (offset,) = nbd.OFFSET.unpack_from(payload)
                size = len(payload) - nbd.OFFSET.size
                start = request.place(offset, size)
                request.data[start : start + size] = payload[nbd.OFFSET.size :]
            elif kind == nbd.NBD_REPLY_TYPE_OFFSET_HOLE and len(payload) == nbd.OFFSET_HOLE.size:
                request.place(*nbd.OFFSET_HOLE.unpack(payload))
            elif kind & nbd.NBD_REPLY_TYPE_FLAG_ERROR and len(payload) >= nbd.ERROR.size:
                request.error = error_of(nbd.ERROR.unpack_from(payload)[0])
            elif kind != nbd.NBD_REPLY_TYPE_NONE or payload:
                raise ConnectionError(f"a chunk of type {kind} with {len(payload)} bytes")

    def _find(self, cookie: int) -> Request:
        request = self._waiting.get(cookie)
        if request is None:
            raise ConnectionError("a reply to a request that was not made")
        return request

    def _finish(self, cookie: int, request: Request) -> None:
        request.finish()
        with self._lock:
            self._waiting.pop(cookie, None)


def error_of(number: int) -> OSError:
    """The exception for a server's error; for ESHUTDOWN that is a ConnectionError: it may come back."""
    code = nbd.ERRNO_OF_NBD_ERROR.get(number, errno.EIO)
    return OSError(code, f"the server says: {os.strerror(code)}")
