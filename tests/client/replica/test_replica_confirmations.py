"""What was pushed and not pulled yet, and was overtaken by others meanwhile, is not lost."""

import pytest

from fixtures.collecting import Collector
from fixtures.replicas import Device, MakeDevice
from fixtures.service import TestTenant
from syncapi.server.domain.retention import Retention


async def assert_nothing_counts_as_lost(device: Device, *, begins_again: bool = False) -> None:
    result = await device.replica.sync()
    assert result.resynced == ("history_lost" if begins_again else "no")
    assert device.replica.conflicts() == []
    assert device.replica.pending() == []


@pytest.mark.parametrize("is_in_step", [True, False], ids=["in step", "a first run"])
async def test_what_others_erased_does_not_come_back(
    tenant: TestTenant, make_device: MakeDevice, is_in_step: bool
) -> None:
    """A first run lists no deletions, so it is compared with all that there is."""
    author, other = make_device(tenant), make_device(tenant)
    if is_in_step:
        await author.replica.sync()
    created = author.replica.create("plan.txt", b"plan").id
    await author.replica.push()
    await other.client.delete_document(created, hard=True)
    await assert_nothing_counts_as_lost(author, begins_again=not is_in_step)
    assert author.replica.documents() == []
    assert author.replica.settled() == []


async def test_a_history_that_is_shorter_than_what_others_wrote_since(
    tenant: TestTenant, make_device: MakeDevice, collect: Collector
) -> None:
    author, other = make_device(tenant), make_device(tenant)
    created = author.replica.create("plan.txt", b"plan").id
    await author.replica.push()
    await other.replica.sync()
    other.replica.update(created, content=b"a better plan")
    await other.replica.sync()
    await collect(tenant, Retention(history_versions=1))
    await assert_nothing_counts_as_lost(author)
    assert author.bytes_of(created) == b"a better plan"


async def test_one_question_for_a_whole_page(tenant: TestTenant, make_device: MakeDevice) -> None:
    author, other = make_device(tenant), make_device(tenant)
    for number in range(20):
        author.replica.create(f"{number}.txt", b"plan")
    await author.replica.push()
    await other.replica.sync()
    for document in list(other.replica.documents()):
        other.replica.update(document.id, filename=f"new {document.filename}")
    await other.replica.sync()
    await assert_nothing_counts_as_lost(author)
    assert author.line.count("POST", "/versions/unknown") == 1
    assert author.line.count("GET", "/history") == 0
