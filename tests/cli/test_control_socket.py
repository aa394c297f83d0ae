"""Both ends of the socket through which `pcemu session` reaches a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcemu.cli import control_socket
from pcemu.cli.control_socket import Control, Handler
from pcemu.cli.server_control import ServerRefused, ask_server
from pcemu.drives.lineage import Progress
from pcemu.errors import UsageError


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets of the test's own; all progress is told."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    monkeypatch.setattr(control_socket, "TELL_EVERY", 0.0)
    yield


def ask(handle: Handler, told: list[tuple[int, int]]) -> dict[str, Any] | None:
    """What a client gets from a server that does this; ``told`` is its progress."""
    image = Path("disk.img")

    def client() -> dict[str, Any] | None:
        return ask_server(
            image, "alice", "commit", progress=lambda done, total: told.append((done, total)), only=["x"]
        )

    async def main() -> dict[str, Any] | None:
        control = Control(image, handle)
        await control.listen()
        try:
            return await asyncio.to_thread(client)
        finally:
            await control.close()

    return asyncio.run(main())


def test_the_client_sees_how_far_the_server_is() -> None:
    asked: list[dict[str, Any]] = []

    async def handle(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        asked.append(request)
        for done in range(3):
            await asyncio.to_thread(progress, done, 9)
        return {"sectors": 9}

    told: list[tuple[int, int]] = []
    assert ask(handle, told) == {"sectors": 9}
    assert told == [(0, 9), (1, 9), (2, 9)]
    assert asked == [{"action": "commit", "session": "alice", "only": ["x"]}]


def test_a_refusal_keeps_its_words_and_its_exit_code() -> None:
    async def handle(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        progress(1, 2)
        raise UsageError("not now")

    with pytest.raises(ServerRefused, match="not now") as caught:
        ask(handle, [])
    assert caught.value.exit_code == UsageError.exit_code


def test_a_client_that_is_gone_stops_nothing() -> None:
    finished: list[bool] = []

    async def handle(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        for done in range(100):
            await asyncio.to_thread(progress, done, 100)
        finished.append(True)
        return {}

    class Gone(Exception):
        pass

    def leave(done: int, total: int) -> None:
        raise Gone

    async def main() -> None:
        control = Control(Path("disk.img"), handle)
        await control.listen()
        with contextlib.suppress(Gone):
            await asyncio.to_thread(ask_server, Path("disk.img"), "alice", "commit", progress=leave)
        while not finished:
            await asyncio.sleep(0.01)
        await control.close()

    asyncio.run(main())
    assert finished == [True]


def test_without_a_server_there_is_nobody_to_ask() -> None:
    assert ask_server(Path("disk.img"), "alice", "commit") is None
