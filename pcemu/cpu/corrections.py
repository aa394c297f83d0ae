"""Instructions that the engine gets wrong, and what keeps it from that."""

from __future__ import annotations

from collections.abc import Callable

from pcemu.cpu.division import Division
from pcemu.cpu.engine import Engine
from pcemu.cpu.faults import Fault
from pcemu.cpu.loops import LoopFlags
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import EngineState
from pcemu.cpu.translations import Translations


class Corrections:
    """To be kept as long as the engine runs.

    ``retranslate``: called when the block that would run next has to be translated anew.
    ``refuse``: gives the guest a fault instead of the next instruction.
    """

    def __init__(
        self,
        engine: Engine,
        state: EngineState,
        mmu: Mmu,
        retranslate: Callable[[], None],
        refuse: Callable[[Fault], None],
    ) -> None:
        translations = Translations(engine, mmu, retranslate)
        self._loops = LoopFlags(engine, state, translations)
        self._division = Division(engine, state, mmu, translations, refuse)
