"""The virtual environment of a source tree, made when it is not there. Standard library only."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
MINIMUM = (3, 11)


def program(name: str) -> str:
    """The path of a program of the environment."""
    return str(BIN / (f"{name}.exe" if os.name == "nt" else name))


def ensure(extra: str = "") -> None:
    """Make ``.venv`` with pcemu in it (editable), once for each state of pyproject.toml.

    ``extra``: an optional-dependencies group, such as ``dev``. Ends the program with a sentence on failure.
    """
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python {found} was found; pcemu needs {MINIMUM[0]}.{MINIMUM[1]} or newer")
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / f"pcemu-{extra or 'run'}.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("setting up .venv (once) …", file=sys.stderr)
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]  # most modules are never used
    try:
        if not Path(program("python")).exists():
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([program("python"), "-m", "pip", "install", *options, "-e", target], check=True)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"setting up {VENV} failed: {error}; see the lines above, then try again")
    stamp.write_text(wanted)
