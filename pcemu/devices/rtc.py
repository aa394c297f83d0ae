"""MC146818 real-time clock with 128 bytes of battery-backed CMOS RAM.

======== ===== ==============================================================
register port
======== ===== ==============================================================
0        70h   index of the byte that port 71h reaches; bit 7 masks NMI
1        71h   data
======== ===== ==============================================================

======= =====================================================================
00h–09h seconds, its alarm, minutes, its alarm, hours, its alarm, day of the
        week (1 = Sunday), day, month, year
0Ah–0Dh registers A to D
0Eh–7Fh RAM; 10h–2Dh has a checksum at 2Eh; 32h is the century, which counts
        along with the year
======= =====================================================================

The clock counts virtual time, lazily: the bytes of the calendar are brought up to date when somebody looks at
them, and an event waits on the queue only while an interrupt is enabled and not yet reported. Bytes are kept
as the guest wrote them until the next second changes them, so that a change of BCD or 12-hour mode does
not convert them, as on the chip.

**Not implemented**: daylight saving (DSE), the square-wave pin, time bases other than 32,768 Hz (the divider
stands still), NMI itself (the mask is an attribute).

Reference: Motorola MC146818A data sheet; IBM PC AT Technical Reference, "Real-Time Clock/CMOS RAM".
"""

from __future__ import annotations

import calendar
import datetime

from pcemu.clock import MICROSECOND, MILLISECOND, SECOND, Clock, Timer
from pcemu.irq import IrqLine

INDEX = 0
DATA = 1

INDEX_MASK = 0x7F
INDEX_NMI_MASK = 0x80

SECONDS = 0x00
SECONDS_ALARM = 0x01
MINUTES = 0x02
MINUTES_ALARM = 0x03
HOURS = 0x04
HOURS_ALARM = 0x05
DAY_OF_WEEK = 0x06
DAY_OF_MONTH = 0x07
MONTH = 0x08
YEAR = 0x09
REGISTER_A = 0x0A
REGISTER_B = 0x0B
REGISTER_C = 0x0C
REGISTER_D = 0x0D
CHECKSUMMED = range(0x10, 0x2E)
CHECKSUM_HIGH = 0x2E
CHECKSUM_LOW = 0x2F
CENTURY = 0x32
CMOS_SIZE = 128

A_UIP = 0x80
A_DV = 0x70
A_DV_32768_HZ = 0x20
A_RS = 0x0F

B_SET = 0x80
B_PIE = 0x40
B_AIE = 0x20
B_UIE = 0x10
B_SQWE = 0x08
B_DM_BINARY = 0x04
B_24_HOURS = 0x02

C_IRQF = 0x80
C_PF = 0x40
C_AF = 0x20
C_UF = 0x10
C_FLAGS = 0x70

D_VRT = 0x80

HOURS_PM = 0x80
DO_NOT_CARE = 0xC0
"""Alarm bytes from here on match any value."""

SECONDS_A_DAY = 24 * 60 * 60
TIME_BASE = 32_768
"""Hz."""
UPDATE_CYCLE = 1_984 * MICROSECOND
UPDATE_NOTICE = 244 * MICROSECOND
"""UIP goes high so long before the update cycle, and low at the end of it."""
FIRST_UPDATE = 500 * MILLISECOND
"""From the release of the divider chain to the end of the first update cycle."""

A_AT_POWER_ON = A_DV_32768_HZ | 6
"""32,768 Hz, 1024 periodic interrupts a second: what every AT BIOS sets."""


def days_in_month(month: int, year: int) -> int:
    """Days of a month (1–12) of a year with all its digits; 31 for what is no month."""
    if month == 2 and calendar.isleap(year):
        return 29
    return (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1] if 1 <= month <= 12 else 31


class Mc146818:
    """The clock chip, set to ``start`` (local time; a time zone in it is ignored) at the clock's present."""

    def __init__(self, clock: Clock, irq: IrqLine, start: datetime.datetime) -> None:
        self._clock = clock
        self._irq = irq
        self._timer: Timer | None = None
        self._index = 0
        self.nmi_masked = False
        self._cmos = bytearray(CMOS_SIZE)
        self._cmos[REGISTER_A] = A_AT_POWER_ON
        self._cmos[REGISTER_B] = B_24_HOURS
        self._cmos[REGISTER_D] = D_VRT
        # Instant (ns) at which second 0 of the divider chain began, and what was counted from there on.
        self._origin = clock.now - start.microsecond * MICROSECOND
        self._seconds = 0
        self._ticks = self._ticks_now()
        for index, value in (
            (SECONDS, start.second),
            (MINUTES, start.minute),
            (DAY_OF_WEEK, start.isoweekday() % 7 + 1),
            (DAY_OF_MONTH, start.day),
            (MONTH, start.month),
            (YEAR, start.year % 100),
            (CENTURY, start.year // 100),
        ):
            self._cmos[index] = self._encode(value)
        self._cmos[HOURS] = self._encode_hour(start.hour)

    def reset(self) -> None:
        """RESET pin: interrupts disabled and none pending; calendar, RAM and divider go on."""
        self._catch_up()
        self._index = 0
        self.nmi_masked = False
        self._cmos[REGISTER_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE)
        self._cmos[REGISTER_C] = 0
        self._after_change()

    # The processor's side

    def read(self, register: int) -> int:
        """Read the byte under the index; the index itself cannot be read."""
        if register == INDEX:
            return 0xFF
        index = self._index
        if index > REGISTER_D and index != CENTURY:
            return self._cmos[index]
        value = self.peek(index)
        if index == REGISTER_C:
            self._cmos[REGISTER_C] = 0
            self._after_change()
        return value

    def write(self, register: int, value: int) -> None:
        """Write the index (register 0) or the byte under it (register 1)."""
        if register == INDEX:
            self._index = value & INDEX_MASK
            self.nmi_masked = bool(value & INDEX_NMI_MASK)
        elif self._index > REGISTER_D and self._index != CENTURY:
            self._cmos[self._index] = value
        elif self._index == REGISTER_A:
            self._write_a(value)
        elif self._index == REGISTER_B:
            self._write_b(value)
        elif self._index < REGISTER_A or self._index == CENTURY:
            self.poke(self._index, value)

    def _write_a(self, value: int) -> None:
        self._catch_up()
        was_running = self._running
        self._cmos[REGISTER_A] = value & ~A_UIP
        if self._running and not was_running:
            self._origin = self._clock.now - FIRST_UPDATE
            self._seconds = 0
        self._ticks = self._ticks_now()
        self._after_change()

    def _write_b(self, value: int) -> None:
        self._catch_up()
        if value & B_SET:
            value &= ~B_UIE
        self._cmos[REGISTER_B] = value
        self._after_change()

    # The machine's side

    def peek(self, index: int) -> int:
        """The byte at ``index`` (0–7Fh) as the guest would see it now; nothing is changed by looking."""
        if index <= REGISTER_D or index == CENTURY:
            self._catch_up()
            if index == REGISTER_A and self._update_in_progress():
                return self._cmos[REGISTER_A] | A_UIP
        return self._cmos[index]

    def poke(self, index: int, value: int) -> None:
        """Set the byte at ``index`` (0–7Fh); the registers A to D belong to the guest alone."""
        if REGISTER_A <= index <= REGISTER_D:
            raise ValueError(f"CMOS byte {index:#04x} is a register of the clock chip")
        self._catch_up()
        self._cmos[index] = value
        self._after_change()

    def update_checksum(self) -> None:
        """Store the sum of bytes 10h–2Dh at 2Eh, high byte first, as the BIOS expects it."""
        total = sum(self._cmos[index] for index in CHECKSUMMED)
        self._cmos[CHECKSUM_HIGH] = total >> 8
        self._cmos[CHECKSUM_LOW] = total & 0xFF

    # Divider chain

    @property
    def _running(self) -> bool:
        return self._cmos[REGISTER_A] & A_DV == A_DV_32768_HZ

    @property
    def _updating(self) -> bool:
        """Do the seconds count?"""
        return self._running and not self._cmos[REGISTER_B] & B_SET

    def _periodic_rate(self) -> int:
        """Periodic interrupts per second; 0 when there are none."""
        rate = self._cmos[REGISTER_A] & A_RS
        if rate == 0 or not self._running:
            return 0
        return TIME_BASE >> (rate + 6 if rate <= 2 else rate - 1)

    def _ticks_now(self) -> int:
        """Periods of the periodic interrupt since the origin."""
        return (self._clock.now - self._origin) * self._periodic_rate() // SECOND

    def _update_in_progress(self) -> bool:
        if not self._updating:
            return False
        to_end = SECOND - (self._clock.now - self._origin) % SECOND
        return to_end <= UPDATE_NOTICE + UPDATE_CYCLE

    def _catch_up(self) -> None:
        """Do all that the chip did between the last look and now."""
        if not self._running:
            return
        flags = 0
        ticks = self._ticks_now()
        if ticks != self._ticks:
            self._ticks = ticks
            flags = C_PF
        seconds = (self._clock.now - self._origin) // SECOND
        passed = seconds - self._seconds
        if passed:
            self._seconds = seconds
            if not self._cmos[REGISTER_B] & B_SET:
                flags |= C_UF
                if not self._cmos[REGISTER_C] & C_AF and self._seconds_to_alarm(passed):
                    flags |= C_AF
                self._count(passed)
        if flags & ~self._cmos[REGISTER_C]:
            self._cmos[REGISTER_C] |= flags
            self._drive_irq()

    # Interrupts

    def _drive_irq(self) -> None:
        """Set IRQF and the pin from the flags that are both set and enabled."""
        flags = self._cmos[REGISTER_C] & C_FLAGS
        interrupting = bool(flags & self._cmos[REGISTER_B])
        self._cmos[REGISTER_C] = flags | C_IRQF if interrupting else flags
        self._irq.set(interrupting)

    def _after_change(self) -> None:
        """Drive the pin, and wait for the next interrupt unless one stands already."""
        self._drive_irq()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        enabled = self._cmos[REGISTER_B]
        if self._irq.level or not enabled & (B_PIE | B_AIE | B_UIE):
            return
        instants = []
        rate = self._periodic_rate()
        if enabled & B_PIE and rate:
            instants.append(self._origin - (-(self._ticks + 1) * SECOND // rate))  # rounded up
        if self._updating:
            if enabled & B_UIE:
                instants.append(self._origin + (self._seconds + 1) * SECOND)
            if enabled & B_AIE and (wait := self._seconds_to_alarm(SECONDS_A_DAY)):
                instants.append(self._origin + (self._seconds + wait) * SECOND)
        if instants:
            self._timer = self._clock.call_at(min(instants), self._interrupt_due)

    def _interrupt_due(self) -> None:
        self._timer = None
        self._catch_up()
        self._after_change()

    def _seconds_to_alarm(self, limit: int) -> int:
        """Seconds (1 to ``limit``) until the alarm bytes match the time; 0 when they do not by then."""
        limit = min(limit, SECONDS_A_DAY)
        cmos = self._cmos
        hours = [h for h in range(24) if self._matches(cmos[HOURS_ALARM], self._encode_hour(h))]
        minutes = [m for m in range(60) if self._matches(cmos[MINUTES_ALARM], self._encode(m))]
        seconds = [s for s in range(60) if self._matches(cmos[SECONDS_ALARM], self._encode(s))]
        second_now = self._decode(cmos[SECONDS])
        minute_now = self._decode_hour(cmos[HOURS]) * 60 + self._decode(cmos[MINUTES])
        for ahead in range((second_now + limit) // 60 + 1):
            hour, minute = divmod(minute_now + ahead, 60)
            if hour % 24 in hours and minute in minutes:
                for second in seconds:
                    wait = ahead * 60 + second - second_now
                    if 0 < wait <= limit:
                        return wait
        return 0

    @staticmethod
    def _matches(alarm: int, value: int) -> bool:
        return alarm >= DO_NOT_CARE or alarm == value

    # Calendar

    def _count(self, passed: int) -> None:
        """Let ``passed`` (at least 1) seconds go by on the calendar."""
        cmos = self._cmos
        carry, second = divmod(self._decode(cmos[SECONDS]) + passed, 60)
        cmos[SECONDS] = self._encode(second)
        if not carry:
            return
        carry, minute = divmod(self._decode(cmos[MINUTES]) + carry, 60)
        cmos[MINUTES] = self._encode(minute)
        if not carry:
            return
        carry, hour = divmod(self._decode_hour(cmos[HOURS]) + carry, 24)
        cmos[HOURS] = self._encode_hour(hour)
        if carry:
            self._count_days(carry)

    def _count_days(self, passed: int) -> None:
        cmos = self._cmos
        cmos[DAY_OF_WEEK] = self._encode((self._decode(cmos[DAY_OF_WEEK]) - 1 + passed) % 7 + 1)
        day = self._decode(cmos[DAY_OF_MONTH]) + passed
        month = self._decode(cmos[MONTH])
        year = self._decode(cmos[CENTURY]) * 100 + self._decode(cmos[YEAR])
        while day > (length := days_in_month(month, year)):
            day -= length
            month += 1
            if month > 12:
                month = 1
                year += 1
        cmos[DAY_OF_MONTH] = self._encode(day)
        cmos[MONTH] = self._encode(month)
        cmos[YEAR] = self._encode(year % 100)
        cmos[CENTURY] = self._encode(year // 100 % 100)

    def _encode(self, value: int) -> int:
        """A number (0–99) as a byte of the calendar."""
        return value if self._cmos[REGISTER_B] & B_DM_BINARY else value // 10 << 4 | value % 10

    def _decode(self, byte: int) -> int:
        return byte if self._cmos[REGISTER_B] & B_DM_BINARY else (byte >> 4) * 10 + (byte & 0x0F)

    def _encode_hour(self, hour: int) -> int:
        if self._cmos[REGISTER_B] & B_24_HOURS:
            return self._encode(hour)
        return self._encode((hour + 11) % 12 + 1) | (HOURS_PM if hour >= 12 else 0)

    def _decode_hour(self, byte: int) -> int:
        if self._cmos[REGISTER_B] & B_24_HOURS:
            return self._decode(byte)
        return self._decode(byte & ~HOURS_PM) % 12 + (12 if byte & HOURS_PM else 0)
