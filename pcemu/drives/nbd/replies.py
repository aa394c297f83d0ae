"""The replies to requests, gathered in one buffer until it is full or nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct

from pcemu.drives.nbd_protocol import (
    ERROR,
    NBD_EIO,
    NBD_ERROR_OF_ERRNO,
    NBD_REPLY_FLAG_DONE,
    NBD_REPLY_TYPE_ERROR,
    NBD_REPLY_TYPE_NONE,
    NBD_SIMPLE_REPLY_MAGIC,
    NBD_STRUCTURED_REPLY_MAGIC,
    SIMPLE_REPLY,
    STRUCTURED_REPLY,
)

PIECE = 256 << 10  # of a large read or write
DATA_CHUNK = Struct(STRUCTURED_REPLY.format + "Q")  # with the offset that OFFSET_DATA begins with
SPACE = PIECE + DATA_CHUNK.size
MAX_MESSAGE = 512  # bytes of a sentence about an error


class Replies:
    """``send`` says whether it is done with the bytes when it returns."""

    def __init__(self, send: Callable[[memoryview], bool], structured: bool) -> None:
        self._send = send
        self._structured = structured
        self._out = memoryview(bytearray(SPACE))
        self._used = 0

    def _done(self, cookie: int) -> None:
        if self._structured:
            self._chunk(NBD_REPLY_TYPE_NONE, cookie, b"")
        else:
            self._put([SIMPLE_REPLY.pack(NBD_SIMPLE_REPLY_MAGIC, 0, cookie)])

    def _fail(self, cookie: int, error: BaseException) -> None:
        self._refuse(cookie, number_of(error), str(error))

    def _refuse(self, cookie: int, number: int, why: str = "") -> None:
        if self._structured:
            message = encoded(why, MAX_MESSAGE)
            self._chunk(NBD_REPLY_TYPE_ERROR, cookie, ERROR.pack(number, len(message)) + message)
        else:
            self._put([SIMPLE_REPLY.pack(NBD_SIMPLE_REPLY_MAGIC, number, cookie)])

    def _chunk(self, kind: int, cookie: int, payload: bytes, *, done: bool = True) -> None:
        flags = NBD_REPLY_FLAG_DONE if done else 0
        head = STRUCTURED_REPLY.pack(NBD_STRUCTURED_REPLY_MAGIC, flags, kind, cookie, len(payload))
        self._put([head, payload])

    def _put(self, parts: Iterable[bytes | memoryview]) -> None:
        for part in parts:
            if self._used + len(part) > SPACE:
                self._flush()
            self._out[self._used : self._used + len(part)] = part
            self._used += len(part)

    def _flush(self) -> None:
        if self._used:
            used, self._used = self._used, 0
            if not self._send(self._out[:used]):
                self._out = memoryview(bytearray(SPACE))


def encoded(text: str, most: int) -> bytes:
    """The beginning of ``text`` in UTF-8, whole letters in at most so many bytes."""
    return text.encode(errors="replace")[:most].decode(errors="ignore").encode()


def number_of(error: BaseException) -> int:
    """What the client is told of a failure."""
    if isinstance(error, OSError) and error.errno is not None:
        return NBD_ERROR_OF_ERRNO.get(error.errno, NBD_EIO)
    return NBD_EIO
