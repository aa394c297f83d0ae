"""Firmware configuration (fw_cfg): items of data that a board without a set-up program has for its firmware.

======== ===== ==============================================================
register port
======== ===== ==============================================================
0        510h  write, 16 bits: the key of the item to read, from its start
1        511h  read: the item's next byte; zero behind its end, and for a key
               that there is no item of
======== ===== ==============================================================

=========== ===========================================================
key         item (numbers are little-endian)
=========== ===========================================================
0000h       the signature "QEMU"
0001h       features, 32 bits: bit 0 this interface, bit 1 the other one
0003h       size of RAM in bytes, 64 bits
0005h       processors, 16 bits
000Dh       memory nodes, 64 bits, and what belongs to each
000Eh       1: offer a boot menu, 16 bits
000Fh       processors that there may be, 16 bits
0019h       directory of the files: their number and for each its size (32
            bits), key (16 bits), 16 bits zero and its name (56 bytes), all
            big-endian
0020h …     the files
=========== ===========================================================

It is no chip: QEMU introduced it, and firmware for virtual machines expects it. Items can only be read.

**Not implemented**: transfers without the processor (features, bit 1).

Reference: QEMU's documentation, "QEMU Firmware Configuration (fw_cfg) Device".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

SELECTOR, DATA = 0, 1

SIGNATURE, FEATURES, RAM_SIZE, PROCESSORS = 0x00, 0x01, 0x03, 0x05
NUMA, BOOT_MENU, MAX_PROCESSORS, FILE_DIRECTORY, FIRST_FILE = 0x0D, 0x0E, 0x0F, 0x19, 0x20
FEATURE_PORTS = 1
NAME_SIZE = 56

_directory_entry = struct.Struct(f">IHH{NAME_SIZE}s")


class FwCfg:
    """Holds ``items`` by key, and ``files`` by name (ASCII, up to 55 characters)."""

    def __init__(self, items: Mapping[int, bytes], files: Mapping[str, bytes]) -> None:
        self._items = {SIGNATURE: b"QEMU", FEATURES: FEATURE_PORTS.to_bytes(4, "little"), **items}
        directory = [struct.pack(">I", len(files))]
        for key, (name, data) in enumerate(sorted(files.items()), FIRST_FILE):
            if len(name) >= NAME_SIZE:
                raise ValueError(f"{name}: a file's name has up to {NAME_SIZE - 1} characters")
            self._items[key] = data
            directory.append(_directory_entry.pack(len(data), key, 0, name.encode("ascii")))
        self._items[FILE_DIRECTORY] = b"".join(directory)
        self.reset()

    def reset(self) -> None:
        """Back to the signature."""
        self._item, self._offset = self._items[SIGNATURE], 0

    def read(self, register: int) -> int:
        """The selected item's next byte; the selector cannot be read."""
        if register == SELECTOR:
            return 0
        offset = self._offset
        self._offset = offset + 1
        return self._item[offset] if offset < len(self._item) else 0

    def read_block(self, register: int, size: int, count: int) -> bytes:
        """The same for a string instruction: ``count`` times ``size`` bytes of data."""
        first = self._offset
        self._offset = end = first + size * count
        return self._item[first:end].ljust(size * count, b"\0")

    def write(self, register: int, value: int) -> None:
        """Select the item with the key ``value``; data cannot be written."""
        if register == SELECTOR:
            self._item, self._offset = self._items.get(value, b""), 0
