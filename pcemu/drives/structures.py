"""New footers, header, locators or BAT for a dynamic or differencing image, without a copy of its blocks.

A header spans two sectors, so that one written over the old could tear. The new structures go behind all
that is there, and then the footers are switched, one after the other::

    1. header, locators, BAT behind the old tail footer; synced    the head copy and all it refers to is whole
    2. tail footer behind those; synced                            it counts, as it is read first
    3. head copy; synced

A crash in step 1 leaves an image whose tail footer is lost: as before, after `pcemu disk repair` or after the
same operation again. The old structures remain as a gap, until the image is compacted.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HostFile
from pcemu.drives.parents import places_for
from pcemu.drives.sparse import mend_copy, pack_entries
from pcemu.drives.vhd_header import VhdFacts
from pcemu.drives.vhd_layout import BAT_ENTRY_SIZE, FOOTER_SIZE, HEADER_SIZE, Footer, Header


def switch_structures(
    file: HostFile,
    facts: VhdFacts,
    footer: Footer,
    header: Header,
    locators: Sequence[tuple[bytes, bytes]],
    bat: array[int] | None = None,
) -> None:
    """Give an open image new structures; ``bat`` None keeps the one it has, where it is.

    The offsets in ``footer`` and ``header`` are filled in here.
    """
    if facts.copy_stale:
        mend_copy(file, facts.footer.pack())
    start = facts.end + (0 if facts.tail_lost else FOOTER_SIZE)
    start = -(-start // SECTOR_SIZE) * SECTOR_SIZE
    places, data = places_for(list(locators), start + HEADER_SIZE)
    header = header._replace(locators=tuple(places))
    if bat is not None:
        header = header._replace(bat_offset=start + HEADER_SIZE + len(data), bat_entries=len(bat))
        size = -(-len(bat) * BAT_ENTRY_SIZE // SECTOR_SIZE) * SECTOR_SIZE
        data += pack_entries(bat).ljust(size, b"\xff")
    footer = footer._replace(header_offset=start)
    end = start + HEADER_SIZE + len(data)
    file.write(header.pack() + data, start)
    file.sync()
    file.write(footer.pack(), end)
    if file.size() > end + FOOTER_SIZE:  # what an earlier crash left
        file.truncate(end + FOOTER_SIZE)
    file.sync()
    file.write(footer.pack(), 0)
    file.sync()
