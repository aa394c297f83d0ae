"""The examples in the README of pcemu/drives run, one after the other, as a reader would try them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pcemu.drives

README = Path(pcemu.drives.__file__).with_name("README.md")
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    examples = PYTHON.findall(README.read_text("utf-8"))
    assert len(examples) == 3
    for example in examples:
        exec(example, names)
    assert bytes(names["sector"]).rstrip(b"\0") == b"hello"  # type: ignore[call-overload]
    assert "of 1 sectors" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.vhd", "monday.vhd", "whole.img"]


def test_every_module_is_described() -> None:
    text = README.read_text("utf-8")
    patterns = [name.replace(".", r"\.").replace("*", ".*") for name in re.findall(r"`([a-z_*]+\.py)`", text)]
    for path in README.parent.glob("*.py"):
        named = any(re.fullmatch(pattern, path.name) for pattern in patterns)
        assert named or path.name == "__init__.py", f"{path.name}: say in {README.name} what it holds"
