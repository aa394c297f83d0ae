"""Page tables: from linear to physical addresses, as the 80386 to the Pentium II do it.

Two levels of 1,024 entries; a directory entry may stand for 4 MiB itself (CR4.PSE). Global pages need nothing
here: the engine forgets all pages when CR3 is written, which is allowed.

Intel's Software Developer's Manual, volume 3, "32-bit paging".

**Not implemented**: physical addresses of more than 32 bits (PAE, PSE-36). Entries that lie in ROM or where
no memory is keep their accessed and dirty bits as they are.
"""

from __future__ import annotations

from pcemu.cpu.faults import PageFault
from pcemu.cpu.state import CR0, CR0_WP, CR3, CR4, CR4_PSE, EngineState

ENTRY_PRESENT, ENTRY_WRITABLE, ENTRY_USER = 1, 2, 4
ENTRY_ACCESSED, ENTRY_DIRTY, ENTRY_LARGE = 0x20, 0x40, 0x80
FRAME = 0xFFFFF000
LARGE_FRAME = 0xFFC00000
LARGE_OFFSET = 0x003FFFFF
_LARGE_RESERVED = 0x003FE000

ERROR_PRESENT, ERROR_WRITE, ERROR_USER, ERROR_RESERVED = 1, 2, 4, 8

_NO_MEMORY = 0xFFFFFFFF


class PageTables:
    """Walks the tables in guest RAM. ``address_mask``: the address lines that A20 lets through.

    ``read_only``: physical addresses in ``ram`` that stay as they are.
    """

    def __init__(self, state: EngineState, ram: memoryview, read_only: range) -> None:
        self._q = state.q
        self._words = ram.cast("I")
        self._count = len(self._words)
        self._rom_words = range(read_only.start // 4, read_only.stop // 4)
        self.address_mask = 0xFFFFFFFF

    def translate(self, linear: int, write: bool, user: bool) -> tuple[int, bool]:
        """(physical address before A20, writable without another look); raises PageFault.

        Sets the accessed and dirty bits. A clean page is not writable without another look.
        """
        q, words, mask = self._q, self._words, self.address_mask
        directory = (q[CR3] & FRAME | linear >> 20 & 0xFFC) & mask
        pde_index = directory >> 2
        pde = words[pde_index] if pde_index < self._count else _NO_MEMORY
        if not pde & ENTRY_PRESENT:
            raise PageFault(linear, write << 1 | user << 2)
        large = pde & ENTRY_LARGE and q[CR4] & CR4_PSE
        if large:
            if pde & _LARGE_RESERVED:
                raise PageFault(linear, ERROR_RESERVED | ERROR_PRESENT | write << 1 | user << 2)
            index, entry, rights = pde_index, pde, pde
            physical = pde & LARGE_FRAME | linear & LARGE_OFFSET
        else:
            index = ((pde & FRAME | linear >> 10 & 0xFFC) & mask) >> 2
            entry = words[index] if index < self._count else _NO_MEMORY
            if not entry & ENTRY_PRESENT:
                raise PageFault(linear, write << 1 | user << 2)
            rights = pde & entry
            physical = entry & FRAME | linear & 0xFFF
        writable = rights & ENTRY_WRITABLE or not (user or q[CR0] & CR0_WP)
        if (user and not rights & ENTRY_USER) or (write and not writable):
            raise PageFault(linear, ERROR_PRESENT | write << 1 | user << 2)
        if not pde & ENTRY_ACCESSED and not large:
            self._set(pde_index, pde | ENTRY_ACCESSED)
        marked = entry | ENTRY_ACCESSED | (ENTRY_DIRTY if write else 0)
        if marked != entry:
            self._set(index, marked)
        return physical, bool(writable and marked & ENTRY_DIRTY)

    def _set(self, index: int, entry: int) -> None:
        if index < self._count and index not in self._rom_words:
            self._words[index] = entry
