"""An image whose parent lies outside its folder runs only where that is allowed, in `run` as in `disk`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcemu.drives.create import create_differencing
from tests.boot import boot_drive
from tests.cli.conftest import Run
from tests.cli.test_disk import state
from tests.cli.test_run import WRITE, WRITER

REFUSED = "if you trust the image, let it lie outside with --allow-outside"


@pytest.fixture
def child(tmp_path: Path) -> Path:
    """A child in a folder of its own, of an image that boots."""
    (tmp_path / "base.img").write_bytes(boot_drive(WRITER).data)
    (tmp_path / "child").mkdir()
    path = tmp_path / "child" / "disk.vhd"
    create_differencing(path, tmp_path / "base.img")
    return path


def test_a_parent_outside_is_taken_only_when_allowed(child: Path, pcemu: Run) -> None:
    before = state(child.parent)
    code, out, err = pcemu("run", "--headless", *WRITE, child)
    assert (code, out) == (5, "") and REFUSED in err and err.count("\n") == 1
    assert state(child.parent) == before and not child.with_name("disk.vhd.pcemu").exists()
    code, _, err = pcemu("run", "--headless", *WRITE, "--allow-outside", "--on-exit", "keep", child)
    assert code == 0 and "kept" in err
    for command in ("show", "keep", "discard"):
        code, out, err = pcemu("session", command, child)
        if command != "discard":  # that opens no image
            assert (code, out) == (5, "") and "--allow-outside" in err, command
    assert not child.with_name("disk.vhd.pcemu").exists()


def test_a_session_goes_on_and_is_committed_with_the_same_option(child: Path, pcemu: Run) -> None:
    base = child.parents[1] / "base.img"
    content = base.read_bytes()
    assert pcemu("run", "--headless", *WRITE, "--allow-outside", "--on-exit", "keep", child)[0] == 0
    code, out, _ = pcemu("session", "show", "--allow-outside", child)
    assert code == 0 and "1" in out
    resumed = pcemu("session", "resume", child, "--allow-outside", "--headless", *WRITE, "--on-exit", "keep")
    assert resumed[0] == 0, resumed
    assert pcemu("session", "resume", child, "--headless", *WRITE, "--on-exit", "keep")[0] == 5
    assert pcemu("session", "commit", "--allow-outside", child)[0] == 0
    assert base.read_bytes() == content
    assert not child.with_name("disk.vhd.pcemu").exists()
