"""A document that is edited here and deleted there, whose bytes the object store has lost."""

from uuid import UUID

import asyncpg
import pytest

from fixtures.collecting import keys, two_days_pass
from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from fixtures.uploads import upload
from syncapi.client.errors import Unreachable
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore

BYTES = b"only replicas have them"


async def lose_bytes(tenant: TestTenant, databases: Databases, store: ObjectStore) -> None:
    await two_days_pass(databases, tenant)
    await store.delete_many(list(await keys(store, tenant)))


async def edit_and_delete(tenant: TestTenant, device: Device, document: UUID) -> None:
    device.replica.update(document, filename="mine.txt")
    answer = await tenant.admin.delete(f"/documents/{document}")
    assert answer.status_code == 200


async def assert_back(device: Device, other: Device, content: bytes) -> None:
    result = await device.replica.sync()
    assert (result.errors, device.replica.pending()) == ([], [])
    await other.replica.sync()
    assert other.names()["mine.txt"] == content


async def test_who_holds_the_bytes_sends_them_along(
    tenant: TestTenant, databases: Databases, store: ObjectStore, make_device: MakeDevice
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = UUID((await upload(tenant.user, BYTES, "report.txt"))["id"])
    await device.replica.sync()
    await edit_and_delete(tenant, device, document)
    await lose_bytes(tenant, databases, store)
    await assert_back(device, other, BYTES)


@pytest.mark.parametrize("way_out", ["others have them", "new content", "revert"])
async def test_who_does_not_hold_them_is_told_why_and_can_go_on(
    tenant: TestTenant,
    databases: Databases,
    store: ObjectStore,
    make_device: MakeDevice,
    way_out: str,
) -> None:
    device, other = make_device(tenant), make_device(tenant)
    document = UUID((await upload(tenant.user, BYTES, "report.txt"))["id"])
    await lose_bytes(tenant, databases, store)
    await device.replica.sync()
    await edit_and_delete(tenant, device, document)
    for _ in range(2):
        (error,) = (await device.replica.sync()).errors
        assert (error.id, error.what, error.code) == (document, "upload", "content_missing")
        assert "Neither the server nor this replica" in error.message
    assert [change.id for change in device.replica.pending()] == [document]

    if way_out == "others have them":
        await upload(tenant.user, BYTES, "again.txt")
        await assert_back(device, other, BYTES)
    elif way_out == "new content":
        device.replica.update(document, content=b"new")
        await assert_back(device, other, b"new")
    else:
        device.replica.revert(document)
        assert (await device.replica.sync()).errors == []
        assert device.names() == {}


async def test_an_edit_of_a_lost_restore_waits_until_the_server_has_the_bytes(
    failover: Failover, make_device: MakeDevice, store: ObjectStore
) -> None:
    """The server is left with a deletion, which the edit goes over, and is told the bytes."""
    device, other = make_device(failover.account), make_device(failover.account)
    document = other.replica.create("report.txt", BYTES).id
    await other.replica.sync()
    await other.client.delete_document(document)
    failover.fork()
    await other.client.restore(document)
    device.storage.loses = lambda _request: True
    with pytest.raises(Unreachable):
        await device.replica.sync()
    device.storage.loses = lambda _request: False
    device.replica.update(document, filename="mine.txt")
    failover.take_over(device, other)
    await lose_all_bytes(failover, store)

    for _ in range(2):
        (error,) = (await device.replica.sync()).errors
        assert (error.id, error.what, error.code) == (document, "upload", "content_missing")
    assert [change.id for change in device.replica.pending()] == [document]

    other.replica.create("again.txt", BYTES)
    await other.replica.push()
    await assert_back(device, make_device(device.account), BYTES)


async def lose_all_bytes(failover: Failover, store: ObjectStore) -> None:
    connection = await asyncpg.connect(failover.database_url)
    rows = await connection.fetch("UPDATE files SET updated_at = 'epoch' RETURNING s3_path")
    await connection.close()
    await store.delete_many([row["s3_path"] for row in rows])
