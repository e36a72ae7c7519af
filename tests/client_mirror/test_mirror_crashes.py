"""A crash at every change of the disk, before it and after it, in a sync that does everything.

The next sync goes on: at rest folder and server are equal, and no bytes are lost.
"""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from simulation.crashes import crash_at
from simulation.device import Device
from simulation.simulation import Place, differences
from simulation.truth import Truth
from syncapi.client.api.client import Client
from syncapi.client.folder.states import Base
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.client.transfer.uploads import Uploader
from syncapi.wire.push import CreateChange, DeleteChange, PushedChange, UpdateChange


@pytest.fixture
async def client(place: Place) -> AsyncIterator[Client]:
    async with Client(place.url, place.tenant_id, place.token) as client:
        yield client


FILES = ("edited", "edited there", "both", "renamed", "renamed there", "gone", "gone there")


@pytest.fixture
async def truth(place: Place) -> AsyncIterator[Truth]:
    connection = await asyncpg.connect(place.database_url)
    yield Truth(connection, place.tenant_id)
    await connection.close()


class Work:
    """Changes on both sides, so that a sync has an action of every kind to carry out."""

    def __init__(self, laptop: Device, client: Client) -> None:
        self._laptop = laptop
        self._client = client
        self._numbers = count()

    async def prepare(self) -> Path:
        """Synced files in a new folder; return the folder."""
        here = self._laptop.root / f"round {next(self._numbers)}"
        here.mkdir()
        for name in FILES:
            (here / name).write_bytes(self._new())
        await self._laptop.sync_calmly()
        return here

    async def change(self, here: Path) -> None:
        """Change them here and there."""
        for name in ("edited", "both", "new"):
            (here / name).write_bytes(self._new())
        (here / "renamed").rename(here / "new name")
        (here / "gone").unlink()
        async with self._laptop.opened() as mirror:
            entries = {entry.path: entry for entry in mirror.entries()}
        there = {name: entries[f"{here.name}/{name}"] for name in FILES}
        changes: list[PushedChange] = [
            _update(there["edited there"], file_id=await self._uploaded()),
            _update(there["both"], file_id=await self._uploaded()),
            _update(there["renamed there"], filename="new name there"),
            DeleteChange(op="delete", **_named(there["gone there"])),
            CreateChange(
                op="create",
                change_id=uuid4(),
                id=uuid4(),
                folder=here.name,
                filename="new there",
                mime_type="text/plain",
                file_id=await self._uploaded(),
            ),
        ]
        results = (await self._client.push(changes)).results
        assert {result.status for result in results} == {"applied"}

    async def _uploaded(self) -> UUID:
        content = BytesContent(self._new())
        file = await Uploader(self._client).send(content, digest_of(content), "text/plain")
        return file.id

    def _new(self) -> bytes:
        return f"content {next(self._numbers)}".encode()


def _named(entry: Base) -> Any:  # noqa: ANN401 - arguments of a model
    return {"change_id": uuid4(), "id": entry.id, "base_updated_at": entry.version}


def _update(
    entry: Base, *, filename: str | None = None, file_id: UUID | None = None
) -> UpdateChange:
    return UpdateChange(op="update", filename=filename, file_id=file_id, **_named(entry))


async def _moments(laptop: Device) -> int:
    """How many changes of the disk a sync makes that does everything."""
    with crash_at(0, is_after=False) as seen:
        report = await laptop.sync_calmly()
    kinds = {"set_aside", "move", "download", "trash", "create", "update", "delete"}
    assert report.counts.keys() >= kinds
    return len(seen)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("is_after", "step"),
    [(False, 1), (True, 5)],  # after one change is nearly before the next
)
async def test_a_crash_at_every_moment(
    is_after: bool, step: int, laptop: Device, client: Client, truth: Truth
) -> None:
    work = Work(laptop, client)
    await work.change(await work.prepare())
    for moment in range(1, 1 + await _moments(laptop), step):
        here = await work.prepare()
        await work.change(here)
        before = laptop.kept() | await truth.kept()
        said = await laptop.sync(crash_moment=moment, is_after=is_after)
        assert before <= laptop.kept() | await truth.kept(), f"lost at {moment}, {said}"
        report = await laptop.sync_calmly()
        assert report.failures == []
        assert before <= laptop.kept() | await truth.kept(), f"lost after {moment}, {said}"
        assert await differences(laptop, await truth.live()) == [], f"{moment}, {said}"
        assert laptop.litter() == []
        copies = [path.name for path in here.iterdir() if "conflict" in path.name]
        assert len(copies) == 1, f"{moment}, {said}: {copies}"
