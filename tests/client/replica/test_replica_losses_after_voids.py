"""History that is lost while the clock is ahead of the time of day, as it is after a void."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.failovers import Failover
from fixtures.replicas import Device, MakeDevice
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.push import UpdateChange


@pytest.fixture
async def two(failover: Failover, make_device: MakeDevice) -> tuple[Device, Device, UUID]:
    """Two devices that hold a document, after a void."""
    ahead, other = make_device(failover.account), make_device(failover.account)
    document = ahead.replica.create("plan.txt", b"first").id
    await ahead.replica.sync()
    connection = await asyncpg.connect(failover.database_url)
    await connection.execute("SELECT feed.void($1)", failover.account.tenant_id)
    await connection.close()
    await ahead.replica.sync()
    await other.replica.sync()
    return ahead, other, document


@pytest.mark.parametrize("lost_versions", [1, 3])
async def test_a_lost_version_and_one_in_its_place_are_a_conflict(
    two: tuple[Device, Device, UUID], failover: Failover, lost_versions: int
) -> None:
    """Whether or not the lost history went on for longer than the new one has come yet."""
    ahead, other, document = two
    failover.fork()
    for number in range(lost_versions):
        ahead.replica.update(document, content=f"lost {number}".encode())
        await ahead.replica.sync()
    failover.take_over(ahead, other)
    other.replica.update(document, content=b"written since")
    await other.replica.sync()

    await ahead.replica.sync()

    (conflict,) = ahead.replica.conflicts()
    assert conflict.id == document
    assert ahead.bytes_of(document) == f"lost {lost_versions - 1}".encode()
    await other.replica.sync()
    assert other.bytes_of(document) == b"written since"


async def test_a_lost_version_names_no_other_one(
    two: tuple[Device, Device, UUID], failover: Failover
) -> None:
    ahead, other, document = two
    failover.fork()
    lost = await ahead.client.change_document(document, DocumentChanges(filename="lost.txt"))
    failover.take_over(ahead, other)
    await other.client.change_document(document, DocumentChanges(filename="since.txt"))
    change = UpdateChange(
        op="update",
        change_id=uuid4(),
        id=document,
        base_updated_at=lost.updated_at,
        filename="renamed on top of what was lost.txt",
    )
    (result,) = (await ahead.client.push([change])).results
    assert result.status == "conflict"
    named = [(document, lost.updated_at)]
    assert await ahead.client.unknown_versions(named) == set(named)
