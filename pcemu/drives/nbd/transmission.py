"""The transmission phase: requests in, replies out, without any I/O but the drive's.

Requests are taken from a buffer as they arrived, many at a time; their replies are gathered in another and
sent together. A read goes from the drive straight into that buffer. Nothing is ever kept of a size that the
client says: a large read is sent, and a large write done, piece by piece.

What must wait (see :mod:`pcemu.drives.nbd.exports`) goes to a thread. Reads that wait do not hold up the
requests behind them: NBD's replies may come in any order.
"""

from __future__ import annotations

from collections.abc import Callable

from pcemu.drives.nbd.exports import Export
from pcemu.drives.nbd.handshake import ALLOCATION_ID, Agreement, Malformed
from pcemu.drives.nbd.replies import DATA_CHUNK, PIECE, SPACE, Replies, number_of
from pcemu.drives.nbd_protocol import (
    CONTEXT_ID,
    NBD_CMD_BLOCK_STATUS,
    NBD_CMD_CACHE,
    NBD_CMD_DISC,
    NBD_CMD_FLAG_DF,
    NBD_CMD_FLAG_FAST_ZERO,
    NBD_CMD_FLAG_FUA,
    NBD_CMD_FLAG_NO_HOLE,
    NBD_CMD_FLAG_REQ_ONE,
    NBD_CMD_FLUSH,
    NBD_CMD_READ,
    NBD_CMD_TRIM,
    NBD_CMD_WRITE,
    NBD_CMD_WRITE_ZEROES,
    NBD_DEFAULT_MAXIMUM,
    NBD_EINVAL,
    NBD_ENOSPC,
    NBD_ENOTSUP,
    NBD_EOVERFLOW,
    NBD_EPERM,
    NBD_REPLY_FLAG_DONE,
    NBD_REPLY_TYPE_BLOCK_STATUS,
    NBD_REPLY_TYPE_OFFSET_DATA,
    NBD_REPLY_TYPE_OFFSET_HOLE,
    NBD_REQUEST_MAGIC,
    NBD_SIMPLE_REPLY_MAGIC,
    NBD_STRUCTURED_REPLY_MAGIC,
    OFFSET_HOLE,
    REQUEST,
    SIMPLE_REPLY,
    STATUS,
)

WHOLE = 64 << 10  # a write up to this size is waited for, and then done in one
HOLES_FROM = 64 << 10  # smaller reads are not worth looking for holes
MAX_THREADS = 16  # at work for one connection
REQUEST_SIZE = REQUEST.size

KNOWN_FLAGS = {
    NBD_CMD_READ: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF,
    NBD_CMD_WRITE: NBD_CMD_FLAG_FUA,
    NBD_CMD_DISC: NBD_CMD_FLAG_FUA,
    NBD_CMD_FLUSH: NBD_CMD_FLAG_FUA,
    NBD_CMD_CACHE: NBD_CMD_FLAG_FUA,
    NBD_CMD_TRIM: NBD_CMD_FLAG_FUA,
    NBD_CMD_WRITE_ZEROES: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
    NBD_CMD_BLOCK_STATUS: NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE,
}
WRITING = (NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES)

Work = Callable[[], object]


class _Transfer:
    """A large read that is being sent, or a write that is being received, piece by piece."""

    __slots__ = ("at", "cookie", "error", "flags", "kind", "stop")

    def __init__(self, kind: int, flags: int, cookie: int, offset: int, length: int, error: int = 0) -> None:
        self.kind = kind
        self.flags = flags
        self.cookie = cookie
        self.at = offset
        self.stop = offset + length
        self.error = error


class Transmission(Replies):
    """One connection's requests. ``send`` says whether it is done with the bytes when it returns.

    ``resume`` is called when :meth:`work` can go on after it stopped for a thread. ``room`` says whether
    the client takes its replies fast enough; when not, work stops until it is called again. ``broken`` says
    why the connection must be closed at once, when it must.
    """

    def __init__(
        self,
        agreement: Agreement,
        send: Callable[[memoryview], bool],
        resume: Callable[[], None],
        room: Callable[[], bool],
    ) -> None:
        super().__init__(send, agreement.structured)
        self._export: Export = agreement.export
        self._allocation = agreement.allocation
        self._resume = resume
        self._room = room
        self._transfer: _Transfer | None = None
        self._waiting = False  # for a piece of a transfer, or for the drive to be free
        self._threads = 0
        self._leaving = False
        self.broken = ""

    @property
    def finished(self) -> bool:
        """True when the client said goodbye, and all of its requests are answered."""
        return self._leaving and not self._threads

    def work(self, data: memoryview, at: int, end: int) -> int:
        """Answer the requests in ``data`` between the two offsets; how far it came. Malformed."""
        gate = self._export.gate
        size = self._export.size
        structured = self._structured
        head = DATA_CHUNK.size if structured else SIMPLE_REPLY.size
        if not self._room():
            return at
        while not (self._waiting or self._leaving or self._threads >= MAX_THREADS):
            if self._transfer is not None:
                if self._used:
                    self._flush()
                if not self._room():
                    break
                came = self._go_on(self._transfer, data, at, end)
                if came < 0:
                    break
                at = came
                continue
            if end - at < REQUEST_SIZE:
                break
            magic, flags, kind, cookie, offset, length = REQUEST.unpack_from(data, at)
            if magic != NBD_REQUEST_MAGIC:
                raise Malformed(f"a request begins with {magic:#x}")
            if (
                kind != NBD_CMD_READ
                or flags
                or not 0 < length < HOLES_FROM
                or offset + length > size
                or gate.alone
            ):
                came = self._other(data, at, end, (flags, kind, cookie, offset, length))
                if came < 0:
                    break
                at = came
                continue
            # The usual read: cached, and answered on the spot.
            start = self._used + head
            if start + length > SPACE:
                self._flush()
                if not self._room():
                    break
                start = head
            at += REQUEST_SIZE
            target = self._out[start : start + length]
            try:
                self._export.read(offset, target)
            except BlockingIOError:
                self._read_in_thread(cookie, offset, length)
                continue
            except Exception as error:
                self._fail(cookie, error)
                continue
            if structured:
                DATA_CHUNK.pack_into(
                    self._out, self._used, NBD_STRUCTURED_REPLY_MAGIC, NBD_REPLY_FLAG_DONE,
                    NBD_REPLY_TYPE_OFFSET_DATA, cookie, length + 8, offset,
                )  # fmt: skip
            else:
                SIMPLE_REPLY.pack_into(self._out, self._used, NBD_SIMPLE_REPLY_MAGIC, 0, cookie)
            self._used = start + length
        if self._used:
            self._flush()
        return at

    # -- all other requests ----------------------------------------------------------------------------

    def _other(self, data: memoryview, at: int, end: int, request: tuple[int, int, int, int, int]) -> int:
        """Begin any request; where the next one starts, -1 when this one must be looked at again later."""
        if not self._room():  # a status is much longer than the request for it
            return -1
        flags, kind, cookie, offset, length = request
        error = self._check(flags, kind, offset, length)
        behind = at + REQUEST_SIZE
        if kind == NBD_CMD_WRITE:
            if error or length > WHOLE:
                self._transfer = _Transfer(kind, flags, cookie, offset, length, error)
                return behind
            if end - behind < length:
                return -1
        if error:
            self._refuse(cookie, error)
            return behind
        gate = self._export.gate
        if kind == NBD_CMD_READ:
            self._transfer = _Transfer(kind, flags, cookie, offset, length)
        elif kind == NBD_CMD_WRITE:
            if gate.threads:
                self._wait()
                return -1
            part = data[behind : behind + length]
            behind += length
            try:
                self._export.write(offset, part)
            except BlockingIOError:
                copy = memoryview(bytes(part))
                self._in_thread(cookie, lambda: self._write_all(offset, copy, flags), alone=True)
            except Exception as failure:
                self._fail(cookie, failure)
            else:
                self._written(cookie, flags)
        elif kind == NBD_CMD_FLUSH:
            self._in_thread(cookie, self._export.flush)
        elif kind == NBD_CMD_CACHE:
            self._in_thread(cookie, lambda: self._read_ahead(offset, min(length, NBD_DEFAULT_MAXIMUM)))
        elif kind == NBD_CMD_DISC:
            self._leaving = True
        elif kind == NBD_CMD_BLOCK_STATUS:
            if gate.alone:
                self._wait()
                return -1
            self._tell_status(flags, cookie, offset, length)
        else:
            self._zero_or_trim(flags, kind, cookie, offset, length)
        return behind

    def _check(self, flags: int, kind: int, offset: int, length: int) -> int:
        """The error that a request is refused with, or 0."""
        if kind not in KNOWN_FLAGS or flags & ~KNOWN_FLAGS[kind]:
            return NBD_EINVAL
        if kind in (NBD_CMD_FLUSH, NBD_CMD_DISC):
            return NBD_EINVAL if kind == NBD_CMD_FLUSH and (offset or length) else 0
        if kind in WRITING and self._export.read_only:
            return NBD_EPERM
        if offset + length > self._export.size:
            return NBD_ENOSPC if kind in (NBD_CMD_WRITE, NBD_CMD_WRITE_ZEROES) else NBD_EINVAL
        if not length:
            return NBD_EINVAL
        if kind in (NBD_CMD_READ, NBD_CMD_WRITE) and length > NBD_DEFAULT_MAXIMUM:
            return NBD_EINVAL
        if flags & NBD_CMD_FLAG_DF and (not self._structured or length > PIECE):
            return NBD_EOVERFLOW if self._structured else NBD_EINVAL
        if kind == NBD_CMD_BLOCK_STATUS and not self._allocation:
            return NBD_EINVAL
        if flags & NBD_CMD_FLAG_FAST_ZERO and (flags & NBD_CMD_FLAG_NO_HOLE or not self._export.zeroes_fast):
            return NBD_ENOTSUP  # that many zeros have to be written
        return 0

    def _written(self, cookie: int, flags: int) -> None:
        if flags & NBD_CMD_FLAG_FUA:
            self._in_thread(cookie, self._export.flush)
        else:
            self._done(cookie)

    def _write_all(self, offset: int, data: memoryview, flags: int) -> None:
        """For a thread."""
        self._export.write(offset, data)
        if flags & NBD_CMD_FLAG_FUA:
            self._export.flush()

    def _read_ahead(self, offset: int, length: int) -> None:
        """Read a range, for the host or the cache of a remote image to remember; for a thread."""
        buffer = memoryview(bytearray(min(length, PIECE)))
        for at in range(offset, offset + length, PIECE):
            self._export.read(at, buffer[: offset + length - at])

    def _zero_or_trim(self, flags: int, kind: int, cookie: int, offset: int, length: int) -> None:
        export = self._export

        def work() -> None:
            if kind == NBD_CMD_TRIM:
                export.trim(offset, length)
            else:
                export.zero(offset, length, holes=not flags & NBD_CMD_FLAG_NO_HOLE)
            if flags & NBD_CMD_FLAG_FUA:
                export.flush()

        self._in_thread(cookie, work, alone=True)

    def _tell_status(self, flags: int, cookie: int, offset: int, length: int) -> None:
        """From the maps of the layers, which are small: waiting for the disk is the exception."""
        export = self._export
        most = (1,) if flags & NBD_CMD_FLAG_REQ_ONE else ()
        found: list[tuple[int, int]] = []

        def look() -> None:
            found.extend(export.status(offset, length, *most))

        def tell() -> None:
            payload = b"".join([CONTEXT_ID.pack(ALLOCATION_ID), *(STATUS.pack(*each) for each in found)])
            self._chunk(NBD_REPLY_TYPE_BLOCK_STATUS, cookie, payload)

        try:
            look()
        except BlockingIOError:
            found.clear()
            self._in_thread(cookie, look, then=tell)
        except Exception as error:
            self._fail(cookie, error)
        else:
            tell()

    # -- large transfers ---------------------------------------------------------------------------------

    def _go_on(self, transfer: _Transfer, data: memoryview, at: int, end: int) -> int:
        if transfer.kind == NBD_CMD_READ:
            return at if self._send_piece(transfer) else -1
        return self._take_piece(transfer, data, at, end)

    def _send_piece(self, transfer: _Transfer) -> bool:
        """Send a part of a large read; False when it has to wait."""
        export = self._export
        if export.gate.alone:
            self._wait()
            return False
        if not self._structured and self._threads:
            return False  # their replies must not come between the pieces
        offset = transfer.at
        size = min(PIECE, transfer.stop - offset)
        first = not self._structured and not transfer.error
        head = DATA_CHUNK.size if self._structured else SIMPLE_REPLY.size if first else 0
        target = self._out[head : head + size]
        try:
            if self._structured and not transfer.flags & NBD_CMD_FLAG_DF and export.is_hole(offset, size):
                self._sent(transfer, size)
                self._chunk(
                    NBD_REPLY_TYPE_OFFSET_HOLE,
                    transfer.cookie,
                    OFFSET_HOLE.pack(offset, size),
                    done=self._transfer is None,
                )
                return True
            export.read(offset, target)
        except BlockingIOError:
            self._piece_in_thread(transfer, offset, size, head)
            return False
        except Exception as error:
            self._break_off(transfer, error)
            return True
        self._piece_read(transfer, offset, size, head)
        return True

    def _piece_in_thread(self, transfer: _Transfer, offset: int, size: int, head: int) -> None:
        """As the pieces of one read go out in turn, all else of this connection waits."""
        buffer = memoryview(bytearray(size))
        self._waiting = True
        self._threads += 1

        def done(error: BaseException | None) -> None:
            self._waiting = False
            self._threads -= 1
            if error is None:
                self._out[head : head + size] = buffer
                self._piece_read(transfer, offset, size, head)
            else:
                self._break_off(transfer, error)
                self._flush()
            self._resume()

        self._export.gate.in_thread(lambda: self._export.read(offset, buffer), done)

    def _piece_read(self, transfer: _Transfer, offset: int, size: int, head: int) -> None:
        """A piece is in the output buffer, behind space for its head."""
        self._sent(transfer, size)
        if self._structured:
            flags = 0 if self._transfer is transfer else NBD_REPLY_FLAG_DONE
            DATA_CHUNK.pack_into(
                self._out, 0, NBD_STRUCTURED_REPLY_MAGIC, flags, NBD_REPLY_TYPE_OFFSET_DATA,
                transfer.cookie, size + 8, offset,
            )  # fmt: skip
        elif head:
            SIMPLE_REPLY.pack_into(self._out, 0, NBD_SIMPLE_REPLY_MAGIC, 0, transfer.cookie)
            transfer.error = -1  # its head is sent
        self._used = head + size
        self._flush()

    def _sent(self, transfer: _Transfer, size: int) -> None:
        transfer.at += size
        if transfer.at == transfer.stop:
            self._transfer = None

    def _break_off(self, transfer: _Transfer, error: BaseException) -> None:
        if transfer.error:  # it expects data, and nothing else
            self.broken = f"no way to tell the client of {error}"
            self._waiting = True
            return
        self._transfer = None
        self._fail(transfer.cookie, error)

    def _take_piece(self, transfer: _Transfer, data: memoryview, at: int, end: int) -> int:
        """Do a part of a large write, or take in what is not going to be written."""
        left = transfer.stop - transfer.at
        size = min(left, end - at)
        if size < left:  # pieces end with a sector
            size -= 0 if transfer.error else (transfer.at + size) % 512
            if size < (1 if transfer.error else min(WHOLE, left)):
                return -1
        if not transfer.error:
            if self._export.gate.threads:
                self._wait()
                return -1
            part = data[at : at + size]
            try:
                self._export.write(transfer.at, part)
            except BlockingIOError:
                self._take_in_thread(transfer, memoryview(bytes(part)))
                return at + size
            except Exception as error:
                transfer.error = number_of(error)
        self._taken(transfer, size)
        return at + size

    def _take_in_thread(self, transfer: _Transfer, part: memoryview) -> None:
        self._waiting = True
        self._threads += 1

        def done(error: BaseException | None) -> None:
            self._waiting = False
            self._threads -= 1
            if error is not None:
                transfer.error = number_of(error)
            self._taken(transfer, len(part))
            self._flush()
            self._resume()

        self._export.gate.in_thread(lambda: self._export.write(transfer.at, part), done, alone=True)

    def _taken(self, transfer: _Transfer, size: int) -> None:
        transfer.at += size
        if transfer.at == transfer.stop:
            self._transfer = None
            if transfer.error:
                self._refuse(transfer.cookie, transfer.error)
            else:
                self._written(transfer.cookie, transfer.flags)

    # -- threads -----------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Stop until no thread is at work on the drive."""
        self._waiting = True

        def resume() -> None:
            self._waiting = False
            self._resume()

        self._export.gate.when_idle(resume)

    def _read_in_thread(self, cookie: int, offset: int, length: int) -> None:
        buffer = memoryview(bytearray(length))

        def then() -> None:
            if self._structured:
                head = DATA_CHUNK.pack(
                    NBD_STRUCTURED_REPLY_MAGIC, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_OFFSET_DATA, cookie,
                    length + 8, offset,
                )  # fmt: skip
            else:
                head = SIMPLE_REPLY.pack(NBD_SIMPLE_REPLY_MAGIC, 0, cookie)
            self._put([head, buffer])

        self._in_thread(cookie, lambda: self._export.read(offset, buffer), then=then)

    def _in_thread(
        self, cookie: int, work: Work, *, then: Callable[[], None] | None = None, alone: bool = False
    ) -> None:
        """Let a thread work on a request, and go on with the next ones."""
        self._threads += 1

        def done(error: BaseException | None) -> None:
            self._threads -= 1
            if error is not None:
                self._fail(cookie, error)
            elif then is not None:
                then()
            else:
                self._done(cookie)
            self._flush()
            self._resume()

        self._export.gate.in_thread(work, done, alone=alone)
