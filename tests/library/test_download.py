"""Downloads from servers that break off, lie, stall and redirect."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pcemu.errors import ImageAccessError, ImageFormatError, PcemuError, UsageError
from pcemu.library import download
from pcemu.library.download import Part, downloaded
from tests.library import server as servers
from tests.library.server import ETAG, Behaviour, breaks_off, redirects, says, serve, stalls, well

CONTENT = random.Random(5).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "FIRST_PAUSE", 0)


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "folder" / ".file.part")


class Fetch:
    """Downloads into ``part``; ``seen`` is what the progress told."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.seen: list[tuple[int, int | None]] = []

    def __call__(self, url: str, timeout: float = 5, sha256: str = SHA256) -> bytes:
        def progress(done: int, total: int | None) -> None:
            self.seen.append((done, total))

        with downloaded(url, sha256, self.part, progress=progress, timeout=timeout) as file:
            return file.read()

    @property
    def leftovers(self) -> set[str]:
        folder = self.part.path.parent
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
def fetch(part: Part) -> Fetch:
    return Fetch(part)


def test_a_good_server(fetch: Fetch) -> None:
    with serve(CONTENT) as server:
        assert fetch(server.url) == CONTENT
        assert len(server.requests) == 1
    assert fetch.seen[0] == (0, len(CONTENT))
    assert fetch.seen[-1] == (len(CONTENT), len(CONTENT))
    assert not fetch.leftovers


def test_a_connection_that_breaks_off_is_taken_up_again(fetch: Fetch) -> None:
    with serve(CONTENT, breaks_off(100_000), breaks_off(50_000), well) as server:
        assert fetch(server.url) == CONTENT
        assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]
        assert server.requests[1][1]["If-Range"] == ETAG


def test_a_download_that_was_stopped_goes_on_the_next_time(fetch: Fetch) -> None:
    with serve(CONTENT, breaks_off(120_000), says(404)) as server:
        with pytest.raises(ImageAccessError, match="404"):
            fetch(server.url)
        assert fetch.part.path.stat().st_size == 120_000
        server.script = [well]
        assert fetch(server.url) == CONTENT
        assert server.ranges[-1] == "bytes=120000-"
    assert not fetch.leftovers


def test_it_goes_on_after_the_user_stopped_it(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(CONTENT) as server:

        def stop(done: int, total: int | None) -> None:
            if done >= 100_000:
                raise KeyboardInterrupt

        with (
            pytest.raises(KeyboardInterrupt),
            downloaded(server.url, SHA256, fetch.part, progress=stop, timeout=5),
        ):
            pytest.fail("it was not stopped")
        size = fetch.part.path.stat().st_size
        assert 100_000 <= size < len(CONTENT)
        assert fetch(server.url) == CONTENT
        assert server.ranges[1] == f"bytes={size}-"


def test_a_file_that_changed_meanwhile_comes_from_the_start(fetch: Fetch) -> None:
    with serve(bytes(len(CONTENT)), breaks_off(50_000), says(404)) as server:
        with pytest.raises(ImageAccessError):
            fetch(server.url)
        server.content, server.etag, server.script = CONTENT, '"second"', [well]
        assert fetch(server.url) == CONTENT
        assert server.requests[-1][1]["If-Range"] == ETAG


def test_a_part_from_elsewhere_is_given_up(fetch: Fetch) -> None:
    with serve(CONTENT, breaks_off(50_000), says(404)) as server, pytest.raises(ImageAccessError):
        fetch(server.url)
    with serve(CONTENT) as server:
        assert fetch(server.url) == CONTENT
        assert server.ranges == [None]


def test_a_part_that_is_damaged_costs_one_more_download(fetch: Fetch) -> None:
    with serve(CONTENT, breaks_off(50_000), says(404)) as server:
        with pytest.raises(ImageAccessError):
            fetch(server.url)
        with fetch.part.path.open("r+b") as file:
            file.write(b"damage")
        server.script = [well]
        assert fetch(server.url) == CONTENT
        assert server.ranges[-2:] == ["bytes=50000-", None]


def test_a_part_that_is_complete_needs_no_more(fetch: Fetch) -> None:
    with serve(CONTENT) as server:
        fetch.part.path.parent.mkdir()
        fetch.part.path.write_bytes(CONTENT)
        fetch.part.note.write_text(json.dumps({"url": server.url, "validator": ETAG}))
        assert fetch(server.url) == CONTENT
        assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_given_up(fetch: Fetch) -> None:
    with serve(CONTENT) as server:
        fetch.part.path.parent.mkdir()
        fetch.part.path.write_bytes(CONTENT + b"more")
        fetch.part.note.write_text(json.dumps({"url": server.url, "validator": ETAG}))
        assert fetch(server.url) == CONTENT


@pytest.mark.parametrize("behaviour", [servers.ignores_ranges, servers.wrong_range])
def test_a_server_without_proper_ranges(fetch: Fetch, behaviour: Behaviour) -> None:
    with serve(CONTENT, breaks_off(50_000), behaviour) as server:
        assert fetch(server.url) == CONTENT


def test_a_server_that_stalls_is_asked_again(fetch: Fetch) -> None:
    with serve(CONTENT, stalls(60_000), well) as server:
        assert fetch(server.url, timeout=0.2) == CONTENT
        assert server.ranges == [None, "bytes=60000-"]


def test_a_server_that_only_stalls_is_given_up(fetch: Fetch) -> None:
    with serve(CONTENT, stalls(0)) as server:
        with pytest.raises(ImageAccessError, match=r"nothing came for 0\.1 s"):
            fetch(server.url, timeout=0.1)
        assert len(server.requests) == download.MAX_FAILURES
    assert not fetch.leftovers


def test_a_busy_server_is_asked_again(fetch: Fetch) -> None:
    with serve(CONTENT, says(503), says(500), well) as server:
        assert fetch(server.url) == CONTENT


def test_redirections_are_followed(fetch: Fetch) -> None:
    with serve(CONTENT) as good, serve(b"", redirects("/elsewhere"), redirects(good.url)) as server:
        assert fetch(server.url) == CONTENT


def test_a_download_behind_a_redirection_is_taken_up_again(fetch: Fetch) -> None:
    with serve(CONTENT, breaks_off(99_000), well) as good, serve(b"", redirects(good.url)) as server:
        assert fetch(server.url) == CONTENT
        assert good.ranges == [None, "bytes=99000-"]


def bad_servers() -> list[Any]:
    return [
        pytest.param(redirects("/1.4/file.zip"), ImageAccessError, "more than 5 times", id="circle"),
        pytest.param(redirects("file:///etc/passwd"), ImageAccessError, "usable", id="to a file"),
        pytest.param(says(404), ImageAccessError, "404 Not Found", id="missing"),
        pytest.param(says(403), ImageAccessError, "403 Forbidden", id="forbidden"),
        pytest.param(says(503), ImageAccessError, "503", id="always busy"),
        pytest.param(breaks_off(0), ImageAccessError, "broke off|connection failed", id="breaks off"),
        pytest.param(servers.garbage, ImageAccessError, "connection failed", id="garbage"),
        pytest.param(servers.never_ends, ImageFormatError, "more than", id="endless"),
    ]


@pytest.mark.parametrize(("behaviour", "kind", "message"), bad_servers())
def test_a_bad_server_leaves_nothing(
    fetch: Fetch, behaviour: Behaviour, kind: type[PcemuError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_SIZE", 1 << 20)
    with serve(CONTENT, behaviour) as server, pytest.raises(kind, match=message) as caught:
        fetch(server.url)
    assert "\n" not in str(caught.value)
    assert not fetch.leftovers


def test_a_wrong_file_is_not_used_and_not_kept(fetch: Fetch) -> None:
    wrong = CONTENT[:-1] + b"!"
    with serve(wrong) as server, pytest.raises(ImageFormatError) as caught:
        fetch(server.url)
    assert SHA256 in str(caught.value) and hashlib.sha256(wrong).hexdigest() in str(caught.value)
    assert not fetch.leftovers
    assert len(server.requests) == 1


def test_nobody_listens(fetch: Fetch) -> None:
    with serve(CONTENT) as server:
        url = server.url
    with pytest.raises(ImageAccessError, match="connection failed"):
        fetch(url)
    assert not fetch.leftovers


@pytest.mark.parametrize("url", ["ftp://example.org/file", "freedos.zip", ""])
def test_other_urls_are_refused(fetch: Fetch, url: str) -> None:
    with pytest.raises(UsageError, match="https://"):
        fetch(url)


def test_a_file_of_the_host(fetch: Fetch, tmp_path: Path) -> None:
    source = tmp_path / "a file.zip"
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri()) == CONTENT
    assert source.read_bytes() == CONTENT
    with pytest.raises(ImageFormatError, match="SHA-256"):
        fetch(source.as_uri(), sha256="0" * 64)
    with pytest.raises(ImageAccessError, match="No such file"):
        fetch((tmp_path / "missing").as_uri())
    assert source.exists() and not fetch.leftovers


def test_one_download_at_a_time(fetch: Fetch) -> None:
    def again(done: int, total: int | None) -> None:
        with pytest.raises(ImageAccessError, match="is busy"):
            fetch(server.url)

    with serve(CONTENT) as server, downloaded(server.url, SHA256, fetch.part, progress=again) as file:
        assert file.read() == CONTENT


def test_a_full_disk_keeps_what_came(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[Any, bytes], None] = download._write_all
    room = 100_000

    def write(file: Any, data: bytes) -> None:
        if os.fstat(file.fileno()).st_size + len(data) > room:
            raise OSError(28, "No space left on device")
        real(file, data)

    monkeypatch.setattr(download, "_write_all", write)
    with serve(CONTENT) as server:
        with pytest.raises(ImageAccessError, match="No space left on device"):
            fetch(server.url)
        size = fetch.part.path.stat().st_size
        assert 0 < size <= room
        monkeypatch.setattr(download, "_write_all", real)
        assert fetch(server.url) == CONTENT
        assert server.ranges[-1] == f"bytes={size}-"
