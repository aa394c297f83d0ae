"""An 8259A written straight from the datasheet, one level at a time: slow and obvious.

Used only to judge ``pcemu.devices.pic``, with which it shares nothing.
"""

from __future__ import annotations


class ReferencePic:
    """One chip. ``slaves`` maps IR numbers to the chips whose INT is wired there."""

    def __init__(self) -> None:
        self.pin = [False] * 8
        self.slaves: dict[int, ReferencePic] = {}
        self.master: tuple[ReferencePic, int] | None = None
        self.icw: dict[int, int] = {}
        self.clear()

    def clear(self) -> None:
        self.sensed = [False] * 8  # an edge came and is neither acknowledged nor gone
        self.mask = [False] * 8
        self.service = [False] * 8
        self.order = [0, 1, 2, 3, 4, 5, 6, 7]  # highest priority first
        self.level_mode = False
        self.operating = False
        self.expect: list[int] = []
        self.special_mask = False
        self.show_service = False
        self.polled = False
        self.auto_eoi = False
        self.auto_rotate = False
        self.fully_nested_special = False
        self.icw = {1: 0x02, 2: 0, 3: 0, 4: 0}

    def power_on(self) -> None:
        self.clear()
        self.tell_master()

    # Pins

    def drive(self, n: int, level: bool) -> None:
        if level and not self.pin[n]:
            self.sensed[n] = True
        if not level:
            self.sensed[n] = False
        self.pin[n] = level
        self.tell_master()

    @property
    def int_pin(self) -> bool:
        return self.resolve() is not None

    def tell_master(self) -> None:
        if self.master is not None:
            chip, n = self.master
            chip.drive(n, self.int_pin)

    # Requests and priority

    def requested(self, n: int) -> bool:
        return self.pin[n] if self.level_mode else self.sensed[n]

    def cascaded(self, n: int) -> bool:
        # A slave's ICW3 is its identity, not a set of levels.
        return self.master is None and not self.icw[1] & 0x02 and bool(self.icw[3] & (1 << n))

    def resolve(self) -> int | None:
        if not self.operating:
            return None
        for n in self.order:
            wanted = self.requested(n) and not self.mask[n]
            if self.service[n] and not (self.special_mask and self.mask[n]):
                may_repeat = self.fully_nested_special and self.cascaded(n) and n in self.slaves
                return n if wanted and may_repeat else None
            if wanted:
                return n
        return None

    def make_lowest(self, n: int) -> None:
        while self.order[-1] != n:
            self.order.append(self.order.pop(0))

    def accept(self) -> int | None:
        n = self.resolve()
        if n is None:
            return None
        self.sensed[n] = False
        self.service[n] = True
        if self.auto_eoi:
            self.service[n] = False
            if self.auto_rotate:
                self.make_lowest(n)
        # INT goes inactive during INTA, whatever is waiting behind this request.
        if self.master is not None:
            chip, line = self.master
            chip.drive(line, False)
        self.tell_master()
        return n

    def inta(self) -> int:
        n = self.accept()
        if n is None:
            return (self.icw[2] & 0xF8) + 7
        if self.cascaded(n):
            slave = self.slaves.get(n)
            if slave is None or slave.icw[3] & 7 != n:
                return 0xFF
            return slave.inta()
        return (self.icw[2] & 0xF8) + n

    # Bus cycles

    def read(self, a0: int) -> int:
        if self.polled:
            self.polled = False
            n = self.accept()
            return 0 if n is None else 128 + n
        if a0:
            flags = self.mask
        elif self.show_service:
            flags = self.service
        else:
            flags = [self.requested(n) for n in range(8)]
        return sum(2**n for n in range(8) if flags[n])

    def write(self, a0: int, value: int) -> None:
        if a0 == 0 and value & 0x10:
            self.clear()
            self.icw[1] = value
            self.icw[3] = 7
            self.level_mode = bool(value & 0x08)
            self.expect = [2]
            if not value & 0x02:
                self.expect.append(3)
            if value & 0x01:
                self.expect.append(4)
        elif a0 == 1 and self.expect:
            self.icw[self.expect.pop(0)] = value
            if not self.expect:
                self.operating = True
                self.auto_eoi = bool(self.icw[4] & 0x02)
                self.fully_nested_special = bool(self.icw[4] & 0x10)
        elif a0 == 1:
            self.mask = [bool(value & (1 << n)) for n in range(8)]
        elif value & 0x08:
            self.ocw3(value)
        else:
            self.ocw2(value >> 5, value & 7)
        self.tell_master()

    def ocw2(self, command: int, n: int) -> None:
        if command == 0b000:
            self.auto_rotate = False
        elif command == 0b100:
            self.auto_rotate = True
        elif command == 0b110:
            self.make_lowest(n)
        elif command in (0b011, 0b111):
            self.service[n] = False
            if command == 0b111:
                self.make_lowest(n)
        elif command in (0b001, 0b101):
            for candidate in self.order:
                if self.service[candidate] and not (self.special_mask and self.mask[candidate]):
                    self.service[candidate] = False
                    if command == 0b101:
                        self.make_lowest(candidate)
                    break

    def ocw3(self, value: int) -> None:
        if value & 0x40:
            self.special_mask = bool(value & 0x20)
        if value & 0x04:
            self.polled = True
        elif value & 0x02:
            self.show_service = bool(value & 0x01)


def cascade(master: ReferencePic, n: int, slave: ReferencePic) -> None:
    """Wire a slave to IR ``n``."""
    master.slaves[n] = slave
    slave.master = (master, n)
