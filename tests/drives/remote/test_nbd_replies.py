"""Replies taken apart: whatever a server sends, a read ends with the right bytes or with an error."""

from __future__ import annotations

import contextlib
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives import nbd_protocol as nbd
from pcemu.drives.remote.nbd_replies import Replies, Request

EXPORT = random.Random(1).randbytes(9000)
DONE, MORE = nbd.NBD_REPLY_FLAG_DONE, 0
DATA, HOLE = nbd.NBD_REPLY_TYPE_OFFSET_DATA, nbd.NBD_REPLY_TYPE_OFFSET_HOLE


def chunk(flags: int, kind: int, cookie: int, payload: bytes) -> bytes:
    head = nbd.STRUCTURED_REPLY.pack(nbd.NBD_STRUCTURED_REPLY_MAGIC, flags, kind, cookie, len(payload))
    return head + payload


def data(flags: int, cookie: int, offset: int, size: int) -> bytes:
    return chunk(flags, DATA, cookie, nbd.OFFSET.pack(offset) + EXPORT[offset : offset + size])


def fresh(structured: bool = True) -> tuple[Replies, dict[int, Request]]:
    waiting = {1: Request(100, 1000), 2: Request(4096, 4096)}
    return Replies(waiting, structured, threading.Lock()), dict(waiting)


def test_pieces_in_any_order_and_a_hole() -> None:
    replies, requests = fresh()
    stream = data(MORE, 2, 6144, 2048) + data(MORE, 1, 500, 600)
    stream += chunk(MORE, HOLE, 2, nbd.OFFSET_HOLE.pack(4096, 2048)) + data(DONE, 1, 100, 400)
    stream += chunk(DONE, nbd.NBD_REPLY_TYPE_NONE, 2, b"")
    for at in range(len(stream)):  # however the network cuts it
        replies.feed(stream[at : at + 1])
    assert requests[1].done.is_set()
    assert requests[1].data == EXPORT[100:1100]
    assert requests[2].data == bytes(2048) + EXPORT[6144:8192]


def test_simple_replies() -> None:
    replies, requests = fresh(structured=False)
    replies.feed(nbd.SIMPLE_REPLY.pack(nbd.NBD_SIMPLE_REPLY_MAGIC, 0, 1) + EXPORT[100:1100])
    replies.feed(nbd.SIMPLE_REPLY.pack(nbd.NBD_SIMPLE_REPLY_MAGIC, nbd.NBD_EIO, 2))
    assert requests[1].data == EXPORT[100:1100]
    assert requests[1].error is None
    assert requests[2].error is not None


def test_an_error_with_a_message_is_the_servers_own() -> None:
    replies, requests = fresh()
    message = nbd.ERROR.pack(nbd.NBD_ESHUTDOWN, 3) + b"bye"
    replies.feed(chunk(DONE, nbd.NBD_REPLY_TYPE_ERROR, 1, message))
    assert isinstance(requests[1].error, ConnectionError)


@pytest.mark.parametrize(
    "wrong",
    [
        b"\0" * 16,
        data(DONE, 3, 100, 1000),  # nobody asked
        data(DONE, 1, 100, 999),  # one byte is missing
        data(MORE, 1, 100, 600) + data(DONE, 1, 600, 500),  # twice the same bytes
        data(MORE, 1, 100, 500) + data(DONE, 1, 100, 500),  # the size is right, the place is not
        data(DONE, 1, 99, 1000),
        data(DONE, 1, 101, 1000),
        chunk(DONE, HOLE, 1, nbd.OFFSET_HOLE.pack(100, 1001)),
        chunk(DONE, HOLE, 1, nbd.OFFSET_HOLE.pack(100, 0)),
        chunk(DONE, HOLE, 1, b"short"),
        chunk(DONE, DATA, 1, nbd.OFFSET.pack(100)),
        chunk(DONE, nbd.NBD_REPLY_TYPE_NONE, 1, b""),
        chunk(DONE, 77, 1, b""),
        nbd.STRUCTURED_REPLY.pack(nbd.NBD_STRUCTURED_REPLY_MAGIC, DONE, DATA, 1, 0xFFFFFFFF),
        nbd.SIMPLE_REPLY.pack(nbd.NBD_SIMPLE_REPLY_MAGIC, 0, 1),
    ],
)
def test_nonsense_ends_the_connection(wrong: bytes) -> None:
    replies, _ = fresh()
    with pytest.raises(ConnectionError):
        replies.feed(wrong)


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=4))
def test_changed_bytes_of_the_protocol_never_give_wrong_data(changes: list[tuple[int, int]]) -> None:
    """Whatever is changed besides the data themselves, a read that succeeds has the right ones in it."""
    replies, requests = fresh()
    stream = bytearray(data(MORE, 1, 100, 40) + data(DONE, 1, 140, 960) + data(DONE, 2, 4096, 4096))
    heads = [*range(28), *range(68, 96), *range(1056, 1084)]
    for place, change in changes:
        stream[heads[place % len(heads)]] ^= change
    with contextlib.suppress(ConnectionError):
        replies.feed(bytes(stream))
    for number, expected in ((1, EXPORT[100:1100]), (2, EXPORT[4096:8192])):
        request = requests[number]
        if request.done.is_set() and request.error is None:
            assert request.data == expected
