"""The tree of errors is the one that its docstring draws."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from pathlib import Path

import pytest

import pcemu.cli
from pcemu import errors
from pcemu.errors import PcemuError, UsageError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, PcemuError)
}


def documented() -> list[tuple[str, str | None, int | None]]:
    """(class, its parent, its exit code if one is given) of each line of the drawing."""
    rows: list[tuple[str, str | None, int | None]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").split("::", 1)[1].splitlines():
        match = re.fullmatch(r"    ([│├└─ ]*)([A-Z]\w+)(.*)", line)
        if match:
            depth = len(match[1]) // 4
            del path[depth:]
            code = re.search(r"exit code (\d+)", match[3])
            rows.append((match[2], path[-1] if path else None, int(code[1]) if code else None))
            path.append(match[2])
    return rows


def test_the_drawing_names_every_class_once() -> None:
    assert sorted(name for name, _, _ in documented()) == sorted(CLASSES)


@pytest.mark.parametrize(("name", "parent", "code"), documented())
def test_parent_and_exit_code_are_as_drawn(name: str, parent: str | None, code: int | None) -> None:
    error = CLASSES[name]
    assert error.__base__ is (CLASSES[parent] if parent else Exception)
    if code is not None:
        assert error.exit_code == code


def test_exit_codes_of_leaves_differ_and_are_none_of_the_shells() -> None:
    leaves = [error for error in CLASSES.values() if not error.__subclasses__()]
    codes = [error.exit_code for error in leaves]
    assert len(set(codes)) == len(codes)
    assert all(2 <= code < 64 for code in codes)


def test_the_command_line_ends_with_one_line_and_the_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**options: object) -> None:
        raise UsageError("drives.img: found 5 disks, expected up to 4")

    monkeypatch.setattr(pcemu.cli.cli, "main", refuse)
    with pytest.raises(SystemExit) as end:
        pcemu.cli.main()
    assert end.value.code == UsageError.exit_code
    assert capsys.readouterr().err.splitlines() == ["pcemu: drives.img: found 5 disks, expected up to 4"]


def test_every_error_that_leaves_its_module_is_of_the_tree() -> None:
    internal = {
        "TripleFault",  # pcemu/cpu/faults.py: cpu.py makes a GuestError of it
        "Fault",  # pcemu/cpu/faults.py: delivered to the guest
        "NotFat",  # pcemu/drives/fat.py: said in words where changes are described
        "SessionEnded",  # pcemu/frontends/view.py: the user wants to go; the command ends in good order
        "NoDisplay",  # pcemu/frontends/window/display.py: the command says so, or takes the terminal
        "Malformed",  # pcemu/drives/nbd/handshake.py: the server hangs up
        "Interrupted",  # pcemu/cli/signals.py: so does who sent a signal
    }
    foreign = set()
    for path in Path(errors.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and path.name != "errors.py":
                names = [base.id for base in node.bases if isinstance(base, ast.Name)]
                bases = [getattr(builtins, name, None) for name in names]
                if any(inspect.isclass(base) and issubclass(base, BaseException) for base in bases):
                    foreign.add(node.name)
    assert {name for name in foreign if not name.startswith("_")} <= internal
