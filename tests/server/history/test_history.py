"""Versions: who, when, by which push; and bringing them back."""

from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.collecting import keys
from fixtures.pulling import Replica, added, deleted, problem_of
from fixtures.pushing import create, delete, push_one, update
from fixtures.sending import sent
from fixtures.service import TestTenant
from fixtures.uploads import document_of, upload
from fixtures.writing import MakeWriter
from syncapi.protocol.base import Success
from syncapi.protocol.history import DocumentHistory, DocumentVersion
from syncapi.server.domain.access import Role
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.s3 import ObjectStore


async def versions(client: httpx.AsyncClient, document: object) -> list[DocumentVersion]:
    answer = await client.get(f"/documents/{document}/history")
    assert answer.status_code == 200, answer.text
    return Success[DocumentHistory].model_validate_json(answer.content).data.versions


async def restore(
    client: httpx.AsyncClient, document: object, version: str | None = None, **headers: str
) -> httpx.Response:
    body = {} if version is None else {"updated_at": version}
    return await client.post(f"/documents/{document}/restore", json=body, headers=headers)


async def test_every_writer_is_named(tenant: TestTenant, make_writer: MakeWriter) -> None:
    uploaded = await upload(tenant.user, filename="first.txt")
    renamed = await tenant.admin.patch(
        f"/documents/{uploaded['id']}", json={"filename": "second.txt"}
    )
    pushed = update(uploaded["id"], document_of(renamed)["updated_at"], filename="third.txt")
    await push_one(tenant.user, pushed)
    await (await make_writer(tenant.id)).touch(UUID(uploaded["id"]))

    by_sql, by_push, by_patch, by_upload = await versions(tenant.viewer, uploaded["id"])

    user, admin = tenant.members[Role.USER], tenant.members[Role.ADMIN]
    authors = [version.changed_by for version in (by_sql, by_push, by_patch, by_upload)]
    assert authors == [None, user, admin, user]
    changes = [version.change_id for version in (by_sql, by_push, by_patch, by_upload)]
    assert changes == [None, UUID(pushed["change_id"]), None, None]
    names = [version.filename for version in (by_push, by_patch, by_upload)]
    assert names == ["third.txt", "second.txt", "first.txt"]
    assert by_sql.updated_at > by_push.updated_at > by_patch.updated_at > by_upload.updated_at


async def test_pages_of_versions(tenant: TestTenant, make_writer: MakeWriter) -> None:
    writer = await make_writer(tenant.id)
    document = await writer.insert_one()
    for _ in range(4):
        await writer.touch(document)
    found: list[str] = []
    before: str | None = None
    for _ in range(3):
        query = {"per_page": "2"} | ({} if before is None else {"before": before})
        data = (await tenant.viewer.get(f"/documents/{document}/history", params=query)).json()
        found += [version["updated_at"] for version in data["data"]["versions"]]
        before = data["data"]["next_before"]
    assert before is None
    assert len(set(found)) == 5
    assert found == sorted(found, reverse=True)


async def test_a_version_comes_back_as_a_new_change(tenant: TestTenant) -> None:
    original = await upload(tenant.user, b"first", "first.txt")
    other = await upload(tenant.user, b"second", "other.txt")
    changed = await tenant.user.patch(
        f"/documents/{original['id']}",
        json={"filename": "changed.txt", "file_id": other["file"]["id"]},
    )
    restored = document_of(await restore(tenant.user, original["id"], original["updated_at"]))
    assert (restored["filename"], restored["file"]) == ("first.txt", original["file"])
    assert restored["updated_at"] > document_of(changed)["updated_at"] > original["updated_at"]
    assert len(await versions(tenant.user, original["id"])) == 3
    read = document_of(await tenant.viewer.get(f"/documents/{original['id']}"))
    assert read == restored


async def test_a_version_brings_its_folder_back(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document = await upload(tenant.user, fields={"folder": "a/b"})
    await tenant.user.patch(f"/documents/{document['id']}", json={"folder": "elsewhere"})
    kept = [version.folder for version in await versions(tenant.viewer, document["id"])]
    assert kept == ["elsewhere", "a/b"]
    restored = document_of(await restore(tenant.user, document["id"], document["updated_at"]))
    assert restored["folder"] == "a/b"
    await (await make_writer(tenant.id)).erase(UUID(document["id"]))
    again = document_of(await restore(tenant.user, document["id"]))
    assert again["folder"] == "a/b"


async def test_restoring_twice_changes_nothing_more(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    await tenant.user.patch(f"/documents/{document['id']}", json={"filename": "b.txt"})
    first = document_of(await restore(tenant.user, document["id"], document["updated_at"]))
    again = document_of(await restore(tenant.user, document["id"], document["updated_at"]))
    assert again == first


async def test_a_deleted_document_comes_back_to_every_replica(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    replica = Replica(tenant.viewer)
    await replica.pull_run()
    await tenant.admin.delete(f"/documents/{document['id']}")
    assert deleted((await replica.pull_run())[0]) == {UUID(document["id"])}

    restored = document_of(await restore(tenant.user, document["id"]))

    assert not restored["is_deleted"]
    assert restored["deleted_at"] is None
    assert added((await replica.pull_run())[0]) == {UUID(document["id"])}


async def test_a_row_deleted_by_sql_comes_back_from_the_history(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document = await upload(tenant.user, b"bytes", "kept.txt")
    await (await make_writer(tenant.id)).erase(UUID(document["id"]))
    restored = document_of(await restore(tenant.user, document["id"], document["updated_at"]))
    assert (restored["filename"], restored["file"]) == ("kept.txt", document["file"])
    assert document_of(await tenant.user.get(f"/documents/{document['id']}")) == restored


async def test_if_match_guards_a_restore(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    stale = (await tenant.user.get(f"/documents/{document['id']}")).headers["ETag"]
    await tenant.user.patch(f"/documents/{document['id']}", json={"filename": "b.txt"})
    answer = await restore(
        tenant.user, document["id"], document["updated_at"], **{"If-Match": stale}
    )
    problem_of(answer, 412, "precondition_failed")


async def test_if_match_guards_a_restore_of_what_is_gone_by_now(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document = await upload(tenant.user)
    seen = (await tenant.user.get(f"/documents/{document['id']}")).headers["ETag"]
    await (await make_writer(tenant.id)).erase(UUID(document["id"]))
    asked = partial(restore, tenant.user, document["id"], document["updated_at"])
    problem_of(await asked(**{"If-Match": seen}), 412, "precondition_failed")
    assert document_of(await asked())["file"] == document["file"]


async def test_bytes_that_are_gone_are_a_conflict(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document = await upload(tenant.user, b"old")
    other = await upload(tenant.user, b"new")
    await tenant.user.patch(f"/documents/{document['id']}", json={"file_id": other["file"]["id"]})
    connection = (await make_writer(tenant.id)).connection
    await connection.execute("DELETE FROM files WHERE id = $1", UUID(document["file"]["id"]))
    problem_of(await restore(tenant.user, document["id"], document["updated_at"]), 409, "conflict")
    assert (await versions(tenant.user, document["id"]))[-1].file is None


@pytest.mark.parametrize("is_deleted", [False, True], ids=["an older version", "a deletion"])
async def test_a_version_whose_object_is_lost_comes_back_when_its_bytes_are_sent_again(
    tenant: TestTenant, databases: Databases, store: ObjectStore, is_deleted: bool
) -> None:
    document = await upload(tenant.user, b"old")
    path = f"/documents/{document['id']}"
    await store.delete_many(list(await keys(store, tenant)))
    if is_deleted:
        await tenant.admin.delete(path)
    else:
        other = await upload(tenant.user, b"new")
        await tenant.user.patch(path, json={"file_id": other["file"]["id"]})
    async with databases.database("default") as driver:
        await driver.execute(
            "UPDATE files SET updated_at = now() - interval '2 days' WHERE id = $1",
            UUID(document["file"]["id"]),
        )
    key = {"Idempotency-Key": str(uuid4())}
    asked = partial(restore, tenant.user, document["id"], document["updated_at"], **key)

    problem_of(await asked(), 409, "conflict")
    kept = await versions(tenant.user, document["id"])
    assert (len(kept), kept[0].is_deleted) == (2, is_deleted)

    await sent(tenant.user, b"old")
    assert document_of(await asked())["file"] == document["file"]


async def test_what_never_was_is_not_found(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    never = "2001-01-01T00:00:00Z"
    problem_of(await restore(tenant.user, document["id"], never), 404, "not_found")
    problem_of(await restore(tenant.user, uuid4()), 404, "not_found")
    problem_of(await tenant.user.get(f"/documents/{uuid4()}/history"), 404, "not_found")


async def test_an_erased_document_has_no_past(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    await tenant.admin.delete(f"/documents/{document['id']}", params={"hard": "true"})
    path = f"/documents/{document['id']}/history"
    problem_of(await tenant.user.get(path), 404, "not_found")
    problem_of(await restore(tenant.user, document["id"]), 404, "not_found")


async def test_a_pushed_deletion_is_a_version_of_its_own(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    made = await push_one(tenant.admin, create((await make_writer(tenant.id)).file_id))
    assert made.document is not None
    version = made.document.model_dump(mode="json")["updated_at"]
    gone = await push_one(tenant.admin, delete(made.id, version))
    newest, oldest = await versions(tenant.viewer, made.id)
    assert newest.is_deleted
    assert newest.change_id == gone.change_id
    assert not oldest.is_deleted
