"""Who names a file long after it was promised is told if its bytes are gone.

Garbage collection took them, and a backup of the database brought the row back.
"""

import asyncio
from datetime import datetime, timedelta, tzinfo
from typing import Self
from uuid import UUID, uuid4

import pytest
from typing_extensions import override

from fixtures.collecting import keys, two_days_pass
from fixtures.pulling import problem_of
from fixtures.pushing import create, push, push_one, update
from fixtures.replicas import MakeDevice
from fixtures.sending import sent
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.protocol.push import OnConflict
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases import missing_bytes

BYTES = b"promised long ago"
EARLIER = "2020-01-01T00:00:00Z"


async def promised(tenant: TestTenant, databases: Databases, *, days_ago: int = 2) -> UUID:
    """A file that nothing refers to, and that no answer has named for some days."""
    file_id = await sent(tenant.user, BYTES)
    async with databases.database("default") as driver:
        await driver.execute(
            "UPDATE files SET updated_at = now() - $2 * interval '1 day' WHERE id = $1",
            *(file_id, days_ago),
        )
    return file_id


@pytest.fixture
async def lost(tenant: TestTenant, databases: Databases, store: ObjectStore) -> UUID:
    """One whose bytes are gone."""
    file_id = await promised(tenant, databases)
    await store.delete_many(list(await keys(store, tenant)))
    return file_id


async def test_a_push_that_names_it_is_rejected_until_the_bytes_are_sent_again(
    tenant: TestTenant, lost: UUID
) -> None:
    document = await upload(tenant.user, b"there")
    changes = [
        create(lost),
        update(UUID(document["id"]), document["updated_at"], file_id=str(lost)),
        create(UUID(document["file"]["id"])),
    ]
    results = await push(tenant.user, *changes)
    assert [result.status for result in results] == ["rejected", "rejected", "applied"]
    for result in results[:2]:
        assert result.problem is not None
        assert result.problem.code == "invalid_file"

    assert await sent(tenant.user, BYTES) == lost
    results = await push(tenant.user, *changes)
    assert [result.status for result in results] == ["applied", "applied", "unchanged"]


async def deleted(tenant: TestTenant, databases: Databases) -> UUID:
    """A document that was deleted, and whose file was promised days ago."""
    document = await upload(tenant.user, BYTES)
    answer = await tenant.admin.delete(f"/documents/{document['id']}")
    assert answer.status_code == 200
    async with databases.database("default") as driver:
        await driver.execute(
            "UPDATE files SET updated_at = now() - interval '2 days' WHERE id = $1",
            UUID(document["file"]["id"]),
        )
    return UUID(document["id"])


async def state(tenant: TestTenant, document: UUID) -> tuple[str, bool]:
    """Version, and whether it is deleted."""
    answer = await tenant.user.get(f"/documents/{document}/history")
    found = answer.json()["data"]["versions"][0]
    return found["updated_at"], found["is_deleted"]


@pytest.mark.parametrize("on_conflict", ["reject", "merge", "last_write_wins"])
async def test_an_edit_that_brings_a_document_back_is_rejected_until_its_bytes_are_sent_again(
    tenant: TestTenant, databases: Databases, store: ObjectStore, on_conflict: OnConflict
) -> None:
    document = await deleted(tenant, databases)
    await store.delete_many(list(await keys(store, tenant)))
    there = await upload(tenant.user, b"there")
    version, _ = await state(tenant, document)
    base = version if on_conflict == "reject" else EARLIER
    changes = [
        update(document, base, filename="again.txt"),
        update(UUID(there["id"]), there["updated_at"], filename="other.txt"),
    ]
    refused, applied = await push(tenant.user, *changes, on_conflict=on_conflict)
    assert (refused.status, applied.status) == ("rejected", "applied")
    assert refused.problem is not None
    assert refused.problem.code == "invalid_file"
    assert (await state(tenant, document))[1]

    await sent(tenant.user, BYTES)
    results = await push(tenant.user, *changes, on_conflict=on_conflict)
    assert [result.status for result in results] == ["applied", "unchanged"]


async def test_a_conflict_stays_one_whether_or_not_the_bytes_are_there(
    tenant: TestTenant, databases: Databases, store: ObjectStore
) -> None:
    document = await deleted(tenant, databases)
    await store.delete_many(list(await keys(store, tenant)))
    result = await push_one(tenant.user, update(document, EARLIER, filename="again.txt"))
    assert result.status == "conflict"


async def test_an_edit_brings_a_document_back_whose_bytes_are_there(
    tenant: TestTenant, databases: Databases
) -> None:
    document = await deleted(tenant, databases)
    version, _ = await state(tenant, document)
    assert (await push_one(tenant.user, update(document, version, folder="a"))).status == "applied"


async def test_others_of_its_group_do_not_wait_for_the_look(
    tenant: TestTenant, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = await deleted(tenant, databases)
    version, _ = await state(tenant, document)
    there = await upload(tenant.user, b"there")
    looking, seen = asyncio.Event(), asyncio.Event()
    head = ObjectStore.head

    async def slow(self: ObjectStore, key: str) -> object:
        looking.set()
        await seen.wait()
        return await head(self, key)

    monkeypatch.setattr(ObjectStore, "head", slow)
    back = asyncio.create_task(push_one(tenant.user, update(document, version, folder="a")))
    await looking.wait()
    other = update(UUID(there["id"]), there["updated_at"], folder="b")
    assert (await push_one(tenant.user, other)).status == "applied"
    seen.set()
    assert (await back).status == "applied"


async def test_a_server_whose_clock_is_a_month_behind_looks_all_the_same(
    tenant: TestTenant, lost: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind(datetime):
        @classmethod
        @override
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) - timedelta(days=30)

    monkeypatch.setattr(missing_bytes, "datetime", Behind, raising=False)
    assert (await push_one(tenant.user, create(lost))).status == "rejected"


async def test_a_change_that_names_it_is_refused(tenant: TestTenant, lost: UUID) -> None:
    document = await upload(tenant.user, b"there")
    change = {"file_id": str(lost)}
    problem_of(
        await tenant.user.patch(f"/documents/{document['id']}", json=change),
        400,
        "invalid_request",
    )
    assert await sent(tenant.user, BYTES) == lost
    answer = await tenant.user.patch(f"/documents/{document['id']}", json=change)
    assert answer.status_code == 200


async def test_one_whose_bytes_are_there_is_taken(
    tenant: TestTenant, databases: Databases
) -> None:
    file_id = await promised(tenant, databases)
    assert (await push_one(tenant.user, create(file_id))).status == "applied"


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Objects that somebody looks for, of all stores in this process."""
    head, asked = ObjectStore.head, []

    async def noted(self: ObjectStore, key: str) -> object:
        asked.append(key)
        return await head(self, key)

    monkeypatch.setattr(ObjectStore, "head", noted)
    return asked


async def test_no_push_looks_for_what_was_promised_of_late_or_is_used(
    tenant: TestTenant, databases: Databases, looked_for: list[str]
) -> None:
    """Only where nothing else says that the bytes are there."""
    new, used = await sent(tenant.user, b"new"), await promised(tenant, databases)
    assert (await push_one(tenant.user, create(used))).status == "applied"
    async with databases.database("default") as driver:
        await driver.execute("UPDATE files SET updated_at = 'epoch' WHERE id = $1", used)
    assert looked_for
    looked_for.clear()
    results = await push(tenant.user, create(new), create(used), create(uuid4()))
    assert [result.status for result in results] == ["applied", "applied", "rejected"]
    assert looked_for == []


@pytest.mark.parametrize("time", ["-infinity", "4713-01-01 BC", "294276-01-01", "infinity"])
async def test_a_time_that_no_client_can_read_stops_no_push(
    tenant: TestTenant, databases: Databases, time: str
) -> None:
    file_id = await promised(tenant, databases)
    async with databases.database("default") as driver:
        await driver.execute(f"UPDATE files SET updated_at = '{time}' WHERE id = $1", file_id)
    assert (await push_one(tenant.user, create(file_id))).status == "applied"


@pytest.mark.usefixtures("lost")
async def test_a_replica_sends_the_bytes_again(
    tenant: TestTenant, make_device: MakeDevice, store: ObjectStore
) -> None:
    device = make_device(tenant)
    device.replica.create("again.txt", BYTES)
    result = await device.replica.sync()
    assert [one.status for one in result.pushed] == ["applied"]
    assert len(await keys(store, tenant)) == 1


async def test_only_what_comes_back_with_its_own_bytes_is_looked_for(
    tenant: TestTenant, databases: Databases, looked_for: list[str]
) -> None:
    """Neither what is refused anyway, nor a repeat, nor what brings other bytes along."""
    first = await upload(tenant.user, BYTES)
    document = UUID(first["id"])
    applied = update(document, first["updated_at"], filename="renamed.txt")
    assert (await push_one(tenant.user, applied)).status == "applied"
    await tenant.admin.delete(f"/documents/{document}")
    await two_days_pass(databases, tenant)
    version, _ = await state(tenant, document)
    new = await sent(tenant.user, b"new")
    looked_for.clear()

    raced = update(document, EARLIER, filename="raced.txt")
    results = [
        await push_one(tenant.user, raced),
        await push_one(tenant.user, raced, on_conflict="first_write_wins"),
        await push_one(tenant.user, applied, on_conflict="last_write_wins"),
        await push_one(tenant.user, update(document, version, file_id=str(new))),
    ]

    statuses = [one.status for one in results]
    assert statuses == ["conflict", "conflict", "unchanged", "applied"]
    assert looked_for == []


async def test_an_atomic_push_brings_nothing_back_if_one_of_its_documents_lacks_its_bytes(
    tenant: TestTenant, databases: Databases, store: ObjectStore
) -> None:
    document = await deleted(tenant, databases)
    await store.delete_many(list(await keys(store, tenant)))
    there = await upload(tenant.user, b"there")
    version, _ = await state(tenant, document)
    changes = [
        update(document, version, filename="again.txt"),
        update(UUID(there["id"]), there["updated_at"], filename="other.txt"),
    ]
    results = await push(tenant.user, *changes, mode="atomic")
    problems = [one.problem and one.problem.code for one in results]
    assert problems == ["invalid_file", "not_applied"]
    assert await state(tenant, UUID(there["id"])) == (there["updated_at"], False)
