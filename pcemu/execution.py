"""How processor, clock and interrupt controller take turns.

The processor runs a slice up to the next event; an event that a device adds in the middle of a slice shortens
it, and an interrupt request ends it as soon as the guest would take the interrupt. HLT moves time to the next
event at once. So virtual time is a function of what the guest executes and of its input, and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from pcemu.clock import SECOND, Clock
from pcemu.cpu import Cpu, Stop
from pcemu.devices.pic import I8259
from pcemu.errors import GuestError

# One slice is never longer than this: the host wants to look at its keyboard, too.
MAX_SLICE_TICKS = 1_000_000
# So many shutdowns are followed by a reset, unless they are further apart than this (ns).
MAX_SHUTDOWNS = 3
SHUTDOWN_WINDOW = 60 * SECOND
# A guest that fell into empty memory executes ADD [BX+SI],AL (00 00) for ever.
_EMPTY = bytes(64)
_EMPTY_SLICES = 2


class Execution:
    """Runs the guest; ``tick`` is the virtual time of one byte of code in ns."""

    def __init__(self, cpu: Cpu, clock: Clock, pic: I8259, ram: memoryview, tick: int) -> None:
        self._cpu = cpu
        self._clock = clock
        self._pic = pic
        self._ram = ram
        self._tick = tick
        self._empty_slices = 0
        self._start = 0
        self.on_reset: Callable[[], None] = lambda: None
        self._reset_wanted = False
        self._rest_wanted = False
        self.halted_ns = 0
        # Told of every shutdown that nobody planned; the processor is reset after it, as in a PC.
        self.on_shutdown: Callable[[str], None] = lambda reason: None
        self.is_planned: Callable[[], bool] = lambda: False
        self._shutdowns = 0
        self._last_shutdown = 0
        cpu.time_stamp = lambda: clock.now // tick
        cpu.on_triple_fault = self._on_triple_fault
        clock.elapsed = self._elapsed
        clock.on_earlier = self._on_earlier
        pic.int_changed = cpu.set_request

    def _elapsed(self) -> int:
        return self._cpu.ticks_used * self._tick if self._cpu.running else 0

    def _on_earlier(self, when: int) -> None:
        if self._cpu.running:
            self._cpu.limit_slice((when - self._start) // self._tick)

    def request_reset(self) -> None:
        """The RESET pin: acts when the instruction that pulled it has ended."""
        self._reset_wanted = True
        if self._cpu.running:
            self._cpu.end_slice()

    def rest(self) -> None:
        """The guest has nothing to do: behind this block, let time pass until something may happen."""
        self._rest_wanted = True
        if self._cpu.running:
            self._cpu.end_slice()

    def _on_triple_fault(self, reason: str) -> None:
        """The processor shut down. Software for the 80286 does so on purpose, to leave protected mode."""
        planned = self._reset_wanted or self.is_planned()
        self.request_reset()
        if planned:
            return
        now = self._clock.now
        if now - self._last_shutdown > SHUTDOWN_WINDOW:
            self._shutdowns = 0
        self._shutdowns += 1
        self._last_shutdown = now
        if self._shutdowns > MAX_SHUTDOWNS:
            raise GuestError(f"{reason}; {MAX_SHUTDOWNS} resets have not helped")
        self.on_shutdown(reason)

    def run_until(self, when: int) -> None:
        """Run the guest until the instant ``when`` (ns)."""
        clock = self._clock
        while clock.now < when:
            self._step(when)
        clock.run_due()

    def _step(self, until: int) -> None:
        """One turn: what is due, an interrupt, a slice or a wait."""
        cpu, clock, pic = self._cpu, self._clock, self._pic
        clock.run_due()
        if pic.int_out and cpu.interruptible:
            cpu.interrupt(pic.acknowledge())
        if self._reset_wanted:
            self._reset_wanted = False
            self.on_reset()
        elif cpu.halted:
            self._wait(min(clock.deadline, until))
            return
        self._start = now = clock.now
        ticks = (min(clock.deadline, until) - now) // self._tick
        try:
            stop = cpu.run(min(ticks, MAX_SLICE_TICKS))
        finally:  # what a device raises comes out there; the time it took has passed
            clock.advance_to(now + cpu.ticks_used * self._tick)
        if self._rest_wanted:
            self._rest_wanted = False
            if not pic.int_out:
                self._skip_to(min(clock.deadline, until))
        elif stop is Stop.HALT:
            self._empty_slices = 0
        elif ticks >= MAX_SLICE_TICKS:
            self._check_empty()

    def _wait(self, when: int) -> None:
        """HLT: let time pass until something may happen."""
        if not self._cpu.interrupts_enabled and not self._reset_wanted:
            raise GuestError(
                f"the guest halted with interrupts off, so nothing can wake it, at {self._cpu.location}"
                f"{self._cpu.cause}"
            )
        self._skip_to(when)

    def _skip_to(self, when: int) -> None:
        self.halted_ns += max(0, when - self._clock.now)
        self._clock.advance_to(when)

    def _check_empty(self) -> None:
        self._cpu.check_segment_end()
        at = self._cpu.physical_ip
        if self._ram[at : at + len(_EMPTY)] != _EMPTY:
            self._empty_slices = 0
            return
        self._empty_slices += 1
        if self._empty_slices >= _EMPTY_SLICES:
            raise GuestError(f"the guest executes empty memory, not a program, at {self._cpu.location}")
