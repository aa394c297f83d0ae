"""What terminals send, from their own documentation: xterm's ctlseqs, console_codes(4), rxvt's reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.frontends.terminal_keys import NO_KEY, KeyDecoder
from pcemu.keys import Chord, keys_for_text, parse_chord


def decode(data: bytes) -> list[Chord]:
    decoder = KeyDecoder()
    return decoder.feed(data) + decoder.flush()


@pytest.mark.parametrize(
    ("data", "chord"),
    [
        (b"\r", "enter"), (b"\n", "enter"), (b"\t", "tab"), (b"\x7f", "backspace"), (b"\x08", "backspace"),
        (b"\x1b", "escape"), (b"\x01", "ctrl+a"), (b"\x03", "ctrl+c"), (b"\x1a", "ctrl+z"),
        (b"\x00", "ctrl+2"), (b"\x1c", "ctrl+backslash"), (b"\x1d", "ctrl+right_bracket"),
        (b"\x1e", "ctrl+6"), (b"\x1f", "ctrl+minus"),
        # Alt: ESC before the character
        (b"\x1bx", "alt+x"), (b"\x1bX", "alt+shift+x"), (b"\x1b\r", "alt+enter"), (b"\x1b\x01", "alt+ctrl+a"),
        (b"\x1b[", "alt+left_bracket"), (b"\x1bO", "alt+shift+o"), (b"\x1b1", "alt+1"),
        # xterm, normal and application cursor keys
        (b"\x1b[A", "up"), (b"\x1b[B", "down"), (b"\x1b[C", "right"), (b"\x1b[D", "left"),
        (b"\x1bOA", "up"), (b"\x1bOD", "left"), (b"\x1b[H", "home"), (b"\x1b[F", "end"), (b"\x1bOH", "home"),
        (b"\x1bOP", "f1"), (b"\x1bOQ", "f2"), (b"\x1bOR", "f3"), (b"\x1bOS", "f4"),
        (b"\x1b[15~", "f5"), (b"\x1b[17~", "f6"), (b"\x1b[18~", "f7"), (b"\x1b[19~", "f8"),
        (b"\x1b[20~", "f9"), (b"\x1b[21~", "f10"), (b"\x1b[23~", "f11"), (b"\x1b[24~", "f12"),
        (b"\x1b[2~", "insert"), (b"\x1b[3~", "delete"), (b"\x1b[5~", "page_up"), (b"\x1b[6~", "page_down"),
        (b"\x1b[1;2A", "shift+up"), (b"\x1b[1;5C", "ctrl+right"), (b"\x1b[1;3F", "alt+end"),
        (b"\x1b[1;2P", "shift+f1"), (b"\x1b[3;5~", "ctrl+delete"), (b"\x1b[21;3~", "alt+f10"),
        (b"\x1b[5;6~", "ctrl+shift+page_up"), (b"\x1b[Z", "shift+tab"),
        # Linux console
        (b"\x1b[[A", "f1"), (b"\x1b[[E", "f5"), (b"\x1b[1~", "home"), (b"\x1b[4~", "end"),
        (b"\x1b[25~", "shift+f1"), (b"\x1b[34~", "shift+f8"),
        # VT, rxvt
        (b"\x1b[11~", "f1"), (b"\x1b[14~", "f4"), (b"\x1b[7~", "home"), (b"\x1b[8~", "end"),
        (b"\x1b[a", "shift+up"), (b"\x1bOc", "ctrl+right"), (b"\x1b[3$", "shift+delete"),
        (b"\x1b[5^", "ctrl+page_up"), (b"\x1b[6@", "ctrl+shift+page_down"), (b"\x1b\x1b[A", "alt+up"),
    ],
)  # fmt: skip
def test_one_key(data: bytes, chord: str) -> None:
    assert decode(data) == [parse_chord(chord)]


def test_text_is_typed_as_on_a_us_keyboard() -> None:
    text = "".join(map(chr, range(0x20, 0x7F)))
    assert decode(text.encode()) == keys_for_text(text)


@pytest.mark.parametrize(
    "data", [*map(str.encode, "é€😀"), b"\xff", b"\x80", b"\x1b[99~", b"\x1b[?1;2c", b"\x1b\xc3\xa9"]
)
def test_what_is_no_key_is_told_once(data: bytes) -> None:
    assert decode(data + b"a") == [NO_KEY, *keys_for_text("a")]


def test_escape_waits_until_nothing_follows() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.pending
    assert decoder.flush() == [parse_chord("escape")]
    assert not decoder.pending
    assert decoder.flush() == []


def test_escape_twice() -> None:
    assert decode(b"\x1b\x1b") == [parse_chord("escape")] * 2
    assert decode(b"\x1b\x1ba") == [parse_chord("escape"), parse_chord("alt+a")]


KEYS = [b"a", b"Z", b"\r", b"\x1b[A", b"\x1bOP", b"\x1b[[C", b"\x1b[15;5~", b"\x1bx", b"\xc3\x9f", b"\x1b[3$"]


@given(st.lists(st.sampled_from(KEYS), max_size=12), st.lists(st.integers(1, 7)))
def test_the_pieces_in_which_bytes_come_do_not_matter(keys: list[bytes], sizes: list[int]) -> None:
    data = b"".join(keys)
    whole, pieces = KeyDecoder(), KeyDecoder()
    expected = whole.feed(data)
    assert len(expected) == len(keys)
    chords: list[Chord] = []
    for size in [*sizes, len(data)]:
        chords += pieces.feed(data[:size])
        data = data[size:]
    assert chords == expected


@given(st.binary(max_size=40))
def test_any_bytes_end_in_keys_or_no_keys(data: bytes) -> None:
    decoder = KeyDecoder()
    assert len(decoder.feed(data) + decoder.flush()) <= len(data)
    assert decoder.feed(b"a") == keys_for_text("a")
