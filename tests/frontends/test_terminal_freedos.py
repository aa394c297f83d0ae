"""FreeDOS' EDIT in a real pseudo terminal: Alt and function keys, a resize, the question about the file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pcemu.drives.raw import RawDrive
from tests.frontends.test_terminal import QUESTION, Session
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, HostView, unpack

LINE = 'Hello, "World" & {all}; the quick brown fox: 12+30=42?'
PATIENCE = 60.0  # s: on a busy host all of this takes its time


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):  # no window, please
        monkeypatch.delenv(display, raising=False)


@pytest.fixture(scope="session")
def freedos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FreeDOS' hard disk, not to be written."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return unpack(HARD_DISK, HARD_DISK_SHA256, folder)


@pytest.mark.slow
def test_edit_writes_a_file_that_is_committed(freedos: Path, tmp_path: Path) -> None:
    image = shutil.copyfile(freedos, tmp_path / "freedos.img")
    with Session(image, rows=25, columns=80) as session:
        session.until("C:\\>", PATIENCE)
        session.press("edit hello.txt\r")
        session.until("FreeDOS Edit", PATIENCE)
        session.press(LINE)
        session.until(LINE, PATIENCE)
        session.resize(40, 120)
        session.until("base untouched", PATIENCE)
        for command in "sx":
            session.press("\x1bf")  # Alt-F
            session.until("Save as...", PATIENCE)
            session.press(command)
            session.until(lambda: "Save as..." not in session.text, PATIENCE)
        session.until(lambda: "FreeDOS Edit" not in session.text, PATIENCE)
        session.press("rem\r", "\x1bOR")  # F3 brings the last command back
        session.until(lambda: session.text.count("C:\\>rem") == 2, PATIENCE)
        session.host("q")
        session.until(QUESTION)
        assert "HELLO.TXT" in session.text
        session.press("c")
        assert session.end() == 0
        session.assert_restored()
        assert "committed" in session.after
    assert HostView(RawDrive(image), tmp_path).read("HELLO.TXT").decode().split("\r\n")[0] == LINE
