"""An image with all that it is built on, opened for an operation on several of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.hostfile import HOST
from pcemu.drives.lineage import Lineage, told
from pcemu.drives.open import open_drive
from pcemu.errors import ImageAccessError, ImageNotFoundError, UsageError

MIB = 1 << 20


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The third of three layers."""
    create_dynamic(tmp_path / "0.vhd", MIB)
    create_differencing(tmp_path / "1.vhd", tmp_path / "0.vhd")
    create_differencing(tmp_path / "2.vhd", tmp_path / "1.vhd")
    return tmp_path / "2.vhd"


def test_a_border_that_is_missing_is_said_to_be(top: Path) -> None:
    for missing in (top.with_name("nowhere.vhd"), top / "inside.vhd"):
        with pytest.raises(ImageNotFoundError) as caught:
            Lineage(top, writable_above=missing, allow_outside=False, host=HOST)
        assert str(caught.value) == f"{missing}: no such file; give the path of an existing disk image"
    open_drive(top).close()  # nothing is left locked


def test_a_border_that_cannot_be_looked_at_is_no_missing_one(top: Path) -> None:
    with pytest.raises(ImageAccessError) as caught:
        Lineage(top, writable_above=top.with_name("x" * 300), allow_outside=False, host=HOST)
    assert os.strerror(errno.ENAMETOOLONG) in str(caught.value) and "permissions" in str(caught.value)


def test_a_border_elsewhere_is_refused_with_what_there_is(top: Path) -> None:
    create_dynamic(other := top.with_name("other.vhd"), MIB)
    with pytest.raises(UsageError) as caught:
        Lineage(top, writable_above=other, allow_outside=False, host=HOST)
    assert all(name in str(caught.value) for name in ("other.vhd", "2.vhd", "1.vhd", "0.vhd"))
    open_drive(top).close()


@pytest.mark.parametrize(
    ("inclusive", "shared"), [(False, [True, True, False]), (True, [True, False, False])]
)
def test_what_is_above_the_border_is_open_for_writing(inclusive: bool, shared: list[bool], top: Path) -> None:
    border = top.with_name("1.vhd")
    with Lineage(top, writable_above=border, inclusive=inclusive, allow_outside=False, host=HOST) as lineage:
        assert [layer.read_only for layer in lineage.layers] == shared
        assert lineage.border == 1 and lineage.reals[1] == os.path.realpath(border)
    open_drive(top).close()


def test_an_image_without_a_parent_is_no_head(top: Path) -> None:
    with (
        Lineage(top.with_name("0.vhd"), writable_above=None, allow_outside=False, host=HOST) as lineage,
        pytest.raises(UsageError, match="no differencing image"),
    ):
        assert lineage.head


def test_a_failure_of_the_host_is_told_with_what_to_do() -> None:
    with (
        pytest.raises(ImageAccessError) as caught,
        told("x.vhd", "the commit", "mend that"),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "base.vhd")
    assert str(caught.value) == "x.vhd: the commit failed at base.vhd: Input/output error; mend that"


def test_what_opening_warns_of_is_heard(top: Path) -> None:
    os.utime(top.with_name("0.vhd"), (0, 1_000_000_000))
    heard: list[str] = []
    Lineage(top, writable_above=None, allow_outside=False, warn=heard.append, host=HOST).close()
    assert len(heard) == 1 and "0.vhd was last written at 2001-09-09" in heard[0]
