"""Keys of the host become keys of the guest: all 102 of them, and what the host key takes away."""

from __future__ import annotations

import pygame
import pytest

from pcemu.devices.keyboard import Keyboard
from pcemu.frontends.window.keys import HOST_KEY, MAX_WAITING, SCANCODES, HostKey, KeyQueue
from pcemu.keys import Key
from pcemu.testing.fakes import FakeClock

MILLISECOND = 1_000_000

# What a 102-key board sends in scan-code set 2 when a key goes down, as IBM's manual lists it, by SDL's
# name of the key: the 101 keys of the US board and the one left of Z.
MAKE_CODES = """
ESCAPE 76  F1 05  F2 06  F3 04  F4 0C  F5 03  F6 0B  F7 83  F8 0A  F9 01  F10 09  F11 78  F12 07
PRINTSCREEN E012E07C  SCROLLLOCK 7E  PAUSE E11477E1F014F077
GRAVE 0E  1 16  2 1E  3 26  4 25  5 2E  6 36  7 3D  8 3E  9 46  0 45  MINUS 4E  EQUALS 55  BACKSPACE 66
TAB 0D  Q 15  W 1D  E 24  R 2D  T 2C  Y 35  U 3C  I 43  O 44  P 4D  LEFTBRACKET 54  RIGHTBRACKET 5B
BACKSLASH 5D  CAPSLOCK 58  A 1C  S 1B  D 23  F 2B  G 34  H 33  J 3B  K 42  L 4B  SEMICOLON 4C  APOSTROPHE 52
RETURN 5A  LSHIFT 12  NONUSBACKSLASH 61  Z 1A  X 22  C 21  V 2A  B 32  N 31  M 3A  COMMA 41  PERIOD 49
SLASH 4A  RSHIFT 59  LCTRL 14  LALT 11  SPACE 29  RALT E011  RCTRL E014
INSERT E070  HOME E06C  PAGEUP E07D  DELETE E071  END E069  PAGEDOWN E07A  UP E075  LEFT E06B  DOWN E072
RIGHT E074  NUMLOCK 77  KP_DIVIDE E04A  KP_MULTIPLY 7C  KP_MINUS 7B  KP_PLUS 79  KP_ENTER E05A
KP_7 6C  KP_8 75  KP_9 7D  KP_4 6B  KP_5 73  KP_6 74  KP_1 69  KP_2 72  KP_3 7A  KP_0 70  KP_PERIOD 71
"""
WORDS = MAKE_CODES.split()
BOARD = dict(zip(WORDS[::2], map(bytes.fromhex, WORDS[1::2]), strict=True))
BREAK_CODES = {"PRINTSCREEN": bytes.fromhex("E0F07CE0F012"), "PAUSE": b""}


def break_code(name: str) -> bytes:
    """What the key sends when it comes up."""
    if name in BREAK_CODES:
        return BREAK_CODES[name]
    make = BOARD[name]
    return make[:-1] + b"\xf0" + make[-1:]


def scancode(name: str) -> int:
    return int(getattr(pygame, f"KSCAN_{name}"))


class Host:
    """The host's keyboard wired to the guest's; actions of the host key are noted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keyboard = Keyboard(self.clock)
        self.queue = KeyQueue(self.clock, self.keyboard)
        self.performed: list[str] = []
        self.host = HostKey(self.queue, self._perform)

    def _perform(self, character: str) -> bool:
        if character not in ("h", "q"):
            return False
        self.performed.append(character)
        return True

    def down(self, key: Key, character: str = "") -> bytes:
        self.host.press(key, character)
        return self.sent()

    def up(self, key: Key) -> bytes:
        self.host.release(key)
        return self.sent()

    def sent(self) -> bytes:
        """All that the keyboard says now, to a guest that listens."""
        taken = bytearray()
        while self.keyboard.pending:
            taken.append(self.keyboard.take())
            self.clock.advance(MILLISECOND)
        return bytes(taken)


def test_the_board_has_102_keys() -> None:
    assert len(BOARD) == 102
    assert len({SCANCODES[scancode(name)] for name in BOARD}) == 102


@pytest.mark.parametrize("name", BOARD)
def test_every_key_of_the_board_sends_its_codes(name: str) -> None:
    host = Host()
    key = SCANCODES[scancode(name)]
    if key is HOST_KEY:  # it is not known yet for whom it is
        assert host.down(key) == b""
        assert host.up(key) == BOARD[name] + break_code(name)
    else:
        assert host.down(key) == BOARD[name]
        assert host.up(key) == break_code(name)
    assert host.keyboard.down == ()


def test_windows_keys_and_the_second_code_of_the_backslash() -> None:
    assert SCANCODES[scancode("LGUI")] is Key.LEFT_WIN
    assert SCANCODES[scancode("RGUI")] is Key.RIGHT_WIN
    assert SCANCODES[0x65] is Key.MENU
    assert SCANCODES[scancode("NONUSHASH")] is Key.BACKSLASH


def test_a_held_key_repeats_as_the_guest_wants_it() -> None:
    host = Host()
    assert host.down(Key.A) == b"\x1c"
    host.host.press(Key.A, "a")  # the host's own repetition counts for nothing
    assert host.sent() == b""
    host.clock.advance(500 * MILLISECOND)
    assert host.sent() == b"\x1c"
    assert host.up(Key.A) == b"\xf0\x1c"
    host.clock.advance(2000 * MILLISECOND)
    assert host.sent() == b""


def test_no_key_stays_down_when_the_focus_goes() -> None:
    host = Host()
    host.down(Key.LEFT_SHIFT)
    host.down(Key.A)
    host.host.release_all()
    assert host.sent() == b"\xf0\x1c\xf0\x12"
    assert host.up(Key.A) == b""
    assert host.keyboard.down == ()


def test_the_host_key_with_a_key_of_its_own_is_not_the_guests() -> None:
    host = Host()
    sent = host.down(HOST_KEY) + host.down(Key.H, "h") + host.up(Key.H) + host.up(HOST_KEY)
    assert sent == b""
    assert host.performed == ["h"]
    assert host.down(Key.H, "h") == b"\x33"


def test_the_host_key_with_any_other_key_is_the_guests_right_ctrl() -> None:
    host = Host()
    assert host.down(HOST_KEY) == b""
    assert host.down(Key.LEFT, "") == b"\xe0\x14\xe0\x6b"
    assert host.up(HOST_KEY) == b"\xe0\xf0\x14"
    assert host.up(Key.LEFT) == b"\xe0\xf0\x6b"


def test_the_host_key_is_forgotten_when_the_focus_goes() -> None:
    host = Host()
    host.down(HOST_KEY)
    host.host.release_all()
    assert host.down(Key.H, "h") == b"\x33"
    assert host.performed == []


def test_keys_wait_for_a_keyboard_that_is_full_and_none_stays_down() -> None:
    host = Host()
    for _ in range(5):
        for key in (Key.LEFT_SHIFT, Key.A, Key.B, Key.C):
            host.host.press(key, "")
        for key in (Key.C, Key.B, Key.A, Key.LEFT_SHIFT):
            host.host.release(key)
    one = bytes.fromhex("12 1C 32 21 F021 F032 F01C F012")
    assert host.sent() == 5 * one
    assert host.keyboard.down == ()


def test_a_guest_that_does_not_listen_loses_keys_but_no_release() -> None:
    host = Host()
    for _ in range(MAX_WAITING):
        host.host.press(Key.A, "a")
        host.host.release(Key.A)
    sent = host.sent()
    assert 0 < len(sent) < 3 * MAX_WAITING
    assert sent == b"\x1c\xf0\x1c" * (len(sent) // 3)
    assert host.keyboard.down == ()
