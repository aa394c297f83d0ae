"""What the commands print: nothing from an image steers the terminal, and lost results are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcemu.cli import output
from pcemu.drives.create import create_differencing, create_dynamic
from pcemu.drives.vhd_layout import FOOTER_SIZE, HEADER_SIZE, unpack_header
from tests.cli.conftest import Run
from tests.conftest import require

MIB = 1 << 20
FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u2554 text\n\tof two lines", "plain \u2554 text\n\tof two lines"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[2Jcleared", "\\u001b[2Jcleared"),
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
        ("\x9b2J over\rwritten\x7f", "\\u009b2J over\\u000dwritten\\u007f"),
    ],
)
def test_only_colours_reach_the_terminal(
    text: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pipe gets no colours; here it is to be seen what a terminal would get.
    monkeypatch.setattr("click.echo", lambda text, stream, newline, color: stream.write(text))
    for print_it in (output.result, output.note, output.complain, output.say, output.ask):
        print_it(text)
        out, err = capsys.readouterr()
        assert shown in out + err


def test_a_stranger_s_parent_is_shown_and_not_obeyed(pcemu: Run) -> None:
    create_dynamic("base.vhd", MIB)
    create_differencing("child.vhd", "base.vhd")
    data = bytearray(Path("child.vhd").read_bytes())
    header = unpack_header(data[FOOTER_SIZE : FOOTER_SIZE + HEADER_SIZE])
    name = "\x1b[2J\x9bmine.vhd".encode("utf-16-be").ljust(512, b"\0")
    data[FOOTER_SIZE : FOOTER_SIZE + HEADER_SIZE] = header._replace(parent_name=name, locators=()).pack()
    Path("child.vhd").write_bytes(data)
    for arguments in (("info",), ("chain",), ("check",), ("info", "--json")):
        code, out, err = pcemu("disk", *arguments, "child.vhd")
        assert "\x1b" not in out + err and "\x9b" not in out + err
        assert "\\u001b[2J\\u009bmine.vhd" in out + err, arguments
        assert code == (3 if arguments == ("check",) else 0)
    document = json.loads(pcemu("disk", "info", "--json", "child.vhd")[1])
    assert "\x1b[2J\x9bmine.vhd" in document["parent"]["missing"]


def run(stdout: int, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pcemu", *arguments]
    found = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return found.returncode, found.stderr


def test_results_that_a_full_disk_did_not_take_are_told(tmp_path: Path) -> None:
    require(FULL.exists(), "/dev/full")
    create_dynamic(image := tmp_path / "disk.vhd", MIB)
    with FULL.open("wb") as full:
        code, err = run(full.fileno(), "disk", "info", str(image))
    assert code == 5 and err.startswith("pcemu: stdout: cannot be written: No space left on device;")
    assert err.count("\n") == 1


def test_a_reader_that_went_away_is_no_reason_to_fail(tmp_path: Path) -> None:
    create_dynamic(image := tmp_path / "disk.vhd", MIB)
    reader, writer = os.pipe()
    os.close(reader)
    assert run(writer, "disk", "info", str(image)) == (0, "")
    os.close(writer)
