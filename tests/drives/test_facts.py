"""What an image is, told without locking it: against qemu-img, and for images in use, cut off or mistaken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic, create_fixed, create_raw
from pcemu.drives.facts import facts_about
from pcemu.drives.intents import MERGE, Intent, write_intent
from pcemu.drives.open import open_drive
from pcemu.drives.probe import Format
from pcemu.errors import ImageFormatError, ImageNotFoundError
from tests.conftest import require
from tests.drives.small_images import MIB

SIZE = 9 * MIB


@pytest.fixture
def images(tmp_path: Path) -> dict[Format, Path]:
    """One of each format, with a sector written."""
    found = {form: tmp_path / f"{form}.{'img' if form == Format.RAW else 'vhd'}" for form in Format}
    create_raw(found[Format.RAW], SIZE)
    create_fixed(found[Format.FIXED], SIZE)
    create_dynamic(found[Format.DYNAMIC], SIZE)
    create_differencing(found[Format.DIFFERENCING], found[Format.RAW])
    for path in found.values():
        if path != found[Format.RAW]:
            drive = open_drive(path)
            drive.write(3, b"x" * 512)
            drive.close()
    return found


@pytest.mark.parametrize("form", Format)
def test_sizes_and_formats(form: Format, images: dict[Format, Path]) -> None:
    facts = facts_about(images[form])
    status = images[form].stat()
    assert (facts.format, facts.size, facts.path) == (form, SIZE, str(images[form]))
    assert (facts.file_size, facts.allocated) == (status.st_size, status.st_blocks * 512)
    if form == Format.RAW:
        assert (facts.unique_id, facts.created, facts.creator, facts.blocks) == (None,) * 4
        return
    assert facts.created is not None and abs(facts.created - time.time()) < 3600
    assert facts.unique_id is not None and len(facts.unique_id) == 16
    assert not facts.footer_lost
    if form == Format.FIXED:
        assert facts.blocks is None
    else:
        assert (facts.block_size, facts.blocks, facts.blocks_used) == (2 * MIB, 5, 1)
    if form == Format.DIFFERENCING:
        assert facts.child is not None and facts.child.parent is not None
        assert facts.child.parent.path == str(images[Format.RAW])
    else:
        assert facts.child is None


@pytest.mark.parametrize("form", ["fixed", "dynamic"])
def test_images_of_qemu(form: str, tmp_path: Path) -> None:
    require(shutil.which("qemu-img") is not None, "qemu-img")
    path = tmp_path / "disk.vhd"
    options = f"subformat={form},force_size=on"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vpc", "-o", options, path, "7M"], check=True)
    facts = facts_about(path)
    told = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", "-f", "vpc", path]))
    assert (facts.format, facts.size) == (form, told["virtual-size"]) == (form, 7 * MIB)
    assert facts.creator == "qem2"  # as QEMU marks images whose size is exact


def test_who_has_it_and_what_was_cut_off(images: dict[Format, Path]) -> None:
    path = images[Format.DYNAMIC]
    assert facts_about(path).in_use_by == ()
    drive = open_drive(path)
    assert facts_about(path).in_use_by == (os.getpid(),)
    drive.close()
    intent = Intent(MERGE, str(images[Format.DIFFERENCING]), bytes(16))
    write_intent(str(path), intent)
    assert facts_about(path).pending == intent
    (link := path.with_name("link.vhd")).symlink_to(path)
    assert facts_about(link).pending == intent  # which lies beside the file itself


def test_nothing_needs_a_parent_or_a_footer(images: dict[Format, Path]) -> None:
    images[Format.RAW].unlink()
    facts = facts_about(images[Format.DIFFERENCING])
    assert (facts.size, facts.blocks_used) == (SIZE, 1)
    path = images[Format.DYNAMIC]
    path.write_bytes(path.read_bytes()[:-512])
    assert facts_about(path).footer_lost


def test_a_format_that_is_named(images: dict[Format, Path]) -> None:
    facts = facts_about(images[Format.FIXED], Format.RAW)
    assert (facts.format, facts.size) == (Format.RAW, SIZE + 512)  # the footer as well
    with pytest.raises(ImageFormatError, match=r"is a fixed VHD, expected dynamic; leave the format out"):
        facts_about(images[Format.FIXED], Format.DYNAMIC)
    with pytest.raises(ImageNotFoundError):
        facts_about(images[Format.FIXED].with_name("nothing.vhd"))
