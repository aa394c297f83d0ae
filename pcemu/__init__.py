"""pcemu: an IBM-AT-class PC whose hard disk can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcemu.machine import Machine, MachineConfig

__version__ = "0.1.0"
__all__ = ["Machine", "MachineConfig", "__version__"]


def __getattr__(name: str) -> object:
    """Load the machine on first use, so that ``import pcemu`` costs no engine start."""
    if name in ("Machine", "MachineConfig"):
        from pcemu import machine

        return getattr(machine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
