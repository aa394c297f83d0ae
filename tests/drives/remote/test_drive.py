"""Remote images as drives: alone, as parents, warm and cold, and on networks that misbehave."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcemu.drives.chain import Chain
from pcemu.drives.commit import commit
from pcemu.drives.convert import convert
from pcemu.drives.create import create_differencing
from pcemu.drives.drive import Drive
from pcemu.drives.facts import facts_about
from pcemu.drives.open import open_drive
from pcemu.drives.orphans import Kind, orphans_in
from pcemu.drives.probe import Format
from pcemu.drives.relink import relink
from pcemu.drives.remote import waiting
from pcemu.drives.remote.cache_file import UNIT_SIZE
from pcemu.drives.remote.drive import RemoteDrive, stand_in
from pcemu.drives.remote.housekeeping import clear, facts_of, verify
from pcemu.drives.remote.settings import SETTINGS, _no_folder
from pcemu.drives.tree import tree_of
from pcemu.errors import ImageAccessError, ImageError, ImageFormatError, UsageError
from pcemu.session.session import Session
from pcemu.testing.drive_conformance import contents, exercise
from pcemu.testing.toxic_proxy import ToxicProxy
from tests.drives.images import make_stack
from tests.drives.proof import scaled
from tests.drives.remote.servers import RangeServer, nbdkit, qemu_nbd

SIZE = 5 * 1024 * 1024 + 3 * 512
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where caches go; what waits for a drive is let go of."""
    place = tmp_path / "remote"
    monkeypatch.setattr(SETTINGS, "folder", lambda: place)
    monkeypatch.setattr(SETTINGS, "timeout", 20.0)
    yield place
    waiting.close_all()


def raw_image(seed: int = 1, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


def read(drive: Drive, lba: int, count: int = 1) -> bytearray:
    buffer = bytearray(count * 512)
    drive.read(lba, buffer)
    return buffer


@pytest.mark.parametrize("kind", ["raw", "fixed", "dynamic", "dynamic of 4 KiB"])
def test_images_of_all_kinds_read_as_they_do_here(kind: str, tmp_path: Path) -> None:
    if kind == "raw":
        path, model = tmp_path / "base.img", bytearray(raw_image())
        path.write_bytes(model)
    elif kind == "fixed":
        (tmp_path / "raw.img").write_bytes(raw_image())
        path, model = tmp_path / "base.vhd", bytearray(raw_image())
        convert(tmp_path / "raw.img", path, Format.FIXED)
    else:
        path, model = make_stack(tmp_path, kind, SIZE)
        local = open_drive(path)
        local.write(100, raw_image(2, 99 * 512))
        model[100 * 512 : 199 * 512] = raw_image(2, 99 * 512)
        local.close()
    local = open_drive(path, read_only=True)
    geometry = local.geometry
    local.close()
    with RangeServer(path.read_bytes()) as server:
        drive = open_drive(stand_in(server.url), read_only=True)
        assert isinstance(drive, RemoteDrive)
        assert drive.geometry == geometry
        assert contents(drive) == model
        drive.close()
        asked = len(server.requests)
        again = open_drive(stand_in(server.url), read_only=True)
        assert contents(again) == model
        again.close()
        assert server.requests[asked:] == ["HEAD"]  # is it still the same?


def test_the_second_time_nothing_is_read_over_the_network(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(raw_image())
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        url = f"nbd://127.0.0.1:{proxy.port}/disk"
        drive = open_drive(stand_in(url), read_only=True)
        assert contents(drive) == raw_image()
        drive.close()
        first = proxy.from_client.count(READ)
        open_drive(stand_in(url), read_only=True).close()
        check = proxy.from_client.count(READ) - first
        drive = open_drive(stand_in(url), read_only=True)
        assert contents(drive) == raw_image()
        drive.close()
        assert proxy.from_client.count(READ) - first == 2 * check  # the look at its identity, and no more


READ = b"\x25\x60\x95\x13\0\0\0\0"


def test_a_scattered_reader_costs_little_and_a_sequential_one_soon_waits_no_more(tmp_path: Path) -> None:
    with RangeServer(raw_image(1, 64 << 20)) as server:
        drive = open_drive(stand_in(server.url), read_only=True)
        asked = len(server.requests)
        for lba in range(0, drive.sectors, 16_384):  # each 8 MiB
            read(drive, lba)
        assert len(server.requests) - asked <= 8  # 256 KiB each
        asked = len(server.requests)
        for lba in range(4096, 4096 + 32_768, 128):  # 16 MiB
            read(drive, lba, 128)
        assert len(server.requests) - asked <= (16 + 4 + 4) << 20 >> 18
        drive.close()


def test_a_child_is_made_written_and_found_again(tmp_path: Path, folder: Path) -> None:
    child = tmp_path / "child.vhd"
    with RangeServer(raw_image()) as server:
        create_differencing(child, stand_in(server.url))
        drive = open_drive(child)
        assert isinstance(drive, Chain)
        model = bytearray(raw_image())
        exercise(drive, model, random.Random(4))
        drive.close()
        (node,) = tree_of(child).children
        assert (node.path, node.trouble) == (str(child), "")
        assert facts_about(stand_in(server.url)).url == server.url
        assert verify(stand_in(server.url)).wrong == 0  # nothing of the child's came into the cache
        with pytest.raises(ImageAccessError, match="cache of an image on a server"):
            commit(child, allow_outside=True)
        before = child.read_bytes()
        clear(stand_in(server.url))
        assert child.read_bytes() == before
        (tmp_path / "elsewhere").mkdir()
        child = child.rename(tmp_path / "elsewhere" / "moved.vhd")  # an address needs no folder
        drive = open_drive(child, read_only=True)
        assert contents(drive) == model
        assert not drive.warnings
        drive.close()


def test_a_child_from_elsewhere_asks_no_server_that_was_not_named_here(tmp_path: Path, folder: Path) -> None:
    child = tmp_path / "child.vhd"
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        create_differencing(child, path)
        waiting.close_all()
        path.unlink()
        asked = len(server.requests)
        with pytest.raises(ImageAccessError, match=r"not used here before: `pcemu disk info http://"):
            open_drive(child)
        assert len(server.requests) == asked
        stand_in(server.url)
        open_drive(child).close()


def test_a_changed_image_is_refused_until_its_cache_is_cleared(tmp_path: Path) -> None:
    child = tmp_path / "child.vhd"
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        create_differencing(child, path)
        open_drive(child).close()
        server.content, server.etag = raw_image(2), '"2"'
        for image in (path, child):
            with pytest.raises(ImageFormatError, match="was changed on the server"):
                open_drive(image, read_only=True)
        open_child = child.read_bytes()
        child.unlink()
        clear(path)
        assert not path.exists()
        drive = open_drive(stand_in(server.url), read_only=True)
        assert contents(drive) == raw_image(2)
        drive.close()
        child.write_bytes(open_child)  # of the old one
        with pytest.raises(ImageFormatError, match="it was replaced") as caught:
            open_drive(child)
        assert f"its parent {server.url} has the id" in str(caught.value)


def test_a_child_is_relinked_to_a_mirror(tmp_path: Path) -> None:
    child = tmp_path / "child.vhd"
    with RangeServer(raw_image()) as server, RangeServer(raw_image()) as mirror:
        create_differencing(child, stand_in(server.url))
        with pytest.raises(ImageFormatError, match="it was replaced"):
            relink(child, stand_in(mirror.url))
        relink(child, stand_in(mirror.url), trust=True)
        stand_in(server.url).unlink()
        waiting.close_all()
        drive = open_drive(child)
        assert contents(drive) == raw_image()
        drive.close()


def test_an_image_that_changes_while_it_is_in_use_gives_errors_and_never_wrong_data() -> None:
    with RangeServer(raw_image()) as server:
        drive = open_drive(stand_in(server.url), read_only=True)
        assert read(drive, 0) == raw_image()[:512]
        server.content, server.etag = bytes(SIZE), '"2"'
        with pytest.raises(OSError, match="was changed on the server"):
            read(drive, 8192)
        assert read(drive, 0) == raw_image()[:512]
        drive.close()


def test_a_lost_connection_is_a_slow_disk_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(raw_image())
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        drive = open_drive(stand_in(f"nbd://127.0.0.1:{proxy.port}/disk"), read_only=True)
        for lba in range(2048, 10_000, 1024):
            proxy.cut()
            assert read(drive, lba) == raw_image()[lba * 512 : (lba + 1) * 512]
        proxy.refusing = True
        proxy.cut()
        monkeypatch.setattr(SETTINGS, "timeout", 0.3)
        with pytest.raises(OSError, match=r"gave no answer for 0\.3 s"):
            read(drive, 1100)
        proxy.refusing = False
        assert read(drive, 1100) == raw_image()[1100 * 512 : 1101 * 512]
        drive.close()


def test_a_connection_on_which_nothing_comes_any_more_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half open: the server is gone, and no packet says so."""
    monkeypatch.setattr(SETTINGS, "timeout", 6.0)
    image = tmp_path / "disk.img"
    image.write_bytes(raw_image())
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        drive = open_drive(stand_in(f"nbd://127.0.0.1:{proxy.port}/disk"), read_only=True)
        proxy.frozen = True  # what is sent now is lost for good
        thaw = threading.Timer(0.5, setattr, (proxy, "frozen", False))
        thaw.start()
        assert read(drive, 9000) == raw_image()[9000 * 512 : 9001 * 512]
        thaw.join()
        assert proxy.connections == 2
        drive.close()


def test_a_reader_may_stop_waiting_and_read_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    @contextlib.contextmanager
    def impatient(url: str) -> Iterator[Callable[[], bool]]:
        asked.append(url)
        yield lambda: False

    image = tmp_path / "disk.img"
    image.write_bytes(raw_image())
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        url = f"nbd://127.0.0.1:{proxy.port}/disk"
        drive = open_drive(stand_in(url), read_only=True)
        proxy.refusing = True
        proxy.cut()
        monkeypatch.setattr(SETTINGS, "waiting", impatient)
        for _ in range(2):
            with pytest.raises(OSError, match="was not waited for") as error:
                read(drive, 1100)
            assert (error.value.errno, error.value.filename) == (errno.ECANCELED, url)
        assert asked == [url, url]
        monkeypatch.undo()
        proxy.refusing = False
        assert read(drive, 1100) == raw_image()[1100 * 512 : 1101 * 512]
        drive.close()


def test_garbled_answers_never_become_data(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(raw_image())
    rng = random.Random(1)
    with qemu_nbd(image) as port, ToxicProxy(("127.0.0.1", port)) as proxy:
        drive = open_drive(stand_in(f"nbd://127.0.0.1:{proxy.port}/disk"), read_only=True)

        def poison(data: bytes) -> bytes:
            if data.startswith(b"\x66\x8e\x33\xef") and rng.random() < 0.15:  # the length of a chunk
                return data[:16] + rng.randbytes(4) + data[20:]
            return data

        proxy.poison = poison
        for lba in range(0, 10_000, 1000):
            assert read(drive, lba) == raw_image()[lba * 512 : (lba + 1) * 512]
        drive.close()
        assert proxy.connections > 2


def test_a_full_cache_goes_on_without_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETTINGS, "cache_size", 20 * UNIT_SIZE)
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        for _ in range(2):
            drive = open_drive(path, read_only=True)
            assert contents(drive) == raw_image()
            drive.close()
        assert path.stat().st_blocks * 512 <= 21 * UNIT_SIZE
        assert verify(path).wrong == 0


def test_verify_finds_what_is_wrong_and_forgets_it() -> None:
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        drive = open_drive(path, read_only=True)
        assert contents(drive) == raw_image()
        drive.close()
        damaged = bytearray(path.read_bytes())
        damaged[damaged.index(raw_image()[1 << 20 : (1 << 20) + 64])] ^= 1
        path.write_bytes(damaged)
        found = verify(path)
        assert (found.checked, found.wrong) == (81, 1)
        assert facts_of(path).children == 0
        drive = open_drive(path, read_only=True)
        assert contents(drive) == raw_image()
        drive.close()


def test_a_session_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        with Session(path) as session:
            session.start().write(5, b"x" * 512)
            session.keep()
        with Session(path) as session:
            assert read(session.start(), 5) == b"x" * 512
            with pytest.raises(ImageAccessError, match="save changes as a branch"):
                session.commit()
        with Session(path) as session:
            session.start()
            saved = session.branch("mine")
        drive = open_drive(tmp_path / "mine.vhd")
        assert Path(saved).resolve() == tmp_path / "mine.vhd"
        assert read(drive, 4, 2) == raw_image()[4 * 512 : 5 * 512] + b"x" * 512
        drive.close()


def test_orphans_call_an_image_on_a_server_by_its_address(tmp_path: Path) -> None:
    children = tmp_path / "children"
    children.mkdir()
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        create_differencing(children / "child.vhd", path)
        (orphan,) = orphans_in(children)
        assert orphan.kind is Kind.EMPTY
        assert (server.url in orphan.text, str(path) in orphan.text) == (True, False)
        waiting.close_all()
        path.unlink()
        server.content, server.etag = raw_image(2), '"2"'
        stand_in(server.url)
        (orphan,) = orphans_in(children)
        assert orphan.kind is Kind.CHANGED
        assert (server.url in orphan.text, str(path) in orphan.text) == (True, False)


@pytest.mark.parametrize("only", [(), ("**",)])
def test_a_commit_to_a_server_is_refused_for_that_also_beside_other_sessions(
    only: tuple[str, ...], tmp_path: Path
) -> None:
    """Not with advice about them, which would lead to the next refusal."""
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        for name in ("alice", "bob"):
            with Session(path, name) as session:
                session.start().write(5, b"x" * 512)
                session.keep()
        with Session(path, "bob") as session, pytest.raises(ImageAccessError, match="as a branch") as caught:
            session.start()
            session.commit_files(only) if only else session.commit()
        assert "siblings" not in str(caught.value)


def test_a_drive_on_a_web_server_that_is_silent_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nobody waits for what it reads; the server alone would be waited for most of an hour."""

    @contextlib.contextmanager
    def impatient(url: str) -> Iterator[Callable[[], bool]]:
        yield lambda: False

    monkeypatch.setattr(SETTINGS, "timeout", 10_000.0)
    monkeypatch.setattr(SETTINGS, "waiting", impatient)
    with RangeServer(raw_image()) as server:
        drive = open_drive(stand_in(server.url), read_only=True)
        server.answering.clear()
        with pytest.raises(OSError, match="not waited for any longer"):
            read(drive, 8192)
        drive.close()
        assert not server.outwaited
        server.answering.set()


REQUESTS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, SIZE // 512 - 1), st.integers(1, 2000)),
        st.sampled_from(["reopen", "clear", "another"]),
    ),
    max_size=15,
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests=REQUESTS, room=st.sampled_from([0, 30 * UNIT_SIZE, 1 << 30]))
def test_any_reads_in_any_order(
    requests: list[tuple[int, int] | str], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold, warm, half full, out of room, shared with a second drive: the bytes are the same."""
    data = raw_image()
    monkeypatch.setattr(SETTINGS, "cache_size", room)
    with RangeServer(data) as server:
        path = stand_in(server.url)
        drives = [open_drive(path, read_only=True)]
        for request in requests:
            if isinstance(request, tuple):
                lba, count = request[0], min(request[1], SIZE // 512 - request[0])
                for drive in drives:
                    assert read(drive, lba, count) == data[lba * 512 : (lba + count) * 512]
            elif request == "another":
                drives.append(open_drive(path, read_only=True))
            else:
                for drive in drives:
                    drive.close()
                if request == "clear":
                    clear(path)
                drives = [open_drive(stand_in(server.url), read_only=True)]
        for drive in drives:
            drive.close()
        clear(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not 0"), (bytes(700), "multiple of 512"), (b"conectix" + bytes(1016), "checksum")],
)
def test_what_is_no_image_is_refused(content: bytes, words: str, folder: Path) -> None:
    with RangeServer(content) as server, pytest.raises(ImageError, match=words):
        stand_in(server.url)
    assert not folder.exists()


def test_a_remote_child_is_refused(tmp_path: Path) -> None:
    path, _ = make_stack(tmp_path, "child of raw", SIZE)
    with RangeServer(path.read_bytes()) as server, pytest.raises(ImageFormatError, match="disk flatten"):
        stand_in(server.url)


def test_a_web_server_without_ranges_is_refused_at_once_and_for_good(folder: Path) -> None:
    with (
        RangeServer(raw_image(), ranges=False) as server,
        pytest.raises(ImageFormatError, match="whole files") as caught,
    ):
        stand_in(server.url)
    assert "try again" not in str(caught.value)
    assert not folder.exists()


def test_without_a_folder_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SETTINGS, "folder", _no_folder)
    with pytest.raises(UsageError, match="no folder is set"):
        stand_in("nbd://host/x")


READER = """
import sys
from pathlib import Path
from pcemu.drives.open import open_drive
from pcemu.drives.remote.settings import SETTINGS
SETTINGS.folder = lambda: Path(sys.argv[1])
drive = open_drive(sys.argv[2], read_only=True)
buffer = bytearray(8192)
print("open", flush=True)
for lba in range(0, drive.sectors - 16, 16):
    drive.read(lba, buffer)
drive.close()
print("closed", flush=True)
"""


def test_readers_that_share_a_cache_may_be_killed_at_any_time(tmp_path: Path, folder: Path) -> None:
    with nbdkit("--filter=delay", "pattern", "size=8M", "rdelay=2ms") as port:
        path = stand_in(f"nbd://127.0.0.1:{port}/")
        waiting.close_all()
        rng = random.Random(3)
        command = [sys.executable, "-c", READER, str(folder), str(path)]
        for _ in range(scaled(3, 20)):
            readers = [
                subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(2)
            ]
            for process in readers:
                assert process.stdout is not None
                process.stdout.readline()
            time.sleep(rng.random() * 0.3)
            for process in readers:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            assert verify(path).wrong == 0
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["open", "closed"]
        found = verify(path)
        assert (found.checked, found.wrong) == (128, 0)


def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    with nbdkit("pattern", "size=8M") as port:
        drive = open_drive(stand_in(f"nbd://127.0.0.1:{port}/"), read_only=True)
        first = read(drive, 0)
    with nbdkit("pattern", "size=8M", port=port):
        assert read(drive, 8192) != first
    with nbdkit("pattern", "size=9M", port=port), pytest.raises(OSError, match="was changed on the server"):
        read(drive, 12_000)
    drive.close()


def test_connections_made_early_are_used_or_let_go(tmp_path: Path) -> None:
    with RangeServer(raw_image()) as server:
        path = stand_in(server.url)
        open_drive(path, read_only=True).close()
        asked = len(server.requests)
        assert stand_in(server.url, connect_early=True) == path
        open_drive(path, read_only=True).close()
        assert server.requests[asked:] == ["HEAD"]
        stand_in(server.url, connect_early=True)
        waiting.close_all()
        server.content, server.etag = raw_image(2), '"2"'
        stand_in(server.url, connect_early=True)
        with pytest.raises(ImageFormatError, match="was changed on the server"):
            open_drive(path, read_only=True)
    assert os.path.exists(path)  # noqa: PTH110


def test_an_image_as_large_as_the_format_allows(tmp_path: Path) -> None:
    """Its blocks are larger, so that the table of them stays small; nbdkit's pattern is the offset itself."""
    size = 2040 << 30
    with nbdkit("pattern", f"size={size}") as port:
        path = stand_in(f"nbd://127.0.0.1:{port}/")
        sectors = size // 512
        places = [0, 4095, 4096, 262_143, 262_144, sectors // 3, sectors - 129, sectors - 1]
        for _ in range(2):
            drive = open_drive(path, read_only=True)
            for lba in places:
                expected = b"".join((lba * 512 + at).to_bytes(8, "big") for at in range(0, 512, 8))
                assert read(drive, lba) == expected
            drive.close()
        assert path.stat().st_blocks * 512 < 4 << 20
        found = verify(path)
        assert found.checked > 0
        assert found.wrong == 0
        assert clear(path).forgotten
