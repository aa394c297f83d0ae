"""What a terminal sends for a key, turned back into the key.

A terminal sends characters, not keys: Ctrl-A is the byte 01h, Alt-X is ESC x, F5 is ``ESC [ 15 ~``. The
decoder knows the sequences of xterm and its kin, the Linux console, rxvt, and the VT series. What they
share is the grammar:

=============================  ==========================================================
bytes                          key
=============================  ==========================================================
20h–7Eh                        what a US keyboard types with
00h–1Fh, 7Fh                   Ctrl and a key; Tab, Enter, Escape, Backspace
ESC O letter                   SS3: F1–F4, arrows, Home, End
ESC [ n ; m letter             CSI: arrows, Home, End, F1–F4; m - 1 has bits for
                               Shift (1), Alt (2), Ctrl (4)
ESC [ n ; m ~                  CSI: a key by number
ESC [ [ letter                 F1–F5 of the Linux console
ESC and one of the above       the same with Alt
=============================  ==========================================================

ESC alone is told from the start of a sequence only by silence: :attr:`KeyDecoder.pending` says that bytes
wait for more, and :meth:`KeyDecoder.flush` gives up waiting.
"""

from __future__ import annotations

from pcemu.keys import Chord, Key, keys_for_text

NO_KEY: Chord = ()
"""Something came that no key of the guest's keyboard stands for."""

ESC = 0x1B
DELETE = 0x7F  # what terminals send for Backspace
CSI, SS3 = ord("["), ord("O")
FINAL_BYTES = range(0x40, 0x7F)  # of a control sequence (ECMA-48)
PARAMETER_BYTES = range(0x20, 0x40)
LONGEST = 16  # a control sequence of a key is shorter than this

SHIFT, ALT, CTRL = 1, 2, 4
MODIFIERS = {CTRL: Key.LEFT_CTRL, ALT: Key.LEFT_ALT, SHIFT: Key.LEFT_SHIFT}

BY_LETTER = {
    "A": Key.UP, "B": Key.DOWN, "C": Key.RIGHT, "D": Key.LEFT, "E": Key.KP_5, "F": Key.END, "H": Key.HOME,
    "M": Key.KP_ENTER, "P": Key.F1, "Q": Key.F2, "R": Key.F3, "S": Key.F4,
}  # fmt: skip
RXVT_ARROWS = {"a": Key.UP, "b": Key.DOWN, "c": Key.RIGHT, "d": Key.LEFT}
BY_NUMBER = {
    1: Key.HOME, 2: Key.INSERT, 3: Key.DELETE, 4: Key.END, 5: Key.PAGE_UP, 6: Key.PAGE_DOWN,
    7: Key.HOME, 8: Key.END,
    11: Key.F1, 12: Key.F2, 13: Key.F3, 14: Key.F4, 15: Key.F5, 17: Key.F6, 18: Key.F7, 19: Key.F8,
    20: Key.F9, 21: Key.F10, 23: Key.F11, 24: Key.F12,
}  # fmt: skip
# Shift with F1–F8 on the Linux console: the VT220's F13–F20.
SHIFTED_BY_NUMBER = {
    25: Key.F1, 26: Key.F2, 28: Key.F3, 29: Key.F4, 31: Key.F5, 32: Key.F6, 33: Key.F7, 34: Key.F8,
}  # fmt: skip
RXVT_MODIFIERS = {"~": 0, "$": SHIFT, "^": CTRL, "@": SHIFT | CTRL}
LINUX_CONSOLE = {"A": Key.F1, "B": Key.F2, "C": Key.F3, "D": Key.F4, "E": Key.F5}


def _with(modifiers: int, chord: Chord) -> Chord:
    """The chord with more modifiers held before it."""
    held = tuple(key for bit, key in MODIFIERS.items() if modifiers & bit and key not in chord)
    return held + chord


def _single_bytes() -> dict[int, Chord]:
    """The chords of all bytes that stand alone."""
    chords = {code: keys_for_text(chr(code))[0] for code in range(0x20, DELETE)}
    for code in range(1, 27):
        chords[code] = _with(CTRL, keys_for_text(chr(code | 0x60))[0])
    chords |= {
        0x00: (Key.LEFT_CTRL, Key.DIGIT_2),  # Ctrl-@, also what Ctrl-Space sends
        0x08: (Key.BACKSPACE,),
        0x09: (Key.TAB,),
        0x0A: (Key.ENTER,),  # in pasted text
        0x0D: (Key.ENTER,),
        0x1C: (Key.LEFT_CTRL, Key.BACKSLASH),
        0x1D: (Key.LEFT_CTRL, Key.RIGHT_BRACKET),
        0x1E: (Key.LEFT_CTRL, Key.DIGIT_6),
        0x1F: (Key.LEFT_CTRL, Key.MINUS),
        DELETE: (Key.BACKSPACE,),
    }
    return chords


SINGLE_BYTES = _single_bytes()


class KeyDecoder:
    """Takes bytes as they come, in pieces of any size, and gives the chords they stand for."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """True while bytes wait for what follows them."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Chord]:
        """The chords that are complete now; NO_KEY for each thing that is no key."""
        self._buffer += data
        chords: list[Chord] = []
        while self._buffer:
            taken, chord = _decode(bytes(self._buffer[:LONGEST]))
            if taken == 0:
                break
            del self._buffer[:taken]
            chords.append(chord)
        return chords

    def flush(self) -> list[Chord]:
        """Nothing follows: what waits is the Escape key, or Alt with a key that starts sequences."""
        waiting, self._buffer = bytes(self._buffer), bytearray()
        if not waiting:
            return []
        if waiting[0] != ESC:
            return [NO_KEY]
        if len(waiting) == 1:
            return [(Key.ESCAPE,)]
        if len(waiting) == 2 and waiting[1] in SINGLE_BYTES:
            return [_with(ALT, SINGLE_BYTES[waiting[1]])]
        if waiting == bytes((ESC, ESC)):
            return [(Key.ESCAPE,), (Key.ESCAPE,)]
        return [NO_KEY]


def _decode(data: bytes) -> tuple[int, Chord]:
    """(bytes taken, chord) of what ``data`` starts with; 0 bytes when it is not complete."""
    first = data[0]
    if first == ESC:
        return _decode_escape(data)
    if first in SINGLE_BYTES:
        return 1, SINGLE_BYTES[first]
    return _skip_utf8(data), NO_KEY


def _skip_utf8(data: bytes) -> int:
    """Length of the character beyond ASCII that ``data`` starts with; 0 when it is not complete."""
    first = data[0]
    length = 1 if first >= 0xF8 else 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
    for index in range(1, length):
        if index == len(data):
            return 0
        if data[index] & 0xC0 != 0x80:
            return index
    return length


def _decode_escape(data: bytes) -> tuple[int, Chord]:
    """What starts with ESC."""
    if len(data) == 1:
        return 0, NO_KEY
    second = data[1]
    if second == CSI:
        return _decode_csi(data)
    if second == SS3:
        return _decode_ss3(data)
    if second == ESC:
        # Alt with a key that sends a sequence, or Escape twice.
        if len(data) == 2:
            return 0, NO_KEY
        if data[2] not in (CSI, SS3):
            return 1, (Key.ESCAPE,)
    taken, chord = _decode(data[1:])
    return (taken + 1, _with(ALT, chord) if chord else NO_KEY) if taken else (0, NO_KEY)


def _decode_ss3(data: bytes) -> tuple[int, Chord]:
    """ESC O letter; some terminals put the modifier before the letter."""
    if len(data) == 2:
        return 0, NO_KEY
    modifiers, at = 0, 2
    if data[2] in b"12345678":
        if len(data) == 3:
            return 0, NO_KEY
        modifiers, at = data[2] - ord("1"), 3
    letter = chr(data[at])
    if letter in RXVT_ARROWS:
        return at + 1, _with(CTRL, (RXVT_ARROWS[letter],))
    key = BY_LETTER.get(letter)
    return at + 1, _with(modifiers, (key,)) if key else NO_KEY


def _decode_csi(data: bytes) -> tuple[int, Chord]:
    """ESC [ parameters final."""
    if data[2:3] == b"[":
        if len(data) == 3:
            return 0, NO_KEY
        key = LINUX_CONSOLE.get(chr(data[3]))
        return 4, (key,) if key else NO_KEY
    end = 2
    while end < len(data) and data[end] in PARAMETER_BYTES and data[end] != ord("$"):
        end += 1
    if end == len(data):
        return (0 if end < LONGEST else end), NO_KEY
    final = data[end]
    if final not in FINAL_BYTES and final != ord("$"):
        return end, NO_KEY  # cut off: what follows starts anew
    return end + 1, _csi_chord(data[2:end].decode("ascii"), chr(final))


def _csi_chord(parameters: str, final: str) -> Chord:
    """The chord of a complete control sequence."""
    fields = parameters.split(";")
    if not all(field.isdigit() or not field for field in fields):
        return NO_KEY
    numbers = [int(field or 1) for field in fields]
    modifiers = (numbers[1] - 1) & (SHIFT | ALT | CTRL) if len(numbers) > 1 else 0
    if final == "Z":
        return _with(modifiers | SHIFT, (Key.TAB,))
    if final in RXVT_ARROWS:
        return _with(SHIFT, (RXVT_ARROWS[final],))
    if final in RXVT_MODIFIERS:
        modifiers |= RXVT_MODIFIERS[final]
        if numbers[0] in SHIFTED_BY_NUMBER:
            return _with(modifiers | SHIFT, (SHIFTED_BY_NUMBER[numbers[0]],))
        key = BY_NUMBER.get(numbers[0])
    else:
        key = BY_LETTER.get(final)
    return _with(modifiers, (key,)) if key else NO_KEY
