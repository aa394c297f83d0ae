"""Another program's PC on a drive that pcemu lends: QEMU boots FreeDOS from it, and its writes are undone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.server import pcemu, server
from tests.disks.test_demo_image import ROWS, Guest, boot

KEYS = {" ": "spc", ">": "shift-dot", ":": "shift-semicolon", "\\": "backslash", ".": "dot", "\n": "ret"}


def type_text(guest: Guest, text: str) -> None:
    guest.keys(*[KEYS.get(letter, letter) for letter in text])


def wait_for_text(guest: Guest, text: str) -> None:
    guest.wait_for(lambda: any(text in guest.row(row) for row in range(ROWS)), f"{text!r}")


@pytest.mark.slow
def test_qemu_boots_freedos_from_a_clients_drive_and_nothing_is_left(image: Path, tmp_path: Path) -> None:
    base = Path(shutil.copy(image, tmp_path / "freedos.img"))
    before = base.read_bytes()
    with server(tmp_path, "serve", base, "--per-client-undo") as running:
        with boot(f"nbd:unix:{running.socket}:exportname=freedos@qemu", tmp_path) as guest:
            wait_for_text(guest, "C:\\>")
            type_text(guest, "echo hello > new.txt\n")
            type_text(guest, "dir new.txt\n")
            wait_for_text(guest, "NEW      TXT")
        code, out, _ = pcemu(tmp_path, "session", "show", base, "--session", "qemu", "--json")
        assert code == 0
        (volume,) = json.loads(out)["changes"]["volumes"]
        assert {file["path"] for file in volume["files"]} >= {"C:\\NEW.TXT"}
        assert pcemu(tmp_path, "session", "discard", base, "--session", "qemu")[0] == 0
        running.end()
    assert base.read_bytes() == before
