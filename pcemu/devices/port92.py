"""PS/2 System Control Port A: fast gate A20 and fast processor reset, without the detour over the 8042.

======== ===== ============================================================
register port
======== ===== ============================================================
0        92h   bit 0 resets the processor on its rising edge; bit 1 gate A20;
               bit 3 locks the password area; bits 7–6 disk light
======== ===== ============================================================

What is written reads back, except for bits 5, 4 and 2, which are 0.

**Not implemented**: the disk light and the lock do nothing; there is no watchdog (bit 4).

Reference: IBM Personal System/2 Hardware Interface Technical Reference, "System Control Port A".
"""

from __future__ import annotations

from collections.abc import Callable

ALTERNATE_RESET = 0x01
ALTERNATE_GATE_A20 = 0x02
WRITABLE = 0xCB


class SystemControlPortA:
    """The latch at port 92h; ``on_a20`` hears of changes of bit 1, ``on_reset`` of rising edges of bit 0."""

    def __init__(self, on_a20: Callable[[bool], None], on_reset: Callable[[], None]) -> None:
        self._on_a20 = on_a20
        self._on_reset = on_reset
        self._value = 0

    def reset(self) -> None:
        """Power-on state: all bits 0; tells ``on_a20`` when that is a change."""
        self.write(0, 0)

    @property
    def a20(self) -> bool:
        """Does this port enable A20?"""
        return bool(self._value & ALTERNATE_GATE_A20)

    def read(self, register: int) -> int:
        """Read the latch."""
        return self._value

    def write(self, register: int, value: int) -> None:
        """Write the latch; A20 changes before the reset."""
        changed = value ^ self._value
        self._value = value & WRITABLE
        if changed & ALTERNATE_GATE_A20:
            self._on_a20(self.a20)
        if changed & value & ALTERNATE_RESET:
            self._on_reset()
