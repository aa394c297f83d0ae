"""The processor. Only this package imports unicorn."""

from pcemu.cpu.cpu import Cpu, Stop
from pcemu.cpu.registers import Registers

__all__ = ["Cpu", "Registers", "Stop"]
