"""The processor. Only this package imports unicorn."""

from pcemu.cpu.cpu import Cpu, Registers, Stop

__all__ = ["Cpu", "Registers", "Stop"]
