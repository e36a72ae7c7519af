"""The history within its limits: what goes, what stays, and what pushes still remember."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from fixtures.collecting import AT_ONCE, Collector, aged, keys
from fixtures.pushing import create, push_one, update
from fixtures.service import TestTenant
from fixtures.uploads import document_of, upload
from fixtures.writing import MakeWriter
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.gc import VersionLimits, collect_versions
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.gc.rows import BEFORE_ALL

TWO = Retention(history_versions=2)


async def versions(tenant: TestTenant, document: object) -> list[str]:
    """Newest first; empty if there are none."""
    answer = await tenant.viewer.get(f"/documents/{document}/history", params={"per_page": 100})
    if answer.status_code == 404:
        return []
    return [version["updated_at"] for version in answer.json()["data"]["versions"]]


async def written(tenant: TestTenant, times: int) -> str:
    """A document that has so many versions."""
    document = await upload(tenant.user, filename="0.txt")
    for number in range(1, times):
        answer = await tenant.user.patch(
            f"/documents/{document['id']}", json={"filename": f"{number}.txt"}
        )
        assert answer.status_code == 200
    return str(document["id"])


async def test_the_newest_versions_stay(tenant: TestTenant, collect: Collector) -> None:
    five, one = await written(tenant, 5), await written(tenant, 1)
    before = await versions(tenant, five)
    assert await collect(tenant, TWO, is_dry=True) == {Garbage.VERSIONS: 3}
    assert await versions(tenant, five) == before
    assert await collect(tenant, TWO) == {Garbage.VERSIONS: 3}
    assert await versions(tenant, five) == before[:2]
    assert len(await versions(tenant, one)) == 1
    assert await collect(tenant, TWO) == {}


async def test_without_limits_everything_stays(tenant: TestTenant, collect: Collector) -> None:
    document = await written(tenant, 4)
    assert await collect(tenant) == {}
    assert len(await versions(tenant, document)) == 4


async def test_old_versions_go_but_never_the_one_that_lives(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    still, changed = await written(tenant, 2), await written(tenant, 2)
    await aged((await make_writer(tenant.id)).connection, tenant, timedelta(days=10))
    await tenant.user.patch(f"/documents/{changed}", json={"filename": "today.txt"})
    limits = Retention(history_age=timedelta(days=9))
    assert await collect(tenant, limits) == {Garbage.VERSIONS: 3}
    assert (len(await versions(tenant, still)), len(await versions(tenant, changed))) == (1, 1)
    for document in (still, changed):
        assert (await tenant.viewer.get(f"/documents/{document}")).status_code == 200


async def test_versions_of_a_deleted_document_follow_the_limits(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    document = await written(tenant, 4)
    await tenant.admin.delete(f"/documents/{document}")
    await collect(tenant, Retention(history_versions=1))
    assert len(await versions(tenant, document)) == 1
    restored = await tenant.user.post(f"/documents/{document}/restore", json={})
    assert document_of(restored)["filename"] == "3.txt"

    await tenant.admin.delete(f"/documents/{document}")
    await aged((await make_writer(tenant.id)).connection, tenant, timedelta(days=10))
    await collect(tenant, Retention(history_age=timedelta(days=9)))
    assert await versions(tenant, document) == []


async def test_the_bytes_of_what_went_go_with_it(
    tenant: TestTenant, collect: Collector, store: ObjectStore
) -> None:
    document = await upload(tenant.user, b"first")
    second = await upload(tenant.user, b"second")
    path = f"/documents/{document['id']}"
    await tenant.user.patch(path, json={"file_id": second["file"]["id"]})
    both = await keys(store, tenant)
    assert await collect(tenant, Retention(files=AT_ONCE)) == {}, "the history has them"

    found = await collect(tenant, Retention(history_versions=1, files=AT_ONCE))

    assert found == {Garbage.VERSIONS: 1, Garbage.FILES: 1}
    assert len(await keys(store, tenant)) == len(both) - 1 == 1


@pytest.mark.parametrize("batch", [1, 2, 3, 1000])
async def test_it_goes_in_batches(tenant: TestTenant, collect: Collector, batch: int) -> None:
    documents = [await written(tenant, 3) for _ in range(3)]
    kept = [(await versions(tenant, document))[0] for document in documents]
    limits = Retention(history_versions=1)
    assert await collect(tenant, limits, batch=batch) == {Garbage.VERSIONS: 6}
    assert [await versions(tenant, document) for document in documents] == [[v] for v in kept]


async def test_a_tenants_own_limits_come_first(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    document = await written(tenant, 5)
    connection = (await make_writer(tenant.id)).connection
    own = "UPDATE tenants SET settings = $2::jsonb WHERE id = $1"
    await connection.execute(own, tenant.id, '{"history_versions": null}')
    assert await collect(tenant, TWO) == {}
    await connection.execute(own, tenant.id, '{"history_versions": 4, "history_days": 1.5}')
    assert await collect(tenant, TWO) == {Garbage.VERSIONS: 1}
    assert len(await versions(tenant, document)) == 4
    for wrong in ('{"history_versions": 0}', '{"history_days": "many"}', '{"history_days": true}'):
        await connection.execute(own, tenant.id, wrong)
        error = (await collect.outcome(tenant, TWO)).error
        assert error is not None
        assert "settings.history_" in error


async def test_a_tenant_that_wants_no_limit_of_age_has_none(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    document = await written(tenant, 3)
    connection = (await make_writer(tenant.id)).connection
    await aged(connection, tenant, timedelta(days=10))
    service = Retention(history_age=timedelta(days=9))
    own = "UPDATE tenants SET settings = $2::jsonb WHERE id = $1"
    await connection.execute(own, tenant.id, '{"history_days": null}')
    assert await collect(tenant, service) == {}
    await connection.execute(own, tenant.id, "{}")
    assert await collect(tenant, service) == {Garbage.VERSIONS: 2}
    assert len(await versions(tenant, document)) == 1


async def test_a_push_stays_repeatable_when_its_version_is_gone(
    tenant: TestTenant, collect: Collector
) -> None:
    """By last-write-wins a repeat would put the old name over the new one."""
    document = await upload(tenant.user, filename="0.txt")
    pushed = update(UUID(document["id"]), document["updated_at"], filename="mine.txt")
    assert (await push_one(tenant.user, pushed)).status == "applied"
    await tenant.admin.patch(f"/documents/{document['id']}", json={"filename": "later.txt"})
    await collect(tenant, Retention(history_versions=1))

    repeated = await push_one(tenant.user, pushed, on_conflict="last_write_wins")

    assert repeated.status == "unchanged"
    assert repeated.document is not None
    assert repeated.document.filename == "later.txt"
    forgetful = Retention(history_versions=1, tombstones=AT_ONCE)
    assert await collect(tenant, forgetful, is_dry=True) == {Garbage.CHANGE_IDS: 2}
    assert await collect(tenant, forgetful) == {Garbage.CHANGE_IDS: 2}


async def test_an_old_push_stays_repeatable_from_the_collection_of_its_version_on(
    tenant: TestTenant, collect: Collector, make_writer: MakeWriter
) -> None:
    """The document lived for long, so its version was the newest one until it was deleted."""
    writer = await make_writer(tenant.id)
    pushed = create(writer.file_id)
    assert (await push_one(tenant.user, pushed)).status == "applied"
    await aged(writer.connection, tenant, timedelta(days=200))
    await tenant.admin.delete(f"/documents/{pushed['id']}")
    limits = Retention(history_age=timedelta(days=30))
    assert await collect(tenant, limits) == {Garbage.VERSIONS: 1}
    assert await collect(tenant, limits) == {}

    repeated = await push_one(tenant.user, pushed, on_conflict="last_write_wins")

    assert repeated.status == "unchanged"
    assert await writer.live() == {}
    await writer.connection.execute(
        "UPDATE collected_changes SET collected_at = collected_at - interval '91 days'"
        " WHERE tenant_id = $1",
        tenant.id,
    )
    assert await collect(tenant, limits) == {Garbage.CHANGE_IDS: 1}


async def test_a_collection_that_is_cut_off_leaves_the_newest_versions(
    tenant: TestTenant, databases: Databases, make_writer: MakeWriter
) -> None:
    """Else an older one would seem to be the newest, and the deleted document astray."""
    document = await written(tenant, 4)
    await tenant.admin.delete(f"/documents/{document}")
    connection = (await make_writer(tenant.id)).connection
    await aged(connection, tenant, timedelta(days=10))
    left = await versions(tenant, document)
    limits = VersionLimits(timedelta(days=9), None)
    while left:
        batch = partial(collect_versions, limits=limits, after=BEFORE_ALL, most=2)
        await databases.writing(tenant.scope(), batch)
        left = left[:-2]
        assert await versions(tenant, document) == left
        assert await connection.fetchval("SELECT count(*) FROM feed.astray($1)", tenant.id) == 0
