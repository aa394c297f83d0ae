"""Intel 8259A programmable interrupt controller (one chip; an AT has a master and a slave).

::

    register  read                        write
    0         IRR or ISR (OCW3 chooses)   ICW1 (bit 4 set), OCW2, OCW3 (bit 3 set)
    1         IMR                         ICW2, ICW3, ICW4 after ICW1; otherwise OCW1, the IMR
    any       the poll word, once, after OCW3 with P

The chip listens to eight wires (:attr:`I8259.lines`) and drives one, INT. It raises INT while a request is
let through: not masked, and of higher priority than everything in service.

An edge-triggered request is ``wire high AND edge sensed``. The sense latch is armed while the wire is low
and spent by the acknowledge (or by ICW1), so a wire that falls too early takes its request with it, and the
processor then gets the spurious level 7. A device must hold its line until it has been served.

INT follows the requests without delay. It drops for an instant at every acknowledge, as the real pin does:
the slave's next request needs that to be an edge for the master.

Not implemented: the CALL sequence of MCS-80/85 mode (the chip always gives 8086 vectors), buffered mode
(accepted, without effect), the ELCR register of later chip sets.

Source: Intel 8259A datasheet (231468).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pcemu.irq import IrqLine

LEVELS = 8
ALL_LEVELS = 0xFF
NO_LEVEL = -1
SPURIOUS_LEVEL = 7
FLOATING_BUS = 0xFF

ICW1_IC4 = 0x01
ICW1_SNGL = 0x02
ICW1_LTIM = 0x08
ICW1_INIT = 0x10
ICW2_BASE = 0xF8
ICW3_ID = 0x07
ICW3_ID_AFTER_ICW1 = 7
ICW4_AEOI = 0x02
ICW4_SFNM = 0x10

OCW2_LEVEL = 0x07
OCW2_EOI = 0x20
OCW2_SL = 0x40
OCW2_R = 0x80

OCW3_RIS = 0x01
OCW3_RR = 0x02
OCW3_P = 0x04
OCW3_SELECT = 0x08
OCW3_SMM = 0x20
OCW3_ESMM = 0x40

POLL_REQUEST = 0x80


class I8259:
    """One 8259A.

    ``lines`` are its inputs IR0–IR7. ``int_out`` is the level of the INT pin; ``int_changed`` is called with
    it on every change.
    """

    def __init__(self) -> None:
        self.lines = tuple(IrqLine(partial(self._line_changed, 1 << n)) for n in range(LEVELS))
        self.int_out = False
        self.int_changed: Callable[[bool], None] = lambda level: None
        self._slaves: list[I8259 | None] = [None] * LEVELS
        self._is_slave = False
        self._wires = 0
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-on: silent until initialised with ICW1–ICW4."""
        self.isr = 0
        self.imr = 0
        self._ready = False
        self._next_icw = 0
        self._icw1 = ICW1_SNGL
        self._icw2 = 0
        self._icw3 = 0
        self._level_triggered = False
        self._armed = ~self._wires & ALL_LEVELS
        self._enabled = 0
        self._top = 0
        self._aeoi = False
        self._rotate_on_aeoi = False
        self._sfnm_levels = 0
        self._special_mask = False
        self._read_isr = False
        self._poll = False
        self._update()

    def connect_slave(self, n: int, slave: I8259) -> None:
        """Wire the INT pin of ``slave`` to IR ``n``, its cascade inputs to this chip, and its SP pin low."""
        self._slaves[n] = slave
        slave._is_slave = True
        slave.int_changed = self.lines[n].set
        self.lines[n].set(slave.int_out)

    @property
    def irr(self) -> int:
        """The interrupt request register, one bit a level, masked levels included."""
        return self._wires & self._armed

    # The processor's side

    def acknowledge(self) -> int:
        """Do the INTA cycles: take the winning request into service and return its vector.

        Without a request the vector is that of level 7 and nothing is in service: a spurious interrupt.
        """
        level = self._take()
        if level == NO_LEVEL:
            return self._icw2 & ICW2_BASE | SPURIOUS_LEVEL
        if self._icw3 >> level & 1 and not self._icw1 & ICW1_SNGL and not self._is_slave:
            slave = self._slaves[level]
            if slave is None or slave._icw3 & ICW3_ID != level:
                return FLOATING_BUS
            return slave.acknowledge()
        return self._icw2 & ICW2_BASE | level

    def read(self, register: int) -> int:
        """Read register 0 or 1; after a poll command, give the poll word instead."""
        if self._poll:
            self._poll = False
            level = self._take()
            return 0 if level == NO_LEVEL else POLL_REQUEST | level
        if register:
            return self.imr
        return self.isr if self._read_isr else self._wires & self._armed

    def write(self, register: int, value: int) -> None:
        """Write register 0 (ICW1, OCW2, OCW3) or 1 (ICW2–ICW4, OCW1)."""
        if register:
            if self._next_icw:
                self._write_icw(value)
                return
            self.imr = value  # OCW1
            self._enabled = enabled = ~value & ALL_LEVELS if self._ready else 0
            requests = self._wires & self._armed & enabled
            if (requests and self.isr) or self.int_out != (requests != 0):
                self._update()
        elif value & ICW1_INIT:
            self._write_icw1(value)
        elif value & OCW3_SELECT:
            self._write_ocw3(value)
        else:
            self._write_ocw2(value)

    # Initialisation

    def _write_icw1(self, value: int) -> None:
        self.reset()
        self._icw1 = value
        self._icw3 = ICW3_ID_AFTER_ICW1
        self._next_icw = 2
        self._level_triggered = bool(value & ICW1_LTIM)
        if self._level_triggered:
            self._armed = ALL_LEVELS

    def _write_icw(self, value: int) -> None:
        if self._next_icw == 2:
            self._icw2 = value
            self._next_icw = 4 if self._icw1 & ICW1_SNGL else 3
        elif self._next_icw == 3:
            self._icw3 = value
            self._next_icw = 4
        else:
            self._write_icw4(value)
            return
        if self._next_icw == 4 and not self._icw1 & ICW1_IC4:
            self._write_icw4(0)

    def _write_icw4(self, value: int) -> None:
        self._aeoi = bool(value & ICW4_AEOI)
        if value & ICW4_SFNM and not self._icw1 & ICW1_SNGL:
            connected = sum(1 << n for n, slave in enumerate(self._slaves) if slave is not None)
            self._sfnm_levels = self._icw3 & connected
        self._next_icw = 0
        self._ready = True
        self.write(1, self.imr)  # as OCW1

    # Operation

    def _write_ocw2(self, value: int) -> None:
        level = value & OCW2_LEVEL
        if value & OCW2_EOI:
            if not value & OCW2_SL:
                level = self._first(self._blocking())
                if level == NO_LEVEL:
                    return
            self.isr &= ~(1 << level)
            if value & OCW2_R:
                self._make_lowest(level)
            self._update()
        elif not value & OCW2_SL:
            self._rotate_on_aeoi = bool(value & OCW2_R)
        elif value & OCW2_R:
            self._make_lowest(level)
            self._update()

    def _write_ocw3(self, value: int) -> None:
        if value & OCW3_P:
            self._poll = True
        elif value & OCW3_RR:
            self._read_isr = bool(value & OCW3_RIS)
        if value & OCW3_ESMM:
            self._special_mask = bool(value & OCW3_SMM)
            self._update()

    # Priority

    def _line_changed(self, bit: int, level: bool) -> None:
        if level:
            self._wires |= bit
        else:
            self._wires &= ~bit
            self._armed |= bit
        # A rise cannot lower INT and a fall cannot raise it.
        if level != self.int_out:
            self._update()

    def _make_lowest(self, level: int) -> None:
        self._top = level + 1 & 7

    def _rotated(self, bits: int) -> int:
        """``bits`` with the level of highest priority at bit 0."""
        return (bits | bits << LEVELS) >> self._top & ALL_LEVELS

    def _first(self, bits: int) -> int:
        """The level of highest priority among ``bits``."""
        if not bits:
            return NO_LEVEL
        rotated = self._rotated(bits)
        return (rotated & -rotated).bit_length() - 1 + self._top & 7

    def _blocking(self) -> int:
        """What is in service and counts: special mask mode overlooks the levels that are masked."""
        return self.isr & ~self.imr if self._special_mask else self.isr

    def _winner(self) -> int:
        """The level that INT stands for, or NO_LEVEL."""
        requests = self._wires & self._armed & self._enabled
        if not requests:
            return NO_LEVEL
        level = self._first(requests)
        blocking = self._blocking()
        if blocking:
            request, blocker = self._rotated(1 << level), self._rotated(blocking)
            blocker &= -blocker
            if request > blocker:
                return NO_LEVEL
            # In special fully nested mode a slave in service may ask again: it sorts its own levels.
            if request == blocker and not self._sfnm_levels >> level & 1:
                return NO_LEVEL
        return level

    def _take(self) -> int:
        """Move the winning request into service; return its level or NO_LEVEL."""
        level = self._winner()
        if level != NO_LEVEL:
            bit = 1 << level
            if not self._level_triggered:
                self._armed &= ~bit
            if not self._aeoi:
                self.isr |= bit
            elif self._rotate_on_aeoi:
                self._make_lowest(level)
            self._set_int(False)
            self._update()
        return level

    def _update(self) -> None:
        requests = self._wires & self._armed & self._enabled
        level = requests != 0 and (not self.isr or self._winner() != NO_LEVEL)
        if level != self.int_out:
            self._set_int(level)

    def _set_int(self, level: bool) -> None:
        if level != self.int_out:
            self.int_out = level
            self.int_changed(level)
