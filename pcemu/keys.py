"""Keys of the PC keyboard: the one key-event model, shared by the keyboard and every front end.

A :class:`Key` is a key as it sits on the board (101 keys of the US layout, the 102nd key of other
countries, and the three Windows keys), never a character. A *chord* is a tuple of keys that are pressed
in that order and released in the opposite one: what it takes to type one character.

Scan codes come in three sets: set 1 is what programs read through the controller, set 2 is what an AT
keyboard sends, set 3 is what terminals chose. In sets 1 and 2 a key that the original 84-key board did
not have is told by an E0h before its code.

**Not implemented**: the shift codes that a real keyboard wraps around the grey cursor keys while Shift
or Num Lock is down; the E0h alone tells them apart.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum
from typing import NamedTuple

from pcemu.errors import UsageError

EXTENDED = 0xE0
"""First byte of the codes of a key that the 84-key board did not have."""
BREAK = 0xF0
"""First byte of a break code in sets 2 and 3."""
SET1_BREAK = 0x80
"""Bit that tells a break code in set 1."""


class Key(StrEnum):
    """Every key; the value is its stable readable name, and :data:`KEYS` finds it by that name.

    ``set1``, ``set2`` and ``set3`` are its codes in the three scan-code sets; E0xxh is the two-byte code
    E0h xxh. :func:`scan_codes` knows the two keys that are more complicated than that.
    """

    set1: int
    set2: int
    set3: int

    def __new__(cls, name: str, set1: int, set2: int, set3: int) -> Key:
        key = str.__new__(cls, name)
        key._value_ = name
        key.set1, key.set2, key.set3 = set1, set2, set3
        return key

    ESCAPE = "escape", 0x01, 0x76, 0x08
    F1 = "f1", 0x3B, 0x05, 0x07
    F2 = "f2", 0x3C, 0x06, 0x0F
    F3 = "f3", 0x3D, 0x04, 0x17
    F4 = "f4", 0x3E, 0x0C, 0x1F
    F5 = "f5", 0x3F, 0x03, 0x27
    F6 = "f6", 0x40, 0x0B, 0x2F
    F7 = "f7", 0x41, 0x83, 0x37
    F8 = "f8", 0x42, 0x0A, 0x3F
    F9 = "f9", 0x43, 0x01, 0x47
    F10 = "f10", 0x44, 0x09, 0x4F
    F11 = "f11", 0x57, 0x78, 0x56
    F12 = "f12", 0x58, 0x07, 0x5E

    BACKTICK = "backtick", 0x29, 0x0E, 0x0E
    DIGIT_1 = "1", 0x02, 0x16, 0x16
    DIGIT_2 = "2", 0x03, 0x1E, 0x1E
    DIGIT_3 = "3", 0x04, 0x26, 0x26
    DIGIT_4 = "4", 0x05, 0x25, 0x25
    DIGIT_5 = "5", 0x06, 0x2E, 0x2E
    DIGIT_6 = "6", 0x07, 0x36, 0x36
    DIGIT_7 = "7", 0x08, 0x3D, 0x3D
    DIGIT_8 = "8", 0x09, 0x3E, 0x3E
    DIGIT_9 = "9", 0x0A, 0x46, 0x46
    DIGIT_0 = "0", 0x0B, 0x45, 0x45
    MINUS = "minus", 0x0C, 0x4E, 0x4E
    EQUALS = "equals", 0x0D, 0x55, 0x55
    BACKSPACE = "backspace", 0x0E, 0x66, 0x66

    TAB = "tab", 0x0F, 0x0D, 0x0D
    Q = "q", 0x10, 0x15, 0x15
    W = "w", 0x11, 0x1D, 0x1D
    E = "e", 0x12, 0x24, 0x24
    R = "r", 0x13, 0x2D, 0x2D
    T = "t", 0x14, 0x2C, 0x2C
    Y = "y", 0x15, 0x35, 0x35
    U = "u", 0x16, 0x3C, 0x3C
    I = "i", 0x17, 0x43, 0x43  # noqa: E741 (the name on the key cap)
    O = "o", 0x18, 0x44, 0x44  # noqa: E741
    P = "p", 0x19, 0x4D, 0x4D
    LEFT_BRACKET = "left_bracket", 0x1A, 0x54, 0x54
    RIGHT_BRACKET = "right_bracket", 0x1B, 0x5B, 0x5B
    BACKSLASH = "backslash", 0x2B, 0x5D, 0x5C

    CAPS_LOCK = "caps_lock", 0x3A, 0x58, 0x14
    A = "a", 0x1E, 0x1C, 0x1C
    S = "s", 0x1F, 0x1B, 0x1B
    D = "d", 0x20, 0x23, 0x23
    F = "f", 0x21, 0x2B, 0x2B
    G = "g", 0x22, 0x34, 0x34
    H = "h", 0x23, 0x33, 0x33
    J = "j", 0x24, 0x3B, 0x3B
    K = "k", 0x25, 0x42, 0x42
    L = "l", 0x26, 0x4B, 0x4B
    SEMICOLON = "semicolon", 0x27, 0x4C, 0x4C
    APOSTROPHE = "apostrophe", 0x28, 0x52, 0x52
    ENTER = "enter", 0x1C, 0x5A, 0x5A

    LEFT_SHIFT = "left_shift", 0x2A, 0x12, 0x12
    NON_US_BACKSLASH = "non_us_backslash", 0x56, 0x61, 0x13
    Z = "z", 0x2C, 0x1A, 0x1A
    X = "x", 0x2D, 0x22, 0x22
    C = "c", 0x2E, 0x21, 0x21
    V = "v", 0x2F, 0x2A, 0x2A
    B = "b", 0x30, 0x32, 0x32
    N = "n", 0x31, 0x31, 0x31
    M = "m", 0x32, 0x3A, 0x3A
    COMMA = "comma", 0x33, 0x41, 0x41
    PERIOD = "period", 0x34, 0x49, 0x49
    SLASH = "slash", 0x35, 0x4A, 0x4A
    RIGHT_SHIFT = "right_shift", 0x36, 0x59, 0x59

    LEFT_CTRL = "left_ctrl", 0x1D, 0x14, 0x11
    LEFT_WIN = "left_win", 0xE05B, 0xE01F, 0x8B
    LEFT_ALT = "left_alt", 0x38, 0x11, 0x19
    SPACE = "space", 0x39, 0x29, 0x29
    RIGHT_ALT = "right_alt", 0xE038, 0xE011, 0x39
    RIGHT_WIN = "right_win", 0xE05C, 0xE027, 0x8C
    MENU = "menu", 0xE05D, 0xE02F, 0x8D
    RIGHT_CTRL = "right_ctrl", 0xE01D, 0xE014, 0x58

    PRINT_SCREEN = "print_screen", 0xE037, 0xE07C, 0x57
    SCROLL_LOCK = "scroll_lock", 0x46, 0x7E, 0x5F
    PAUSE = "pause", 0x45, 0x77, 0x62

    INSERT = "insert", 0xE052, 0xE070, 0x67
    HOME = "home", 0xE047, 0xE06C, 0x6E
    PAGE_UP = "page_up", 0xE049, 0xE07D, 0x6F
    DELETE = "delete", 0xE053, 0xE071, 0x64
    END = "end", 0xE04F, 0xE069, 0x65
    PAGE_DOWN = "page_down", 0xE051, 0xE07A, 0x6D
    UP = "up", 0xE048, 0xE075, 0x63
    LEFT = "left", 0xE04B, 0xE06B, 0x61
    DOWN = "down", 0xE050, 0xE072, 0x60
    RIGHT = "right", 0xE04D, 0xE074, 0x6A

    NUM_LOCK = "num_lock", 0x45, 0x77, 0x76
    KP_DIVIDE = "kp_divide", 0xE035, 0xE04A, 0x77
    KP_MULTIPLY = "kp_multiply", 0x37, 0x7C, 0x7E
    KP_MINUS = "kp_minus", 0x4A, 0x7B, 0x84
    KP_7 = "kp_7", 0x47, 0x6C, 0x6C
    KP_8 = "kp_8", 0x48, 0x75, 0x75
    KP_9 = "kp_9", 0x49, 0x7D, 0x7D
    KP_PLUS = "kp_plus", 0x4E, 0x79, 0x7C
    KP_4 = "kp_4", 0x4B, 0x6B, 0x6B
    KP_5 = "kp_5", 0x4C, 0x73, 0x73
    KP_6 = "kp_6", 0x4D, 0x74, 0x74
    KP_1 = "kp_1", 0x4F, 0x69, 0x69
    KP_2 = "kp_2", 0x50, 0x72, 0x72
    KP_3 = "kp_3", 0x51, 0x7A, 0x7A
    KP_ENTER = "kp_enter", 0xE01C, 0xE05A, 0x79
    KP_0 = "kp_0", 0x52, 0x70, 0x70
    KP_PERIOD = "kp_period", 0x53, 0x71, 0x71


KEYS: dict[str, Key] = {key.value: key for key in Key}
"""The keys by name: ``KEYS["enter"] is Key.ENTER``."""

Chord = tuple[Key, ...]
"""Keys to press in this order and to release in the opposite one."""


class ScanCodes(NamedTuple):
    """What a key sends when it goes down, when it comes up, and again and again while it is held."""

    make: bytes
    release: bytes
    repeat: bytes


CTRL_KEYS = frozenset((Key.LEFT_CTRL, Key.RIGHT_CTRL))
ALT_KEYS = frozenset((Key.LEFT_ALT, Key.RIGHT_ALT))
SHIFT_KEYS = frozenset((Key.LEFT_SHIFT, Key.RIGHT_SHIFT))


def _plain_codes(code: int, scan_set: int) -> ScanCodes:
    """Sequences of a key that has nothing special about it."""
    prefix = bytes([EXTENDED]) if code > 0xFF else b""
    code &= 0xFF
    make = prefix + bytes([code])
    release = prefix + (bytes([code | SET1_BREAK]) if scan_set == 1 else bytes([BREAK, code]))
    return ScanCodes(make, release, make)


_PLAIN = {
    1: {key: _plain_codes(key.set1, 1) for key in Key},
    2: {key: _plain_codes(key.set2, 2) for key in Key},
    3: {key: _plain_codes(key.set3, 3) for key in Key},
}

# On the 84-key board Print Screen was Shift + keypad *, so that the key wraps a Shift around itself.
_PRINT_SCREEN = {
    1: ScanCodes(b"\xe0\x2a\xe0\x37", b"\xe0\xb7\xe0\xaa", b"\xe0\x37"),
    2: ScanCodes(b"\xe0\x12\xe0\x7c", b"\xe0\xf0\x7c\xe0\xf0\x12", b"\xe0\x7c"),
}
_SYS_RQ = {
    1: ScanCodes(b"\x54", b"\xd4", b"\x54"),
    2: ScanCodes(b"\x84", b"\xf0\x84", b"\x84"),
}
# Pause was Ctrl + Num Lock, and Break was Ctrl + Scroll Lock; both send make and break at once.
_PAUSE = {
    1: ScanCodes(b"\xe1\x1d\x45\xe1\x9d\xc5", b"", b""),
    2: ScanCodes(b"\xe1\x14\x77\xe1\xf0\x14\xf0\x77", b"", b""),
}
_CTRL_BREAK = {
    1: ScanCodes(b"\xe0\x46\xe0\xc6", b"", b""),
    2: ScanCodes(b"\xe0\x7e\xe0\xf0\x7e", b"", b""),
}


def scan_codes(key: Key, scan_set: int = 2, held: Container[Key] = ()) -> ScanCodes:
    """What ``key`` sends in scan-code set 1, 2 or 3 while the keys in ``held`` are down.

    Only Print Screen (SysRq with Alt) and Pause (Break with Ctrl) look at ``held``.
    """
    if scan_set != 3:
        if key is Key.PRINT_SCREEN:
            if any(alt in held for alt in ALT_KEYS):
                return _SYS_RQ[scan_set]
            if not any(modifier in held for modifier in CTRL_KEYS | SHIFT_KEYS):
                return _PRINT_SCREEN[scan_set]
        elif key is Key.PAUSE:
            ctrl = any(ctrl in held for ctrl in CTRL_KEYS)
            return (_CTRL_BREAK if ctrl else _PAUSE)[scan_set]
    return _PLAIN[scan_set][key]


def _us_layout() -> dict[str, Chord]:
    """The chord of each character that a US keyboard types."""
    plain: dict[str, Key] = {key.value: key for key in Key if len(key.value) == 1}
    plain |= {
        "`": Key.BACKTICK, "-": Key.MINUS, "=": Key.EQUALS, "[": Key.LEFT_BRACKET, "]": Key.RIGHT_BRACKET,
        "\\": Key.BACKSLASH, ";": Key.SEMICOLON, "'": Key.APOSTROPHE, ",": Key.COMMA, ".": Key.PERIOD,
        "/": Key.SLASH, " ": Key.SPACE,
    }  # fmt: skip
    layout: dict[str, Chord] = {character: (key,) for character, key in plain.items()}
    for lower, upper in zip("`1234567890-=[]\\;',./", '~!@#$%^&*()_+{}|:"<>?', strict=True):
        layout[upper] = (Key.LEFT_SHIFT, plain[lower])
    for letter in "abcdefghijklmnopqrstuvwxyz":
        layout[letter.upper()] = (Key.LEFT_SHIFT, plain[letter])
    layout |= {"\n": (Key.ENTER,), "\r": (Key.ENTER,), "\t": (Key.TAB,)}
    layout |= {"\b": (Key.BACKSPACE,), "\x1b": (Key.ESCAPE,)}
    return layout


_US_LAYOUT = _us_layout()

_ALIASES = {
    "esc": Key.ESCAPE, "return": Key.ENTER, "ctrl": Key.LEFT_CTRL, "control": Key.LEFT_CTRL,
    "alt": Key.LEFT_ALT, "altgr": Key.RIGHT_ALT, "shift": Key.LEFT_SHIFT, "win": Key.LEFT_WIN,
    "del": Key.DELETE, "ins": Key.INSERT, "pgup": Key.PAGE_UP, "pgdn": Key.PAGE_DOWN,
    "prtsc": Key.PRINT_SCREEN, "sysrq": Key.PRINT_SCREEN, "break": Key.PAUSE, "dot": Key.PERIOD,
    "hyphen": Key.MINUS,
}  # fmt: skip


def keys_for_text(text: str) -> list[Chord]:
    """The chords that type ``text`` on a US keyboard, one for each character; a newline is Enter.

    Raises UsageError naming the first character that such a keyboard cannot type.
    """
    chords = []
    for character in text.replace("\r\n", "\n"):
        chord = _US_LAYOUT.get(character)
        if chord is None:
            raise UsageError(
                f"a US keyboard cannot type {character!r} (U+{ord(character):04X}); "
                "only printable ASCII, newline, tab, backspace and escape can be typed"
            )
        chords.append(chord)
    return chords


def parse_chord(text: str) -> Chord:
    """The keys of a chord such as ``ctrl+alt+del``, ``alt+f4``, ``shift+kp_5`` or ``ctrl+c``.

    Names are those of :class:`Key`, the usual short ones (ctrl, alt, shift, del, esc, pgup …), and single
    characters; case and blanks do not matter; ``plus`` stands for the character +.
    Raises UsageError naming what is not a key.
    """
    chord: list[Key] = []
    for part in text.split("+"):
        for key in _named(part.strip().lower(), text):
            if key not in chord:
                chord.append(key)
    return tuple(chord)


def _named(name: str, text: str) -> Chord:
    """The key or the character that ``name`` means; ``text`` is the whole chord, for the message."""
    if name == "plus":
        return _US_LAYOUT["+"]
    if name in _ALIASES:
        return (_ALIASES[name],)
    if len(name) == 1 and name in _US_LAYOUT:
        return _US_LAYOUT[name]
    if name in KEYS:
        return (KEYS[name],)
    if not name:
        raise UsageError(f"a key is missing in {text!r}; write a chord as in 'ctrl+alt+del'")
    import difflib  # only a wrong name has to pay for it

    close = difflib.get_close_matches(name, [*_ALIASES, *Key], n=1)
    hint = f"; did you mean {str(close[0])!r}?" if close else ""
    raise UsageError(f"there is no key {name!r} (in {text!r}){hint}")
