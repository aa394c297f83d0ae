"""System control port B (port 61h of the AT): timer 2's gate, the speaker, and board status.

::

    bit  write                          read
    0    GATE of timer 2                as written
    1    speaker data enable            as written
    2    disable RAM parity check       as written
    3    disable I/O channel check      as written
    4    –                              refresh toggle: changes at every refresh request
    5    –                              OUT of timer 2
    6    –                              I/O channel check (never: 0)
    7    –                              RAM parity check (never: 0)

Not implemented: parity and channel check errors (nothing raises them), sound itself: the properties say
what the speaker is doing.

Source: IBM Personal Computer AT technical reference, system board, I/O ports.
"""

from __future__ import annotations

from typing import Protocol

from pcemu.clock import Clock

PORTB_TIMER2_GATE = 0x01
PORTB_SPEAKER_DATA = 0x02
PORTB_PARITY_DISABLE = 0x04
PORTB_IOCHK_DISABLE = 0x08
PORTB_WRITABLE = 0x0F
PORTB_REFRESH = 0x10
PORTB_OUT2 = 0x20

SPEAKER_TIMER = 2
REFRESH_NS = 15_085


class SpeakerTimer(Protocol):
    """What this port needs of the interval timer (see ``pcemu.devices.pit.I8254``)."""

    def set_gate(self, n: int, level: bool) -> None: ...

    def output(self, n: int) -> bool: ...

    def frequency(self, n: int) -> float | None: ...


class SystemControlPortB:
    """Port 61h, one register."""

    def __init__(self, clock: Clock, timer: SpeakerTimer) -> None:
        self._clock = clock
        self._timer = timer
        self.reset()

    def reset(self) -> None:
        """Clear all that can be written: gate low, speaker silent."""
        self._latch = 0
        self._timer.set_gate(SPEAKER_TIMER, False)

    def read(self, register: int) -> int:
        """Read the port."""
        value = self._latch
        if self._clock.now // REFRESH_NS & 1:
            value |= PORTB_REFRESH
        if self._timer.output(SPEAKER_TIMER):
            value |= PORTB_OUT2
        return value

    def write(self, register: int, value: int) -> None:
        """Write bits 0–3."""
        self._latch = value & PORTB_WRITABLE
        self._timer.set_gate(SPEAKER_TIMER, bool(value & PORTB_TIMER2_GATE))

    @property
    def speaker_enabled(self) -> bool:
        """True while OUT 2 reaches the speaker (bit 1)."""
        return bool(self._latch & PORTB_SPEAKER_DATA)

    @property
    def speaker_level(self) -> bool:
        """The level at the speaker at this instant: OUT 2 AND speaker data."""
        return self.speaker_enabled and self._timer.output(SPEAKER_TIMER)

    @property
    def speaker_hz(self) -> float | None:
        """The tone in Hz, or None when there is none."""
        return self._timer.frequency(SPEAKER_TIMER) if self.speaker_enabled else None
