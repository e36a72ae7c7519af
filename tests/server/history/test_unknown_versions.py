"""Which of the versions that a client has seen the server has lost."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.collecting import Collector, aged
from fixtures.pulling import problem_of
from fixtures.pushing import create, delete, push_one, update
from fixtures.service import TestTenant
from fixtures.uploads import document_of, upload
from fixtures.writing import MakeWriter
from syncapi.protocol.base import format_time
from syncapi.protocol.push import ChangeResult
from syncapi.server.domain.retention import Garbage, Retention

Version = dict[str, str]


def version_of(result: ChangeResult) -> Version:
    """The version that a pushed change became."""
    assert result.document is not None
    return named(result.id, format_time(result.document.updated_at))


def named(document: object, updated_at: str) -> Version:
    return {"id": str(document), "updated_at": updated_at}


async def unknown(client: httpx.AsyncClient, *versions: Version) -> list[Version]:
    answer = await client.post("/documents/versions/unknown", json={"versions": versions})
    assert answer.status_code == 200, answer.text
    found: list[Version] = answer.json()["data"]["unknown"]
    return found


async def three(tenant: TestTenant, file_id: UUID) -> tuple[Version, Version, Version]:
    """The versions of a document that was made, renamed and renamed again by pushes."""
    first = version_of(await push_one(tenant.user, create(file_id)))
    found = [first]
    for name in ("two", "three"):
        renamed = update(UUID(first["id"]), found[-1]["updated_at"], filename=name)
        found.append(version_of(await push_one(tenant.user, renamed)))
    first, second, third = found
    return first, second, third


async def test_those_that_never_were(tenant: TestTenant, make_writer: MakeWriter) -> None:
    versions = await three(tenant, (await make_writer(tenant.id)).file_id)
    elsewhen = named(versions[0]["id"], "2001-01-01T00:00:00.000000Z")
    elsewhere = named(uuid4(), versions[0]["updated_at"])
    asked = (elsewhere, *versions, elsewhen)
    assert await unknown(tenant.viewer, *asked) == [elsewhere, elsewhen]


async def test_the_first_and_the_last_time_there_is(tenant: TestTenant) -> None:
    """For the database they are no times, but before and after all others."""
    times = ("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z")
    asked = [named(uuid4(), time) for time in times]
    assert await unknown(tenant.viewer, *asked) == asked


async def test_a_pushed_version_is_known_when_the_history_is_shorter(
    tenant: TestTenant, make_writer: MakeWriter, collect: Collector
) -> None:
    versions = await three(tenant, (await make_writer(tenant.id)).file_id)
    assert await collect(tenant, Retention(history_versions=1)) == {Garbage.VERSIONS: 2}
    assert await unknown(tenant.viewer, *versions) == []


async def test_a_pushed_version_is_known_when_its_document_was_erased(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    versions = await three(tenant, (await make_writer(tenant.id)).file_id)
    path = f"/documents/{versions[0]['id']}"
    await tenant.admin.delete(path, params={"hard": "true"})
    assert await unknown(tenant.viewer, *versions) == []


async def test_it_is_known_for_as_long_as_deletions_are(
    tenant: TestTenant, make_writer: MakeWriter, collect: Collector
) -> None:
    first, second, third = await three(tenant, (await make_writer(tenant.id)).file_id)
    await collect(tenant, Retention(history_versions=1))
    await collect(tenant, Retention(tombstones=timedelta(0)))
    assert await unknown(tenant.viewer, first, second, third) == [first, second]


async def test_an_old_pushed_version_is_known_from_the_erasure_on(
    tenant: TestTenant, make_writer: MakeWriter, collect: Collector
) -> None:
    writer = await make_writer(tenant.id)
    await three(tenant, writer.file_id)
    await aged(writer.connection, tenant, timedelta(days=200))
    query = "SELECT document_id, updated_at FROM document_history WHERE tenant_id = $1"
    rows = await writer.connection.fetch(query, tenant.id)
    versions = [named(row["document_id"], format_time(row["updated_at"])) for row in rows]
    await tenant.admin.delete(f"/documents/{versions[0]['id']}", params={"hard": "true"})
    assert await collect(tenant) == {}
    assert await unknown(tenant.viewer, *versions) == []


@pytest.mark.parametrize("way", ["collected", "erased"])
async def test_one_that_was_not_pushed_is_known_as_long(
    tenant: TestTenant, make_writer: MakeWriter, collect: Collector, way: str
) -> None:
    writer = await make_writer(tenant.id)
    document = await upload(tenant.user)
    uploaded = named(document["id"], document["updated_at"])
    path = f"/documents/{document['id']}"
    changed = await tenant.user.patch(path, json={"filename": "b.txt"})
    patched = named(document["id"], document_of(changed)["updated_at"])
    await writer.connection.execute(
        "UPDATE documents SET filename = 'c.txt' WHERE tenant_id = $1", tenant.id
    )
    read = document_of(await tenant.user.get(path))
    by_sql = named(document["id"], read["updated_at"])
    await tenant.admin.delete(path, params={"hard": way == "erased"})

    if way == "collected":
        assert await collect(tenant, Retention(history_versions=1)) == {Garbage.VERSIONS: 3}
    assert await unknown(tenant.viewer, uploaded, patched, by_sql) == []
    forgotten = await collect(tenant, Retention(history_versions=1, tombstones=timedelta(0)))
    assert forgotten[Garbage.CHANGE_IDS] >= 3
    assert await unknown(tenant.viewer, uploaded, patched, by_sql) == [uploaded, patched, by_sql]


async def test_what_only_the_feed_knows(tenant: TestTenant, make_writer: MakeWriter) -> None:
    """A void gives a version to what triggers did not see; it has no history."""
    writer = await make_writer(tenant.id)
    async with writer.connection.transaction():
        await writer.connection.execute("SET LOCAL session_replication_role = replica")
        document = await writer.insert_one()
        await writer.connection.execute("SET LOCAL session_replication_role = origin")
        await writer.connection.execute("SELECT feed.reconcile($1)", tenant.id)
    answer = await tenant.viewer.get(f"/documents/{document}")
    version = answer.json()["data"]["document"]["updated_at"]
    assert await unknown(tenant.viewer, named(document, version)) == []


async def test_a_deletion_is_a_version(tenant: TestTenant, make_writer: MakeWriter) -> None:
    _, _, last = await three(tenant, (await make_writer(tenant.id)).file_id)
    gone = delete(UUID(last["id"]), last["updated_at"])
    await push_one(tenant.admin, gone)
    history = await tenant.viewer.get(f"/documents/{last['id']}/history")
    (deletion, *_) = history.json()["data"]["versions"]
    assert await unknown(tenant.viewer, named(last["id"], deletion["updated_at"])) == []


@pytest.mark.parametrize(
    ("versions", "field"),
    [
        ([], "body.versions"),
        ([named(uuid4(), "2001-01-01T00:00:00Z")] * 501, "body.versions"),
        ([named("x", "2001-01-01T00:00:00Z")], "body.versions.0.id"),
        ([named(uuid4(), "yesterday")], "body.versions.0.updated_at"),
        ([named(uuid4(), "2001-01-01T00:00:00Z") | {"etag": ""}], "body.versions.0.etag"),
    ],
)
async def test_a_bad_request_names_its_field(
    tenant: TestTenant, versions: list[Version], field: str
) -> None:
    answer = await tenant.viewer.post("/documents/versions/unknown", json={"versions": versions})
    problem = problem_of(answer, 400, "invalid_request")
    assert [error.field for error in problem.errors] == [field]
