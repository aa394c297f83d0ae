"""FAT volumes: boot sectors and the table itself; what is in them is test_fat_tree.py's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.fat import NotFat, Volume, decode_fat, parse_boot_sector
from pcemu.testing.memory_drive import MemoryDrive
from tests.drives.fat_images import FatImage
from tests.drives.small_fat import SMALL


def test_fat12_entries_share_bytes() -> None:
    packed = bytes.fromhex("f0ffff 034000 ff7fff 00f0ff".replace(" ", ""))
    assert decode_fat(packed, 12, 8).tolist()[2:] == [3, 4, -1, -2, 0, -1]


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (11, b"\x00\x03", "bytes for a sector"),
        (13, b"\x03", "sectors for a cluster"),
        (16, b"\x00", "makes no sense"),
        (19, b"\xff\xff", "but its partition has"),
        (22, b"\x01\x00", "too small"),
    ],
)
def test_a_boot_sector_that_cannot_be(tmp_path: Path, at: int, value: bytes, words: str) -> None:
    image = FatImage(tmp_path / "disk.img", 12, start=0)
    boot = bytearray(image.data()[:SECTOR_SIZE])
    boot[at : at + len(value)] = value
    with pytest.raises(NotFat, match=words):
        parse_boot_sector(bytes(boot), 4096)


@given(st.binary(min_size=512, max_size=512))
def test_any_boot_sector(boot: bytes) -> None:
    try:
        layout = parse_boot_sector(boot, 5000)
    except NotFat:
        return
    assert layout.data_start + layout.clusters * layout.cluster_sectors <= 5000


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 400))
def test_chains_of_any_fat(seed: int, count: int) -> None:
    """Against following every chain cluster by cluster."""
    rng = np.random.default_rng(seed)
    data = bytearray(SMALL)
    following = rng.integers(0, 5100, 5002).astype("<u2")
    steps = rng.random(5002) < 0.7  # mostly to the neighbour
    following[steps] = np.arange(5002)[steps] + 1
    following[rng.random(5002) < 0.1] = 0xFFFF
    data[512 : 512 + 10004] = following.tobytes()
    volume = Volume(MemoryDrive(data), 0)
    starts = rng.choice(np.arange(2, 5002), count, replace=False).astype(np.int32)
    chains = volume.chains(starts)
    for number, cluster in enumerate(starts.tolist()):
        length = 0
        while 2 <= cluster < 5002 and length <= 5000:
            length += 1
            cluster = int(following[cluster])
        if chains.faults[number] == 2:
            continue
        assert chains.totals[number] == length
        assert bool(chains.faults[number]) == (cluster < 0xFFF8)
