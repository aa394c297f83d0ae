"""What SHARING.md says of other people's servers and of Python is so."""

from __future__ import annotations

import lzma
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import pcemu.drives
from pcemu.drives.create import create_differencing
from pcemu.drives.open import open_drive
from pcemu.drives.remote import waiting
from pcemu.drives.remote.drive import stand_in
from pcemu.drives.remote.settings import SETTINGS
from pcemu.testing.drive_conformance import contents
from tests.drives.remote.servers import free_port, object_store, qemu_nbd, running

GUIDE = Path(pcemu.drives.__file__).with_name("SHARING.md").read_text("utf-8")
SERVERS = re.findall(r"^    ((?:qemu-nbd|nbdkit) .*?) +# (nbd:\S+)", GUIDE, re.MULTILINE)
PACKED = re.findall(r"^    (nbdkit .*?) +# packed; (nbd:\S+)", GUIDE, re.MULTILINE)
CONTENT = random.Random(9).randbytes(700 * 512)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SETTINGS, "folder", lambda: tmp_path / "caches")
    Path("base.img").write_bytes(CONTENT)
    Path("base.img.xz").write_bytes(lzma.compress(CONTENT))
    yield
    waiting.close_all()


def check(url: str) -> None:
    """A child of what is there reads as that; twice, as the second time comes from the cache."""
    create_differencing("child.vhd", stand_in(url))
    for _ in range(2):
        drive = open_drive("child.vhd")
        assert contents(drive) == CONTENT
        drive.close()


@pytest.mark.parametrize(("command", "url"), [*SERVERS, *PACKED])
def test_the_guides_servers(command: str, url: str) -> None:
    port = free_port()
    words = shlex.split(command)
    here = ("-b", "127.0.0.1") if words[0] == "qemu-nbd" else ("-f", "-i", "127.0.0.1")
    with running(words[0], *here, "-p", str(port), *words[1:], ready=port):
        check(url.replace("host", f"127.0.0.1:{port}"))


def test_the_guide_names_three_servers() -> None:
    assert len(SERVERS) + len(PACKED) == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_guides_object_store() -> None:
    url = re.findall(r"aws s3 cp \S+ (\S+)", GUIDE)[0]
    with object_store() as client:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=CONTENT)
        check(url)


def test_the_guides_python() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names: dict[str, object] = {}
    with qemu_nbd(Path("base.img")) as port:
        exec(example.replace("nbd://disks.example.com/base", f"nbd://127.0.0.1:{port}/disk"), names)
        drive = names["drive"]
        assert contents(drive) == CONTENT  # type: ignore[arg-type]
        drive.close()  # type: ignore[attr-defined]
