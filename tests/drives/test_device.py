"""Block devices as parents and as differencing drives: loop devices, where the tests may have them."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.discard import discard
from pcemu.drives.merge import merge
from pcemu.drives.open import open_drive
from pcemu.errors import ImageError, PcemuError, UsageError
from tests.conftest import require

SIZE = 8 << 20
MAY_NOT = (
    "permission denied",
    "could not find any free loop",
    "not permitted",
    "no such file",
    "cannot find",
    "failed to set up loop device",
)


@contextlib.contextmanager
def loop_device(file: Path) -> Iterator[Path]:
    require(shutil.which("losetup") is not None, "losetup")
    done = subprocess.run(["losetup", "--show", "-f", file], capture_output=True, text=True, check=False)
    if done.returncode and any(reason in done.stderr.lower() for reason in MAY_NOT):
        pytest.skip(f"loop devices cannot be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    try:
        yield path
    finally:
        subprocess.run(["losetup", "-d", path], check=True)


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One with data, and a blank one."""
    base, blank = tmp_path / "base", tmp_path / "blank"
    base.write_bytes(random.Random(1).randbytes(SIZE))
    with blank.open("wb") as file:
        file.truncate(2 * SIZE)
    with loop_device(base) as one, loop_device(blank) as other:
        yield one, other


def content(drive: Chain) -> bytes:
    data = bytearray(drive.sectors * 512)
    drive.read(0, data)
    return bytes(data)


def opened(path: Path) -> Chain:
    drive = open_drive(path, allow_outside=True)
    assert isinstance(drive, Chain)
    return drive


def test_a_differencing_drive_on_one_device_with_its_parent_on_another(
    devices: tuple[Path, Path],
) -> None:
    base, child = devices
    before = base.read_bytes()
    create_differencing(child, base)
    model = bytearray(before)
    rng = random.Random(2)
    for _ in range(3):
        drive = opened(child)
        assert drive.layers[0].read_only
        assert content(drive) == model
        for _ in range(40):
            lba, count = rng.randrange(SIZE // 512 - 64), rng.randrange(1, 64)
            data = rng.randbytes(count * 512)
            drive.write(lba, data)
            model[lba * 512 : (lba + count) * 512] = data
        drive.discard(1000, 100)
        model[1000 * 512 : 1100 * 512] = bytes(100 * 512)
        drive.close()
    assert base.read_bytes() == before
    commit(child, allow_outside=True)
    assert base.read_bytes() == model
    drive = opened(child)
    assert content(drive) == model
    drive.write(0, b"x" * 512)
    drive.close()
    discard(child)
    assert child.is_block_device()
    with pytest.raises(UsageError, match="is no differencing image"):
        discard(child)
    assert base.read_bytes() == model


def test_what_lay_on_the_device_never_shows(devices: tuple[Path, Path], tmp_path: Path) -> None:
    base, child = devices
    with (tmp_path / "blank").open("r+b") as file:  # all but the edges
        file.seek(1 << 20)
        file.write(random.Random(3).randbytes(2 * SIZE - (2 << 20)))
    create_differencing(child, base)
    drive = opened(child)
    drive.write(100, b"x" * 512)
    drive.close()
    drive = opened(child)
    expected = bytearray(base.read_bytes())
    expected[100 * 512 : 101 * 512] = b"x" * 512
    assert content(drive) == expected
    drive.close()


def test_a_full_device_is_an_error_of_the_host_and_loses_nothing(tmp_path: Path) -> None:
    base, blank = tmp_path / "base", tmp_path / "blank"
    base.write_bytes(bytes(SIZE))
    with blank.open("wb") as file:
        file.truncate(SIZE // 2)
    with loop_device(base) as one, loop_device(blank) as child:
        create_differencing(child, one)
        drive = opened(child)
        drive.write(0, b"a" * 512)
        drive.flush()
        with pytest.raises(OSError, match="No space"):
            for lba in range(0, SIZE // 512, 4096):
                drive.write(lba, b"b" * 512)
        drive.close()
        drive = opened(child)
        assert content(drive)[:512] == b"b" * 512
        drive.close()


def test_a_device_that_holds_something_is_left_alone(devices: tuple[Path, Path]) -> None:
    base, child = devices
    before = base.read_bytes()
    with pytest.raises(UsageError, match="blank device"):
        create_differencing(base, child)
    assert base.read_bytes() == before


def test_what_would_replace_a_device_is_refused(devices: tuple[Path, Path], tmp_path: Path) -> None:
    base, child = devices
    create_differencing(child, base)
    create_dynamic(tmp_path / "other.vhd", SIZE)
    with pytest.raises(PcemuError):
        merge(child, base, allow_outside=True)
    assert child.is_block_device()
    with contextlib.suppress(ImageError):
        opened(child).close()
    assert not list(Path("/dev").glob(".loop*"))
