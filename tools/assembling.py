"""What the builders of checked-in binaries share: calling NASM, and build-or-compare on the command line."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


class BuildError(Exception):
    """A source cannot be built; the message says why."""


def assemble(source: Path, includes: Iterable[Path] = ()) -> bytes:
    """The flat binary that NASM makes of the source; files are included from its folder and `includes`.

    Raises BuildError.
    """
    nasm = shutil.which("nasm")
    if nasm is None:
        raise BuildError("nasm is not installed")
    folders = [part for folder in (source.parent, *includes) for part in ("-I", f"{folder}/")]
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "out.bin"
        command = [nasm, "-f", "bin", "-Wall", "-Werror", *folders, "-o", str(target), source.name]
        run = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BuildError(f"nasm refuses {source.parent.name}/{source.name}:\n{run.stderr.rstrip()}")
        return target.read_bytes()


def difference(built: bytes, kept: bytes) -> str | None:
    """Where two files differ first, in words; None when they are equal."""
    if built == kept:
        return None
    if len(built) != len(kept):
        return f"it has {len(kept)} bytes, the build {len(built)}"
    first = next(i for i in range(len(built)) if built[i] != kept[i])
    return f"first at offset {first:#06x}: found {kept[first]:#04x}, the build has {built[first]:#04x}"


def checking(description: str, arguments: list[str] | None) -> bool:
    """Parse a builder's command line: True when it shall compare instead of writing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    return bool(parser.parse_args(arguments).check)


def deliver(built: Mapping[Path, bytes], check: bool, tool: str) -> int:
    """Write the files, or with `check` compare them with those that are kept; the exit code."""
    return max([_compare(path, data, tool) if check else _write(path, data) for path, data in built.items()])


def _write(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    print(f"{_name(path)}: {len(data)} bytes")
    return 0


def _compare(path: Path, built: bytes, tool: str) -> int:
    if not path.exists():
        print(f"{_name(path)} is missing; run {tool}", file=sys.stderr)
        return 1
    found = difference(built, path.read_bytes())
    if found is not None:
        print(f"{_name(path)} is not what its source builds ({found}); run {tool}", file=sys.stderr)
        return 1
    print(f"{_name(path)} is what its source builds")
    return 0


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
