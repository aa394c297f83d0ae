"""Convert and flatten: every format to every other, what is refused, and what cancelling leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.convert import convert, flatten
from pcemu.drives.facts import facts_about
from pcemu.drives.hostfile import Host
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format, probe
from pcemu.errors import ImageAccessError, ImageError, ImageNotFoundError, UsageError
from tests.drives.images import STACKS, make_stack
from tests.drives.small_images import MIB, Cancelled, Full, Watch, files, make_line, read, write

FORMATS = [Format.RAW, Format.FIXED, Format.DYNAMIC]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", STACKS)
def test_every_stack_becomes_one_image_of_every_format(name: str, form: Format, tmp_path: Path) -> None:
    (folder := tmp_path / "stack").mkdir()
    source, model = make_stack(folder, name, 3 * MIB)
    write(source, 10, 0, 100)
    model[10 * 512 : 110 * 512] = bytes(100 * 512)
    before = files(folder)
    convert(source, tmp_path / "made", form)
    assert read(tmp_path / "made", form) == model
    assert probe(tmp_path / "made") is form and facts_about(tmp_path / "made").child is None
    assert files(folder) == before


def test_flattening_makes_a_dynamic_image_unless_told(line: list[Path], tmp_path: Path) -> None:
    flatten(line[3], tmp_path / "flat.vhd")
    flatten(line[3], tmp_path / "flat.img", Format.RAW)
    assert probe(tmp_path / "flat.vhd") is Format.DYNAMIC
    assert read(tmp_path / "flat.vhd") == (tmp_path / "flat.img").read_bytes() == read(line[3])


def test_block_sizes(line: list[Path], tmp_path: Path) -> None:
    convert(line[3], tmp_path / "made.vhd", Format.DYNAMIC, block_size=65536)
    assert facts_about(tmp_path / "made.vhd").block_size == 65536
    assert read(tmp_path / "made.vhd") == read(line[3])
    with pytest.raises(UsageError, match="block size"):
        convert(line[3], tmp_path / "odd.vhd", Format.DYNAMIC, block_size=1000)
    assert not (tmp_path / "odd.vhd").exists()


@pytest.mark.parametrize("form", FORMATS)
def test_zeros_take_no_space(form: Format, tmp_path: Path) -> None:
    (tmp_path / "source.img").write_bytes(bytes(32 * MIB))  # no holes
    write(tmp_path / "source.img", 5000, 5)
    convert(tmp_path / "source.img", tmp_path / "made", form)
    assert facts_about(tmp_path / "made", form).allocated < MIB


def test_a_raw_image_that_looks_like_another_is_taken_as_what_it_is_said_to_be(tmp_path: Path) -> None:
    stack, _ = make_stack(tmp_path, "fixed", MIB)
    convert(stack, tmp_path / "made.img", Format.RAW, source_format=Format.RAW)
    assert (tmp_path / "made.img").read_bytes() == stack.read_bytes()


def test_progress_and_cancelling(tmp_path: Path) -> None:
    (folder := tmp_path / "images").mkdir()
    line = make_line(folder, 8 * MIB)
    write(line[2], 100, 0x22, 4000)
    write(line[3], 3000, 0x33, 4000)
    before = files(folder)
    for form in FORMATS:
        convert(line[3], tmp_path / f"made.{form}", form, progress=(watch := Watch()))
        watch.check()
        assert watch.calls[0] == (0, 8 * MIB // 512) and len(watch.calls) >= 4
        for stop in range(len(watch.calls)):
            with pytest.raises(Cancelled):
                convert(line[3], folder / "made", form, progress=Watch(stop))
            assert files(folder) == before  # not even a file without a name
        convert(line[3], folder / "made", form)
        assert read(folder / "made") == read(tmp_path / f"made.{form}")
        (folder / "made").unlink()


def test_what_is_refused_leaves_nothing(line: list[Path]) -> None:
    target = line[0].with_name("made.vhd")
    before = files(line[0].parent)
    with pytest.raises(UsageError, match=r"a child cannot be converted to, expected raw, fixed or dynamic"):
        convert(line[3], target, Format.DIFFERENCING)
    with pytest.raises(UsageError, match=r"0.vhd: exists, expected a new name"):
        convert(line[3], line[0], Format.DYNAMIC)
    with pytest.raises(ImageNotFoundError, match=r"none.vhd: no such file"):
        convert(line[0].with_name("none.vhd"), target, Format.RAW)
    write(line[3], 100, 1, 100)
    before = files(line[0].parent)
    with pytest.raises(ImageAccessError, match=r"made.vhd: its disk has 100 bytes free, expected \d+;"):
        convert(line[3], target, Format.DYNAMIC, host=Host(Full()))
    drive = open_drive(line[3])
    with pytest.raises(ImageError, match="busy"):
        convert(line[3], target, Format.DYNAMIC)
    drive.close()
    assert files(line[0].parent) == before
