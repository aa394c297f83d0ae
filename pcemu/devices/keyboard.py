"""AT/PS2 keyboard (101 to 105 keys): what sits at the far end of the keyboard cable.

It has no ports. The controller (i8042) hands over command bytes with :meth:`Keyboard.write` and collects,
one at a time, the bytes that the keyboard has to say with :meth:`Keyboard.take`. People and scripts move
keys with :meth:`Keyboard.press` and :meth:`Keyboard.release`.

===== =========================================== ======================================================
EDh   set LEDs                                    option byte: bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock
EEh   echo                                        answers EEh
F0h   select scan-code set                        option byte: 1, 2, 3, or 0 to be told the current set
F2h   identify                                    answers ABh 83h
F3h   set typematic rate and delay                option byte: bits 6–5 delay, bits 4–0 rate
F4h   enable                                      clears the buffer and starts scanning
F5h   default and disable                         power-on defaults, scanning stops
F6h   set default                                 power-on defaults
F7–FD set the key types of scan-code set 3        accepted
FEh   resend                                      the last byte once more
FFh   reset                                       defaults, self-test, AAh when that has passed
===== =========================================== ======================================================

Every command but EEh and FEh is answered with FAh; what is no command, with FEh (send it again).

**Not implemented**: the key types of set 3 (every key makes, breaks and repeats); the AAh that a keyboard
sends unasked after power-on; the shift codes around grey cursor keys (see :mod:`pcemu.keys`).

Reference: IBM Personal System/2 Hardware Interface Technical Reference, "101- and 102-Key Keyboards".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pcemu.clock import MILLISECOND, Clock, Timer
from pcemu.errors import UsageError
from pcemu.keys import KEYS, Key, ScanCodes, scan_codes

CMD_SET_LEDS = 0xED
CMD_ECHO = 0xEE
CMD_SCAN_CODE_SET = 0xF0
CMD_IDENTIFY = 0xF2
CMD_TYPEMATIC = 0xF3
CMD_ENABLE = 0xF4
CMD_DEFAULT_DISABLE = 0xF5
CMD_SET_DEFAULT = 0xF6
CMD_SET_ALL_TYPES = range(0xF7, 0xFB)
CMD_SET_KEY_TYPE = range(0xFB, 0xFE)
CMD_RESEND = 0xFE
CMD_RESET = 0xFF

REPLY_ACK = 0xFA
REPLY_RESEND = 0xFE
REPLY_SELF_TEST_PASSED = 0xAA
KEYBOARD_ID = b"\xab\x83"

OVERRUN = {1: 0xFF, 2: 0x00, 3: 0x00}
"""What stands in the buffer, by scan-code set, for the keys that no longer fitted."""

LED_SCROLL_LOCK = 0x01
LED_NUM_LOCK = 0x02
LED_CAPS_LOCK = 0x04
LED_MASK = 0x07

BUFFER_SIZE = 16
DEFAULT_SCAN_SET = 2
DEFAULT_TYPEMATIC = 0x2B
"""500 ms until the first repetition, then 10.9 a second."""
TYPEMATIC_DELAY_UNIT = 250 * MILLISECOND
TYPEMATIC_PERIOD_UNIT = MILLISECOND * 25 // 6
"""1/240 s: the period is (8 + A) × 2^B of these; A is bits 2–0 of the typematic byte, B is bits 4–3."""

SELF_TEST_TIME = 5 * MILLISECOND
"""A real keyboard takes 300 to 500 ms; a BIOS only polls for the end of it."""


def typematic_delay(option: int) -> int:
    """Time in ns from the make code to its first repetition."""
    return ((option >> 5 & 3) + 1) * TYPEMATIC_DELAY_UNIT


def typematic_period(option: int) -> int:
    """Time in ns between two repetitions."""
    return (8 + (option & 7) << (option >> 3 & 3)) * TYPEMATIC_PERIOD_UNIT


class Keyboard:
    """The keyboard; ``on_data`` is called whenever there is something new to :meth:`take`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._replies: deque[int] = deque()
        self._codes: deque[int] = deque()
        self._down: dict[Key, ScanCodes] = {}
        self._repeat_timer: Timer | None = None
        self._self_test_timer: Timer | None = None
        self.on_data: Callable[[], None] = lambda: None
        self.reset()

    def reset(self) -> None:
        """Power-on state: scanning in set 2, LEDs off, nothing to send, no key down."""
        if self._self_test_timer is not None:
            self._self_test_timer.cancel()
            self._self_test_timer = None
        self._replies.clear()
        self._last_sent = 0
        self._option_of: Callable[[int], bool] | None = None
        self._repeating: Key | None = None
        self._scanning = True
        self._down.clear()
        self._set_defaults()
        self.leds = 0

    # The user's side

    def press(self, name: str) -> None:
        """Move a key down; a key that is down already stays as it is. UsageError on an unknown name."""
        key = self._key(name)
        if key in self._down or not self._scanning:
            return
        codes = scan_codes(key, self._scan_set, self._down)
        self._down[key] = codes
        self._stop_repeating()
        if codes.repeat:
            self._repeating = key
            self._repeat_timer = self._clock.call_after(typematic_delay(self._typematic), self._repeat)
        self._queue(codes.make)

    def release(self, name: str) -> None:
        """Let a key come up; nothing happens when it is not down. UsageError on an unknown name."""
        key = self._key(name)
        codes = self._down.pop(key, None)
        if codes is None:
            return
        if key is self._repeating:
            self._stop_repeating()
        if self._scanning and codes.release:
            self._queue(codes.release)

    def release_all(self) -> None:
        """Let every key come up, the last one first: a window lost its focus, a script ended."""
        for key in reversed(list(self._down)):
            self.release(key)

    @property
    def down(self) -> tuple[Key, ...]:
        """The keys that are down, in the order in which they were pressed."""
        return tuple(self._down)

    @property
    def scroll_lock(self) -> bool:
        """Is the Scroll Lock LED lit?"""
        return bool(self.leds & LED_SCROLL_LOCK)

    @property
    def num_lock(self) -> bool:
        """Is the Num Lock LED lit?"""
        return bool(self.leds & LED_NUM_LOCK)

    @property
    def caps_lock(self) -> bool:
        """Is the Caps Lock LED lit?"""
        return bool(self.leds & LED_CAPS_LOCK)

    @staticmethod
    def _key(name: str) -> Key:
        key = KEYS.get(name)
        if key is None:
            raise UsageError(f"there is no key {name!r}; pcemu.keys.Key lists them all")
        return key

    def _queue(self, codes: bytes) -> None:
        """Store the codes of one key stroke; when they do not all fit, none is stored."""
        if len(self._codes) + len(codes) <= BUFFER_SIZE:
            self._codes.extend(codes)
        elif self._codes[-1] != OVERRUN[self._scan_set]:
            self._codes.append(OVERRUN[self._scan_set])
        self.on_data()

    def _repeat(self) -> None:
        """Send the make code of the held key again."""
        assert self._repeating is not None
        self._repeat_timer = self._clock.call_after(typematic_period(self._typematic), self._repeat)
        # While nobody listens repetitions are dropped, so that they cannot fill the buffer.
        if not self._codes:
            self._queue(self._down[self._repeating].repeat)

    def _stop_repeating(self) -> None:
        if self._repeat_timer is not None:
            self._repeat_timer.cancel()
            self._repeat_timer = None
        self._repeating = None

    # The controller's side

    @property
    def pending(self) -> bool:
        """Is there a byte to :meth:`take`?"""
        return bool(self._replies or self._codes)

    def take(self) -> int:
        """The next byte for the controller; replies come before key strokes. Only while ``pending``."""
        if self._replies:
            self._last_sent = self._replies.popleft()
        else:
            self._last_sent = self._codes.popleft()
        return self._last_sent

    def write(self, byte: int) -> None:
        """Take a command or its option byte from the controller."""
        option_of = self._option_of
        self._option_of = None
        if option_of is not None and option_of(byte):
            return
        self._command(byte)

    def _command(self, command: int) -> None:
        if command == CMD_RESEND:
            self._reply(self._last_sent)
            return
        if command == CMD_ECHO:
            self._reply(CMD_ECHO)
            return
        if command == CMD_RESET:
            self.reset()
            self._scanning = False
            self._self_test_timer = self._clock.call_after(SELF_TEST_TIME, self._self_test_passed)
        elif command == CMD_SET_LEDS:
            self._option_of = self._set_leds
        elif command == CMD_SCAN_CODE_SET:
            self._option_of = self._select_set
        elif command == CMD_TYPEMATIC:
            self._option_of = self._set_typematic
        elif command == CMD_ENABLE:
            self._clear_buffer()
            self._scanning = True
        elif command == CMD_DEFAULT_DISABLE:
            self._set_defaults()
            self._scanning = False
        elif command == CMD_SET_DEFAULT:
            self._set_defaults()
        elif command in CMD_SET_KEY_TYPE:
            self._option_of = self._take_key_code
        elif command != CMD_IDENTIFY and command not in CMD_SET_ALL_TYPES:
            self._reply(REPLY_RESEND)
            return
        if command == CMD_IDENTIFY:
            self._reply(REPLY_ACK, *KEYBOARD_ID)
        else:
            self._reply(REPLY_ACK)

    def _reply(self, *answer: int) -> None:
        self._replies.extend(answer)
        self.on_data()

    def _self_test_passed(self) -> None:
        self._scanning = True
        self._reply(REPLY_SELF_TEST_PASSED)

    def _set_defaults(self) -> None:
        self._scan_set = DEFAULT_SCAN_SET
        self._typematic = DEFAULT_TYPEMATIC
        self._clear_buffer()

    def _clear_buffer(self) -> None:
        self._stop_repeating()
        self._codes.clear()

    # Option bytes: each says whether it took the byte; if not, the byte is a command of its own.

    def _set_leds(self, option: int) -> bool:
        if option & ~LED_MASK:
            return False
        self.leds = option
        self._reply(REPLY_ACK)
        return True

    def _set_typematic(self, option: int) -> bool:
        if option & 0x80:
            return False
        self._typematic = option
        self._reply(REPLY_ACK)
        return True

    def _select_set(self, option: int) -> bool:
        if option > 3:
            return False
        if option == 0:
            self._reply(REPLY_ACK, self._scan_set)
            return True
        self._scan_set = option
        self._clear_buffer()
        self._reply(REPLY_ACK)
        return True

    def _take_key_code(self, code: int) -> bool:
        """Accept the codes of the keys whose type is to change, until the next command."""
        if code >= CMD_SET_LEDS:
            return False
        self._option_of = self._take_key_code
        self._reply(REPLY_ACK)
        return True
