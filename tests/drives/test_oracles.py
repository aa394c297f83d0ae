"""Other programs read what is written here, and the other way round: qemu, 7-Zip, libvhdi."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_fixed
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format, probe
from pcemu.testing.drive_conformance import contents, exercise
from tests.drives.images import STACKS, fill, make_stack
from tests.drives.oracles import QEMU, VHDIINFO, qemu_agrees, run, seven_zip_agrees

SIZE = 9 << 20


@pytest.mark.parametrize("name", ["fixed", "dynamic", "dynamic of 512 KiB"])
def test_qemu_reads_what_is_written_here(name: str, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, SIZE)
    drive = open_drive(path)
    exercise(drive, model, random.Random(5))
    drive.close()
    qemu_agrees(path, model)


@pytest.mark.parametrize("subformat", ["dynamic", "fixed"])
@pytest.mark.parametrize("options", ["", ",force_size=on"])
def test_images_of_qemu_are_read_and_written_here(subformat: str, options: str, tmp_path: Path) -> None:
    source, image = tmp_path / "source.img", tmp_path / "disk.vhd"
    rng = random.Random(9)
    source.write_bytes(rng.randbytes(3 << 20) + bytes(4 << 20) + rng.randbytes(2 << 20))
    run(QEMU, "convert", "-f", "raw", "-O", "vpc", "-o", f"subformat={subformat}{options}", source, image)
    assert probe(image) == subformat
    drive = open_drive(image)
    model = contents(drive)
    assert model[: 9 << 20] == source.read_bytes()  # qemu rounds up to whole cylinders unless forced
    assert not any(model[9 << 20 :])
    exercise(drive, model, rng)
    drive.close()
    qemu_agrees(image, model)


def test_a_child_of_an_image_of_qemu(tmp_path: Path) -> None:
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    run(QEMU, "create", "-f", "vpc", base, "64M")
    create_differencing(child, base)
    drive = open_drive(child)
    model = contents(drive)
    exercise(drive, model, random.Random(2))
    drive.close()
    seven_zip_agrees(child, model)


@pytest.mark.parametrize("name", [name for name in STACKS if "raw" not in name])
def test_seven_zip_reads_every_stack(name: str, tmp_path: Path) -> None:
    path, model = make_stack(tmp_path, name, SIZE)
    fill(path, model, random.Random(8))
    seven_zip_agrees(path, model)


def test_seven_zip_reads_a_chain_of_64(tmp_path: Path) -> None:
    size = 2 << 20
    path = tmp_path / "layer0.vhd"
    create_dynamic(path, size)
    model = bytearray(size)
    rng = random.Random(64)
    fill(path, model, rng, 60)
    for number in range(1, 64):
        child = tmp_path / f"layer{number}.vhd"
        create_differencing(child, path)
        path = child
        fill(path, model, rng, 2)
    seven_zip_agrees(path, model)
    drive = open_drive(path, read_only=True)
    assert contents(drive) == model
    drive.close()


@pytest.mark.parametrize("make", [create_fixed, create_dynamic])
def test_libvhdi_knows_size_type_and_ids(make: object, tmp_path: Path) -> None:
    base, child = tmp_path / "base.vhd", tmp_path / "child.vhd"
    assert callable(make)
    make(base, 5 << 20)
    create_differencing(child, base)
    kind = {Format.FIXED: "Fixed", Format.DYNAMIC: "Dynamic"}[probe(base)]
    told = _fields(run(VHDIINFO, base))
    assert told["Disk type"] == kind and "(5242880 bytes)" in told["Media size"]
    of_child = _fields(run(VHDIINFO, child))
    assert of_child["Disk type"] == "Differential"
    assert of_child["Parent identifier"] == told["Identifier"]
    assert of_child["Parent filename"] == "base.vhd"


def _fields(output: bytes) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in output.decode().splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
