"""Sectors on their way to another image: against a model of what each layer holds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_raw
from pcemu.drives.drive import SECTOR_SIZE
from pcemu.drives.hostfile import HOST
from pcemu.drives.open import open_layer
from pcemu.drives.raw import FlatDrive
from pcemu.drives.sparse import SparseLayer
from pcemu.drives.transfer import (
    REPORT_SECTORS,
    copy_layers,
    count_sectors,
    missing_in,
    pieces_of,
    space_for,
    space_for_new,
)
from tests.drives.small_images import MIB, Watch, write

SECTORS = 5 * MIB // SECTOR_SIZE
BLOCK_SIZES = (512 << 10, MIB, 2 * MIB)


class Layers(NamedTuple):
    """Some layers on an empty image, and what they hold: the newest copy of each sector."""

    layers: list[SparseLayer]
    sectors: dict[int, bytes]
    owned: list[set[int]]


@pytest.fixture(params=range(4))
def layers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Layers]:
    """One to three layers of different block sizes; short and long runs, also of zeros."""
    rng = random.Random(request.param)
    parent = tmp_path / "base.img"
    create_raw(parent, SECTORS * SECTOR_SIZE)
    made = Layers([], {}, [])
    paths = [tmp_path / f"{number}.vhd" for number in range(1 + request.param % 3)]
    for number, path in enumerate(paths):
        create_differencing(path, parent, block_size=BLOCK_SIZES[(number + request.param) % 3])
        parent = path
    for path in paths:
        layer = open_layer(str(path), False, None, HOST)
        assert isinstance(layer, SparseLayer)
        owned: set[int] = set()
        for _ in range(30):
            count = rng.choice((1, 1, 2, 7, 130, 500))
            lba = min(rng.randrange(SECTORS), SECTORS - count)
            data = bytes(count * SECTOR_SIZE) if rng.random() < 0.2 else rng.randbytes(count * SECTOR_SIZE)
            layer.write(lba, data)
            owned.update(range(lba, lba + count))
            for index in range(count):
                made.sectors[lba + index] = data[index * SECTOR_SIZE : (index + 1) * SECTOR_SIZE]
        layer.flush()
        made.layers.append(layer)
        made.owned.append(owned)
    yield made
    for layer in made.layers:
        layer.close()


def test_pieces_are_the_newest_copies_in_as_few_as_they_make(layers: Layers) -> None:
    pieces = list(pieces_of(layers.layers))
    found = {}
    for piece in pieces:
        data = piece.layer.file.read_bytes(piece.offset, piece.sectors * SECTOR_SIZE)
        for index in range(piece.sectors):
            found[piece.lba + index] = bytes(data[index * SECTOR_SIZE : (index + 1) * SECTOR_SIZE])
    assert found == layers.sectors
    assert all(one.lba + one.sectors <= two.lba for one, two in pairwise(pieces))
    for one, two in pairwise(pieces):
        behind = (one.layer, one.lba + one.sectors, one.offset + one.sectors * SECTOR_SIZE)
        assert behind != (two.layer, two.lba, two.offset)
    assert count_sectors(layers.layers) == len(layers.sectors)
    assert [count_sectors([layer]) for layer in layers.layers] == [len(owned) for owned in layers.owned]


def test_what_a_layer_does_not_have(layers: Layers) -> None:
    rng = random.Random(1)
    for layer, owned in zip(layers.layers, layers.owned, strict=True):
        parts = [(rng.randrange(SECTORS), rng.randrange(900)) for _ in range(30)]
        for first, count in [(0, SECTORS), *parts]:
            missing = [lba + i for lba, many in missing_in(layer, first, count) for i in range(many)]
            assert missing == [i for i in range(first, min(first + count, SECTORS)) if i not in owned]


def target_in(folder: Path, kind: str) -> SparseLayer | FlatDrive:
    """An image full of one letter, or with a hole in it."""
    path = folder / f"target-{kind}"
    if kind == "dynamic":
        create_dynamic(path, SECTORS * SECTOR_SIZE)
        write(path, 100, ord("t"), 3000)
    elif kind == "raw":
        path.write_bytes(b"t" * (SECTORS * SECTOR_SIZE))
    else:
        create_raw(path, SECTORS * SECTOR_SIZE)
    return open_layer(str(path), False, None, HOST)


def read_all(target: SparseLayer | FlatDrive) -> bytes:
    buffer = bytearray(SECTORS * SECTOR_SIZE)
    if isinstance(target, FlatDrive):
        target.read(0, buffer)
        return bytes(buffer)
    for piece in pieces_of([target]):
        at = piece.lba * SECTOR_SIZE
        buffer[at : at + piece.sectors * SECTOR_SIZE] = target.file.read_bytes(
            piece.offset, piece.sectors * SECTOR_SIZE
        )
    return bytes(buffer)


@pytest.mark.parametrize("kind", ["raw", "holes", "dynamic"])
def test_a_copy_changes_what_the_layers_hold_and_nothing_else(
    kind: str, layers: Layers, tmp_path: Path
) -> None:
    target = target_in(tmp_path, kind)
    expected = bytearray(read_all(target))
    for lba, data in layers.sectors.items():
        expected[lba * SECTOR_SIZE : (lba + 1) * SECTOR_SIZE] = data
    total = len(layers.sectors)
    bound = space_for(target, layers.layers, total, 0)
    before = target.file.status().st_blocks * 512
    copy_layers(layers.layers, target, total, watch := Watch())
    target.flush()
    assert read_all(target) == expected
    watch.check()
    assert len(watch.calls) <= total // REPORT_SECTORS + 1
    grown = target.file.status().st_blocks * 512 - before
    pieces = sum(1 for _ in pieces_of(layers.layers))
    assert grown <= bound + pieces * 8192  # the host's own blocks are larger than sectors
    assert (bound == 0) == (kind == "raw")
    target.close()


@pytest.mark.parametrize("kept", [0, 1000, 2040])
def test_holes_stay_holes(kept: int, tmp_path: Path) -> None:
    """A long run of zeros that a layer holds as a hole becomes one, where the target had something."""
    create_raw(base := tmp_path / "base.img", SECTORS * SECTOR_SIZE)
    create_differencing(tmp_path / "child.vhd", base)
    layer = open_layer(str(tmp_path / "child.vhd"), False, None, HOST)
    assert isinstance(layer, SparseLayer)
    layer.write(0, b"x" * MIB)
    layer.discard(0, kept)
    layer.discard(kept + 8, 2048 - kept - 8)
    layer.flush()
    target = target_in(tmp_path, "raw")
    copy_layers([layer], target, count_sectors([layer]), Watch())
    found = read_all(target)
    data = b"x" * 8 * SECTOR_SIZE
    assert found[:MIB] == (bytes(kept * SECTOR_SIZE) + data).ljust(MIB, b"\0")
    assert found[MIB:] == b"t" * (4 * MIB)
    layer.close()
    target.close()


def test_space_is_worked_out_closely_only_where_it_is_short(layers: Layers, tmp_path: Path) -> None:
    target = target_in(tmp_path, "raw")
    total = len(layers.sectors)
    assert space_for(target, layers.layers, total, 1 << 40) == total * SECTOR_SIZE
    assert space_for(target, layers.layers, total, 0) == 0  # all of it is there already
    target.close()
    layer = layers.layers[0]
    one, many = (space_for_new(layer, sectors) for sectors in (1, SECTORS))
    assert SECTOR_SIZE < one < SECTOR_SIZE + 64 * 1024
    assert SECTORS * SECTOR_SIZE < many < SECTORS * SECTOR_SIZE + 1024 * 1024
