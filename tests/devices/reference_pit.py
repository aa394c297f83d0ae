"""One 8254 counter written straight from the datasheet, one CLK pulse at a time: slow and obvious.

Used only to judge ``pcemu.devices.pit``, with which it shares nothing.
"""

from __future__ import annotations


class ReferenceCounter:
    """CLK pulses come with :meth:`clk`. ``rises`` lists the pulse numbers at which OUT went high."""

    def __init__(self) -> None:
        self.pulse = 0
        self.gate = True
        self.rises: list[int] = []
        self._out = False
        self.value = 0
        self.control(0x30)

    @property
    def out(self) -> bool:
        return self._out

    @out.setter
    def out(self, level: bool) -> None:
        if level and not self._out:
            self.rises.append(self.pulse)
        self._out = level

    # Bus cycles

    def control(self, word: int) -> None:
        self.word = word & 0x3F
        self.format = {0x10: "lsb", 0x20: "msb", 0x30: "both"}[word & 0x30]
        self.mode = [0, 1, 2, 3, 4, 5, 2, 3][(word & 0x0E) >> 1]
        self.base = 10 if word & 1 else 16
        self.wrap = self.base**4
        self.initial: int | None = None
        self.half_written: int | None = None
        self.second_read = False
        self.held_count: list[int] = []
        self.held_status: list[int] = []
        self.null_count = True
        self.counting = False
        self.load_on_next_clk = False
        self.trigger = False
        self.waiting_for_zero = False
        self.strobing = False
        self.high_half_of_odd = False
        self.out = self.mode != 0

    def write(self, byte: int) -> None:
        if self.format == "lsb":
            self.new_count(byte)
        elif self.format == "msb":
            self.new_count(byte * 256)
        elif self.half_written is None:
            self.half_written = byte
            if self.mode == 0:
                self.counting = False
                self.load_on_next_clk = False
                self.out = False
        else:
            low, self.half_written = self.half_written, None
            self.new_count(byte * 256 + low)

    def new_count(self, pattern: int) -> None:
        count = 0
        for nibble in f"{pattern:04x}":
            count = count * self.base + int(nibble, 16)
        if count == 0:
            count = self.wrap
        if self.mode in (2, 3) and count == 1:
            count = 2
        self.initial = count
        self.null_count = True
        if self.mode == 0:
            self.out = False
        if self.mode in (0, 4) or (self.mode in (2, 3) and not self.counting):
            self.load_on_next_clk = True

    def shown(self) -> int:
        value = self.value % self.wrap
        digits = ""
        for _ in range(4):
            digits = "0123456789abcdef"[value % self.base] + digits
            value //= self.base
        return int(digits, 16)

    def bytes_of(self, count: int) -> list[int]:
        low, high = count & 0xFF, count >> 8
        if self.format == "lsb":
            return [low]
        if self.format == "msb":
            return [high]
        return [high, low] if self.second_read else [low, high]

    def latch(self) -> None:
        if not self.held_count:
            self.held_count = self.bytes_of(self.shown())

    def latch_status(self) -> None:
        if not self.held_status:
            self.held_status = [(128 if self.out else 0) + (64 if self.null_count else 0) + self.word]

    def read(self) -> int:
        if self.held_status:
            return self.held_status.pop()
        byte = self.held_count.pop(0) if self.held_count else self.bytes_of(self.shown())[0]
        if self.format == "both":
            self.second_read = not self.second_read
        return byte

    # Pins

    def set_gate(self, level: bool) -> None:
        rising = level and not self.gate
        falling = self.gate and not level
        self.gate = level
        if rising and self.mode in (1, 2, 3, 5) and self.initial is not None:
            self.trigger = True
        if falling and self.mode in (2, 3):
            self.out = True

    def clk(self) -> None:
        self.pulse += 1
        if self.strobing:
            self.strobing = False
            self.out = True
        if self.load_on_next_clk or self.trigger:
            self.load_on_next_clk = False
            self.trigger = False
            self.counting = True
            self.load()
            self.waiting_for_zero = True
            if self.mode == 1:
                self.out = False
            return
        if not self.counting:
            return
        if self.mode in (0, 2, 3, 4) and not self.gate:
            return
        getattr(self, f"mode_{self.mode}")()

    def load(self) -> None:
        assert self.initial is not None
        self.value = self.initial
        self.null_count = False
        if self.mode == 3 and self.initial % 2 == 1:
            self.value -= 1
            self.high_half_of_odd = self.out
        else:
            self.high_half_of_odd = False

    def down(self) -> bool:
        """Count; True when zero has been reached for the first time since the load."""
        self.value -= 1
        if self.value < 0:
            self.value += self.wrap
        if self.value == 0 and self.waiting_for_zero:
            self.waiting_for_zero = False
            return True
        return False

    def mode_0(self) -> None:
        if self.down():
            self.out = True

    def mode_1(self) -> None:
        if self.down():
            self.out = True

    def mode_2(self) -> None:
        if self.value == 1:
            self.load()
            self.out = True
        else:
            self.value -= 1
            if self.value == 1:
                self.out = False

    def mode_3(self) -> None:
        # The high half of an odd count shows zero for one pulse before the reload; other halves do not.
        if self.value == (0 if self.high_half_of_odd else 2):
            self.out = not self.out
            self.load()
        else:
            self.value -= 2

    def mode_4(self) -> None:
        if self.down():
            self.out = False
            self.strobing = True

    def mode_5(self) -> None:
        self.mode_4()
