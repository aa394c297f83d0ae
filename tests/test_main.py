"""The way in: ``python -m pcemu``, Ctrl-C while it starts, standard streams that are closed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pcemu
from pcemu.resources import resource

ROOT = Path(__file__).parent.parent
MODULE = (sys.executable, "-m", "pcemu")


def test_the_module_is_the_command_line() -> None:
    done = subprocess.run([*MODULE, "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"pcemu, version {pcemu.__version__}\n"
    refused = subprocess.run([*MODULE, "run", "missing.img"], cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 3
    assert refused.stderr.startswith("pcemu: missing.img: no such file")


def test_the_console_script_takes_the_same_way_in() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"] == {"pcemu": "pcemu.__main__:main"}


def test_ctrl_c_while_the_command_line_is_loaded_gives_no_traceback() -> None:
    code = (
        "import sys, runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # where the tests run without
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('pcemu', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(resource("demo.img").read_bytes())
    before = image.read_bytes()
    command = f'exec "$0" -m pcemu run --headless -q --timeout 0.01 "$1" {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(image)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert image.read_bytes() == before


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_what_the_help_says(tmp_path: Path) -> None:
    (script := tmp_path / "pcemu").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pcemu "$@"\n')
    script.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(["pcemu", "--help"], env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in told.stdout.splitlines() if "_PCEMU_COMPLETE" in line]
    asked = 'COMP_WORDS=(pcemu disk co); COMP_CWORD=2; _pcemu_completion pcemu; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{line}\n{asked}"], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["commit", "convert", "compare", "compact"], done.stderr
