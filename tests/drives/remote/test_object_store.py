"""Images on a web server and in an object store."""

from __future__ import annotations

import builtins
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pcemu.drives.remote.object_store import ObjectSource
from pcemu.errors import ImageAccessError, ImageFormatError, ImageNotFoundError, UsageError
from tests.drives.remote.servers import RangeServer, free_port, object_store

CONTENT = random.Random(3).randbytes(300_000)
PLACES = [(0, 300_000), (0, 1), (299_999, 1), (65_536, 65_536), (1, 99_999)]
TIMEOUT = 60.0


def check_reads(source: ObjectSource) -> None:
    assert source.size == len(CONTENT)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: source.read(*place), PLACES * 4))
    assert found == [CONTENT[offset : offset + size] for offset, size in PLACES * 4]
    assert source.read_all(PLACES) == found[: len(PLACES)]


def test_http() -> None:
    with RangeServer(CONTENT) as server:
        source = ObjectSource(server.url, TIMEOUT)
        check_reads(source)
        assert source.version == 'ETag "1"'


def test_a_file_that_is_replaced_while_it_is_read_is_noticed() -> None:
    with RangeServer(CONTENT) as server:
        source = ObjectSource(server.url, TIMEOUT)
        server.content, server.etag = bytes(len(CONTENT)), '"2"'
        with pytest.raises(ConnectionError, match="was changed"):
            source.read(0, 512)


def test_a_web_server_that_sends_whole_files_only_is_refused() -> None:
    with RangeServer(CONTENT, ranges=False) as server:
        source = ObjectSource(server.url, TIMEOUT)
        assert source.read(0, 512) == CONTENT[:512]  # which is at hand
        with pytest.raises(ImageFormatError, match="whole files"):
            source.read(512, 512)


def test_a_part_that_was_not_asked_for_is_not_taken_for_the_one_that_was() -> None:
    with RangeServer(CONTENT) as server:
        source = ObjectSource(server.url, TIMEOUT)
        server.shift = 512
        with pytest.raises(ConnectionError, match="another part"):
            source.read(1024, 512)


def test_a_read_is_left_when_the_source_is_closed() -> None:
    """Though fsspec goes on waiting for the server."""
    with RangeServer(CONTENT) as server, ThreadPoolExecutor(1) as pool:
        source = ObjectSource(server.url, TIMEOUT)
        server.answering.clear()
        reads = pool.submit(source.read_all, PLACES * 4)
        while not any(request.startswith("GET") for request in server.requests):
            pass
        source.close()
        with pytest.raises(ConnectionError, match="closed"):
            reads.result()
        with pytest.raises(ConnectionError, match="closed"):
            source.read(0, 1)
        assert not server.outwaited
        server.answering.set()


def test_one_reader_needs_one_thread() -> None:
    with RangeServer(CONTENT) as server:
        source = ObjectSource(server.url, TIMEOUT)
        for place in PLACES:
            source.read(*place)
        assert source._readers == 1
        source.close()


@pytest.mark.parametrize(("status", "kind"), [(500, ConnectionError), (503, ConnectionError), (403, OSError)])
def test_a_failing_server(status: int, kind: type[OSError]) -> None:
    with RangeServer(CONTENT) as server:
        source = ObjectSource(server.url, TIMEOUT)
        server.status = status
        with pytest.raises(OSError, match=str(status)) as caught:
            source.read(0, 512)
        assert isinstance(caught.value, kind)
        assert isinstance(caught.value, ConnectionError) == (kind is ConnectionError)
        with pytest.raises(ImageAccessError):
            ObjectSource(server.url, TIMEOUT)


def test_sentences_for_what_is_not_there() -> None:
    with RangeServer(CONTENT) as server, pytest.raises(ImageNotFoundError, match="no such file"):
        ObjectSource(server.url + "x", TIMEOUT)
    with pytest.raises(ImageAccessError, match="is the server running"):
        ObjectSource(f"http://127.0.0.1:{free_port()}/x", TIMEOUT)
    with pytest.raises(UsageError, match=r"gopher:// is not known.*nbds.*s3"):
        ObjectSource("gopher://host/x", TIMEOUT)


@pytest.mark.parametrize("missing", ["fsspec", "aiohttp"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_import = builtins.__import__

    def refuse(name: str, *more: object) -> object:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return true_import(name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UsageError, match=rf"\({missing}\); pip install 'pcemu\[remote\]'"):
        ObjectSource("http://127.0.0.1/x", TIMEOUT)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """An S3 server with one image: a client of botocore's."""
    with object_store() as client:
        client.create_bucket(Bucket="disks")
        client.put_object(Bucket="disks", Key="base.img", Body=CONTENT)
        yield client


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_s3(bucket: Any) -> None:
    source = ObjectSource("s3://disks/base.img", TIMEOUT)
    check_reads(source)
    assert source.version is not None
    assert source.version.startswith("ETag")
    bucket.put_object(Bucket="disks", Key="base.img", Body=bytes(len(CONTENT)))
    with pytest.raises(ConnectionError):
        source.read(0, 512)
    assert ObjectSource("s3://disks/base.img", TIMEOUT).version != source.version


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_s3_objects_that_are_not_there(bucket: Any) -> None:
    with pytest.raises(ImageNotFoundError, match="no such file"):
        ObjectSource("s3://disks/other.img", TIMEOUT)
