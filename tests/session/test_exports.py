"""Clients with drives of their own on one image, in any order of writes, commits, rebases and discards.

The model: an image, and for each client the image as it was when the client's session began, with its writes.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from pcemu.drives.nbd.exports import Export, ExportRefused, ImpatientHost
from pcemu.errors import UsageError
from pcemu.session.exports import Decision, ServedImage, SessionExports

SECTORS = 64
NAMES = ("ann", "bob", "cid")


class Client:
    def __init__(self, export: Export, image: dict[int, bytes]) -> None:
        self.export = export
        self.before = dict(image)
        self.written: dict[int, bytes] = {}

    @property
    def expected(self) -> list[bytes]:
        return [self.written.get(lba, self.before[lba]) for lba in range(SECTORS)]

    def read(self) -> list[bytes]:
        data = bytearray(SECTORS * 512)
        self.export.read(0, memoryview(data))
        return [bytes(data[at : at + 512]) for at in range(0, len(data), 512)]


class World:
    """All that goes on, with what must come of it."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path = path
        self.rng = rng
        data = rng.randbytes(SECTORS * 512)
        path.write_bytes(data)
        self.image = {lba: data[lba * 512 : (lba + 1) * 512] for lba in range(SECTORS)}
        self.clients: dict[str, Client] = {}
        self.kept: dict[str, Client] = {}
        self.overwritten: dict[str, set[int]] = {}
        served = ServedImage("disk", str(path), per_client=True)
        self.exports = SessionExports([served], ImpatientHost(), fallback=str(path.parent / "fallback"))

        async def disconnect(export: Export) -> None:
            await self.leave(next(name for name, each in self.clients.items() if each.export is export))

        self.exports.disconnect = disconnect

    async def step(self) -> str:
        name = self.rng.choice(NAMES)
        if name not in self.clients:
            await self.come(name)
            return f"{name} comes"
        todo = self.rng.choice((self.write, self.write, self.write, self.leave, self.commit, self.rebase))
        await todo(name)
        return f"{name} {todo.__name__}"

    async def come(self, name: str) -> None:
        export = await self.exports.open(f"disk@{name}")
        old = self.kept.pop(name, None)
        client = Client(export, self.image if old is None else old.before)
        if old is None:
            self.overwritten[name] = set()
        else:
            client.written = old.written
        self.clients[name] = client

    async def leave(self, name: str) -> None:
        client = self.clients.pop(name)
        await self.exports.release(client.export)
        if client.written:
            self.kept[name] = client

    async def write(self, name: str) -> None:
        client = self.clients[name]
        lba, count = self.rng.randrange(SECTORS - 3), self.rng.randrange(1, 4)
        data = self.rng.randbytes(count * 512)
        client.export.write(lba * 512, memoryview(data))
        for number in range(count):
            client.written[lba + number] = data[number * 512 : (number + 1) * 512]

    async def commit(self, name: str) -> None:
        client = self.clients[name]
        decision = Decision(str(self.path), name, "commit", {})
        if self.overwritten[name]:
            with pytest.raises(UsageError, match="others committed"):
                await self.exports.decide(decision)
            return
        done = await self.exports.decide(decision)
        assert done["sectors"] == len(client.written)
        self.image |= client.written
        for other in NAMES:
            if other != name and (other in self.clients or other in self.kept):
                self.overwritten[other] |= client.written.keys()
        client.before, client.written = dict(self.image), {}

    async def rebase(self, name: str) -> None:
        client = self.clients[name]
        decision = Decision(str(self.path), name, "rebase", {})
        with pytest.raises(UsageError, match="connected"):
            await self.exports.decide(decision)
        if not client.written:
            return
        decision.options["disconnect"] = True
        if self.overwritten[name] & client.written.keys():
            with pytest.raises(UsageError, match="cannot be rebased"):
                await self.exports.decide(decision)
            return
        assert (await self.exports.decide(decision))["sectors"] == len(client.written)
        self.kept[name].before = dict(self.image)
        self.overwritten[name] = set()

    def check(self, what: str) -> None:
        assert self.path.read_bytes() == b"".join(self.image[lba] for lba in range(SECTORS)), what
        for name, client in self.clients.items():
            assert client.read() == client.expected, f"{what}: {name}"


@pytest.mark.parametrize("seed", range(4))
def test_every_client_sees_its_own_world_whatever_the_others_do(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        world = World(tmp_path / "disk.img", random.Random(seed))
        for number in range(60):
            world.check(f"step {number}: {await world.step()}")
        await world.exports.finish()

    asyncio.run(main())


def test_a_name_is_checked_before_anything_is_opened(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "disk.img"
        path.write_bytes(bytes(4096))
        exports = SessionExports([ServedImage("disk", str(path), per_client=True)], ImpatientHost())
        for name in ("disk@", "disk@../x", "disk@a b", "disk@" + "a" * 33, "other", "other@ann"):
            with pytest.raises(ExportRefused, match="expected"):
                await exports.open(name)
        assert [each.name for each in exports.listed()] == ["disk"]

    asyncio.run(main())
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]
