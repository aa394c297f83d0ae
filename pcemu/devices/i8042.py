"""Intel 8042 keyboard controller: keyboard, gate A20, and a way to reset the processor.

======== ===== ==============================================================
register port  read / write
======== ===== ==============================================================
0        60h   output buffer / byte for the keyboard, or option of a command
4        64h   status / command
======== ===== ==============================================================

======= ==================================================================
20h–3Fh read RAM; byte 0 is the command byte
60h–7Fh write RAM (the byte follows at port 60h)
A4h     is a password installed? F1h: no
A7h A8h disable, enable the mouse interface
A9h     test the mouse lines: 00h
AAh     self-test: 55h
ABh     test the keyboard lines: 00h
ADh AEh disable, enable the keyboard interface
C0h     read the input port
D0h D1h read, write the output port (bit 0 low: reset; bit 1: gate A20)
D2h D3h put a byte into the output buffer as if from keyboard, mouse
D4h     send a byte to the mouse; no mouse is there, so nothing answers
DDh DFh gate A20 off, on
E0h     read the keyboard's clock and data lines
F0h–FFh pulse low the output port bits that are 0 in the command (FEh: reset)
======= ==================================================================

The keyboard's bytes take a byte time of virtual time each, and start only when the output buffer is empty
and the interface is enabled. IRQ 1 (IRQ 12 for mouse bytes) follows the output-buffer-full flag.

**Not implemented**: passwords, the keyboard lock, parity and time-out errors; a command is done at once, so
the input-buffer-full flag never shows.

Reference: Intel UPI-42 data sheet; IBM PC AT Technical Reference, "Keyboard Controller"; IBM Personal
System/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from pcemu.clock import MILLISECOND, Clock, Timer
from pcemu.devices.keyboard import Keyboard
from pcemu.irq import IrqLine

DATA = 0
COMMAND = 4

STATUS_OBF = 0x01
STATUS_IBF = 0x02
STATUS_SYS = 0x04
STATUS_A2 = 0x08
STATUS_INH = 0x10
"""The keyboard lock is open."""
STATUS_MOBF = 0x20

COMMAND_BYTE_INT = 0x01
COMMAND_BYTE_INT2 = 0x02
COMMAND_BYTE_SYS = 0x04
COMMAND_BYTE_EN = 0x10
"""The keyboard interface is disabled (the clock line is held low)."""
COMMAND_BYTE_EN2 = 0x20
"""The mouse interface is disabled."""
COMMAND_BYTE_XLATE = 0x40

CMD_READ_RAM = range(0x20, 0x40)
CMD_WRITE_RAM = range(0x60, 0x80)
CMD_TEST_PASSWORD = 0xA4
CMD_DISABLE_MOUSE = 0xA7
CMD_ENABLE_MOUSE = 0xA8
CMD_TEST_MOUSE = 0xA9
CMD_SELF_TEST = 0xAA
CMD_TEST_KEYBOARD = 0xAB
CMD_DISABLE_KEYBOARD = 0xAD
CMD_ENABLE_KEYBOARD = 0xAE
CMD_READ_INPUT_PORT = 0xC0
CMD_READ_OUTPUT_PORT = 0xD0
CMD_WRITE_OUTPUT_PORT = 0xD1
CMD_WRITE_KEYBOARD_BUFFER = 0xD2
CMD_WRITE_MOUSE_BUFFER = 0xD3
CMD_WRITE_MOUSE = 0xD4
CMD_DISABLE_A20 = 0xDD
CMD_ENABLE_A20 = 0xDF
CMD_READ_TEST_INPUTS = 0xE0
CMD_PULSE = range(0xF0, 0x100)

NO_PASSWORD = 0xF1
LINES_GOOD = 0x00
SELF_TEST_PASSED = 0x55

INPUT_PORT_NO_JUMPER = 0x20
"""The manufacturing jumper is not installed."""
INPUT_PORT_UNLOCKED = 0x80

OUTPUT_PORT_NO_RESET = 0x01
OUTPUT_PORT_A20 = 0x02
OUTPUT_PORT_MOUSE_LINES = 0x0C
OUTPUT_PORT_IRQ1 = 0x10
OUTPUT_PORT_IRQ12 = 0x20
OUTPUT_PORT_KEYBOARD_LINES = 0xC0

TEST_INPUT_CLOCK = 0x01
TEST_INPUT_DATA = 0x02

RAM_SIZE = 32
BYTE_TIME = MILLISECOND
"""Eleven bits on the keyboard's serial line."""

BREAK = 0xF0
SET1_BREAK = 0x80
REPLIES = 0x85
"""From here on a byte of the keyboard is a prefix or a reply, never the code of a key."""

# Set 2 to set 1, as the chip's ROM has it. Keys beyond 7Fh: F7 (83h) and SysRq (84h).
TRANSLATION = bytes.fromhex(
    "ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59 "
    "65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b "
    "67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d "
    "69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f "
    "6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61 "
    "6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76 "
    "55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f "
    "52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54"
) + bytes([0x80, 0x81, 0x82, 0x41, 0x54, *range(0x85, 0x100)])


class I8042:
    """The keyboard controller with its keyboard; ``on_a20`` and ``on_reset`` are its output port's pins."""

    def __init__(
        self,
        clock: Clock,
        irq1: IrqLine,
        irq12: IrqLine,
        keyboard: Keyboard,
        on_reset: Callable[[], None],
        on_a20: Callable[[bool], None],
    ) -> None:
        self._clock = clock
        self._irq1 = irq1
        self._irq12 = irq12
        self._keyboard = keyboard
        self._on_reset = on_reset
        self._on_a20 = on_a20
        self._ram = bytearray(RAM_SIZE)
        self._replies: deque[int] = deque()
        self._transfer: Timer | None = None
        self._a20 = True
        keyboard.on_data = self._start_transfer
        self.reset()

    def reset(self) -> None:
        """Power-on state: buffers empty, interfaces disabled, A20 enabled (the processor's first fetch)."""
        if self._transfer is not None:
            self._transfer.cancel()
            self._transfer = None
        self._ram[:] = bytes(RAM_SIZE)
        self._ram[0] = COMMAND_BYTE_EN | COMMAND_BYTE_EN2
        self._replies.clear()
        self._option_of: Callable[[int], None] | None = None
        self._status = STATUS_INH
        self._data = 0
        self._break_follows = False
        self._drive_irqs()
        self._set_a20(True)

    @property
    def a20(self) -> bool:
        """The level of the gate A20 pin."""
        return self._a20

    def read(self, register: int) -> int:
        """Read port 60h (register 0) or 64h (register 4)."""
        if register == COMMAND:
            return self._status
        data = self._data
        if self._status & STATUS_OBF:
            self._status &= ~(STATUS_OBF | STATUS_MOBF)
            self._drive_irqs()
            if self._replies:
                self._fill(self._replies.popleft())
            else:
                self._start_transfer()
        return data

    def write(self, register: int, value: int) -> None:
        """Write port 60h (register 0) or 64h (register 4)."""
        if register == COMMAND:
            self._status |= STATUS_A2
            self._option_of = None
            self._command(value)
            return
        self._status &= ~STATUS_A2
        option_of = self._option_of
        if option_of is not None:
            self._option_of = None
            option_of(value)
        else:
            # Talking to the keyboard needs its clock line, so that this ends an inhibition.
            self._ram[0] &= ~COMMAND_BYTE_EN
            self._keyboard.write(value)
            self._start_transfer()

    # Commands

    def _command(self, command: int) -> None:
        if command in CMD_READ_RAM:
            self._answer(self._ram[command - CMD_READ_RAM.start])
        elif command in CMD_WRITE_RAM:
            self._option_of = lambda value: self._write_ram(command - CMD_WRITE_RAM.start, value)
        elif command in CMD_PULSE:
            if not command & OUTPUT_PORT_NO_RESET:
                self._on_reset()
        else:
            action = self._ACTIONS.get(command)
            if action is not None:
                action(self)

    def _write_ram(self, address: int, value: int) -> None:
        self._ram[address] = value
        if address == 0:
            self._status = self._status & ~STATUS_SYS | value & COMMAND_BYTE_SYS
            self._drive_irqs()
            self._start_transfer()

    def _set_command_byte(self, bit: int, on: bool) -> None:
        self._write_ram(0, self._ram[0] | bit if on else self._ram[0] & ~bit)

    def _self_test(self) -> None:
        self._set_command_byte(COMMAND_BYTE_SYS, True)
        self._answer(SELF_TEST_PASSED)

    def _read_output_port(self) -> None:
        pins = OUTPUT_PORT_NO_RESET | OUTPUT_PORT_MOUSE_LINES | OUTPUT_PORT_KEYBOARD_LINES
        if self._a20:
            pins |= OUTPUT_PORT_A20
        if self._irq1.level:
            pins |= OUTPUT_PORT_IRQ1
        if self._irq12.level:
            pins |= OUTPUT_PORT_IRQ12
        self._answer(pins)

    def _write_output_port(self, pins: int) -> None:
        self._set_a20(bool(pins & OUTPUT_PORT_A20))
        if not pins & OUTPUT_PORT_NO_RESET:
            self._on_reset()

    def _read_test_inputs(self) -> None:
        inhibited = self._ram[0] & COMMAND_BYTE_EN
        self._answer(TEST_INPUT_DATA if inhibited else TEST_INPUT_DATA | TEST_INPUT_CLOCK)

    def _expect(self, option_of: Callable[[int], None]) -> None:
        self._option_of = option_of

    _ACTIONS: ClassVar[dict[int, Callable[[I8042], None]]] = {
        CMD_TEST_PASSWORD: lambda self: self._answer(NO_PASSWORD),
        CMD_DISABLE_MOUSE: lambda self: self._set_command_byte(COMMAND_BYTE_EN2, True),
        CMD_ENABLE_MOUSE: lambda self: self._set_command_byte(COMMAND_BYTE_EN2, False),
        CMD_TEST_MOUSE: lambda self: self._answer(LINES_GOOD),
        CMD_SELF_TEST: _self_test,
        CMD_TEST_KEYBOARD: lambda self: self._answer(LINES_GOOD),
        CMD_DISABLE_KEYBOARD: lambda self: self._set_command_byte(COMMAND_BYTE_EN, True),
        CMD_ENABLE_KEYBOARD: lambda self: self._set_command_byte(COMMAND_BYTE_EN, False),
        CMD_READ_INPUT_PORT: lambda self: self._answer(INPUT_PORT_UNLOCKED | INPUT_PORT_NO_JUMPER),
        CMD_READ_OUTPUT_PORT: _read_output_port,
        CMD_WRITE_OUTPUT_PORT: lambda self: self._expect(self._write_output_port),
        CMD_WRITE_KEYBOARD_BUFFER: lambda self: self._expect(self._fill),
        CMD_WRITE_MOUSE_BUFFER: lambda self: self._expect(self._fill_from_mouse),
        CMD_WRITE_MOUSE: lambda self: self._expect(lambda value: None),
        CMD_DISABLE_A20: lambda self: self._set_a20(False),
        CMD_ENABLE_A20: lambda self: self._set_a20(True),
        CMD_READ_TEST_INPUTS: _read_test_inputs,
    }

    def _set_a20(self, on: bool) -> None:
        if on != self._a20:
            self._a20 = on
            self._on_a20(on)

    # The output buffer

    def _answer(self, byte: int) -> None:
        """Give the controller's own byte to the processor, after the one that still waits to be read."""
        if self._status & STATUS_OBF:
            self._replies.append(byte)
        else:
            self._fill(byte)

    def _fill(self, byte: int) -> None:
        self._data = byte
        self._status = self._status & ~STATUS_MOBF | STATUS_OBF
        self._drive_irqs()

    def _fill_from_mouse(self, byte: int) -> None:
        self._data = byte
        self._status |= STATUS_OBF | STATUS_MOBF
        self._drive_irqs()

    def _drive_irqs(self) -> None:
        full = self._status & (STATUS_OBF | STATUS_MOBF)
        self._irq1.set(full == STATUS_OBF and bool(self._ram[0] & COMMAND_BYTE_INT))
        self._irq12.set(full == STATUS_OBF | STATUS_MOBF and bool(self._ram[0] & COMMAND_BYTE_INT2))

    # The keyboard's line

    def _start_transfer(self) -> None:
        """Begin to receive the keyboard's next byte, if it has one and may send."""
        if self._transfer is None and self._may_receive() and self._keyboard.pending:
            self._transfer = self._clock.call_after(BYTE_TIME, self._end_transfer)

    def _may_receive(self) -> bool:
        return not (self._status & STATUS_OBF or self._ram[0] & COMMAND_BYTE_EN)

    def _end_transfer(self) -> None:
        self._transfer = None
        # What came in between (an inhibition, a reply of the controller) makes the keyboard try again later.
        if not (self._may_receive() and self._keyboard.pending):
            return
        byte = self._keyboard.take()
        if self._ram[0] & COMMAND_BYTE_XLATE:
            self._receive_translated(byte)
        else:
            self._fill(byte)

    def _receive_translated(self, byte: int) -> None:
        if byte == BREAK:
            self._break_follows = True
            self._start_transfer()
            return
        code = TRANSLATION[byte]
        # A reply can come between the prefix and its code.
        if self._break_follows and byte < REPLIES:
            self._break_follows = False
            code |= SET1_BREAK
        self._fill(code)
