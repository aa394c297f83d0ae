"""Keys: names, text and chords. Their scan codes are proved in tests/devices/test_keyboard.py."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcemu.errors import UsageError
from pcemu.keys import KEYS, Chord, Key, keys_for_text, parse_chord

TYPEABLE = "".join(chr(code) for code in range(0x20, 0x7F)) + "\n\t"

# What the key caps of a US keyboard show, row by row: without Shift, with Shift, names of the keys.
CAPS = [
    ("`1234567890-=", "~!@#$%^&*()_+", "backtick 1 2 3 4 5 6 7 8 9 0 minus equals"),
    ("qwertyuiop[]\\", "QWERTYUIOP{}|", "q w e r t y u i o p left_bracket right_bracket backslash"),
    ("asdfghjkl;'", 'ASDFGHJKL:"', "a s d f g h j k l semicolon apostrophe"),
    ("zxcvbnm,./", "ZXCVBNM<>?", "z x c v b n m comma period slash"),
    (" ", "", "space"),
]


def typed(chords: list[Chord]) -> str:
    """Read the chords back by the key caps: what a US keyboard driver would make of them."""
    plain, shifted = {"enter": "\n", "tab": "\t"}, dict[str, str]()
    for lower, upper, names in CAPS:
        plain.update(zip(names.split(), lower, strict=True))
        shifted.update(zip(names.split(), upper, strict=False))
    text = ""
    for *modifiers, key in chords:
        assert modifiers in ([], [Key.LEFT_SHIFT])
        text += shifted[key] if modifiers else plain[key]
    return text


def test_names_are_stable_and_unique() -> None:
    names = [key.value for key in Key]
    assert len(set(names)) == len(names) == 105
    assert all(set(name) <= set(string.ascii_lowercase + string.digits + "_") for name in names)
    for name in ("a", "enter", "left_shift", "kp_5", "print_screen", "pause", "f1", "non_us_backslash"):
        assert KEYS[name].value == name


def test_no_two_keys_share_a_code() -> None:
    # Pause and Num Lock share the number, and are told apart by the E1h of Pause.
    keys = [key for key in Key if key is not Key.PAUSE]
    for codes in ([key.set1 for key in keys], [key.set2 for key in keys], [key.set3 for key in keys]):
        assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("character", TYPEABLE)
def test_every_printable_character_can_be_typed(character: str) -> None:
    assert typed(keys_for_text(character)) == character


@given(st.text(alphabet=TYPEABLE, max_size=80))
def test_text_is_one_chord_for_each_character(text: str) -> None:
    chords = keys_for_text(text)
    assert len(chords) == len(text)
    assert typed(chords) == text


def test_line_ends_become_one_enter() -> None:
    assert keys_for_text("\n") == keys_for_text("\r") == keys_for_text("\r\n") == [(Key.ENTER,)]
    assert keys_for_text("\b\x1b") == [(Key.BACKSPACE,), (Key.ESCAPE,)]


@pytest.mark.parametrize(("text", "named"), [("dir é", "U+00E9"), ("€", "U+20AC"), ("a\0", "U+0000")])
def test_untypeable_character_is_named(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named.replace("+", r"\+")):
        keys_for_text(text)


@pytest.mark.parametrize(
    ("text", "chord"),
    [
        ("ctrl+alt+del", (Key.LEFT_CTRL, Key.LEFT_ALT, Key.DELETE)),
        ("alt+f4", (Key.LEFT_ALT, Key.F4)),
        ("Ctrl + C", (Key.LEFT_CTRL, Key.C)),
        ("ctrl+break", (Key.LEFT_CTRL, Key.PAUSE)),
        ("enter", (Key.ENTER,)),
        ("shift+kp_5", (Key.LEFT_SHIFT, Key.KP_5)),
        ("right_alt+5", (Key.RIGHT_ALT, Key.DIGIT_5)),
        ("altgr+\\", (Key.RIGHT_ALT, Key.BACKSLASH)),
        ("ctrl+?", (Key.LEFT_CTRL, Key.LEFT_SHIFT, Key.SLASH)),
        ("ctrl+plus", (Key.LEFT_CTRL, Key.LEFT_SHIFT, Key.EQUALS)),
        ("shift+?", (Key.LEFT_SHIFT, Key.SLASH)),
        ("-", (Key.MINUS,)),
    ],
)
def test_chords(text: str, chord: Chord) -> None:
    assert parse_chord(text) == chord


@pytest.mark.parametrize("key", Key)
def test_every_name_is_a_chord(key: Key) -> None:
    assert parse_chord(key.value) == (key,)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ctrl+entre", "'entre'.*did you mean 'enter'"),
        ("hyper+x", "'hyper'"),
        ("ctrl+", "missing"),
        ("", "missing"),
        ("ctrl++", "missing"),
        ("é", "'é'"),
    ],
)
def test_bad_chords_are_named(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        parse_chord(text)
