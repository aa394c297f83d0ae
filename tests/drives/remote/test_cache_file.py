"""The cache: a VHD that many fill at once, and that is true whatever crashes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcemu.drives.compact import compact
from pcemu.drives.discard import discard
from pcemu.drives.drive import Geometry
from pcemu.drives.hostfile import HOST, Host
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.drives.relink import relink
from pcemu.drives.remote import cache_file
from pcemu.drives.remote.cache_file import (
    UNIT_SIZE,
    CacheFile,
    Origin,
    cached_units,
    create_cache,
    unit_sectors,
    units_of,
    unpack_origin,
)
from pcemu.drives.remote.cache_folder import Budget, cache_path, caches_in, empty, opened_cache, origin_of
from pcemu.drives.repair import mend_tail, repair
from pcemu.drives.resize import grow
from pcemu.errors import ImageAccessError, ImageFormatError, UsageError
from pcemu.testing.crash import crash_states
from pcemu.testing.recording import RecordingCalls
from tests.conftest import require
from tests.drives.independent_vhd import PathFile, VhdImage
from tests.drives.small_images import require_read_times

SECTORS = 5 * 4096 + 77  # of six blocks the last is short
ORIGIN = Origin("nbd://host/disk", SECTORS * 512, "1", Format.RAW, SECTORS, Geometry(40, 8, 17))
CONTENT = random.Random(5).randbytes(SECTORS * 512)


def unit_of(number: int) -> bytes:
    return CONTENT[number * UNIT_SIZE :][: unit_sectors(number, SECTORS) * 512]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = cache_path(ORIGIN.url, tmp_path)
    create_cache(os.fspath(path), ORIGIN, HOST)
    return path


@contextmanager
def opened(path: Path, host: Host = HOST) -> Iterator[CacheFile]:
    with opened_cache(path, host, lock=True) as layer:
        cache = CacheFile(layer, host)
        try:
            yield cache
        finally:
            cache.close()


def check(path: Path, units: set[int]) -> None:
    """The cache holds these units, and they are right."""
    with opened_cache(path, HOST, lock=False) as layer:
        assert set(cached_units(layer)) == units
    with opened(path) as cache:
        for unit in range(units_of(SECTORS)):
            assert cache.has(unit) == (unit in units)
            if unit in units:
                buffer = bytearray(len(unit_of(unit)))
                cache.read(unit, 0, memoryview(buffer))
                assert buffer == unit_of(unit)


def test_a_new_cache_is_empty_and_takes_no_space(path: Path) -> None:
    check(path, set())
    assert path.stat().st_size > SECTORS * 512
    assert path.stat().st_blocks * 512 < 64 << 10
    with opened_cache(path, HOST, lock=False) as layer:
        assert origin_of(layer) == ORIGIN
        assert layer.geometry == ORIGIN.geometry
    with pytest.raises(UsageError, match="exists"):
        create_cache(os.fspath(path), ORIGIN, HOST)


def test_what_is_added_is_there_for_the_next(path: Path) -> None:
    units = {0, 1, 31, 32, 33, 100, units_of(SECTORS) - 1}
    with opened(path) as cache:
        for unit in units:
            cache.add(unit, unit_of(unit))
            assert cache.has(unit)
    check(path, units)


def test_it_is_a_vhd_as_any_other(path: Path) -> None:
    """An independent reader finds the same sectors, and qemu-img no fault with the structures."""
    with opened(path) as cache:
        for unit in (0, 40, units_of(SECTORS) - 1):
            cache.add(unit, unit_of(unit))
    image = VhdImage(PathFile(path))
    for unit in (0, 40, units_of(SECTORS) - 1):
        first = unit * 128
        for sector in (first, first + unit_sectors(unit, SECTORS) - 1):
            assert image.sector(sector) == CONTENT[sector * 512 : (sector + 1) * 512]
    assert image.sector(5 * 128) is None
    require(shutil.which("qemu-img") is not None, "qemu-img")
    subprocess.run(["qemu-img", "info", "-f", "vpc", path], check=True, capture_output=True)


def test_another_process_sees_what_was_published(path: Path) -> None:
    with opened(path) as one, opened(path) as two:
        assert not two.has(7)
        one.add(7, unit_of(7))
        one.publish()
        assert not two.has(7)  # as it looked before
        assert two.look_again(7)
        two.add(8, unit_of(8))  # in the same page
        one.add(9, unit_of(9))
    check(path, {7, 8, 9})


def test_threads_and_two_openers_fill_it_together(path: Path) -> None:
    total = units_of(SECTORS)
    with opened(path) as one, opened(path) as two:

        def fill(cache: CacheFile, seed: int) -> None:
            for unit in random.Random(seed).sample(range(total), total):
                cache.add(unit, unit_of(unit))

        jobs = enumerate((one, two, one, two))
        threads = [threading.Thread(target=fill, args=(cache, seed)) for seed, cache in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(path, set(range(total)))


def test_no_crash_leaves_a_bit_without_its_data(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that power loss may leave, by the model of the disk that the other formats are proved with."""
    monkeypatch.setattr(cache_file, "PUBLISH_EVERY", 1000.0)
    calls = RecordingCalls(path.parent)
    with opened(path, Host(calls)) as cache:
        for group in ((0, 1), (2, 40), (1, 3)):
            for unit in group:
                cache.add(unit, unit_of(unit))
            cache.publish()
        cache.clear()
        cache.add(5, unit_of(5))
    states = 0
    for state in crash_states(calls.recording, limit=60):
        file = state.files[path.name]
        with opened_cache(path, HOST, lock=False) as layer:
            for unit in range(units_of(SECTORS)):
                bits = layer.locate(unit // 32 * 4096) - 512 + unit % 32 * 16
                if any(file.read(bits, 16)):
                    size = len(unit_of(unit))
                    assert file.read(layer.locate(unit * 128), size) == unit_of(unit), f"state {states}"
        states += 1
    assert states > 100


def test_bits_before_data_would_be_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: without the sync between, some crash leaves a lie."""
    monkeypatch.setattr(cache_file, "PUBLISH_EVERY", 1000.0)
    calls = RecordingCalls(path.parent)
    with opened(path, Host(calls)) as cache:
        cache.add(0, unit_of(0))
        cache._writing.write(b"\xff" * 16, cache._bits_at(0))
    with opened_cache(path, HOST, lock=False) as layer:
        data, bits = layer.locate(0), layer.locate(0) - 512
    states = [state.files[path.name] for state in crash_states(calls.recording, limit=60)]
    assert [file for file in states if any(file.read(bits, 16)) and file.read(data, 512) != CONTENT[:512]]


def test_clearing_needs_it_alone_and_leaves_it_empty(path: Path) -> None:
    with opened(path) as cache:
        cache.add(3, unit_of(3))
        assert not empty(path, HOST)
        assert cache.has(3)
    check(path, {3})
    assert empty(path, HOST)
    check(path, set())
    assert path.stat().st_blocks * 512 < 128 << 10


def test_nobody_writes_to_it_as_to_an_image(path: Path) -> None:
    before = path.read_bytes()
    operations: list[Callable[[Path], object]] = [open_drive, discard, compact, repair]
    operations += [lambda each: grow(each, 1 << 30), lambda each: relink(each, other)]
    operations.append(lambda each: mend_tail(os.fspath(each), HOST))
    other = path.with_name("other.img")
    other.write_bytes(CONTENT)
    for operation in operations:
        with pytest.raises(ImageAccessError, match=r"cache of an image on a server.*branch"):
            operation(path)
        assert path.read_bytes() == before


def test_the_host_notes_when_a_cache_is_used(tmp_path: Path) -> None:
    require_read_times(tmp_path)
    path = cache_path(ORIGIN.url, tmp_path)
    create_cache(os.fspath(path), ORIGIN, HOST)
    os.utime(path, (1000, 2000))
    with opened(path):
        pass
    status = path.stat()
    assert status.st_atime > 2000 and status.st_mtime == 2000


def test_a_budget_is_kept_and_the_longest_unused_gives_way(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        origin = ORIGIN._replace(url=f"nbd://host/{number}")
        paths.append(cache_path(origin.url, tmp_path))
        create_cache(os.fspath(paths[-1]), origin, HOST)
        with opened(paths[-1]) as cache:
            for unit in range(40):
                cache.add(unit, unit_of(unit))
        os.utime(paths[-1], (1000.0 + number, 1000.0))
    (tmp_path / "branch.vhd").write_bytes(b"not a cache")
    assert caches_in(tmp_path) == paths
    each = paths[0].stat().st_blocks * 512
    with opened(paths[1]):  # in use: it stays, though it is older than the last
        budget = Budget(paths[2], 3 * each, HOST)
        assert budget.may_grow()
        check(paths[0], set())
        grown = 1
        while budget.may_grow():
            grown += 1
            assert grown < 1000
    assert 0 < grown * UNIT_SIZE <= each
    check(paths[1], set(range(40)))
    assert not budget.may_grow()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"pcemu": 2}', b'{"pcemu": 1, "url": 1}', b"\xff", ORIGIN.pack()[:-3]]
)
def test_a_cache_of_nobody_knows_what_is_told(data: bytes) -> None:
    with pytest.raises(ImageFormatError, match=r"x\.vhd: does not tell which image"):
        unpack_origin(data, "x.vhd")


def test_the_id_changes_with_the_image() -> None:
    ids = {ORIGIN.unique_id, ORIGIN._replace(version="2").unique_id, ORIGIN._replace(size=512).unique_id}
    assert len(ids) == 3
    assert unpack_origin(ORIGIN.pack(), "").unique_id == ORIGIN.unique_id
