"""A look inside the machine, for those who want to learn how a PC works: text in cells, for any front end.

::

    ── Registers ─────────────────────────
     EAX 00000E00   EBX 00000007
     …
     CS:EIP F000:0000E05B  EFLAGS 00000246
     of  df  IF  tf  sf  ZF  af  PF  cf
    ── Interrupts ────────────────────────
                01234567 89ABCDEF
     requested  ........ ......1.
     …
    ── Ports, the last first ─────────────
     in  60 8042                 1E
     out 20 PIC master           20 x18
    ── Drives ────────────────────────────
     …

Accesses to ports are watched only while somebody looks (:meth:`Inspector.open`): the machine pays for it then
alone. Looking changes nothing in the machine; not even a register that is cleared by reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pcemu.bus import Access, Watcher
from pcemu.frontends.cells import CellGrid

WIDTH = 38
TEXT, DIM, TITLE, VALUE, ON = 0x07, 0x08, 0x0B, 0x0F, 0x0E
REMEMBERED = 40  # lines of accesses
REGISTERS = (
    *((("eax", "ebx"), 8), (("ecx", "edx"), 8), (("esi", "edi"), 8), (("ebp", "esp"), 8)),
    *((("ds", "es", "ss"), 4), (("fs", "gs"), 4)),
)
"""The rows of registers, with so many hexadecimal digits."""
FLAGS = ((11, "of"), (10, "df"), (9, "if"), (8, "tf"), (7, "sf"), (6, "zf"), (4, "af"), (2, "pf"), (0, "cf"))
DRIVE_LINES = 4  # at least, while there are more ports to tell of


class Pic(Protocol):
    """An interrupt controller: its request, in-service and mask registers."""

    @property
    def irr(self) -> int: ...

    isr: int
    imr: int


@dataclass(frozen=True)
class Insides:
    """Where to look.

    ``registers``: the processor's by name, in lower case. ``pics``: master and slave. ``irqs``: what is
    connected, by number. ``watch``: sends accesses to ports somewhere, or nowhere any more. ``drives``: the
    drive chain in lines.
    """

    registers: Callable[[], Mapping[str, int]]
    pics: tuple[Pic, Pic]
    irqs: Mapping[int, str]
    watch: Callable[[Watcher | None], None]
    drives: Callable[[], Sequence[str]]


class Inspector:
    """Looks inside while it is open."""

    def __init__(self, insides: Insides) -> None:
        self._insides = insides
        self._accesses: deque[tuple[Access, int]] = deque(maxlen=REMEMBERED)

    def open(self) -> None:
        """Begin to watch the ports."""
        self._accesses.clear()
        self._insides.watch(self._note)

    def close(self) -> None:
        """Watch no more; harmless when nobody did."""
        self._insides.watch(None)

    def _note(self, access: Access) -> None:
        """Remember an access; one like the last is only counted."""
        accesses = self._accesses
        if accesses:
            last, times = accesses[0]
            if last.port == access.port and last.written == access.written:
                accesses[0] = access, times + access.items
                return
        accesses.appendleft((access, access.items))

    def grid(self, rows: int) -> CellGrid:
        """What there is to see now, in so many rows."""
        drives = self._insides.drives()
        before = self._registers() + self._interrupts()
        left = max(0, rows - len(before) - 2)
        for_drives = min(len(drives), max(DRIVE_LINES, left - len(self._accesses)))
        ports = self._ports(max(0, left - for_drives))
        lines = [*before, *ports, _title("Drives"), *_drives(drives, for_drives)]
        grid = CellGrid(rows, WIDTH, TEXT)
        for row, line in enumerate(lines[:rows]):
            column = 0
            for text, attribute in line:
                column = grid.put(row, column, text, attribute)
        return grid

    def _registers(self) -> list[Line]:
        registers = self._insides.registers()
        lines = [_title("Registers")]
        for names, digits in REGISTERS:
            lines.append([part for name in names for part in _pair(name.upper(), registers[name], digits)])
        flags = registers["eflags"]
        at = f"{registers['cs']:04X}:{registers['eip']:08X}"
        lines.append([(" CS:EIP ", TEXT), (at, VALUE), *_pair(" EFLAGS", flags, 8)])
        lines.append(
            [
                (f" {name.upper() if flags >> bit & 1 else name} ", ON if flags >> bit & 1 else DIM)
                for bit, name in FLAGS
            ]
        )
        return lines

    def _interrupts(self) -> list[Line]:
        pics, irqs = self._insides.pics, self._insides.irqs
        lines = [_title("Interrupts"), [(" " * 12 + "01234567 89ABCDEF", DIM)]]
        rows = (
            ("requested", [pic.irr for pic in pics]),
            ("in service", [pic.isr for pic in pics]),
            ("masked", [pic.imr for pic in pics]),
        )
        for name, registers in rows:
            lines.append([(f" {name:11}", TEXT)])
            for register in registers:
                lines[-1] += [("1" if register >> bit & 1 else ".", VALUE) for bit in range(8)]
                lines[-1].append((" ", TEXT))
        pending = (pics[0].irr & ~pics[0].imr) | (pics[1].irr & ~pics[1].imr) << 8
        names = [f"{irq} {irqs.get(irq, '')}".rstrip() for irq in range(16) if pending >> irq & 1]
        lines.append([(" pending: ", TEXT), (", ".join(names) or "none", ON if names else DIM)])
        return lines

    def _ports(self, room: int) -> list[Line]:
        lines = [_title("Ports, the last first")]
        for access, times in list(self._accesses)[:room]:
            way = "out" if access.written else "in "
            value = f"{access.value:02X}" if access.items == 1 else "block"
            often = f" x{times}" if times > 1 else ""
            lines.append([(f" {way} {access.port:03X} ", TEXT), (f"{access.device[:17]:17} ", DIM)])
            lines[-1].append((f"{value}{often}", VALUE))
        return lines


Line = list[tuple[str, int]]


def _title(text: str) -> Line:
    return [(f"── {text} ".ljust(WIDTH, "─"), TITLE)]


def _pair(name: str, value: int, digits: int) -> Line:
    return [(f" {name} ", TEXT), (f"{value:0{digits}X}", VALUE), ("  ", TEXT)]


def _drives(lines: Sequence[str], room: int) -> list[Line]:
    """The newest are at the end, and matter most."""
    if len(lines) > room:
        lines = [*lines[:1], f" ... {len(lines) - room + 1} more", *lines[len(lines) - room + 2 :]]
    return [[(f" {line}"[:WIDTH], TEXT)] for line in lines[:room]]
