"""Bytes that nobody needs, and those that somebody is about to need."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector, is_waiting, keys
from fixtures.flaky import FlakyRelay
from fixtures.pulling import problem_of
from fixtures.pushing import create, push_one
from fixtures.sending import (
    Content,
    complete,
    content_of,
    declare,
    follow,
    pending,
    send,
    sent,
    state_of,
)
from fixtures.server import serving
from fixtures.service import MakeTenant, TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from syncapi.protocol.files import FileState
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore

MIB = 1024**2
UNUSED = Retention(files=AT_ONCE)
ABANDONED = Retention(uploads=AT_ONCE)
PARTED = {"direct_upload_single_bytes": MIB, "direct_upload_part_bytes": 5 * MIB}


@pytest.fixture
async def sql(make_writer: MakeWriter, tenant: TestTenant) -> asyncpg.Connection:
    """The tenant's database, with a file row whose bytes are nowhere taken out again."""
    writer = await make_writer(tenant.id)
    await writer.connection.execute("DELETE FROM files WHERE tenant_id = $1", tenant.id)
    return writer.connection


async def multiparts(store: ObjectStore, tenant: TestTenant) -> int:
    answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return len(answer.get("Uploads", []))


async def expire(sql: asyncpg.Connection, upload_id: UUID) -> None:
    """Let the last URL have expired long ago."""
    await sql.execute("UPDATE direct_uploads SET expires_at = 'epoch' WHERE id = $1", upload_id)


async def test_files_that_nothing_refers_to_go_with_their_bytes(
    tenant: TestTenant, collect: Collector, store: ObjectStore
) -> None:
    used = await upload(tenant.user, b"used by a document")
    await sent(tenant.user, b"used by nothing")
    assert await collect(tenant) == {}, "it is young"
    assert await collect(tenant, UNUSED, is_dry=True) == {Garbage.FILES: 1}
    assert len(await keys(store, tenant)) == 2
    outcome = await collect.outcome(tenant, UNUSED)
    assert outcome.collected.counts[Garbage.FILES] == 1
    assert outcome.collected.freed_bytes == len(b"used by nothing")
    assert len(await keys(store, tenant)) == 1
    assert (await declare(tenant.user, content_of(b"used by nothing"))).status == "pending"
    url = await tenant.user.get(f"/documents/{used['id']}/download-url")
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.get(url.json()["data"]["download_url"])
    assert answer.content == b"used by a document"


async def test_what_only_the_history_has_stays(
    tenant: TestTenant, collect: Collector, store: ObjectStore
) -> None:
    document = await upload(tenant.user, b"before")
    other = await upload(tenant.user, b"after")
    await tenant.user.patch(f"/documents/{document['id']}", json={"file_id": other["file"]["id"]})
    assert await collect(tenant, UNUSED) == {}
    assert len(await keys(store, tenant)) == 2


async def test_it_goes_in_batches(tenant: TestTenant, collect: Collector) -> None:
    for number in range(5):
        await sent(tenant.user, f"unused {number}".encode())
        await upload(tenant.user, f"used {number}".encode())
    assert await collect(tenant, UNUSED, batch=2) == {Garbage.FILES: 5}
    assert await collect(tenant, UNUSED, batch=2) == {}


async def test_a_file_that_was_asked_for_lately_stays(
    tenant: TestTenant, collect: Collector, sql: asyncpg.Connection
) -> None:
    text = uuid4().bytes
    file_id = await sent(tenant.user, text)
    await sql.execute("UPDATE files SET updated_at = 'epoch' WHERE id = $1", file_id)
    assert (await declare(tenant.user, content_of(text))).id == file_id
    assert await collect(tenant) == {}
    assert (await push_one(tenant.user, create(file_id))).status == "applied"


async def test_a_push_that_comes_first_keeps_the_file(
    tenant: TestTenant, collect: Collector, sql: asyncpg.Connection
) -> None:
    """The collection waits for a transaction that has pinned the file, and then sees it used."""
    file_id = await sent(tenant.user, uuid4().bytes)
    async with asyncio.TaskGroup() as group, sql.transaction():
        pin = "SELECT id FROM files WHERE tenant_id = $1 AND id = $2 FOR KEY SHARE"
        await sql.execute(pin, tenant.id, file_id)
        collecting = group.create_task(collect(tenant, UNUSED))
        await until(lambda: is_waiting(sql))
        await sql.execute(
            "INSERT INTO documents (tenant_id, filename, mime_type, file_id) "
            "VALUES ($1, 'a', 'a/b', $2)",
            tenant.id,
            file_id,
        )
    assert collecting.result() == {}
    assert (await follow(tenant.user, file_id)).status == "complete"


async def test_a_declaration_at_the_last_moment_keeps_the_file(
    tenant: TestTenant, collect: Collector, sql: asyncpg.Connection
) -> None:
    """The collection had found it unused, and waits for the declaration's transaction."""
    file_id = await sent(tenant.user, uuid4().bytes)
    await sql.execute("UPDATE files SET updated_at = 'epoch' WHERE id = $1", file_id)
    async with asyncio.TaskGroup() as group, sql.transaction():
        await sql.execute("UPDATE files SET updated_at = now() WHERE id = $1", file_id)
        collecting = group.create_task(collect(tenant))
        await until(lambda: is_waiting(sql))
    assert collecting.result() == {}
    assert (await push_one(tenant.user, create(file_id))).status == "applied"


async def test_a_collection_that_comes_first_is_told_to_the_push(
    tenant: TestTenant, collect: Collector, store: ObjectStore
) -> None:
    file_id = await sent(tenant.user, uuid4().bytes)
    assert await collect(tenant, UNUSED) == {Garbage.FILES: 1}
    result = await push_one(tenant.user, create(file_id))
    assert result.problem is not None
    assert result.problem.code == "invalid_file"
    assert await keys(store, tenant) == set()


async def test_uploads_pushes_and_collections_at_once(
    tenant: TestTenant, collect: Collector
) -> None:
    """Every document that was acknowledged has its bytes."""
    is_over = asyncio.Event()

    async def collect_on_and_on() -> None:
        while not is_over.is_set():
            await collect(tenant, Retention(files=timedelta(0), uploads=timedelta(days=1)))

    async def work(number: int) -> None:
        for turn in range(6):
            text = f"{number % 3} {turn}".encode()
            file_id = await sent_despite_collections(tenant, text)
            await push_one(tenant.user, create(file_id))

    async with asyncio.TaskGroup() as group:
        group.create_task(collect_on_and_on())
        async with asyncio.TaskGroup() as workers:
            for number in range(4):
                workers.create_task(work(number))
        is_over.set()
    listed = (await tenant.viewer.get("/documents", params={"per_page": 100})).json()["data"]
    assert listed["documents"]
    for document in listed["documents"]:
        url = await tenant.user.get(f"/documents/{document['id']}/download-url")
        async with httpx.AsyncClient() as stranger:
            answer = await stranger.get(url.json()["data"]["download_url"])
        assert answer.status_code == 200
        assert len(answer.content) == document["file"]["file_size"]


async def sent_despite_collections(tenant: TestTenant, text: bytes) -> UUID:
    """As a client does that is told of files which are gone: from the beginning."""
    while True:
        state = await declare(tenant.user, content_of(text))
        if state.status == "complete":
            return state.id
        invitation = pending(state)
        await send(invitation, invitation.parts, lambda *_: text)
        answer = await complete(tenant.user, state.id)
        if answer.status_code == 200:
            return state_of(answer).id


async def begun(tenant: TestTenant, url: str) -> FileState:
    """An upload in parts of which one has arrived."""
    tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
    content = Content(6 * MIB, uuid4().hex)
    state = await declare(tenant.user, content.declaration())
    invitation = pending(state)
    await send(invitation, invitation.parts[:1], content.slice)
    return state


async def test_abandoned_uploads_go_with_what_had_arrived(
    settings: Settings,
    tenant: TestTenant,
    collect: Collector,
    store: ObjectStore,
    sql: asyncpg.Connection,
) -> None:
    with serving(create_app(settings.model_copy(update=PARTED))) as url:
        parts = await begun(tenant, url)
        single = await declare(tenant.user, content_of(b"one put"))
        invitation = pending(single)
        await send(invitation, invitation.parts, lambda *_: b"one put")
        living = await declare(tenant.user, content_of(b"going on"))
        for abandoned in (parts, single):
            await expire(sql, abandoned.id)
        assert await collect(tenant, is_dry=True) == {Garbage.UPLOADS: 2}
        assert (await multiparts(store, tenant), len(await keys(store, tenant))) == (1, 1)
        assert await collect(tenant, batch=1) == {Garbage.UPLOADS: 2}
        assert (await multiparts(store, tenant), len(await keys(store, tenant))) == (0, 0)
        for abandoned in (parts, single):
            answer = await tenant.user.get(f"/files/{abandoned.id}")
            problem_of(answer, 404, "not_found")
        assert (await follow(tenant.user, living.id)).status == "pending"


async def test_what_remembers_a_completed_upload_goes_and_the_file_stays(
    tenant: TestTenant, collect: Collector, store: ObjectStore, sql: asyncpg.Connection
) -> None:
    file_id = await sent(tenant.user, b"complete")
    assert (await push_one(tenant.user, create(file_id))).status == "applied"
    await expire(sql, file_id)
    assert await collect(tenant) == {Garbage.UPLOADS: 1}
    assert (await follow(tenant.user, file_id)).status == "complete"
    assert len(await keys(store, tenant)) == 1


async def test_an_upload_that_is_taken_up_again_stays(
    tenant: TestTenant, collect: Collector, sql: asyncpg.Connection
) -> None:
    state = await declare(tenant.user, content_of(uuid4().bytes))
    await expire(sql, state.id)
    async with asyncio.TaskGroup() as group, sql.transaction():
        await sql.execute(
            "UPDATE direct_uploads SET expires_at = now() + interval '1 h' WHERE id = $1",
            state.id,
        )
        collecting = group.create_task(collect(tenant))
        await until(lambda: is_waiting(sql))
    assert collecting.result() == {}
    assert (await follow(tenant.user, state.id)).status == "pending"


async def test_an_upload_collected_while_it_is_verified_makes_no_file(
    settings: Settings,
    tenant: TestTenant,
    collect: Collector,
    store: ObjectStore,
    sql: asyncpg.Connection,
) -> None:
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        places = {"s3_endpoint_url": through, "s3_public_endpoint_url": settings.s3_endpoint_url}
        with serving(create_app(settings.model_copy(update=places))) as url:
            tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
            state = await declare(tenant.user, content_of(b"verified too late"))
            invitation = pending(state)
            await send(invitation, invitation.parts, lambda *_: b"verified too late")
            relay.freeze()
            completing = asyncio.create_task(complete(tenant.user, state.id))

            async def is_being_verified() -> bool:
                query = "SELECT expires_at > now() + interval '23 h' FROM direct_uploads"
                return bool(await sql.fetchval(f"{query} WHERE id = $1", state.id))

            await until(is_being_verified)
            await expire(sql, state.id)
            assert await collect(tenant) == {Garbage.UPLOADS: 1}
            await relay.restore()
            problem_of(await completing, 404, "not_found")
    assert await sql.fetchval("SELECT count(*) FROM files WHERE tenant_id = $1", tenant.id) == 0
    assert await keys(store, tenant) == set()


async def test_bytes_that_no_row_knows_go(
    tenant: TestTenant, make_tenant: MakeTenant, collect: Collector, store: ObjectStore
) -> None:
    other = await make_tenant()
    await upload(tenant.user, b"known")
    under_way = await declare(tenant.user, content_of(b"under way"))
    invitation = pending(under_way)
    await send(invitation, invitation.parts, lambda *_: b"under way")
    known = await keys(store, tenant)
    for owner in (tenant, other):
        for number in range(3):
            await store._call("put_object", Key=f"{owner.id}/{number}", Body=b"12345")
        await store.multipart.begin(f"{owner.id}/unknown", "a/b")

    assert await collect(tenant) == {}, "they are young"
    expected = {Garbage.OBJECTS: 3, Garbage.MULTIPART_UPLOADS: 1}
    assert await collect(tenant, UNUSED, is_dry=True) == expected
    assert len(await keys(store, tenant)) == len(known) + 3
    outcome = await collect.outcome(tenant, UNUSED)
    assert +outcome.collected.counts == expected
    assert outcome.collected.freed_bytes == 15
    assert await keys(store, tenant) == known
    assert await multiparts(store, tenant) == 0
    assert len(await keys(store, other)) == 3
    assert await multiparts(store, other) == 1


async def test_a_tenant_that_is_not_in_its_database_loses_nothing(
    tenant: TestTenant, collect: Collector, store: ObjectStore, sql: asyncpg.Connection
) -> None:
    """As with a URL that leads to a new and empty database."""
    await upload(tenant.user, b"precious")
    await sql.execute("DELETE FROM tenant_clock WHERE tenant_id = $1", tenant.id)
    error = (await collect.outcome(tenant, UNUSED)).error
    assert error is not None
    assert "no feed in the database 'default'" in error
    assert "Nothing was deleted" in error
    assert len(await keys(store, tenant)) == 1


async def test_an_upload_by_form_ends_before_its_bytes_look_like_nobodys(
    settings: Settings, tenant: TestTenant, store: ObjectStore
) -> None:
    with serving(create_app(settings.model_copy(update={"upload_max_seconds": 0.3}))) as url:
        there = urlsplit(url)
        reader, writer = await asyncio.open_connection(there.hostname, there.port)
        head = [
            f"POST /api/tenants/{tenant.id}/documents HTTP/1.1",
            f"Host: {there.netloc}",
            f"Authorization: {tenant.user.headers['Authorization']}",
            "Content-Type: multipart/form-data; boundary=b",
            "Content-Length: 100000000",
            "",
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
        ]
        writer.write("\r\n".join(head).encode() + bytes(9 * MIB))  # and then nothing more
        answer = await reader.readuntil(b"}")
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"POST /files" in answer
    assert await keys(store, tenant) == set()
    assert await multiparts(store, tenant) == 0
