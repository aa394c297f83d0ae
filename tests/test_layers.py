"""Who may import whom, and other rules that the source itself can be asked about.

The layers, from the bottom: errors; clock, irq, bus, memory, keys; drives beside devices and cpu, which know
nothing of each other; the machine, which wires them; front ends and the command line.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pcemu"
MAX_LINES = 500

# What each module or package of pcemu may import of pcemu, by prefix. The longest matching key counts.
# Exceptions to the layers stand here by name.
ALLOWED: dict[str, tuple[str, ...]] = {
    "pcemu": ("pcemu.machine",),  # on first use, for `from pcemu import Machine`
    "pcemu.__main__": ("pcemu.cli",),
    "pcemu.errors": (),
    "pcemu.clock": (),
    "pcemu.irq": (),
    "pcemu.bus": ("pcemu.errors",),
    "pcemu.keys": ("pcemu.errors",),
    "pcemu.memory": ("pcemu.errors",),
    "pcemu.resources": ("pcemu.errors",),
    "pcemu.pacing": ("pcemu.clock",),
    "pcemu.drives": ("pcemu.drives", "pcemu.errors"),
    "pcemu.devices": (
        "pcemu.clock",
        "pcemu.devices",
        "pcemu.drives.drive",
        "pcemu.errors",
        "pcemu.irq",
        "pcemu.keys",
    ),
    "pcemu.cpu": ("pcemu.bus", "pcemu.cpu", "pcemu.errors", "pcemu.memory"),
    # Processor, clock and interrupt controller take turns: the one device whose pins it reads.
    "pcemu.execution": ("pcemu.clock", "pcemu.cpu", "pcemu.devices.pic", "pcemu.errors"),
    "pcemu.idle": ("pcemu.clock",),
    "pcemu.typist": ("pcemu.clock", "pcemu.devices.keyboard"),
    "pcemu.screen": ("pcemu.devices.vga",),
    "pcemu.firmware": ("pcemu.devices", "pcemu.drives.drive", "pcemu.drives.geometry", "pcemu.memory"),
    "pcemu.machine": (
        *("pcemu.bus", "pcemu.clock", "pcemu.cpu", "pcemu.devices", "pcemu.drives.drive", "pcemu.errors"),
        *("pcemu.execution", "pcemu.keys", "pcemu.memory", "pcemu.pacing", "pcemu.resources", "pcemu.screen"),
        *("pcemu.firmware", "pcemu.idle", "pcemu.typist"),
        "pcemu.frontends.picture",  # when a screenshot is taken
    ),
    "pcemu.library": ("pcemu.drives", "pcemu.errors", "pcemu.library", "pcemu.resources"),
    "pcemu.session": ("pcemu.drives", "pcemu.errors", "pcemu.session"),
    "pcemu.frontends": (
        *("pcemu.clock", "pcemu.errors", "pcemu.frontends", "pcemu.keys", "pcemu.resources", "pcemu.screen"),
        "pcemu.bus",  # the type of an access
        "pcemu.devices.dac",  # the type of a colour
        "pcemu.devices.keyboard",  # the type of what keys go to
        "pcemu.devices.raster",  # the type of a graphics picture
        "pcemu.devices.vga",  # the type of a video mode
    ),
    "pcemu.cli": (
        *("pcemu.__version__", "pcemu.cli", "pcemu.drives", "pcemu.errors", "pcemu.frontends", "pcemu.keys"),
        *("pcemu.library", "pcemu.machine", "pcemu.pacing", "pcemu.resources", "pcemu.session"),
    ),
    # Helpers for tests may import what they help to test, examples what they show.
    "pcemu.testing": ("pcemu",),
    "pcemu.examples": ("pcemu",),
}

# Modules outside pcemu that only one place may import.
ONLY: dict[str, str] = {
    "unicorn": "pcemu.cpu",
    "pygame": "pcemu.frontends.window.display",
    "urwid": "pcemu.frontends.terminal.display",
    "rich": "pcemu.cli",
    "click": "pcemu.cli",
    "httpx": "pcemu.library.download",
    "fsspec": "pcemu.drives.remote.object_store",
    "aiohttp": "pcemu.drives.remote.object_store",
    "distributed": "pcemu.examples.fleet",
}

# What must not look at the host's clock: its time is virtual.
TIMELESS = (
    *("pcemu.bus", "pcemu.clock", "pcemu.cpu", "pcemu.devices", "pcemu.execution", "pcemu.idle", "pcemu.irq"),
    *("pcemu.memory", "pcemu.screen", "pcemu.typist"),
)
HOST_TIME = {"now", "utcnow", "today"}  # of datetime

# Importing the machine and booting it must not pay for these.
EXPENSIVE = ("PIL", "construct", "httpx", "numpy", "pygame", "rich", "urwid")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(name: str) -> Iterator[str]:
    """Full names that a module imports, also inside functions and for type checking."""
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def rule_for(name: str) -> tuple[str, ...]:
    keys = [key for key in ALLOWED if key == name or (key != "pcemu" and within(name, key))]
    assert keys, f"{name} is new: say in tests/test_layers.py what it may import"
    return ALLOWED[max(keys, key=len)]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_its_layer_may(name: str) -> None:
    allowed = rule_for(name)
    wrong = [
        imported
        for imported in imports(name)
        if within(imported, "pcemu") and not any(within(imported, prefix) for prefix in allowed)
    ]
    assert not wrong, f"{name} imports {', '.join(wrong)}"


@pytest.mark.parametrize("name", ["pcemu.execution", "pcemu.screen", "pcemu.typist"])
def test_an_exception_for_a_device_is_still_needed(name: str) -> None:
    for device in (prefix for prefix in ALLOWED[name] if within(prefix, "pcemu.devices")):
        assert any(within(imported, device) for imported in imports(name)), f"{name} does not need {device}"


@pytest.mark.parametrize(("library", "place"), ONLY.items())
def test_a_library_is_imported_in_one_place_only(library: str, place: str) -> None:
    users = {name for name in MODULES for imported in imports(name) if within(imported, library)}
    wrong = [name for name in users if not within(name, place)]
    assert not wrong, f"{', '.join(wrong)}: {library} belongs to {place}"


@pytest.mark.parametrize("name", [name for name in MODULES if any(within(name, place) for place in TIMELESS)])
def test_inner_layers_do_not_look_at_the_hosts_clock(name: str) -> None:
    assert not [imported for imported in imports(name) if within(imported, "time")]
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Attribute) and node.attr in HOST_TIME:
            owner = node.value
            text = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            assert text not in ("datetime", "date"), f"{name}:{node.lineno}: {text}.{node.attr}"


@pytest.mark.parametrize("module", ["pcemu", "pcemu.cli", "pcemu.machine"])
def test_starting_does_not_pay_for_what_it_does_not_need(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(EXPENSIVE)!r}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def scripts() -> list[Path]:
    """Python files without the ending."""
    return [
        path
        for path in sorted((ROOT / "tools").rglob("*"))
        if path.is_file() and path.suffix == "" and path.read_bytes().startswith(b"#!/usr/bin/env python")
    ]


PRODUCT = [*MODULES.values(), *sorted((ROOT / "tools").rglob("*.py")), *scripts()]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [*PRODUCT, *TESTS], ids=relative)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_a_file_is_short_enough_to_be_read(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    places = [f"/{folder}/" for folder in ("work", "home", "Users")] + ["/tmp/" + "venv", "/tmp/" + "guests"]
    folders = [ROOT / name for name in (".ci", "bios", "disks", "pcemu", "tests", "tools")]
    files = [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    naming = [
        f"{relative(path)}: {place}"
        for path in [*files, *ROOT.glob("*.*")]
        if path.is_file()
        for place in places
        if place.encode() in path.read_bytes()
    ]
    assert naming == []
