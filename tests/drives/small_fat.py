"""A FAT volume by hand, for tests that damage it."""

from __future__ import annotations

import struct

from pcemu.drives.drive import SECTOR_SIZE


def small_volume() -> bytes:
    """A FAT16 volume by hand: 64 clusters a folder and a file in turn, so that damage finds something."""
    clusters, fat_sectors = 5000, 20
    boot = bytearray(SECTOR_SIZE)
    sectors = 1 + 2 * fat_sectors + 4 + clusters
    struct.pack_into("<3s8s", boot, 0, b"\xeb\x3c\x90", b"PCEMU")
    struct.pack_into("<HBHBHHBH", boot, 11, 512, 1, 1, 2, 64, sectors, 0xF8, fat_sectors)
    boot[510:] = b"\x55\xaa"
    fat = (struct.pack("<HH", 0xFFF8, 0xFFFF) + b"\xff" * 128).ljust(fat_sectors * 512, b"\0")
    data = bytearray(bytes(boot) + fat + fat + bytes(4 * 512) + bytes(clusters * 512))
    root = 41 * 512
    for number in range(64):
        attributes, size = (0x10, 0) if number % 2 else (0x20, 500)
        name = f"F{number}".ljust(11).encode()
        slot = struct.pack("<11sB14xHI", name, attributes, number + 2, size)
        data[root + number * 32 : root + number * 32 + 32] = slot
        if number % 2:
            here = (45 + number) * 512
            dots = [(b".", number + 2), (b"..", 0)]
            for place, (name, start) in enumerate(dots):
                data[here + place * 32 : here + place * 32 + 32] = struct.pack(
                    "<8s3sB14xHI", name.ljust(8), b"   ", 0x10, start, 0
                )
    return bytes(data)


SMALL = small_volume()
