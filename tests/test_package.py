"""The wheel: it carries all that an installation needs, and a PC boots from nothing else."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

import pcemu
from pcemu.resources import resource

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=inherited | environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel in it; its dependencies come from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / BIN / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*install, "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    Path(packages, "dependencies.pth").write_text("\n".join(site.getsitepackages()), "utf-8")
    return folder / BIN


def test_the_wheel_carries_rom_font_demo_disk_licence_and_type_marker(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in ("pcemu-bios.rom", "demo.img", "mbr.bin", "nosystem.bin", "font8x16.bin"):
            assert archive.read(f"pcemu/data/{name}") == resource(name).read_bytes()
        licences = [name for name in names if name.endswith("COPYING") and ".dist-info/" in name]
        assert len(licences) == 1
        assert "GNU GENERAL PUBLIC LICENSE" in archive.read(licences[0]).decode()
        assert "pcemu/py.typed" in names
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "pcemu").rglob("*.py")}
        assert modules <= names
        assert not [name for name in names if not name.startswith(("pcemu/", "pcemu-"))]


def test_the_metadata_say_what_they_must(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "pcemu"
    assert metadata["Version"] == pcemu.__version__
    assert metadata["License-Expression"] == "GPL-2.0-or-later"
    assert metadata["Requires-Python"] == ">=3.11"
    runtime = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert any(line.startswith("unicorn==") for line in runtime)


def test_the_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    code = "import pcemu, pcemu.resources as r; print(pcemu.__file__); print(r.resource('demo.img'))"
    for path in run(installed / "python", "-c", code, cwd=tmp_path).splitlines():
        assert Path(path).is_relative_to(installed.parent)


def test_the_demo_disk_boots_outside_the_source_tree(installed: Path, tmp_path: Path) -> None:
    """Once for the disk as it comes, twice for a user who keeps what it writes."""
    home = tmp_path / "home"
    home.mkdir()
    demo = resource("demo.img").read_bytes()
    for greeting in ("booted for the first time", "has been booted 2 times"):
        screen = run(
            *(installed / "pcemu", "run", "--headless", "--until", greeting, "--on-exit", "commit"),
            cwd=tmp_path,
            HOME=str(home),
            XDG_DATA_HOME=str(home),
            LOCALAPPDATA=str(home),
        )
        assert greeting in screen
    (installed_demo,) = installed.parent.rglob("data/demo.img")
    assert installed_demo.read_bytes() == demo
    assert resource("demo.img").read_bytes() == demo


def test_the_python_interface_works_outside_the_source_tree(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from pcemu import Machine, MachineConfig\n"
        "from pcemu.drives.overlay import MemoryOverlay\n"
        "from pcemu.drives.raw import RawDrive\n"
        "from pcemu.resources import resource\n"
        "disk = MemoryOverlay(RawDrive(resource('demo.img'), read_only=True))\n"
        "with Machine(MachineConfig(disks=[disk])) as pc:\n"
        "    pc.run_until_text('notes used')\n"
        "    print(pc.screen.text)\n",
        "utf-8",
    )
    assert "pcemu" in run(installed / "python", "script.py", cwd=tmp_path, PYTHONIOENCODING="utf-8")
