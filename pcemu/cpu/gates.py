"""From a vector to its handler: the gate in the IDT, the code segment that it names, and the stack there.

All of these lie in guest memory, where each has to be found through the page tables and checked. So a way
that was found is remembered, together with the words of memory that were read for it, and is taken again
while these, and the registers that lead to them, are the same.

Intel's Software Developer's Manual, volume 3, "Interrupt and exception handling".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import itemgetter
from struct import Struct
from typing import NamedTuple

from pcemu.cpu.descriptors import (
    CODE,
    CONFORMING,
    GATE_IS_32,
    GATE_IS_TRAP,
    INTERRUPT_GATE_16,
    INTERRUPT_GATE_32,
    NOT_SYSTEM,
    PRESENT,
    SELECTOR_IN_ERROR,
    TASK_GATE,
    TRAP_GATE_16,
    TRAP_GATE_32,
    TSS_IS_32,
    WRITABLE,
    Descriptor,
    Gate,
    gate,
    read_descriptor,
)
from pcemu.cpu.faults import (
    GENERAL_PROTECTION,
    INVALID_TSS,
    NOT_PRESENT,
    RESTARTED,
    STACK_FAULT,
    WITH_ERROR_CODE,
    Fault,
)
from pcemu.cpu.mmu import Mmu
from pcemu.cpu.state import (
    FLAG_IF,
    FLAG_NT,
    FLAG_RF,
    FLAG_TF,
    FLAG_VM,
    IDT_BASE,
    IDT_LIMIT,
    TABLES,
    TABLES_AT,
    TR,
    TR_BASE,
    TR_FLAGS,
    TR_LIMIT,
    EngineState,
    Segment,
)

_IN_IDT, _EXTERNAL = 2, 1  # of an error code
_GATES = frozenset((TASK_GATE, INTERRUPT_GATE_16, TRAP_GATE_16, INTERRUPT_GATE_32, TRAP_GATE_32))
_CODE_SEGMENT = NOT_SYSTEM | CODE
_DATA_SEGMENT = NOT_SYSTEM | WRITABLE
_KEPT_BY_TRAP = 0xFFFFFFFF & ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT)
_KEPT = _KEPT_BY_TRAP & ~FLAG_IF
_stack_16 = Struct("<HH").unpack  # SP and SS of a level, in a 16-bit TSS
_REMEMBERED = 1024


class Source(IntEnum):
    """What asked for the delivery."""

    EXCEPTION = 0
    SOFTWARE = 1  # INT n, INT3, INTO: EIP is already past it
    EXTERNAL = 2


_EXCEPTION, _SOFTWARE = Source.EXCEPTION, Source.SOFTWARE


def external(source: Source) -> int:
    """The lowest bit of an error code: not the program itself asked for the delivery."""
    return 0 if source is _SOFTWARE else _EXTERNAL


class Passage(NamedTuple):
    """The way through an interrupt or trap gate.

    ``code``: what CS becomes; ``offset``: EIP. ``level``: privilege level of the handler. ``stack``: what SS
    becomes, and ``esp``, at an inner level; None at the same one. ``is_32``: pushes doublewords. ``kept``:
    the flags that stay. ``has_error``: pushes an error code. ``resume``: pushes RF set.
    """

    code: Segment
    offset: int
    level: int
    stack: Segment | None
    esp: int
    is_32: int
    kept: int
    has_error: bool
    resume: bool


class TaskPassage(NamedTuple):
    """The way through a task gate: ``selector`` of the TSS; the others as in :class:`Passage`."""

    selector: int
    has_error: bool
    resume: bool


class Gates:
    """Finds the ways that lead through the IDT, by what the TR, the GDT and the LDT say, too."""

    def __init__(self, state: EngineState, mmu: Mmu) -> None:
        self._state = state
        self._raw, self._q, self._d = state.raw, state.q, state.d
        self._mmu = mmu
        self._words = mmu.words
        self._places: list[int] = []  # linear addresses of what was read
        # Which way; how to look at the words that were read for it; these words; the way
        self._known: dict[object, tuple[Callable[..., tuple[int, ...]], tuple[int, ...], Passage]] = {}
        mmu.on_a20 = self._known.clear

    def find(self, vector: int, source: Source, level: int, virtual: int) -> Passage | TaskPassage:
        """The way to the handler of ``vector`` from privilege ``level``, in V86 mode if ``virtual``.

        ``virtual``: FLAG_VM or 0. Raises Fault.
        """
        way = vector << 4 | source << 2 | level | virtual, TABLES(self._raw, TABLES_AT)
        known = self._known.get(way)
        if known is not None:
            look, seen, passage = known
            if look(self._words) == seen:
                return passage
        self._places.clear()
        found = self._find(vector, source, level, virtual)
        if isinstance(found, Passage):
            self._remember(way, found)
        return found

    def _remember(self, way: object, passage: Passage) -> None:
        indexes: set[int] = set()
        for place in self._places:
            words = self._mmu.words_behind(place)
            if not words:
                return
            indexes.update(words)
        look = itemgetter(*indexes)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[way] = look, look(self._words), passage

    def _read_pair(self, linear: int) -> tuple[int, int]:
        self._places.append(linear)
        return self._mmu.read_pair(linear)

    def _find(self, vector: int, source: Source, level: int, virtual: int) -> Passage | TaskPassage:
        outer = external(source)
        entry = self._gate(vector, source, level, outer)
        resume = has_error = False
        if source is _EXCEPTION:
            resume, has_error = vector in RESTARTED, vector in WITH_ERROR_CODE
        selector = entry.selector
        if entry.kind == TASK_GATE:
            return TaskPassage(selector, has_error, resume)
        code = self._code_segment(selector, level, outer)
        new_level = level if code.flags & CONFORMING else code.dpl
        stack, esp = None, 0
        if virtual and new_level:  # it is left for level 0 only
            raise Fault(GENERAL_PROTECTION, selector & SELECTOR_IN_ERROR | outer)
        if new_level < level:
            stack, esp = self._inner_stack(new_level, outer)
        return Passage(
            code=(selector & ~3 | new_level, code.base, code.limit, code.flags),
            offset=entry.offset,
            level=new_level,
            stack=stack,
            esp=esp,
            is_32=entry.kind & GATE_IS_32,
            kept=_KEPT_BY_TRAP if entry.kind & GATE_IS_TRAP else _KEPT,
            has_error=has_error,
            resume=resume,
        )

    def _gate(self, vector: int, source: Source, level: int, external: int) -> Gate:
        """The gate of ``vector``, which a program at ``level`` may use."""
        index = vector * 8
        if index + 7 > self._d[IDT_LIMIT]:
            raise Fault(GENERAL_PROTECTION, index | _IN_IDT | external)
        entry = gate(*self._read_pair(self._q[IDT_BASE] + index))
        if entry.kind not in _GATES or (source is _SOFTWARE and entry.dpl < level):
            raise Fault(GENERAL_PROTECTION, index | _IN_IDT | external)
        if not entry.present:
            raise Fault(NOT_PRESENT, index | _IN_IDT | external)
        return entry

    def _code_segment(self, selector: int, level: int, external: int) -> Descriptor:
        """The handler's code segment."""
        if not selector & SELECTOR_IN_ERROR:
            raise Fault(GENERAL_PROTECTION, external)
        code = read_descriptor(self._state, self._read_pair, selector, GENERAL_PROTECTION, external)
        if code.flags & _CODE_SEGMENT != _CODE_SEGMENT or code.dpl > level:
            raise Fault(GENERAL_PROTECTION, selector & SELECTOR_IN_ERROR | external)
        if not code.flags & PRESENT:
            raise Fault(NOT_PRESENT, selector & SELECTOR_IN_ERROR | external)
        return code

    def _inner_stack(self, level: int, external: int) -> tuple[Segment, int]:
        """What SS and ESP become at an inner level, by the TSS."""
        ss, esp = self._stack_pointer(level, external)
        error = ss & SELECTOR_IN_ERROR | external
        if not ss & SELECTOR_IN_ERROR or ss & 3 != level:
            raise Fault(INVALID_TSS, error)
        stack = read_descriptor(self._state, self._read_pair, ss, INVALID_TSS, external)
        if stack.dpl != level or stack.flags & (_CODE_SEGMENT | WRITABLE) != _DATA_SEGMENT:
            raise Fault(INVALID_TSS, error)
        if not stack.flags & PRESENT:
            raise Fault(STACK_FAULT, error)
        return (ss, stack.base, stack.limit, stack.flags), esp

    def _stack_pointer(self, level: int, external: int) -> tuple[int, int]:
        """(SS, ESP) for privilege level 0, 1 or 2."""
        d, base = self._d, self._q[TR_BASE]
        is_32 = d[TR_FLAGS] >> 8 & TSS_IS_32
        size = 8 if is_32 else 4  # of SP and SS together, with padding
        offset = size * level + size // 2
        if offset + size // 2 + 1 > d[TR_LIMIT]:
            raise Fault(INVALID_TSS, d[TR] & SELECTOR_IN_ERROR | external)
        if is_32:
            esp, ss = self._read_pair(base + offset)
            return ss & 0xFFFF, esp
        self._places.append(base + offset)
        esp, ss = _stack_16(self._mmu.read(base + offset, size))
        return ss, esp
