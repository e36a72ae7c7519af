"""Crashes at all that is made lasting: the next run goes on, without loss or double work."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from fixtures.replicas import Crash, Device, MakeDevice, crashing
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.client.replica.conflicts import KEEP_BOTH

MOST = 1000


async def crash_everywhere(
    device: Device, prepare: Callable[[int], Awaitable[None]], check: Callable[[], Awaitable[None]]
) -> int:
    """Prepare, crash in a run, go on; with every point once. Returns how many there were."""
    for at in range(1, MOST):
        await prepare(at)
        with crashing(at) as crasher:
            try:
                await device.replica.sync()
            except Crash:
                device.reopen()
        await device.replica.sync()
        await check()
        if not crasher.has_crashed:
            return at - 1
    raise AssertionError("it never came to an end")


async def versions(writer: SqlWriter, document: UUID) -> list[Any]:
    rows: list[Any] = await writer.connection.fetch(
        "SELECT change_id FROM document_history WHERE tenant_id = $1 AND document_id = $2"
        " ORDER BY updated_at",
        writer.tenant_id,
        document,
    )
    return rows


def assert_tidy(device: Device) -> None:
    """Every content is there, and nothing else."""
    documents = list(device.replica.remote())
    assert sorted(device.store.blobs.digests()) == sorted(
        {document.file.sha256_hash for document in documents}
    )
    assert not list(device.folder.glob("blobs/*.part"))
    assert device.replica.pending() == []
    assert device.replica.failures() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_run_in_both_directions(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    device, other = make_device(tenant, per_page=2), make_device(tenant)
    writer = await make_writer(tenant.id)
    edited: dict[str, UUID] = {}

    async def prepare(at: int) -> None:
        for document in list(device.replica.remote()):
            device.replica.delete(document.id)
        for name in ("updated", "deleted", "theirs"):
            edited[name] = device.replica.create(f"{name}.txt", f"{name} {at}".encode()).id
        await device.replica.sync()
        await other.replica.sync()
        other.replica.create("new.txt", f"new {at}".encode())
        other.replica.update(edited["theirs"], content=f"their {at}".encode())
        await other.replica.push()
        edited["made"] = device.replica.create("made.txt", f"made {at}".encode()).id
        device.replica.update(edited["updated"], content=f"edited {at}".encode())
        device.replica.delete(edited["deleted"])

    async def check() -> None:
        await other.replica.sync()
        assert list(device.replica.remote()) == list(other.replica.remote())
        assert device.names() == other.names()
        assert set(device.names()) == {"new.txt", "theirs.txt", "updated.txt", "made.txt"}
        for name, document in edited.items():
            made = await versions(writer, document)
            assert len(made) == (1 if name == "made" else 2), name
            assert len({row["change_id"] for row in made}) == len(made)
        assert_tidy(device)

    assert await crash_everywhere(device, prepare, check) > 40


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_conflict(tenant: TestTenant, make_device: MakeDevice) -> None:
    """Met, judged, pushed as a second document: which there is once."""
    device = make_device(tenant, strategy=lambda _: KEEP_BOTH)
    other = make_device(tenant)
    document = other.replica.create("a.txt", b"base").id
    await other.replica.sync()
    round_ = 0

    async def prepare(at: int) -> None:
        nonlocal round_
        round_ = at
        await device.replica.sync()
        other.replica.update(document, content=f"theirs {at}".encode())
        device.replica.update(document, content=f"mine {at}".encode())
        await other.replica.sync()

    async def check() -> None:
        await other.replica.sync()
        assert device.names() == other.names()
        assert device.names()["a.txt"] == f"theirs {round_}".encode()
        contents = [content for name, content in device.names().items() if name != "a.txt"]
        assert contents == [f"mine {round_}".encode()]
        for copy in list(device.replica.remote()):
            if copy.id != document:
                device.replica.delete(copy.id)
        await device.replica.sync()
        assert_tidy(device)

    assert await crash_everywhere(device, prepare, check) > 20


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_resync(
    tenant: TestTenant, make_device: MakeDevice, make_writer: MakeWriter
) -> None:
    device, writer = make_device(tenant, per_page=2), await make_writer(tenant.id)
    for number in range(4):
        await upload(tenant.user, f"{number}".encode(), f"{number}.txt")

    async def prepare(at: int) -> None:
        await device.replica.sync()
        gone = await upload(tenant.user, b"gone", "gone.txt")
        await device.replica.sync()
        await tenant.admin.delete(f"/documents/{gone['id']}")
        (kept,) = [d for d in device.replica.remote() if d.filename == "0.txt"]
        new = await upload(tenant.user, f"new {at}".encode(), "0.txt")
        await tenant.admin.delete(f"/documents/{kept.id}")
        await writer.collect_tombstones()
        assert new["id"] != str(kept.id)

    async def check() -> None:
        fresh = make_device(tenant)
        await fresh.replica.sync()
        assert list(device.replica.remote()) == list(fresh.replica.remote())
        assert device.names() == fresh.names()
        assert_tidy(device)

    assert await crash_everywhere(device, prepare, check) > 15


async def test_changes_that_are_made(tenant: TestTenant, make_device: MakeDevice) -> None:
    """A change is queued with its content, or it is not there at all."""
    device = make_device(tenant)
    for at in range(1, MOST):
        with crashing(at) as crasher:
            try:
                device.replica.create(f"{at}.txt", f"{at}".encode())
            except Crash:
                device.reopen()
        for document in device.replica.documents():
            assert device.bytes_of(document.id) == document.filename.removesuffix(".txt").encode()
        if not crasher.has_crashed:
            break
    assert f"{at}.txt" in device.names()
    await device.replica.sync()
    assert_tidy(device)
