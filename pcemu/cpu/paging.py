"""Page tables: from linear to physical addresses, as the 80386 to the Pentium II do it.

Two levels of 1,024 entries; a directory entry may stand for 4 MiB itself (CR4.PSE). Global pages need nothing
here: the engine forgets all pages when CR3 is written, which is allowed.

Intel's Software Developer's Manual, volume 3, "32-bit paging".

**Not implemented**: physical addresses of more than 32 bits (PAE, PSE-36). Entries that lie in ROM or where
no memory is keep their accessed and dirty bits as they are.
"""

from __future__ import annotations

from pcemu.cpu.state import CR0, CR0_WP, CR3, CR4, CR4_PSE, EngineState

ENTRY_PRESENT, ENTRY_WRITABLE, ENTRY_USER = 1, 2, 4
ENTRY_ACCESSED, ENTRY_DIRTY, ENTRY_LARGE = 0x20, 0x40, 0x80
FRAME = 0xFFFFF000
LARGE_FRAME = 0xFFC00000
LARGE_OFFSET = 0x003FFFFF
_LARGE_RESERVED = 0x003FE000

ERROR_PRESENT, ERROR_WRITE, ERROR_USER, ERROR_RESERVED = 1, 2, 4, 8

_NO_MEMORY = 0xFFFFFFFF
_MAX_WALKS = 4096


class PageTables:
    """Walks the tables in guest RAM. ``address_mask``: the address lines that A20 lets through.

    A walk is remembered with the two entries that it met, and is not walked again while they are the same:
    handlers, stacks and descriptor tables are in few pages, and two looks cost half as much as the walk.

    ``read_only``: physical addresses in ``ram`` that stay as they are. ``words``: RAM in words of 32 bits.
    """

    def __init__(self, state: EngineState, ram: memoryview, read_only: range) -> None:
        self._q = state.q
        self.words = ram.cast("I")
        self._count = len(self.words)
        self._rom_words = range(read_only.start // 4, read_only.stop // 4)
        self._mask = 0xFFFFFFFF
        self._directory = 0  # CR3 of the walks
        self._walks: dict[int, tuple[int, int, int, int, int, bool]] = {}
        self.error_code = 0

    @property
    def address_mask(self) -> int:
        """The address lines."""
        return self._mask

    @address_mask.setter
    def address_mask(self, mask: int) -> None:
        self._mask = mask
        self._walks.clear()

    def look_up(self, linear: int, write: bool, user: bool) -> tuple[int, bool] | None:
        """(physical address before A20, writable without another look).

        None where a page fault is due, whose error code is then in ``error_code``. Sets accessed and dirty
        bits. A clean page is not writable without another look.
        """
        words, directory = self.words, self._q[CR3]
        if directory != self._directory:
            self._directory = directory
            self._walks.clear()
        walk = self._walks.get(linear & FRAME | write << 1 | user)
        if walk is not None:
            pde_index, pde, index, entry, frame, writable = walk
            if words[pde_index] == pde and words[index] == entry:
                return frame | linear & 0xFFF, writable
        return self._walk(linear, write, user)

    def words_behind(self, linear: int) -> tuple[int, ...]:
        """Where in :attr:`words` the two entries are that :meth:`look_up` has just met for ``linear``.

        For a read at the highest level; nothing when that walk was not remembered.
        """
        walk = self._walks.get(linear & FRAME)
        return (walk[0], walk[2]) if walk is not None else ()

    def _walk(self, linear: int, write: bool, user: bool) -> tuple[int, bool] | None:
        q, words, mask = self._q, self.words, self._mask
        pde_index = ((q[CR3] & FRAME | linear >> 20 & 0xFFC) & mask) >> 2
        pde = words[pde_index] if pde_index < self._count else _NO_MEMORY
        self.error_code = write << 1 | user << 2
        if not pde & ENTRY_PRESENT:
            return None
        large = pde & ENTRY_LARGE and q[CR4] & CR4_PSE
        if large:
            if pde & _LARGE_RESERVED:
                self.error_code |= ERROR_RESERVED | ERROR_PRESENT
                return None
            index, entry, rights = pde_index, pde, pde
            physical = pde & LARGE_FRAME | linear & LARGE_OFFSET
        else:
            index = ((pde & FRAME | linear >> 10 & 0xFFC) & mask) >> 2
            entry = words[index] if index < self._count else _NO_MEMORY
            if not entry & ENTRY_PRESENT:
                return None
            rights = pde & entry
            physical = entry & FRAME | linear & 0xFFF
        writable = rights & ENTRY_WRITABLE or not (user or q[CR0] & CR0_WP)
        if (user and not rights & ENTRY_USER) or (write and not writable):
            self.error_code |= ERROR_PRESENT
            return None
        if not pde & ENTRY_ACCESSED and not large:
            self._set(pde_index, pde | ENTRY_ACCESSED)
        marked = entry | ENTRY_ACCESSED | (ENTRY_DIRTY if write else 0)
        if marked != entry:
            self._set(index, marked)
        free = bool(writable and marked & ENTRY_DIRTY)
        is_marked = pde & ENTRY_ACCESSED and marked == entry
        depends_on_wp = not (user or rights & ENTRY_WRITABLE)
        if is_marked and not depends_on_wp and not pde & ENTRY_LARGE and max(pde_index, index) < self._count:
            if len(self._walks) >= _MAX_WALKS:
                self._walks.clear()
            walk = pde_index, pde, index, entry, entry & FRAME, free
            self._walks[linear & FRAME | write << 1 | user] = walk
        return physical, free

    def _set(self, index: int, entry: int) -> None:
        if index < self._count and index not in self._rom_words:
            self.words[index] = entry
