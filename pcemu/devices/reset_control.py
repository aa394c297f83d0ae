"""Reset control register of the 82371 (PIIX): resets the processor alone, or the whole board.

======== ===== ==============================================================
register port
======== ===== ==============================================================
0        CF9h  bit 1 chooses the reset (1: hard, the board; 0: soft, the
               processor), bit 2 does it on its rising edge
======== ===== ==============================================================

Both bits read back; a hard reset clears them.

Reference: Intel 82371SB (PIIX3) data sheet, "Reset Control Register".
"""

from __future__ import annotations

from collections.abc import Callable

SYSTEM_RESET = 0x02
RESET_CPU = 0x04


class ResetControl:
    """``on_reset`` hears of each reset, and whether it is a hard one."""

    def __init__(self, on_reset: Callable[[bool], None]) -> None:
        self._on_reset = on_reset
        self._value = 0

    def reset(self) -> None:
        """Power-on state: both bits 0."""
        self._value = 0

    def read(self, register: int) -> int:
        """Read both bits."""
        return self._value

    def write(self, register: int, value: int) -> None:
        """Write both bits; the kind of reset is the one that is written along with it."""
        rises = value & ~self._value & RESET_CPU
        self._value = value & (SYSTEM_RESET | RESET_CPU)
        if rises:
            self._on_reset(bool(value & SYSTEM_RESET))
