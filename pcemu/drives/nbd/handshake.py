"""Newstyle negotiation: from the greeting to an export, without any I/O.

:func:`handshake` is a generator. It yields what it wants done, and is sent what came of it::

    Receive(size)     the bytes
    Send(data)        nothing
    Upgrade()         nothing, once TLS is up
    Open(name)        the export, or the error that was raised (one of REFUSALS)

It returns an :class:`Agreement`, or None when the connection is to be closed.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Any, NamedTuple

from pcemu.drives.nbd.exports import Export, ExportProvider, ExportRefused
from pcemu.drives.nbd.replies import encoded
from pcemu.drives.nbd_protocol import (
    CLIENT_FLAGS,
    CONTEXT_ID,
    COUNT,
    EXPORT_PADDING,
    EXPORT_SIZE_FLAGS,
    GREETING,
    INFO_BLOCK_SIZE,
    INFO_EXPORT,
    INFO_TYPE,
    LENGTH,
    NBD_DEFAULT_MAXIMUM,
    NBD_FLAG_C_FIXED_NEWSTYLE,
    NBD_FLAG_C_NO_ZEROES,
    NBD_FLAG_CAN_MULTI_CONN,
    NBD_FLAG_FIXED_NEWSTYLE,
    NBD_FLAG_HAS_FLAGS,
    NBD_FLAG_NO_ZEROES,
    NBD_FLAG_READ_ONLY,
    NBD_FLAG_SEND_CACHE,
    NBD_FLAG_SEND_DF,
    NBD_FLAG_SEND_FAST_ZERO,
    NBD_FLAG_SEND_FLUSH,
    NBD_FLAG_SEND_FUA,
    NBD_FLAG_SEND_TRIM,
    NBD_FLAG_SEND_WRITE_ZEROES,
    NBD_INFO_BLOCK_SIZE,
    NBD_INFO_DESCRIPTION,
    NBD_INFO_EXPORT,
    NBD_INFO_NAME,
    NBD_MAGIC,
    NBD_MAX_STRING,
    NBD_META_CONTEXT_ALLOCATION,
    NBD_OPT_ABORT,
    NBD_OPT_EXPORT_NAME,
    NBD_OPT_GO,
    NBD_OPT_INFO,
    NBD_OPT_LIST,
    NBD_OPT_LIST_META_CONTEXT,
    NBD_OPT_SET_META_CONTEXT,
    NBD_OPT_STARTTLS,
    NBD_OPT_STRUCTURED_REPLY,
    NBD_OPTS_MAGIC,
    NBD_REP_ACK,
    NBD_REP_ERR_INVALID,
    NBD_REP_ERR_PLATFORM,
    NBD_REP_ERR_POLICY,
    NBD_REP_ERR_TLS_REQD,
    NBD_REP_ERR_TOO_BIG,
    NBD_REP_ERR_UNKNOWN,
    NBD_REP_ERR_UNSUP,
    NBD_REP_INFO,
    NBD_REP_MAGIC,
    NBD_REP_META_CONTEXT,
    NBD_REP_SERVER,
    OPTION,
    OPTION_REPLY,
)
from pcemu.errors import PcemuError

MAX_OPTION = 64 << 10  # bytes of an option's data that are looked at
MAX_SKIPPED = 1 << 20  # of an option that is larger than that
MAX_OPTIONS = 128  # in one handshake
ALLOCATION_ID = 1
PREFERRED_BLOCK = 4096
REFUSALS = (PcemuError, OSError)


class Receive(NamedTuple):
    """Wait for so many bytes."""

    size: int


class Send(NamedTuple):
    """Send some."""

    data: bytes


class Open(NamedTuple):
    """Open an export."""

    name: str


class Upgrade(NamedTuple):
    """Start TLS."""


class Tls(Enum):
    """What the server thinks of TLS."""

    NONE = "none"
    REQUIRED = "required"


class Agreement(NamedTuple):
    """What the transmission phase begins with."""

    export: Export
    structured: bool
    allocation: bool


Steps = Generator[Receive | Send | Open | Upgrade, Any, Any]


class Malformed(Exception):
    """The client does not speak this protocol: the connection is to be closed."""


class _Invalid(Exception):
    """An option's data makes no sense; the message is for the client."""


def handshake(
    exports: ExportProvider, tls: Tls
) -> Generator[Receive | Send | Open | Upgrade, Any, Agreement | None]:
    """Negotiate; Malformed."""
    agreement: Agreement | None = yield from _Handshake(exports, tls).run()
    return agreement


class _Handshake:
    def __init__(self, exports: ExportProvider, tls: Tls) -> None:
        self._exports = exports
        self._tls = tls
        self._secure = False
        self._no_zeroes = False
        self._structured = False
        self._context_of: str | None = None  # the export whose base:allocation was asked for
        self._agreement: Agreement | None = None

    def run(self) -> Steps:
        yield Send(GREETING.pack(NBD_MAGIC, NBD_OPTS_MAGIC, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
        (flags,) = CLIENT_FLAGS.unpack((yield Receive(CLIENT_FLAGS.size)))
        if flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES):
            raise Malformed(f"unknown client flags {flags:#x}")
        self._no_zeroes = bool(flags & NBD_FLAG_C_NO_ZEROES)
        for _ in range(MAX_OPTIONS):
            magic, option, length = OPTION.unpack((yield Receive(OPTION.size)))
            if magic != NBD_OPTS_MAGIC:
                raise Malformed(f"an option begins with {magic:#x}")
            if length > MAX_OPTION:
                yield from self._skip(option, length)
                continue
            data = bytes((yield Receive(length))) if length else b""
            if option == NBD_OPT_EXPORT_NAME:
                return (yield from self._export_name(data))
            if option == NBD_OPT_ABORT:
                yield from self._reply(option, NBD_REP_ACK)
                return None
            try:
                yield from self._option(option, data)
            except _Invalid as error:
                yield from self._refuse(option, NBD_REP_ERR_INVALID, str(error))
            if self._agreement is not None:
                return self._agreement
        raise Malformed(f"more than {MAX_OPTIONS} options")

    def _skip(self, option: int, length: int) -> Steps:
        if length > MAX_SKIPPED or option == NBD_OPT_EXPORT_NAME:  # which cannot be refused
            raise Malformed(f"an option of {length} bytes")
        while length:
            part = min(length, MAX_OPTION)
            yield Receive(part)
            length -= part
        yield from self._refuse(option, NBD_REP_ERR_TOO_BIG, f"expected at most {MAX_OPTION} bytes")

    def _option(self, option: int, data: bytes) -> Steps:
        if option == NBD_OPT_STARTTLS:
            yield from self._start_tls(data)
        elif self._tls is Tls.REQUIRED and not self._secure:
            yield from self._refuse(option, NBD_REP_ERR_TLS_REQD, "this server wants TLS first")
        elif option == NBD_OPT_LIST:
            yield from self._list(data)
        elif option == NBD_OPT_STRUCTURED_REPLY:
            _expect_nothing(data)
            self._structured = True
            yield from self._reply(option, NBD_REP_ACK)
        elif option in (NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT):
            yield from self._contexts(option, data)
        elif option in (NBD_OPT_INFO, NBD_OPT_GO):
            yield from self._info(option, data)
        else:
            yield from self._refuse(option, NBD_REP_ERR_UNSUP, f"option {option} is not known here")

    # -- options --------------------------------------------------------------------------------------

    def _export_name(self, data: bytes) -> Steps:
        """The old way to begin: it knows no refusal but closing the connection."""
        if self._tls is Tls.REQUIRED and not self._secure:
            raise Malformed("no TLS")
        try:
            export = yield Open(_text(data))
        except _Invalid as error:
            raise Malformed(str(error)) from None
        if isinstance(export, REFUSALS):
            raise Malformed(str(export))
        padding = b"" if self._no_zeroes else bytes(EXPORT_PADDING)
        yield Send(EXPORT_SIZE_FLAGS.pack(export.size, self._flags(export)) + padding)
        return self._agree(export, export.name)

    def _start_tls(self, data: bytes) -> Steps:
        option = NBD_OPT_STARTTLS
        _expect_nothing(data)
        if self._secure:
            raise _Invalid("TLS is up already")
        if self._tls is Tls.NONE:
            yield from self._refuse(option, NBD_REP_ERR_POLICY, "this server was started without TLS")
            return
        yield from self._reply(option, NBD_REP_ACK)
        yield Upgrade()
        self._secure = True
        self._structured = False  # what was said in the clear does not count
        self._context_of = None

    def _list(self, data: bytes) -> Steps:
        _expect_nothing(data)
        for name, description in self._exports.listed():
            raw = encoded(name, NBD_MAX_STRING)
            rest = encoded(description, NBD_MAX_STRING)
            yield from self._reply(NBD_OPT_LIST, NBD_REP_SERVER, LENGTH.pack(len(raw)) + raw + rest)
        yield from self._reply(NBD_OPT_LIST, NBD_REP_ACK)

    def _contexts(self, option: int, data: bytes) -> Steps:
        if not self._structured:
            raise _Invalid("metadata contexts want structured replies first")
        reader = _Reader(data)
        name = reader.string()
        queries = [reader.string() for _ in range(reader.number(LENGTH))]
        reader.expect_end()
        if option == NBD_OPT_SET_META_CONTEXT:
            self._context_of = None
        try:
            self._exports.check(name)
        except REFUSALS as error:
            yield from self._refuse(option, NBD_REP_ERR_UNKNOWN, str(error))
            return
        wanted = NBD_META_CONTEXT_ALLOCATION in queries
        if option == NBD_OPT_LIST_META_CONTEXT:
            wanted = wanted or not queries or "base:" in queries
        elif wanted:
            self._context_of = name
        if wanted:
            number = ALLOCATION_ID if option == NBD_OPT_SET_META_CONTEXT else 0
            context = CONTEXT_ID.pack(number) + NBD_META_CONTEXT_ALLOCATION.encode()
            yield from self._reply(option, NBD_REP_META_CONTEXT, context)
        yield from self._reply(option, NBD_REP_ACK)

    def _info(self, option: int, data: bytes) -> Steps:
        reader = _Reader(data)
        name = reader.string()
        wanted = {reader.number(INFO_TYPE) for _ in range(reader.number(COUNT))}
        reader.expect_end()
        export = yield Open(name)
        if isinstance(export, REFUSALS):
            unknown = isinstance(export, ExportRefused)
            kind = NBD_REP_ERR_UNKNOWN if unknown else NBD_REP_ERR_PLATFORM
            yield from self._refuse(option, kind, str(export))
            return
        facts = [INFO_EXPORT.pack(NBD_INFO_EXPORT, export.size, self._flags(export))]
        facts.append(INFO_BLOCK_SIZE.pack(NBD_INFO_BLOCK_SIZE, 1, PREFERRED_BLOCK, NBD_DEFAULT_MAXIMUM))
        if NBD_INFO_NAME in wanted:
            facts.append(INFO_TYPE.pack(NBD_INFO_NAME) + encoded(export.name, NBD_MAX_STRING))
        if NBD_INFO_DESCRIPTION in wanted and export.description:
            description = encoded(export.description, NBD_MAX_STRING)
            facts.append(INFO_TYPE.pack(NBD_INFO_DESCRIPTION) + description)
        for fact in facts:
            yield from self._reply(option, NBD_REP_INFO, fact)
        yield from self._reply(option, NBD_REP_ACK)
        if option == NBD_OPT_GO:
            self._agreement = self._agree(export, name)

    def _agree(self, export: Export, name: str) -> Agreement:
        allocation = self._structured and self._context_of == name
        return Agreement(export, self._structured, allocation)

    def _flags(self, export: Export) -> int:
        flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_CAN_MULTI_CONN
        flags |= NBD_FLAG_SEND_CACHE
        if self._structured:
            flags |= NBD_FLAG_SEND_DF
        if export.read_only:
            return flags | NBD_FLAG_READ_ONLY
        return flags | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO

    # -- replies ---------------------------------------------------------------------------------------

    def _reply(self, option: int, kind: int, data: bytes = b"") -> Steps:
        yield Send(OPTION_REPLY.pack(NBD_REP_MAGIC, option, kind, len(data)) + data)

    def _refuse(self, option: int, kind: int, why: str) -> Steps:
        yield from self._reply(option, kind, encoded(why, NBD_MAX_STRING))


class _Reader:
    """Strings and numbers from an option's data; _Invalid."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, layout: Any) -> int:
        if self._at + layout.size > len(self._data):
            raise _Invalid("the option's data ends too early")
        (value,) = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return int(value)

    def string(self) -> str:
        length = self.number(LENGTH)
        if self._at + length > len(self._data):
            raise _Invalid("a string is longer than the option's data")
        self._at += length
        return _text(self._data[self._at - length : self._at])

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise _Invalid(f"{len(self._data) - self._at} bytes more than the option has")


def _text(raw: bytes) -> str:
    if len(raw) > NBD_MAX_STRING:
        raise _Invalid(f"a string of {len(raw)} bytes, expected at most {NBD_MAX_STRING}")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _Invalid("a string is no UTF-8") from None
    if "\0" in text:
        raise _Invalid("a string has a zero in it")
    return text


def _expect_nothing(data: bytes) -> None:
    if data:
        raise _Invalid("expected an option without data")
