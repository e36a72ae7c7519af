"""Soft and hard deletion, and what they leave."""

import asyncio
from uuid import UUID

import httpx
import pytest

from fixtures.collecting import two_days_pass
from fixtures.pushing import create, push_one
from fixtures.service import TestTenant
from fixtures.uploads import Json, assert_problem, upload
from syncapi.server.domain.access import Role
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore

HARD = {"hard": "true"}


def path(document: Json) -> str:
    return f"/documents/{document['id']}"


async def tombstones(tenant: TestTenant, since: str) -> list[str]:
    page = await tenant.viewer.get("/documents/sync", params={"since": since})
    return [row["id"] for row in page.json()["data"]["deleted"]]


async def rows(databases: Databases, tenant: TestTenant, table: str, column: str) -> list[object]:
    async with databases.reading(tenant.scope()) as connection:
        found = await connection.driver.fetch(
            f"SELECT {column} AS value FROM {table} WHERE tenant_id = $1", tenant.id
        )
    return [row["value"] for row in found]


async def object_count(store: ObjectStore, tenant: TestTenant) -> int:
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return len(answer.get("Contents", []))


@pytest.mark.parametrize("query", [{}, HARD], ids=["soft", "hard"])
async def test_a_deleted_document_is_a_tombstone(tenant: TestTenant, query: Json) -> None:
    witness = await upload(tenant.user, b"witness")
    document = await upload(tenant.user)
    answer = await tenant.admin.delete(path(document), params=query)
    expected = {"deleted_document_id": document["id"], "hard_delete": bool(query)}
    assert answer.json()["data"] == expected
    assert_problem(await tenant.viewer.get(path(document)), 404, "not_found")
    gone = await tenant.viewer.get(f"{path(document)}/download-url")
    assert_problem(gone, 404, "not_found")
    changed = await tenant.user.patch(path(document), json={"filename": "b"})
    assert_problem(changed, 404, "not_found")
    assert await tombstones(tenant, witness["updated_at"]) == [document["id"]]


async def test_soft_deletion_keeps_bytes_and_history(
    tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    document = await upload(tenant.user)
    await tenant.admin.delete(path(document))
    assert await object_count(store, tenant) == 1
    assert len(await rows(databases, tenant, "document_history", "updated_at")) == 2
    admin = tenant.members[Role.ADMIN]
    assert await rows(databases, tenant, "documents", "deleted_by") == [admin]


async def test_hard_deletion_leaves_only_a_tombstone(
    tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    document = await upload(tenant.user, b"first")
    second = await upload(tenant.user, b"second")
    await tenant.user.patch(path(document), json={"file_id": second["file"]["id"]})
    await two_days_pass(databases, tenant)
    await tenant.admin.delete(path(second), params=HARD)
    assert await object_count(store, tenant) == 2  # the document still refers to the bytes
    await tenant.admin.delete(path(document), params=HARD)
    for table in ("documents", "document_history", "files"):
        assert await rows(databases, tenant, table, "tenant_id") == []
    assert await object_count(store, tenant) == 0
    assert await rows(databases, tenant, "feed_entries", "is_deleted") == [True, True]


@pytest.mark.parametrize("strategy", ["last_write_wins", "merge"])
async def test_a_push_repeated_after_a_hard_deletion_brings_nothing_back(
    tenant: TestTenant, strategy: str
) -> None:
    """As when its answer was lost, and an admin has erased the document meanwhile."""
    kept = await upload(tenant.user)
    made = create(UUID(kept["file"]["id"]))
    first = await push_one(tenant.user, made, on_conflict=strategy)
    await tenant.admin.delete(f"/documents/{made['id']}", params=HARD)
    again = await push_one(tenant.user, made, on_conflict=strategy)
    assert [first.status, again.status] == ["applied", "unchanged"]
    assert again.document is None
    assert (await tenant.viewer.get(f"/documents/{made['id']}")).status_code == 404


@pytest.mark.parametrize("how", ["live", "deleted", "past"])
async def test_bytes_that_something_refers_to_stay(
    tenant: TestTenant, store: ObjectStore, databases: Databases, how: str
) -> None:
    """Another document, one that was softly deleted, and a version in the history."""
    document, other = await upload(tenant.user), await upload(tenant.user)
    assert document["file"] == other["file"]
    if how == "deleted":
        await tenant.admin.delete(path(other))
    if how == "past":
        new = await upload(tenant.user, b"new")
        await tenant.user.patch(path(other), json={"file_id": new["file"]["id"]})
    await two_days_pass(databases, tenant)
    before = await object_count(store, tenant)
    await tenant.admin.delete(path(document), params=HARD)
    assert await object_count(store, tenant) == before
    await tenant.admin.delete(path(other), params=HARD)
    assert await object_count(store, tenant) == before - 1


@pytest.mark.parametrize("first", [{}, HARD], ids=["soft", "hard"])
@pytest.mark.parametrize("second", [{}, HARD], ids=["soft", "hard"])
async def test_deleting_again_succeeds(
    tenant: TestTenant, databases: Databases, first: Json, second: Json
) -> None:
    document = await upload(tenant.user)
    match = {"If-Match": (await tenant.viewer.get(path(document))).headers["ETag"]}
    assert (await tenant.admin.delete(path(document), params=first)).status_code == 200
    [before] = await rows(databases, tenant, "feed_entries", "updated_at")
    headers = match if first == second else {}
    again = await tenant.admin.delete(path(document), params=second, headers=headers)
    assert again.status_code == 200, again.text
    [after] = await rows(databases, tenant, "feed_entries", "updated_at")
    is_news = (first, second) == ({}, HARD)
    assert (before != after) == is_news


@pytest.mark.parametrize("query", [{}, HARD], ids=["soft", "hard"])
async def test_a_stale_version_is_not_deleted(tenant: TestTenant, query: Json) -> None:
    document = await upload(tenant.user)
    stale = {"If-Match": (await tenant.viewer.get(path(document))).headers["ETag"]}
    await tenant.user.patch(path(document), json={"filename": "b"})
    refused = await tenant.admin.delete(path(document), params=query, headers=stale)
    assert_problem(refused, 412, "precondition_failed")
    fresh = {"If-Match": (await tenant.viewer.get(path(document))).headers["ETag"]}
    deleted = await tenant.admin.delete(path(document), params=query, headers=fresh)
    assert deleted.status_code == 200


@pytest.mark.parametrize("query", [{}, HARD], ids=["soft", "hard"])
async def test_only_who_may_deletes(tenant: TestTenant, query: Json) -> None:
    document = await upload(tenant.user)
    for client in (tenant.viewer, tenant.user):
        assert_problem(await client.delete(path(document), params=query), 403, "forbidden")


async def test_erasing_at_once_erases_once(
    tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    documents = [await upload(tenant.user, filename=f"{n}") for n in range(4)]
    await two_days_pass(databases, tenant)
    answers = await asyncio.gather(
        *(tenant.admin.delete(path(d), params=HARD) for d in documents for _ in range(3))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await object_count(store, tenant) == 0


async def test_no_document_outlives_its_bytes(
    tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    """Uploads, changes and erasures of the same bytes at once, again and again."""
    other = await upload(tenant.user, b"other")

    async def come_and_go(number: int) -> list[Json]:
        document = await upload(tenant.user, b"same", f"{number}")
        if number % 3 == 0:
            return [document]
        if number % 3 == 1:
            await tenant.user.patch(path(other), json={"file_id": document["file"]["id"]})
        await two_days_pass(databases, tenant)
        await tenant.admin.delete(path(document), params=HARD)
        return []

    for _ in range(6):
        rounds = await asyncio.gather(*(come_and_go(number) for number in range(9)))
        kept = [document for one in rounds for document in one]
        async with httpx.AsyncClient() as s3:
            contents = {await downloaded(tenant, s3, document) for document in (*kept, other)}
        assert contents <= {b"same", b"other"}
        for document in kept:
            await tenant.admin.delete(path(document), params=HARD)
    paths = await rows(databases, tenant, "files", "s3_path")
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    assert sorted(map(str, paths)) == [entry["Key"] for entry in answer["Contents"]]


async def downloaded(tenant: TestTenant, s3: httpx.AsyncClient, document: Json) -> bytes:
    answer = await tenant.viewer.get(f"{path(document)}/download-url")
    found = await s3.get(answer.json()["data"]["download_url"])
    assert found.status_code == 200
    return found.content


async def test_an_id_that_never_was_is_not_found(tenant: TestTenant) -> None:
    unknown = f"/documents/{UUID(int=5)}"
    assert_problem(await tenant.admin.delete(unknown), 404, "not_found")
    assert_problem(await tenant.admin.delete(unknown, params=HARD), 404, "not_found")
