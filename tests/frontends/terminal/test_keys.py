"""Terminal sequences to scan codes; how urwid reads them is part of what is tested.

The sequences are from xterm's ctlseqs, console_codes(4), rxvt's reference and the kitty keyboard protocol.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urwid.display import escape

from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.terminal.keys import KEY_DOWN, NO_KEY, Fingers, chord_for, plain_sequences
from pcemu.keys import Chord, keys_for_text, parse_chord, scan_codes
from pcemu.testing.fakes import FakeClock


def decode(data: bytes) -> list[Chord]:
    codes = list(plain_sequences(data))
    chords = []
    while codes:
        names, codes = escape.process_keyqueue(codes, more_available=False, keyboard_protocol="kitty")
        chords += [chord_for(name) for name in names if isinstance(name, str)]
    return chords


KEYS = [
    (b"\r", "enter"), (b"\n", "enter"), (b"\t", "tab"), (b"\x7f", "backspace"), (b"\x08", "backspace"),
    (b"\x1b", "escape"), (b"\x01", "ctrl+a"), (b"\x03", "ctrl+c"), (b"\x1a", "ctrl+z"),
    (b"\x00", "ctrl+2"), (b"\x1c", "ctrl+backslash"), (b"\x1d", "ctrl+right_bracket"),
    (b"\x1e", "ctrl+6"), (b"\x1f", "ctrl+minus"),
    # Alt: ESC before the character
    (b"\x1bx", "alt+x"), (b"\x1bX", "alt+shift+x"), (b"\x1b\r", "alt+enter"), (b"\x1b\x01", "ctrl+alt+a"),
    (b"\x1b[", "alt+left_bracket"), (b"\x1bO", "alt+shift+o"), (b"\x1b1", "alt+1"), (b"\x1b ", "alt+space"),
    (b"\x1b\x7f", "alt+backspace"), (b"\x1b\t", "alt+tab"), (b"\x1b=", "alt+equals"),
    # xterm, normal and application cursor keys
    (b"\x1b[A", "up"), (b"\x1b[B", "down"), (b"\x1b[C", "right"), (b"\x1b[D", "left"),
    (b"\x1bOA", "up"), (b"\x1bOD", "left"), (b"\x1b[H", "home"), (b"\x1b[F", "end"), (b"\x1bOH", "home"),
    (b"\x1bOP", "f1"), (b"\x1bOQ", "f2"), (b"\x1bOR", "f3"), (b"\x1bOS", "f4"),
    (b"\x1b[15~", "f5"), (b"\x1b[17~", "f6"), (b"\x1b[18~", "f7"), (b"\x1b[19~", "f8"),
    (b"\x1b[20~", "f9"), (b"\x1b[21~", "f10"), (b"\x1b[23~", "f11"), (b"\x1b[24~", "f12"),
    (b"\x1b[2~", "insert"), (b"\x1b[3~", "delete"), (b"\x1b[5~", "page_up"), (b"\x1b[6~", "page_down"),
    (b"\x1b[1;2A", "shift+up"), (b"\x1b[1;5C", "ctrl+right"), (b"\x1b[1;3F", "alt+end"),
    (b"\x1b[1;2P", "shift+f1"), (b"\x1b[3;5~", "ctrl+delete"), (b"\x1b[21;3~", "alt+f10"),
    (b"\x1b[5;6~", "ctrl+shift+page_up"), (b"\x1b[Z", "shift+tab"), (b"\x1b[23;2~", "shift+f11"),
    (b"\x1b[24;8~", "ctrl+alt+shift+f12"), (b"\x1b[1;5R", "ctrl+f3"), (b"\x1b[1;3S", "alt+f4"),
    # Linux console
    (b"\x1b[[A", "f1"), (b"\x1b[[E", "f5"), (b"\x1b[1~", "home"), (b"\x1b[4~", "end"),
    (b"\x1b[25~", "shift+f1"), (b"\x1b[34~", "shift+f8"),
    # VT, rxvt
    (b"\x1b[11~", "f1"), (b"\x1b[14~", "f4"), (b"\x1b[7~", "home"), (b"\x1b[8~", "end"),
    (b"\x1b[a", "shift+up"), (b"\x1bOc", "ctrl+right"), (b"\x1b[3$", "shift+delete"),
    (b"\x1b[5^", "ctrl+page_up"), (b"\x1b[6@", "ctrl+shift+page_down"), (b"\x1b\x1b[A", "alt+up"),
    # kitty's protocol, xterm's modifyOtherKeys
    (b"\x1b[27u", "escape"), (b"\x1b[105;5u", "ctrl+i"), (b"\x1b[13;5u", "ctrl+enter"),
    (b"\x1b[97:65;7u", "ctrl+alt+a"), (b"\x1b[97:65;8u", "ctrl+alt+shift+a"),
    (b"\x1b[57361u", "print_screen"),
    (b"\x1b[57362u", "pause"), (b"\x1b[57362;5u", "ctrl+pause"), (b"\x1b[P", "f1"), (b"\x1b[13~", "f3"),
    (b"\x1b[27;5;9~", "ctrl+tab"), (b"\x1b[127;5u", "ctrl+backspace"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "chord"), KEYS)
def test_one_key(data: bytes, chord: str) -> None:
    assert decode(data) == [parse_chord(chord)]


def test_text_is_typed_as_on_a_us_keyboard() -> None:
    text = "".join(map(chr, range(0x20, 0x7F)))
    assert decode(text.encode()) == keys_for_text(text)


@pytest.mark.parametrize(
    "data", [*map(str.encode, "é€😀"), b"\xff", b"\x80", b"\x1b[99~", b"\x1b\xc3\xa9", b"\x1b[57444u"]
)
def test_what_is_no_key_is_told_once(data: bytes) -> None:
    assert decode(data + b"a") == [NO_KEY, *keys_for_text("a")]


def test_escape_twice() -> None:
    assert decode(b"\x1b\x1b") == [parse_chord("escape")] * 2


@given(st.binary(max_size=40))
def test_any_bytes_end_in_keys_or_no_keys(data: bytes) -> None:
    assert len(decode(data)) <= len(data)


# -- chords to scan codes


@pytest.fixture
def keyboard() -> tuple[FakeClock, Keyboard]:
    clock = FakeClock()
    return clock, Keyboard(clock)


def codes(keyboard: Keyboard) -> bytes:
    taken = bytearray()
    while keyboard.pending:
        taken.append(keyboard.take())
    return bytes(taken)


@pytest.mark.parametrize(("data", "name"), KEYS)
def test_a_sequence_gives_the_scan_codes_of_its_chord(
    data: bytes, name: str, keyboard: tuple[FakeClock, Keyboard]
) -> None:
    clock, board = keyboard
    (chord,) = decode(data)
    Fingers(clock, board).strike(chord)
    held = chord[:-1]
    assert codes(board) == b"".join(scan_codes(key, held=held).make for key in parse_chord(name))
    clock.advance(KEY_DOWN)
    ups = [scan_codes(key, held=held).release for key in reversed(parse_chord(name))]
    assert codes(board) == b"".join(ups)
    assert board.down == ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1bx", "11 22 f0 22 f0 11"),  # Alt-X
        (b"\x1b[1;5D", "14 e0 6b e0 f0 6b f0 14"),  # Ctrl-Left
        (b"\x1b[23~", "78 f0 78"),  # F11
        (b"\x1b[24;2~", "12 07 f0 07 f0 12"),  # Shift-F12
        (b"\x1b", "76 f0 76"),
        (b"A", "12 1c f0 1c f0 12"),
        (b"\x1b[3~", "e0 71 e0 f0 71"),
    ],
)
def test_scan_codes_written_out(
    data: bytes, expected: str, keyboard: tuple[FakeClock, Keyboard]
) -> None:
    clock, board = keyboard
    for chord in decode(data):
        Fingers(clock, board).strike(chord)
    sent = codes(board)
    clock.advance(KEY_DOWN)
    assert (sent + codes(board)).hex(" ") == expected


def test_fingers_wait_for_a_keyboard_that_is_full(keyboard: tuple[FakeClock, Keyboard]) -> None:
    clock, board = keyboard
    fingers = Fingers(clock, board)
    for chord in keys_for_text("abcdefghijklmnopqrstuvwxyz"):
        fingers.strike(chord)
    sent = b""
    for _ in range(2000):
        clock.advance(500_000)
        if board.pending:
            sent += bytes((board.take(),))
    assert sent.count(b"\xf0") == 26
    assert len(sent) == 3 * 26
