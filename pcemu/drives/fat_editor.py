"""Removing files from a FAT volume, besides writing them; see :mod:`pcemu.drives.fat_writer`."""

from __future__ import annotations

from pcemu.drives.fat import ENTRY_SIZE
from pcemu.drives.fat_folder import ATTRIBUTES_AT, DELETED, LONG_NAME
from pcemu.drives.fat_writer import FatWriter
from pcemu.errors import UsageError


class FatEditor(FatWriter):
    """Writes and removes; all takes effect with :meth:`finish`."""

    def remove(self, folder: int, name: str) -> None:
        """Remove a file, or a folder that is empty; nothing happens when there is none."""
        opened = self._open(folder)
        slot = opened.find(name)
        if slot is None:
            return
        entry = slot.entry
        if entry.is_folder:
            if self._open(entry.start).names:
                raise UsageError(f"{self._name}: {name} is not empty, expected an empty folder to remove")
            del self._folders[entry.start]
        place = slot.place
        opened.data[place] = DELETED
        while place and opened.data[place - ENTRY_SIZE + ATTRIBUTES_AT] == LONG_NAME:
            place -= ENTRY_SIZE
            if opened.data[place] == DELETED:
                break
            opened.data[place] = DELETED
        opened.dirty = True
        opened.shorts.discard(entry.short)
        opened.names = {key: each for key, each in opened.names.items() if each.place != slot.place}
        if entry.start:
            self._doomed.append(entry.start)

    def has_entries(self, folder: int) -> bool:
        """True when something is in a folder."""
        return bool(self._open(folder).names)

    def set_attributes(self, folder: int, name: str, attributes: int) -> None:
        """Give a file or folder other attributes (read-only, hidden, system, archive)."""
        opened = self._open(folder)
        slot = opened.find(name)
        assert slot is not None
        opened.data[slot.place + ATTRIBUTES_AT] = attributes
        opened.dirty = True
        opened.learn(slot.entry._replace(attributes=attributes), slot.place)
