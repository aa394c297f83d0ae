"""`pcemu run --json`: one line with all its keys, whatever becomes of the session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.boot import IDLE, boot_drive
from tests.cli.conftest import Run

# Prints R, waits for a key, writes the boot sector to sector 2, prints W.
WRITER = f"""
    mov ax, 0x0E52
    int 0x10
    xor ax, ax
    int 0x16
    mov ax, 0x0301
    mov bx, 0x7C00
    mov cx, 3
    mov dx, 0x80
    int 0x13
    mov ax, 0x0E57
    int 0x10
    {IDLE}
"""
WRITE = ("--until", "R", "--type", "x", "--until", "W")
KEYS = {
    *("outcome", "exit_code", "error", "screen", "until", "virtual_seconds", "wall_seconds", "decision"),
    *("disks", "screenshot"),
}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(boot_drive(WRITER).data)
    return path


def report(pcemu: Run, *arguments: str | Path) -> dict[str, Any]:
    code, out, _ = pcemu("run", "--headless", "--json", *arguments)
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    assert set(found) == KEYS
    assert found["exit_code"] == code
    return found


@pytest.mark.parametrize(
    ("answer", "left"), [("commit", "none"), ("discard", "none"), ("keep", "kept"), ("branch:new", "none")]
)
def test_a_session_that_ended(pcemu: Run, disk: Path, tmp_path: Path, answer: str, left: str) -> None:
    picture = tmp_path / "end.png"
    found = report(pcemu, *WRITE, "--screenshot", picture, "--on-exit", answer, disk)
    assert (found["outcome"], found["exit_code"], found["error"]) == ("ended", 0, None)
    assert found["screen"].endswith("RW")
    assert [each["text"] for each in found["until"]] == ["R", "W"]
    first, second = (each["at"] for each in found["until"])
    assert 0 < first < second <= found["virtual_seconds"]
    assert found["wall_seconds"] > 0
    assert found["decision"] == answer.partition(":")[0]
    assert found["disks"] == [
        {"image": str(disk), "changed_sectors": 1, "changed_bytes": 512, "session": left}
    ]
    assert found["screenshot"] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nothing_changed(pcemu: Run, disk: Path) -> None:
    found = report(pcemu, "--until", "R", disk)
    assert (found["outcome"], found["decision"]) == ("ended", "nothing")
    assert found["disks"][0]["session"] == "none"
    assert found["screenshot"] is None


def test_a_text_that_did_not_come(pcemu: Run, disk: Path) -> None:
    found = report(pcemu, "--until", "R", "--until", "R", "--until", "never", "--timeout", "2", disk)
    assert (found["outcome"], found["exit_code"]) == ("timeout", 7)
    assert "--until 'never'" in found["error"]
    assert [each["at"] is None for each in found["until"]] == [False, False, True]


def test_a_guest_that_died(pcemu: Run, tmp_path: Path) -> None:
    path = tmp_path / "halt.img"
    path.write_bytes(boot_drive("cli\nhlt\n").data)
    found = report(pcemu, path)
    assert (found["outcome"], found["exit_code"]) == ("failed", 6)
    assert "interrupts off" in found["error"]


def test_a_session_that_did_not_begin(pcemu: Run, tmp_path: Path) -> None:
    found = report(pcemu, tmp_path / "missing.img")
    assert (found["outcome"], found["exit_code"], found["disks"]) == ("refused", 3, [])
    assert "missing.img" in found["error"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--type", "\\x"), "has no meaning"),
        (("--press", "hyper+x"), "hyper"),
        (("--until", ""), "expected a text"),
        (("--ui", "window"), "does not go with"),
        (("--date", "yesterday"), "yesterday"),
        (("--no-such-option",), "--no-such-option"),
    ],
)
def test_a_wrong_command_line(pcemu: Run, disk: Path, arguments: tuple[str, ...], why: str) -> None:
    found = report(pcemu, *arguments, disk)
    assert (found["outcome"], found["exit_code"], found["disks"]) == ("refused", 2, [])
    assert why in found["error"]


@pytest.mark.parametrize("name", ["shot.jpg", "shot", "shot.png.bmp"])
def test_a_picture_of_another_kind_is_refused(pcemu: Run, disk: Path, tmp_path: Path, name: str) -> None:
    code, _, err = pcemu("run", "--headless", "--screenshot", tmp_path / name, disk)
    assert code == 2
    assert "pictures are written as PNG" in err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["disk.img"]
