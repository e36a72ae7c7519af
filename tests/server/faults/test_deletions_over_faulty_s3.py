"""Garbage collection and deletions for good while S3 fails: rows first, and bytes in the end."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from fixtures.collecting import AT_ONCE, Collector, two_days_pass
from fixtures.faulty_s3 import Act, Break, FaultyS3, Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.sending import Content, declare, pending, send, sent
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.factories import bucket
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore

UNUSED = Retention(files=AT_ONCE, uploads=AT_ONCE)
DELETE_MANY, ABORT = r"^POST .*\?delete", r"^DELETE .*uploadId="
LIST, LIST_UPLOADS = r"^GET .*list-type=2", r"^GET .*\?uploads"
FAULTS: dict[str, Act] = {
    "slow down": Refuse(503, "SlowDown"),
    "internal error": Refuse(500, "InternalError"),
    "garbage": Refuse(200, text="<ListBucketResult><Contents><Key>ab"),
    "lost answer": Break(),
    "half an answer": Break("close", after=60),
    "silence": Break("stop"),
}
KEPT = (
    '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>k</Key>'
    "<Code>InternalError</Code><Message>m</Message></Error></DeleteResult>"
)


@pytest.fixture
async def faulty(
    settings: Settings, databases: Databases, control: ControlStore
) -> AsyncIterator[tuple[FaultyS3, Collector]]:
    """A collector that reaches S3 through the relay."""
    assert settings.s3_endpoint_url is not None
    async with FaultyS3.to(settings.s3_endpoint_url) as (s3, through):
        changed = settings.model_copy(update={"s3_endpoint_url": through})
        async with ObjectStore(bucket(changed), read_seconds=3, call_seconds=20) as store:
            yield s3, Collector(databases, store, control)


async def litter(tenant: TestTenant, store: ObjectStore) -> None:
    """Something of each kind: a file of nobody, an object and an upload that no row knows."""
    await sent(tenant.user, uuid4().bytes)
    await upload(tenant.user, b"used")
    await store._call("put_object", Key=f"{tenant.id}/unknown", Body=b"12345")
    await store.multipart.begin(f"{tenant.id}/unknown", "a/b")


async def left(tenant: TestTenant, store: ObjectStore) -> tuple[int, int]:
    """Objects and multipart uploads."""
    objects = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    uploads = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return len(objects.get("Contents", ())), len(uploads.get("Uploads", ()))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "where", [LIST, LIST_UPLOADS, DELETE_MANY, ABORT], ids=["list", "uploads", "delete", "abort"]
)
async def test_a_collection_that_fails_is_told_and_the_next_one_takes_the_rest(
    tenant: TestTenant,
    store: ObjectStore,
    faulty: tuple[FaultyS3, Collector],
    where: str,
    fault: str,
) -> None:
    if fault in {"garbage", "half an answer"} and where == ABORT:
        pytest.skip("its answer has no body")
    s3, collect = faulty
    await litter(tenant, store)
    rule = s3.rule(FAULTS[fault], where)
    outcome = await collect.outcome(tenant, UNUSED)
    assert rule.hits > 0, s3.seen
    assert outcome.error is not None
    assert outcome.error.startswith("The object store does not answer as it should.")
    await s3.mend()
    await collect(tenant, UNUSED)
    assert await left(tenant, store) == (1, 0)


@pytest.mark.parametrize("fault", ["slow down", "lost answer"])
async def test_a_collection_gets_over_what_passes(
    tenant: TestTenant, store: ObjectStore, faulty: tuple[FaultyS3, Collector], fault: str
) -> None:
    s3, collect = faulty
    await litter(tenant, store)
    for where in (LIST, LIST_UPLOADS, DELETE_MANY, ABORT):
        s3.rule(FAULTS[fault], where, times=1)
    await collect(tenant, UNUSED)
    assert await left(tenant, store) == (1, 0)


async def test_bytes_that_s3_keeps_are_taken_by_the_next_collection(
    tenant: TestTenant, store: ObjectStore, faulty: tuple[FaultyS3, Collector]
) -> None:
    """S3 says yes to the call and no to one key."""
    s3, collect = faulty
    await sent(tenant.user, uuid4().bytes)
    s3.rule(Refuse(200, text=KEPT), DELETE_MANY)
    assert (await collect.outcome(tenant, UNUSED)).error is not None
    await s3.mend()
    assert (await collect(tenant, UNUSED))[Garbage.OBJECTS] == 1
    assert await left(tenant, store) == (0, 0)


async def test_an_abandoned_upload_that_cannot_be_aborted_is_aborted_by_the_next_collection(
    ground: Ground, faulty: tuple[FaultyS3, Collector]
) -> None:
    s3, collect = faulty
    content = Content(8 * MIB, uuid4().hex)
    invitation = pending(await declare(ground.client, content.declaration()))
    await send(invitation, invitation.parts[:1], content.slice)
    async with ground.databases.reading(ground.tenant.scope()) as connection:
        await connection.driver.execute(
            "UPDATE direct_uploads SET expires_at = 'epoch' WHERE tenant_id = $1",
            ground.tenant.id,
        )
    s3.rule(Refuse(), ABORT)
    assert (await collect.outcome(ground.tenant, UNUSED)).error is not None
    await s3.mend()
    await collect(ground.tenant, UNUSED)
    assert await ground.multiparts() == 0


@pytest.mark.parametrize("fault", ["slow down", "lost answer", "silence"])
async def test_a_deletion_for_good_is_done_and_its_bytes_go_when_s3_is_back(
    ground: Ground, fault: str
) -> None:
    document = await upload(ground.client, b"to be erased")
    await two_days_pass(ground.databases, ground.tenant)
    ground.s3.rule(FAULTS[fault], "^DELETE ")
    answer = await ground.client.delete(f"/documents/{document['id']}", params={"hard": True})
    assert answer.status_code == 200, answer.text
    assert await ground.rows() == 0
    await ground.s3.mend()
    await until(ground.is_clean)
