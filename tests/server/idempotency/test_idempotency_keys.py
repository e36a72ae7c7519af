"""Requests with an ``Idempotency-Key``: carried out once, answered every time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector, is_waiting, keys, two_days_pass
from fixtures.postgres_relay import PostgresRelay
from fixtures.pulling import problem_of
from fixtures.sending import content_of, declare, state_of
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import document_of, upload
from fixtures.writing import MakeWriter
from syncapi.server.domain.access import Role
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.main import create_app
from syncapi.server.postgres.databases import Databases
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore

Json = dict[str, Any]
Send = Callable[..., Awaitable[httpx.Response]]


async def post(
    client: httpx.AsyncClient, key: str, content: bytes = b"content", name: str = "a.txt"
) -> httpx.Response:
    return await client.post(
        "/documents", files={"file": (name, content)}, headers={"Idempotency-Key": key}
    )


async def restore(
    client: httpx.AsyncClient, key: str, document: Json, **more: str
) -> httpx.Response:
    body = {"updated_at": document["updated_at"]}
    headers = {"Idempotency-Key": key, **more}
    return await client.post(f"/documents/{document['id']}/restore", json=body, headers=headers)


async def versions(client: httpx.AsyncClient, document: Json) -> int:
    answer = await client.get(f"/documents/{document['id']}/history")
    return len(answer.json()["data"]["versions"])


async def count(tenant: TestTenant) -> int:
    answer = await tenant.viewer.get("/documents")
    total: int = answer.json()["data"]["pagination"]["total"]
    return total


async def test_another_folder_is_another_request(tenant: TestTenant) -> None:
    file = {"file": ("a.txt", b"content")}
    headers = {"Idempotency-Key": "key"}
    for folder, status in (("a", 201), ("a", 201), ("b", 409), ("", 409)):
        answer = await tenant.user.post(
            "/documents", files=file, data={"folder": folder}, headers=headers
        )
        assert answer.status_code == status, answer.text
    assert await count(tenant) == 1


async def test_an_answer_that_was_kept_before_there_were_folders(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    first = document_of(await post(tenant.user, "key"))
    connection = (await make_writer(tenant.id)).connection
    await connection.execute(
        "UPDATE idempotency_keys SET answer = answer - 'folder' WHERE tenant_id = $1", tenant.id
    )
    assert document_of(await post(tenant.user, "key")) == first


async def test_repeats_of_an_upload_make_one_document(
    tenant: TestTenant, store: ObjectStore
) -> None:
    answers = await asyncio.gather(*(post(tenant.user, "key") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    first = answers[0]
    assert await count(tenant) == 1
    assert len(await keys(store, tenant)) == 1
    renamed = await tenant.user.patch(
        f"/documents/{document_of(first)['id']}", json={"filename": "b"}
    )
    assert renamed.status_code == 200
    late = await post(tenant.user, "key")
    assert late.text == first.text, "as the first was answered, whatever came after"
    for name in ("Location", "ETag"):
        assert late.headers[name] == first.headers[name]


async def test_another_process_knows_the_key(tenant: TestTenant, settings: Settings) -> None:
    first = await post(tenant.user, "key")
    with serving(create_app(settings)) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        assert (await post(tenant.user, "key")).text == first.text


async def test_a_repeat_stores_nothing(
    tenant: TestTenant, settings: Settings, store: ObjectStore
) -> None:
    """It is answered although S3 is down."""
    first = await post(tenant.user, "key", bytes(20 * 1024**2))
    nowhere = settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    with serving(create_app(nowhere)) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        assert (await post(tenant.user, "key", bytes(20 * 1024**2))).text == first.text
        refused = await post(tenant.user, "key", bytes(20 * 1024**2 + 1))
        problem_of(refused, 409, "idempotency_key_reused")
    assert len(await keys(store, tenant)) == 1


async def test_of_two_uploads_with_one_key_at_two_processes_one_is_carried_out(
    tenant: TestTenant, settings: Settings, store: ObjectStore
) -> None:
    with serving(create_app(settings)) as url:
        async with httpx.AsyncClient(
            base_url=f"{url}/api/tenants/{tenant.id}", headers=tenant.user.headers
        ) as elsewhere:
            answers = await asyncio.gather(
                *(
                    post(client, "key", content)
                    for content in (b"this", b"that") * 2
                    for client in (tenant.user, elsewhere)
                )
            )
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [409] * 4
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert await count(tenant) == len(await keys(store, tenant)) == 1


async def test_a_repeat_brings_bytes_that_were_lost_meanwhile(
    tenant: TestTenant, store: ObjectStore
) -> None:
    first = await post(tenant.user, "key")
    await store.delete_many(list(await keys(store, tenant)))
    assert (await post(tenant.user, "key")).text == first.text
    (path,) = await keys(store, tenant)
    assert await store.head(path) is not None
    pulled = await tenant.user.get("/documents/sync", params={"since": "1970-01-01T00:00:00Z"})
    (document,) = pulled.json()["data"]["added"]
    assert path in document["download_url"]


async def test_a_repeat_promises_the_file_anew(
    tenant: TestTenant, databases: Databases, collect: Collector
) -> None:
    first, other = document_of(await post(tenant.user, "key")), await upload(tenant.user, b"other")
    change = {"file_id": other["file"]["id"]}
    await tenant.user.patch(f"/documents/{first['id']}", json=change)
    await collect(tenant, Retention(history_versions=1))
    await two_days_pass(databases, tenant)
    assert document_of(await post(tenant.user, "key")) == first
    assert await collect(tenant, Retention(files=timedelta(days=1))) == {}


async def test_an_answer_that_was_lost_is_given_again(
    tenant: TestTenant, settings: Settings
) -> None:
    """The server commits, and the service never learns of it."""
    async with PostgresRelay.to(settings.database_url.get_secret_value()) as (relay, through):
        changed = {"database_url": type(settings.database_url)(through)}
        with serving(create_app(settings.model_copy(update=changed))) as url:
            tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
            await tenant.user.get("/documents")
            losing = asyncio.create_task(post(tenant.user, "lost"))
            kept: list[str] = []
            for _ in range(40):  # hold back one answer after the other, until it is the commit's
                relay.hold_answers()
                await relay.answer_is_held()
                kept = await keys_kept(tenant, settings)
                if kept:
                    break
                relay.release()
            assert kept == ["lost"]
            await relay.cut()
            problem_of(await losing, 503, "unavailable")
            await relay.restore()
            assert (await post(tenant.user, "lost")).status_code == 201
            await relay.cut()  # the service waits for its database when it closes
            assert await keys_kept(tenant, settings) == ["lost"]
    tenant.user.base_url = tenant.viewer.base_url
    assert await count(tenant) == 1


async def keys_kept(tenant: TestTenant, settings: Settings) -> list[str]:
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        rows = await connection.fetch(
            "SELECT key FROM idempotency_keys WHERE tenant_id = $1", tenant.id
        )
    finally:
        await connection.close()
    return [row["key"] for row in rows]


async def test_a_repeat_waits_for_the_first(tenant: TestTenant, make_writer: MakeWriter) -> None:
    """The first is under way in another process; if it comes to nothing, the repeat does it."""
    sql = (await make_writer(tenant.id)).connection
    claim = """
    INSERT INTO idempotency_keys (tenant_id, user_id, key, fingerprint)
    VALUES ($1, $2, 'key', 'x')
    """
    user = tenant.members[Role.USER]
    async with asyncio.TaskGroup() as group:
        first = sql.transaction()
        await first.start()
        await sql.execute(claim, tenant.id, user)
        repeat = group.create_task(post(tenant.user, "key"))
        await until(lambda: is_waiting(sql))
        await first.rollback()
    assert repeat.result().status_code == 201


@pytest.mark.parametrize("what", ["content", "name", "operation", "declaration"])
async def test_a_key_is_good_for_one_request(tenant: TestTenant, what: str) -> None:
    document = document_of(await post(tenant.user, "key"))
    key = {"Idempotency-Key": "key"}
    match what:
        case "content":
            refused = await post(tenant.user, "key", b"another")
        case "name":
            refused = await post(tenant.user, "key", name="b.txt")
        case "operation":
            refused = await restore(tenant.user, "key", document)
        case _:
            refused = await tenant.user.post("/files", json=content_of(b"1"), headers=key)
    problem = problem_of(refused, 409, "idempotency_key_reused")
    assert "new key" in problem.detail
    assert await count(tenant) == 1


async def test_a_key_is_its_users_own(tenant: TestTenant) -> None:
    documents = [
        document_of(await post(client, key, content))
        for client, key, content in (
            (tenant.user, "key", b"first"),
            (tenant.admin, "key", b"second"),
            (tenant.user, "other", b"first"),
        )
    ]
    assert len({document["id"] for document in documents}) == 3


async def test_quotation_marks_make_no_other_key(tenant: TestTenant) -> None:
    """The draft has them; most clients leave them out."""
    assert (await post(tenant.user, '"key"')).text == (await post(tenant.user, "key")).text


@pytest.mark.parametrize("key", ["", "a b", "a" * 256])
async def test_a_key_that_is_none_is_refused(tenant: TestTenant, key: str) -> None:
    for answer in (
        await post(tenant.user, key),
        await tenant.user.post("/files", json=content_of(b"1"), headers={"Idempotency-Key": key}),
    ):
        problem = problem_of(answer, 400, "invalid_request")
        assert [error.field for error in problem.errors] == ["header.Idempotency-Key"]


async def test_a_refusal_leaves_the_key_free(tenant: TestTenant) -> None:
    problem_of(await post(tenant.user, "key", name=".."), 400, "invalid_request")
    assert (await post(tenant.user, "key")).status_code == 201


async def test_repeats_of_a_restore_make_one_version(tenant: TestTenant) -> None:
    document = await upload(tenant.user, filename="first.txt")
    path = f"/documents/{document['id']}"
    await tenant.user.patch(path, json={"filename": "second.txt"})
    answers = await asyncio.gather(*(restore(tenant.user, "key", document) for _ in range(4)))
    assert len({answer.text for answer in answers}) == 1
    assert await versions(tenant.user, document) == 3

    await tenant.user.patch(path, json={"filename": "third.txt"})
    late = await restore(tenant.user, "key", document)
    assert late.text == answers[0].text
    now = document_of(await tenant.user.get(path))
    assert now["filename"] == "third.txt", "a late repeat takes nothing back"
    stale = {"If-Match": answers[0].headers["ETag"]}
    problem_of(await restore(tenant.user, "key", document, **stale), 409, "idempotency_key_reused")


async def test_repeats_of_a_declaration_find_the_same_upload(tenant: TestTenant) -> None:
    key = {"Idempotency-Key": "key"}
    declaration = content_of(uuid4().bytes)
    answers = await asyncio.gather(
        *(tenant.user.post("/files", json=declaration, headers=key) for _ in range(4))
    )
    assert len({state_of(answer).id for answer in answers}) == 1
    other = await tenant.user.post("/files", json=content_of(b"other"), headers=key)
    problem_of(other, 409, "idempotency_key_reused")
    assert (await declare(tenant.user, declaration)).id == state_of(answers[0]).id


async def test_what_was_erased_is_told_by_no_answer(
    tenant: TestTenant, store: ObjectStore, make_writer: MakeWriter, databases: Databases
) -> None:
    document = document_of(await post(tenant.user, "key", name="secret.txt"))
    await two_days_pass(databases, tenant)
    await tenant.admin.delete(f"/documents/{document['id']}", params={"hard": True})
    problem_of(await post(tenant.user, "key", name="secret.txt"), 409, "conflict")
    assert await keys(store, tenant) == set()
    connection = (await make_writer(tenant.id)).connection
    query = "SELECT count(*) FROM idempotency_keys WHERE tenant_id = $1 AND answer IS NOT NULL"
    assert await connection.fetchval(query, tenant.id) == 0


async def test_old_keys_are_collected(tenant: TestTenant, collect: Collector) -> None:
    first = document_of(await post(tenant.user, "key"))
    await post(tenant.admin, "key")
    assert await collect(tenant) == {}
    old = Retention(idempotency_keys=AT_ONCE)
    assert await collect(tenant, old, is_dry=True) == {Garbage.IDEMPOTENCY_KEYS: 2}
    assert document_of(await post(tenant.user, "key"))["id"] == first["id"]
    assert await collect(tenant, old, batch=1) == {Garbage.IDEMPOTENCY_KEYS: 2}
    assert document_of(await post(tenant.user, "key"))["id"] != first["id"]
