"""The example of a tested program in the README of pcemu/examples works, as a reader would try it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pcemu.examples
from tests.assembler import assemble
from tests.guests.freedos import HARD_DISK, HARD_DISK_SHA256, unpack

ROOT = Path(__file__).parents[2]
README = Path(pcemu.examples.__file__).with_name("README.md")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    return str(found)


def test_the_tests_of_a_dos_program_pass(tmp_path: Path) -> None:
    system = unpack(HARD_DISK, HARD_DISK_SHA256, tmp_path)
    program = block("nasm")
    assert "org 100h" in program
    build = tmp_path / "build"
    build.mkdir()
    (build / "greet.com").write_bytes(assemble(program.replace("org 100h", ""), 0x100))
    (tmp_path / "test_greet.py").write_text(block("python"))

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *map(str, command)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("pcemu", "new", "./test.img", "--size", "30M", "--from-folder", build, "--system", system)
    before = (tmp_path / "test.img").read_bytes()
    assert "3 passed" in run("pytest", "-q", "-p", "no:cacheprovider", "test_greet.py")
    assert (tmp_path / "test.img").read_bytes() == before
    assert not (tmp_path / "test.img.pcemu").exists()
