"""What operations leave behind, as other programs read it: qemu-img and 7-Zip.

Each stack's layers are written at random, and a bytearray beside it says what must be read. 7-Zip reads no
child that is larger than its parent, and no parent in another folder; those are flattened for qemu.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.compact import compact
from pcemu.drives.convert import convert, flatten
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.freeze import freeze, revert
from pcemu.drives.merge import merge
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format, probe
from pcemu.drives.relink import relink
from pcemu.drives.repair import repair
from pcemu.drives.resize import grow
from pcemu.testing.drive_conformance import contents
from tests.drives.images import KIB, MIB, fill, make_base
from tests.drives.oracles import QEMU, qemu_agrees, run, seven_zip_agrees

SIZE = 5 * MIB + 3 * 512
BLOCKS = (2 * MIB, 512 * KIB, 2 * MIB)
BASES = ["fixed", "dynamic"]


class Stack:
    """``images`` from the base up; ``models`` say what each of them reads."""

    def __init__(self, folder: Path, base: str, blocks: tuple[int, ...] = BLOCKS) -> None:
        self.rng = random.Random(f"{base} {blocks}")
        self.images = [folder / ("base.img" if base == "raw" else "base.vhd")]
        self.model = bytearray(SIZE)
        make_base(self.images[0], base, SIZE, 512 * KIB)
        fill(self.images[0], self.model, self.rng)
        self.models = [bytes(self.model)]
        for number, block_size in enumerate(blocks, 1):
            self.images.append(folder / f"layer{number}.vhd")
            create_differencing(self.images[-1], self.images[-2], block_size=block_size)
            fill(self.images[-1], self.model, self.rng)
            drive = open_drive(self.images[-1])
            lba = self.rng.randrange(2000)
            drive.write(lba, bytes(20 * 512))  # zeros hide what is below
            drive.close()
            self.model[lba * 512 : (lba + 20) * 512] = bytes(20 * 512)
            self.models.append(bytes(self.model))

    @property
    def base(self) -> Path:
        return self.images[0]

    @property
    def head(self) -> Path:
        return self.images[-1]


@pytest.fixture(params=BASES)
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    return Stack(tmp_path, request.param)


def test_a_frozen_drive_and_its_children(stack: Stack) -> None:
    drive = open_drive(stack.head)
    assert isinstance(drive, Chain)
    for number in range(3):
        data = stack.rng.randbytes(9 * 512)
        lba = stack.rng.randrange(9000)
        drive.write(lba, data)
        stack.model[lba * 512 : (lba + 9) * 512] = data
        stack.models[-1] = bytes(stack.model)
        stack.images.append(stack.head.with_name(f"frozen{number}.vhd"))
        freeze(drive, stack.head)
        stack.models.append(bytes(stack.model))
    drive.close()
    for image, model in zip(stack.images, stack.models, strict=True):
        seven_zip_agrees(image, model)
    qemu_agrees(stack.base, stack.models[0])


def test_a_commit_into_the_base(stack: Stack) -> None:
    commit(stack.head)
    qemu_agrees(stack.base, stack.model)
    seven_zip_agrees(stack.base, stack.model)
    seven_zip_agrees(stack.head, stack.model)


def test_a_commit_into_a_raw_base(tmp_path: Path) -> None:
    stack = Stack(tmp_path, "raw")
    commit(stack.head)
    qemu_agrees(stack.base, stack.model, "raw")


def test_a_commit_into_the_middle_and_beside_a_sibling(stack: Stack) -> None:
    sibling = stack.head.with_name("sibling.vhd")
    create_differencing(sibling, stack.images[1])
    model = bytearray(stack.models[1])
    fill(sibling, model, stack.rng)
    commit(stack.head, stack.images[1], preserve_siblings=True)
    seven_zip_agrees(stack.images[1], stack.model)
    seven_zip_agrees(stack.head, stack.model)
    seven_zip_agrees(sibling, model)
    qemu_agrees(stack.base, stack.models[0])


def test_a_commit_of_a_larger_child(stack: Stack) -> None:
    more = SIZE + 3 * MIB
    grow(stack.head, more)
    stack.model.extend(bytes(3 * MIB))
    fill(stack.head, stack.model, stack.rng)
    commit(stack.head)
    qemu_agrees(stack.base, stack.model)
    seven_zip_agrees(stack.head, stack.model)


@pytest.mark.parametrize(("top", "bottom"), [(3, 1), (2, 1), (3, 2)])
def test_a_merge(top: int, bottom: int, stack: Stack) -> None:
    merge(stack.images[top], stack.images[bottom])
    seven_zip_agrees(stack.images[top], stack.models[top])
    seven_zip_agrees(stack.head, stack.model)
    assert not stack.images[bottom].exists()


def test_a_revert(stack: Stack) -> None:
    revert(stack.head, stack.images[1])
    seven_zip_agrees(stack.head, stack.models[1])
    model = bytearray(stack.models[1])
    fill(stack.head, model, stack.rng)
    seven_zip_agrees(stack.head, model)


@pytest.mark.parametrize("form", [Format.RAW, Format.FIXED, Format.DYNAMIC])
@pytest.mark.parametrize("base", ["raw", *BASES])
def test_a_chain_flattened_to_each_format(base: str, form: Format, tmp_path: Path) -> None:
    stack = Stack(tmp_path, base)
    flat = tmp_path / "flat"
    flatten(stack.head, flat, form)
    qemu_agrees(flat, stack.model, "raw" if form is Format.RAW else "vpc")
    if form is not Format.RAW:
        seven_zip_agrees(flat, stack.model)


@pytest.mark.parametrize("source", ["raw", "fixed", "dynamic"])
@pytest.mark.parametrize("target", [Format.RAW, Format.FIXED, Format.DYNAMIC])
def test_what_is_converted_stays_sparse_for_others_too(source: str, target: Format, tmp_path: Path) -> None:
    image, made = tmp_path / "image", tmp_path / "made"
    make_base(image, source, 64 * MIB, 2 * MIB)
    model = bytearray(64 * MIB)
    drive = open_drive(image)
    drive.write(70000, b"d" * 4096)
    drive.close()
    model[70000 * 512 : 70000 * 512 + 4096] = b"d" * 4096
    convert(image, made, target)
    qemu_agrees(made, model, "raw" if target is Format.RAW else "vpc")
    assert made.stat().st_blocks * 512 < MIB


@pytest.mark.parametrize("kind", ["raw", "fixed", "dynamic", "differencing"])
def test_a_larger_drive(kind: str, tmp_path: Path) -> None:
    stack = Stack(tmp_path, "dynamic" if kind == "differencing" else kind, (MIB,) * (kind == "differencing"))
    for size in (SIZE + 512, 40 * MIB):
        grow(stack.head, size)
        stack.model.extend(bytes(size - len(stack.model)))
        fill(stack.head, stack.model, stack.rng)
        seen = stack.head
        if kind == "differencing":
            seen = tmp_path / f"flat{size}"
            flatten(stack.head, seen)
        qemu_agrees(seen, stack.model, "raw" if kind == "raw" else "vpc")
        if kind != "raw":
            seven_zip_agrees(seen, stack.model)


def test_compacted_images(stack: Stack) -> None:
    for image in stack.images[:0:-1]:
        drive = open_drive(image)
        lba = stack.rng.randrange(4000)
        drive.read(lba, same := bytearray(64 * 512))
        drive.write(lba, same)  # as below: needless
        drive.close()
        assert compact(image) >= 0
    if probe(stack.base) is Format.DYNAMIC:
        compact(stack.base)
    for image, model in zip(stack.images, stack.models, strict=True):
        seven_zip_agrees(image, model)
    qemu_agrees(stack.base, stack.models[0])


def test_a_moved_parent(stack: Stack) -> None:
    relink(stack.images[1], moved := stack.base.rename(stack.base.with_name("renamed.vhd")))
    seven_zip_agrees(stack.head, stack.model)
    (stack.base.parent / "below").mkdir()
    relink(stack.images[1], moved.rename(stack.base.parent / "below" / "renamed.vhd"))
    flatten(stack.head, stack.base)
    qemu_agrees(stack.base, stack.model)


@pytest.mark.parametrize("lost", ["tail", "copy"])
def test_a_repaired_image(lost: str, tmp_path: Path) -> None:
    stack = Stack(tmp_path, "dynamic", (2 * MIB,))
    for image, model in zip(stack.images, stack.models, strict=True):
        content = image.read_bytes()
        image.write_bytes(content[:-512] if lost == "tail" else bytes(512) + content[512:])
        assert repair(image)
        assert image.read_bytes() == content
        seven_zip_agrees(image, model)
    qemu_agrees(stack.base, stack.models[0])


def test_a_base_made_by_qemu_under_all_operations(tmp_path: Path) -> None:
    """Both directions: qemu makes it, children are built on it here, and qemu reads what was committed."""
    base = tmp_path / "base.vhd"
    run(QEMU, "create", "-f", "vpc", "-o", "force_size=on", base, "8M")
    model = bytearray(8 * MIB)
    rng = random.Random(1)
    path = base
    for number in range(3):
        child = tmp_path / f"child{number}.vhd"
        create_differencing(child, path)
        fill(child, model, rng)
        path = child
    merge(path, tmp_path / "child1.vhd")
    seven_zip_agrees(path, model)
    commit(path)
    qemu_agrees(base, model)
    drive = open_drive(base, read_only=True)
    assert contents(drive) == model
    drive.close()


def test_an_image_written_here_is_converted_by_qemu(tmp_path: Path) -> None:
    create_dynamic(tmp_path / "disk.vhd", 9 * MIB)
    model = bytearray(9 * MIB)
    fill(tmp_path / "disk.vhd", model, random.Random(3))
    for form, name in (("raw", "out.img"), ("qcow2", "out.qcow2")):
        run(QEMU, "convert", "-f", "vpc", "-O", form, tmp_path / "disk.vhd", tmp_path / name)
        qemu_agrees(tmp_path / name, model, form)
