"""How a PC/AT tells of coprocessor errors: a latch between the FPU's ERROR# output and IRQ 13.

======== ===== ==================================================
register port
======== ===== ==================================================
0        F0h   any write clears the latch (and so lowers IRQ 13)
1        F1h   any write resets the coprocessor: clears it, too
======== ===== ==================================================

An error latches once; the next one latches again only after the FPU's own error has gone (FNCLEX, FNINIT).
Programs that set CR0.NE get exception 16 instead, and nothing arrives here.

**Not implemented**: the latch does not hold the processor's BUSY# input: an FPU instruction behind the one
that failed does not wait for the handler. F1h leaves the FPU's registers alone. Reads give FFh.

Reference: IBM Personal Computer AT Technical Reference, "Math Coprocessor Control".
"""

from __future__ import annotations

from pcemu.irq import IrqLine

FLOATING_BUS = 0xFF


class CoprocessorError:
    """``irq``: IRQ 13."""

    def __init__(self, irq: IrqLine) -> None:
        self._irq = irq

    def reset(self) -> None:
        """Power-on state: no error is latched."""
        self._irq.set(False)

    def set_error(self, level: bool) -> None:
        """The FPU's error output; what counts is that it becomes true."""
        if level:
            self._irq.set(True)

    def read(self, register: int) -> int:
        """Nothing answers."""
        return FLOATING_BUS

    def write(self, register: int, value: int) -> None:
        """Clear the latch."""
        self._irq.set(False)
