"""Intel 8254 programmable interval timer: three 16-bit counters on a clock of 1,193,182 Hz.

::

    register  read                            write
    0–2       count or latched status/count   count of counter 0–2 (LSB, MSB or both, as programmed)
    3         nothing (reads as all ones)     control word, counter latch or read-back command

No counter is ticked. A counter remembers its state at one clock pulse and finds the state at any later one
by arithmetic; pulse ``k`` falls on the first nanosecond at or after ``k / 1,193,182`` seconds, so nothing
drifts. Only counter 0, whose OUT is an IRQ line, asks for events, and only for the rising edges of OUT. An
edge-triggered 8259A has no use for the falls: the line makes up for the fall when the next rise comes.
:meth:`I8254.output` and the status byte always give the true OUT.

What the datasheet leaves open is decided so: a count of 1 in modes 2 and 3 (illegal) counts as 2, a BCD
digit above 9 weighs what it says, a trigger before the first count does nothing, and a two-byte count
counts for nothing until its second byte has come.

Not implemented: separate clocks for the counters (on an AT all three share one).

Source: Intel 8254 datasheet (231164).
"""

from __future__ import annotations

from pcemu.clock import FOREVER, SECOND, Clock, Timer
from pcemu.irq import IrqLine

PIT_HZ = 1_193_182
COUNTERS = 3
CONTROL_REGISTER = 3
FLOATING_BUS = 0xFF

CONTROL_BCD = 0x01
CONTROL_MODE_SHIFT = 1
CONTROL_RW_SHIFT = 4
CONTROL_SC_SHIFT = 6
CONTROL_PROGRAMMED = 0x3F

RW_LATCH = 0
RW_LSB = 1
RW_MSB = 2
RW_BOTH = 3

SC_READ_BACK = 3
READ_BACK_NO_COUNT = 0x20
READ_BACK_NO_STATUS = 0x10
READ_BACK_COUNTER_SHIFT = 1

STATUS_OUT = 0x80
STATUS_NULL_COUNT = 0x40

TERMINAL_COUNT = 0
ONE_SHOT = 1
RATE_GENERATOR = 2
SQUARE_WAVE = 3
SOFTWARE_STROBE = 4
HARDWARE_STROBE = 5

BINARY_MODULUS = 0x10000
BCD_MODULUS = 10_000
POWER_ON_CONTROL = RW_BOTH << CONTROL_RW_SHIFT


class Counter:
    """One counter: count register CR, counting element CE, output latch OL, and the OUT pin.

    The state is that of clock pulse ``pulse``; call :meth:`advance` before any other method.
    """

    __slots__ = (
        "_bcd",
        "_ce",
        "_control",
        "_cr",
        "_expired",
        "_gate",
        "_latch",
        "_latched_bytes",
        "_latched_status",
        "_load_due",
        "_mode",
        "_modulus",
        "_null_count",
        "_period",
        "_read_msb",
        "_running",
        "_rw",
        "_write_lsb",
        "_written",
        "out",
        "pulse",
    )

    def __init__(self) -> None:
        self._gate = True
        self.reset(0)

    def reset(self, pulse: int) -> None:
        """Take a power-on state at ``pulse`` (the datasheet leaves it undefined): stopped, OUT low."""
        self.pulse = pulse
        self._ce = 0
        self.program(POWER_ON_CONTROL)

    # Programming

    def program(self, control: int) -> None:
        """Obey a control word: stop, and take OUT to the initial level of the mode."""
        self._control = control & CONTROL_PROGRAMMED
        self._rw = control >> CONTROL_RW_SHIFT & 3
        mode = control >> CONTROL_MODE_SHIFT & 7
        self._mode = mode & 3 if mode > HARDWARE_STROBE else mode
        self._bcd = bool(control & CONTROL_BCD)
        self._modulus = BCD_MODULUS if self._bcd else BINARY_MODULUS
        self._cr = 0
        self._period = 0
        self._write_lsb: int | None = None
        self._read_msb = False
        self._latch = 0
        self._latched_bytes = 0
        self._latched_status: int | None = None
        self._written = False
        self._null_count = True
        self._load_due = False
        self._running = False
        self._expired = False
        self.out = self._mode != TERMINAL_COUNT

    def write(self, value: int) -> None:
        """Take one byte of a count."""
        if self._rw == RW_LSB:
            self._set_count(value)
        elif self._rw == RW_MSB:
            self._set_count(value << 8)
        elif self._write_lsb is None:
            self._write_lsb = value
            if self._mode == TERMINAL_COUNT:
                self.out = False
                self._running = self._load_due = False
        else:
            count = value << 8 | self._write_lsb
            self._write_lsb = None
            self._set_count(count)

    def _set_count(self, count: int) -> None:
        if self._bcd:
            count = sum((count >> 4 * digit & 0xF) * 10**digit for digit in range(4))
        mode = self._mode
        periodic = mode in (RATE_GENERATOR, SQUARE_WAVE)
        self._cr = 2 if periodic and count == 1 else count or self._modulus
        self._written = True
        self._null_count = True
        if mode == TERMINAL_COUNT:
            self.out = False
        if mode in (TERMINAL_COUNT, SOFTWARE_STROBE) or (periodic and not self._running):
            self._load_due = True

    def set_gate(self, level: bool) -> None:
        """Drive GATE."""
        if level == self._gate:
            return
        self._gate = level
        if self._mode in (TERMINAL_COUNT, SOFTWARE_STROBE):
            return
        if level:
            self._load_due = self._written
        elif self._mode in (RATE_GENERATOR, SQUARE_WAVE):
            self.out = True

    # Reading

    def read(self) -> int:
        """Give the latched status, else a byte of the latched count, else a byte of the count itself."""
        if self._latched_status is not None:
            status, self._latched_status = self._latched_status, None
            return status
        if self._latched_bytes:
            self._latched_bytes -= 1
            count = self._latch
        else:
            count = self._count()
        if self._rw == RW_LSB:
            return count & 0xFF
        if self._rw == RW_MSB:
            return count >> 8
        msb = self._read_msb
        self._read_msb = not msb
        return count >> 8 if msb else count & 0xFF

    def latch_count(self) -> None:
        """Hold the count for reading; ignored while an older one is held."""
        if not self._latched_bytes:
            self._latch = self._count()
            self._latched_bytes = 2 if self._rw == RW_BOTH else 1

    def latch_status(self) -> None:
        """Hold the status byte for reading; ignored while an older one is held."""
        if self._latched_status is None:
            self._latched_status = (
                self.out * STATUS_OUT | self._null_count * STATUS_NULL_COUNT | self._control
            )

    def _count(self) -> int:
        count = self._ce % self._modulus
        return int(f"{count:04d}", 16) if self._bcd else count

    @property
    def period(self) -> int | None:
        """Clock pulses in a cycle of OUT, or None while OUT stands still or gives a single pulse."""
        if self._mode in (RATE_GENERATOR, SQUARE_WAVE) and self._gate and self._written:
            return self._period if self._running else self._cr
        return None

    # Counting

    def advance(self, pulse: int) -> None:
        """Bring the state to clock pulse ``pulse``; the past is ignored."""
        pulses = pulse - self.pulse
        if pulses <= 0:
            return
        self.pulse = pulse
        if self._mode >= SOFTWARE_STROBE:
            self.out = True  # a strobe lasts one pulse
        if self._load_due:
            pulses -= 1
            self._load_due = False
            self._running = True
            self._expired = False
            self._load()
            if self._mode == ONE_SHOT:
                self.out = False
        if pulses and self._counting():
            if self._mode == SQUARE_WAVE:
                self._count_by_twos(pulses)
            elif self._mode == RATE_GENERATOR:
                self._count_cycles(pulses)
            else:
                self._count_once(pulses)

    def _counting(self) -> bool:
        return self._running and (self._gate or self._mode in (ONE_SHOT, HARDWARE_STROBE))

    def _load(self) -> None:
        """Move CR to CE. A square wave counts by twos, so it starts from an even number."""
        self._null_count = False
        self._period = self._cr
        self._ce = self._cr & ~1 if self._mode == SQUARE_WAVE else self._cr

    def _count_once(self, pulses: int) -> None:
        left = self._ce
        self._ce = left - pulses
        if pulses >= left:
            self._ce %= self._modulus
            if not self._expired:
                self._expired = True
                self.out = self._mode < SOFTWARE_STROBE or pulses > left

    def _count_cycles(self, pulses: int) -> None:
        if pulses < self._ce:
            self._ce -= pulses
        else:
            pulses -= self._ce
            self._load()
            self._ce -= pulses % self._period
        self.out = self._ce != 1

    def _count_by_twos(self, pulses: int) -> None:
        left = self._half_left()
        if pulses >= left:
            pulses -= left
            self.out = not self.out
            self._load()
            pulses %= self._period
            left = self._half_left()
            if pulses >= left:
                pulses -= left
                self.out = not self.out
                self._load()
        self._ce -= 2 * pulses

    def _half_left(self) -> int:
        """Pulses until a square wave toggles: with an odd count the high half is one longer."""
        return self._ce // 2 + (self._period & self.out)

    def pulses_to_rise(self) -> int | None:
        """Pulses until OUT next rises if nobody interferes, or None."""
        mode = self._mode
        strobe = mode >= SOFTWARE_STROBE
        if strobe and not self.out:
            return 1
        if not self._gate and mode not in (ONE_SHOT, HARDWARE_STROBE):
            return None
        if self._load_due:
            return 1 + self._cr + strobe
        if not self._running:
            return None
        if mode == RATE_GENERATOR:
            return self._ce
        if mode == SQUARE_WAVE:
            return self._half_left() + (self._cr // 2 if self.out else 0)
        return None if self._expired else self._ce + strobe


class I8254:
    """The timer chip; ``out0`` is the line that counter 0's OUT drives. Gates are high until driven low."""

    def __init__(self, clock: Clock, out0: IrqLine | None = None) -> None:
        self._clock = clock
        self._out0 = IrqLine() if out0 is None else out0
        self._counters = tuple(Counter() for _ in range(COUNTERS))
        self._rise: Timer | None = None
        self._rise_pulse = FOREVER
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-on: all counters stopped with OUT low; gates stay as driven."""
        pulse = self._clock.now * PIT_HZ // SECOND
        for counter in self._counters:
            counter.reset(pulse)
        self._out0.set(False)
        self._schedule_rise()

    def set_gate(self, n: int, level: bool) -> None:
        """Drive the GATE pin of counter ``n``."""
        counter = self._present(n)
        was = counter.out
        counter.set_gate(level)
        if n == 0:
            self._follow_out0(was)

    def output(self, n: int) -> bool:
        """The level of the OUT pin of counter ``n`` at this instant."""
        return self._present(n).out

    def frequency(self, n: int) -> float | None:
        """The frequency of OUT ``n`` in Hz while it oscillates (modes 2 and 3, GATE high), else None."""
        period = self._present(n).period
        return None if period is None else PIT_HZ / period

    def read(self, register: int) -> int:
        """Read counter 0–2."""
        if register == CONTROL_REGISTER:
            return FLOATING_BUS
        return self._present(register).read()

    def write(self, register: int, value: int) -> None:
        """Write a count byte to counter 0–2, or a control word or command to register 3."""
        if register != CONTROL_REGISTER:
            counter = self._present(register)
            was = counter.out
            counter.write(value)
            if register == 0:
                self._follow_out0(was)
            return
        n = value >> CONTROL_SC_SHIFT
        if n == SC_READ_BACK:
            self._read_back(value)
            return
        counter = self._present(n)
        if value >> CONTROL_RW_SHIFT & 3 == RW_LATCH:
            counter.latch_count()
            return
        was = counter.out
        counter.program(value)
        if n == 0:
            self._follow_out0(was)

    def _read_back(self, value: int) -> None:
        for n in range(COUNTERS):
            if value >> READ_BACK_COUNTER_SHIFT + n & 1:
                counter = self._present(n)
                if not value & READ_BACK_NO_COUNT:
                    counter.latch_count()
                if not value & READ_BACK_NO_STATUS:
                    counter.latch_status()

    def _present(self, n: int) -> Counter:
        """Counter ``n`` as it is at this instant."""
        pulse = self._clock.now * PIT_HZ // SECOND
        counter = self._counters[n]
        if n == 0:
            # An access may be later than a rise whose event has not run yet: rises are never skipped.
            while self._rise_pulse <= pulse:
                self._out0_rises()
        counter.advance(pulse)
        return counter

    # OUT 0

    def _follow_out0(self, was: bool) -> None:
        """Pass on what an access did to OUT 0, and expect the next rise anew."""
        out = self._counters[0].out
        if out != was:
            if out:
                self._out0.set(False)
            self._out0.set(out)
        self._schedule_rise()

    def _out0_rises(self) -> None:
        self._counters[0].advance(self._rise_pulse)
        self._schedule_rise()
        self._out0.set(False)
        self._out0.set(True)

    def _schedule_rise(self) -> None:
        counter = self._counters[0]
        pulses = counter.pulses_to_rise()
        pulse = FOREVER if pulses is None else counter.pulse + pulses
        if pulse == self._rise_pulse and self._rise is not None and self._rise.active:
            return
        if self._rise is not None:
            self._rise.cancel()
            self._rise = None
        self._rise_pulse = pulse
        if pulses is not None:
            self._rise = self._clock.call_at(-(-pulse * SECOND // PIT_HZ), self._out0_rises)
