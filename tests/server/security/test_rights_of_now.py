"""What takes long goes by the rights, and to the database, of when it commits.

Nobody tells the service of the changes here: it must read them again.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from typing_extensions import override

from fixtures.collecting import is_waiting
from fixtures.flaky import FlakyRelay
from fixtures.pulling import problem_of
from fixtures.pushing import create, send, update
from fixtures.rights import Granted, Questions
from fixtures.sending import Content, Json, complete, content_of, declare, pending, state_of
from fixtures.sending import send as send_parts
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import document_of, upload
from syncapi.protocol.archives import ArchiveRequest
from syncapi.protocol.push import PushRequest
from syncapi.server.domain.access import Permission, Role, TenantScope
from syncapi.server.domain.errors import NotFound, Unavailable
from syncapi.server.main import create_app
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.archives.archive import Archives
from syncapi.server.usecases.archives.slots import Slots
from syncapi.server.usecases.documents import Documents
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.history import History
from syncapi.server.usecases.missing_bytes import Looks
from syncapi.server.usecases.push_changes import Push
from syncapi.server.usecases.push_line import Waiting
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.usecases.uploads import UploadRules

MIB = 1024**2
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
MOVED = "UPDATE tenants SET database = 'other' WHERE id = $1"
ROWS = """
SELECT (SELECT count(*) FROM documents WHERE tenant_id = $1)
     + (SELECT count(*) FROM files WHERE tenant_id = $1)
"""

Losses = dict[str, tuple[int, str]]
LOSSES: Losses = {
    "removed": (404, "not_found"),
    "suspended": (404, "not_found"),
    "demoted": (403, "forbidden"),
}


@pytest.fixture(scope="module")
def other_database(create_migrated_database: Callable[[], str]) -> str:
    return create_migrated_database()


@pytest.fixture(scope="module")
def two_databases_url(settings: Settings, other_database: str) -> Iterator[str]:
    """A service that knows another database too, and sends files of some MiB in parts."""
    changes = {
        "tenant_database_urls": {"other": type(settings.database_url)(other_database)},
        "direct_upload_single_bytes": MIB,
        "direct_upload_part_bytes": 5 * MIB,
    }
    with serving(create_app(settings.model_copy(update=changes))) as url:
        yield url


@pytest.fixture
async def client(two_databases_url: str, tenant: TestTenant) -> AsyncIterator[httpx.AsyncClient]:
    """The user's."""
    async with at(two_databases_url, tenant, Role.USER) as client:
        yield client


def at(url: str, tenant: TestTenant, role: Role) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"{url}/api/tenants/{tenant.id}",
        headers={"Authorization": f"Bearer {tenant.tokens[role]}"},
        timeout=120,
    )


async def lose(
    administration: TenantAdministration, tenant: TestTenant, how: str, role: Role = Role.USER
) -> None:
    """Take the right to write from the member of a role."""
    user, reference = tenant.members[role], str(tenant.id)
    match how:
        case "removed":
            await administration.remove_member(reference, user)
        case "suspended":
            await administration.set_active(reference, is_active=False)
        case _:
            await administration.add_member(reference, user, Role.VIEWER)


async def execute(url: str, statement: str, *parameters: object) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *parameters)
    finally:
        await connection.close()


async def keys(store: ObjectStore, tenant: TestTenant) -> list[str]:
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return [entry["Key"] for entry in answer.get("Contents", [])]


async def is_begun(store: ObjectStore, tenant: TestTenant) -> bool:
    answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return bool(answer.get("Uploads"))


class SlowForm:
    """The body of an upload whose last byte comes when the test says so."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes]:
        yield HEAD
        for _ in range(12):
            yield bytes(MIB)
        await self.may_end.wait()
        yield TAIL


@pytest.mark.parametrize("how", LOSSES)
async def test_an_upload_whose_sender_lost_the_right_meanwhile(
    tenant: TestTenant,
    client: httpx.AsyncClient,
    administration: TenantAdministration,
    store: ObjectStore,
    settings: Settings,
    how: str,
) -> None:
    form = SlowForm()
    uploading = asyncio.create_task(client.post("/documents", content=form(), headers=FORM))
    await until(lambda: is_begun(store, tenant))
    await lose(administration, tenant, how)
    form.may_end.set()
    problem_of(await uploading, *LOSSES[how])
    assert await execute(settings.database_url.get_secret_value(), ROWS, tenant.id) == 0
    assert await keys(store, tenant) == []


@pytest.mark.parametrize("how", [*LOSSES, "moved"])
async def test_an_upload_that_had_to_wait_for_another_transaction(
    tenant: TestTenant,
    client: httpx.AsyncClient,
    administration: TenantAdministration,
    store: ObjectStore,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Its bytes are there, and what it waits for is the row of the file that has them too."""
    monkeypatch.setattr(MOMENT, 0.0)
    here = settings.database_url.get_secret_value()
    await upload(client, b"known")
    holder = await asyncpg.connect(here)
    async with holder.transaction():
        await holder.execute("SELECT FROM files WHERE tenant_id = $1 FOR UPDATE", tenant.id)
        uploading = asyncio.create_task(
            client.post("/documents", files={"file": ("late.txt", b"known")})
        )
        await until(partial(is_waiting, holder))
        if how == "moved":
            await execute(here, MOVED, tenant.id)
        else:
            await lose(administration, tenant, how)
    await holder.close()
    problem_of(await uploading, *LOSSES.get(how, (503, "unavailable")))
    assert await execute(here, ROWS, tenant.id) == 2
    assert len(await keys(store, tenant)) == 1


async def test_an_upload_goes_where_its_tenant_is_when_it_ends(
    tenant: TestTenant,
    client: httpx.AsyncClient,
    store: ObjectStore,
    settings: Settings,
    other_database: str,
) -> None:
    here = settings.database_url.get_secret_value()
    form = SlowForm()
    uploading = asyncio.create_task(client.post("/documents", content=form(), headers=FORM))
    await until(lambda: is_begun(store, tenant))
    await execute(other_database, "SELECT feed.open($1, $2)", tenant.id, tenant.feed_id)
    await execute(here, MOVED, tenant.id)
    form.may_end.set()
    document = document_of(await uploading)
    found = "SELECT id FROM documents WHERE tenant_id = $1"
    assert await execute(other_database, found, tenant.id) == UUID(document["id"])
    assert await execute(here, ROWS, tenant.id) == 0
    assert len(await keys(store, tenant)) == 1


async def test_a_repeat_of_an_upload_whose_sender_lost_the_right(
    tenant: TestTenant, client: httpx.AsyncClient, administration: TenantAdministration
) -> None:
    headers = {**FORM, "Idempotency-Key": "key"}
    form = SlowForm()
    form.may_end.set()
    document_of(await client.post("/documents", content=form(), headers=headers))
    is_sent, again = asyncio.Event(), SlowForm()

    async def watched() -> AsyncGenerator[bytes]:
        async for piece in again():
            yield piece
            is_sent.set()

    repeat = asyncio.create_task(client.post("/documents", content=watched(), headers=headers))
    await is_sent.wait()
    await administration.remove_member(str(tenant.id), tenant.members[Role.USER])
    again.may_end.set()
    problem_of(await repeat, 404, "not_found")


async def test_a_completion_whose_client_lost_the_right_while_the_file_was_read(
    settings: Settings,
    tenant: TestTenant,
    administration: TenantAdministration,
) -> None:
    """A member who completes the same upload, and shares the reading, gets the file."""
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        changes = {
            "s3_endpoint_url": through,
            "s3_public_endpoint_url": settings.s3_endpoint_url,
            "direct_upload_single_bytes": MIB,
            "direct_upload_part_bytes": 5 * MIB,
        }
        with serving(create_app(settings.model_copy(update=changes))) as url:
            async with at(url, tenant, Role.USER) as user, at(url, tenant, Role.ADMIN) as admin:
                content = Content(6 * MIB, uuid4().hex)
                state = await declare(user, content.declaration())
                invitation = pending(state)
                await send_parts(invitation, invitation.parts, content.slice)
                await admin.get("/documents")
                relay.freeze()
                completing = [
                    asyncio.create_task(complete(one, state.id)) for one in (user, admin)
                ]
                await until(partial(is_read_for, settings, tenant))
                await administration.remove_member(str(tenant.id), tenant.members[Role.USER])
                await relay.restore()
                refused, done = await asyncio.gather(*completing)
    problem_of(refused, 404, "not_found")
    assert state_of(done).status == "complete"


async def is_read_for(settings: Settings, tenant: TestTenant) -> bool:
    """Whether a completion has found the upload: it keeps it for a day from then on."""
    query = """SELECT count(*) > 0 FROM direct_uploads
               WHERE tenant_id = $1 AND expires_at > now() + interval '23 hours'"""
    url = settings.database_url.get_secret_value()
    return bool(await execute(url, query, tenant.id))


async def test_an_archive_is_cut_where_its_reader_lost_the_right(
    tenant: TestTenant,
    databases: Databases,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("syncapi.server.usecases.archives.archive.CONFIRM_SECONDS", 0.0)
    documents = [await upload(tenant.user, bytes([n]) * MIB, f"{n}.bin") for n in range(3)]
    rights = Granted()
    archives = Archives(databases, rights, store, Slots(8), stall_seconds=60)
    ids = [UUID(document["id"]) for document in documents]
    pieces = archives.pieces(tenant.scope(), ArchiveRequest(document_ids=ids, format="tar"))
    archive = b""

    async def read() -> None:
        nonlocal archive
        async for piece in pieces:
            archive += piece
            if len(archive) > MIB // 2 and rights.refusal is None:
                rights.refusal = NotFound("no member any more")

    with pytest.raises(NotFound):
        await read()
    await pieces.aclose()
    assert b"0.bin" in archive
    assert b"1.bin" not in archive
    rights.refusal = Unavailable("the control database is down")
    pieces = archives.pieces(tenant.scope(), ArchiveRequest(document_ids=ids, format="tar"))
    archive = b""
    await read()
    assert b"manifest.json" in archive


LOCK = "SELECT FROM documents WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
MOMENT = "syncapi.server.usecases.writes.REMEMBERED_SECONDS"


@asynccontextmanager
async def locked(
    url: str, tenant: TestTenant, document: Json
) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Keep a document locked; says whether a request waits for it, and for nothing else."""
    query = """SELECT count(*) > 0 FROM pg_stat_activity
               WHERE $1 = ANY(pg_blocking_pids(pid)) AND query LIKE '%FOR UPDATE'"""
    holder = await asyncpg.connect(url)

    async def is_waited_for() -> bool:
        return bool(await execute(url, query, holder.get_server_pid()))

    try:
        async with holder.transaction():
            await holder.execute(LOCK, tenant.id, UUID(document["id"]))
            yield is_waited_for
    finally:
        await holder.close()


async def as_it_is(url: str, tenant: TestTenant) -> tuple[object, object]:
    """All of the tenant's documents, and all versions of them."""
    documents = "SELECT array_agg(d ORDER BY id)::text FROM documents d WHERE tenant_id = $1"
    versions = "SELECT count(*) FROM document_history WHERE tenant_id = $1"
    return await execute(url, documents, tenant.id), await execute(url, versions, tenant.id)


WRITES: dict[str, tuple[Role, str, str, Json | None]] = {
    "patch": (Role.USER, "PATCH", "", {"filename": "late.txt"}),
    "put": (Role.USER, "PUT", "", {"filename": "late.txt"}),
    "restore": (Role.USER, "POST", "/restore", {}),
    "delete": (Role.ADMIN, "DELETE", "", None),
    "erase": (Role.ADMIN, "DELETE", "?hard=true", None),
}


@pytest.mark.parametrize("how", [*LOSSES, "moved"])
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_had_to_wait(
    tenant: TestTenant,
    two_databases_url: str,
    administration: TenantAdministration,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    how: str,
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    role, method, path, body = WRITES[write]
    here = settings.database_url.get_secret_value()
    async with at(two_databases_url, tenant, role) as client:
        document = await upload(client)
        path = f"/documents/{document['id']}{path}"
        if write == "restore":
            await tenant.admin.delete(path.removesuffix("/restore"))
        before = await as_it_is(here, tenant)
        async with locked(here, tenant, document) as is_waited_for:
            writing = asyncio.create_task(client.request(method, path, json=body))
            await until(is_waited_for)
            if how == "moved":
                await execute(here, MOVED, tenant.id)
            else:
                await lose(administration, tenant, how, role)
        status, code = LOSSES.get(how, (503, "unavailable"))
        problem_of(await writing, status, code)
    assert await as_it_is(here, tenant) == before


async def test_an_erasure_asks_for_the_right_to_erase(
    tenant: TestTenant,
    databases: Databases,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its route admits whoever may delete."""
    monkeypatch.setattr(MOMENT, 0.0)
    rights = Questions()
    document = await upload(tenant.user)
    documents = Documents(databases, rights, store, UploadRules(max_bytes=1))
    await documents.erase(tenant.scope(Permission.DELETE), UUID(document["id"]))
    assert {scope.permission for scope, _ in rights.asked} == {Permission.ADMIN}


async def test_a_write_of_a_moment_asks_nothing_more(
    tenant: TestTenant,
    databases: Databases,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MOMENT, 3600.0)
    rights = Questions(NotFound("no member any more"))
    document = await upload(tenant.user)
    documents = Documents(databases, rights, store, UploadRules(max_bytes=1))
    await documents.delete(tenant.scope(), UUID(document["id"]))
    assert rights.asked == []


async def test_a_tenant_whose_feed_is_another_by_now(
    tenant: TestTenant,
    databases: Databases,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its database bears the same name, and is not the one that the write is in."""
    monkeypatch.setattr(MOMENT, 0.0)
    document = await upload(tenant.user)

    class Moved(Granted):
        @override
        async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
            return replace(scope, feed_id=uuid4())

    history = History(databases, Moved(), partial(Looks, store, timedelta(days=1)))
    with pytest.raises(Unavailable, match="has moved"):
        await history.restore(tenant.scope(), UUID(document["id"]), None)


async def test_a_declaration_whose_client_lost_the_right(
    tenant: TestTenant,
    client: httpx.AsyncClient,
    administration: TenantAdministration,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it waits for a file that has the same bytes."""
    monkeypatch.setattr(MOMENT, 0.0)
    here = settings.database_url.get_secret_value()
    await upload(client, b"a")
    holder = await asyncpg.connect(here)
    waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"

    async def is_waited_for() -> bool:
        return bool(await execute(here, waiting, holder.get_server_pid()))

    async with holder.transaction():
        await holder.execute("SELECT FROM files WHERE tenant_id = $1 FOR UPDATE", tenant.id)
        declaring = asyncio.create_task(client.post("/files", json=content_of(b"a")))
        await until(is_waited_for)
        await administration.remove_member(str(tenant.id), tenant.members[Role.USER])
    problem_of(await declaring, 404, "not_found")
    await holder.close()


@pytest.mark.parametrize("how", [*LOSSES, "moved"])
async def test_a_push_that_had_to_wait(
    tenant: TestTenant,
    client: httpx.AsyncClient,
    administration: TenantAdministration,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    document = await upload(client)
    change = update(UUID(document["id"]), document["updated_at"], filename="late.txt")
    here = settings.database_url.get_secret_value()
    async with locked(here, tenant, document) as is_waited_for:
        pushing = asyncio.create_task(send(client, change))
        await until(is_waited_for)
        if how == "moved":
            await execute(here, MOVED, tenant.id)
        else:
            await lose(administration, tenant, how)
    status, code = LOSSES.get(how, (503, "unavailable"))
    problem_of(await pushing, status, code)
    name = "SELECT filename FROM documents WHERE tenant_id = $1 AND id = $2"
    assert await execute(here, name, tenant.id, UUID(document["id"])) == "a.txt"


@pytest.mark.parametrize("waited", [(True, False), (False, True), (False, False)])
async def test_a_group_asks_for_who_has_waited_longest(
    tenant: TestTenant, databases: Databases, waited: tuple[bool, ...]
) -> None:
    """A newer push of the same user does not make an older one go by what is remembered."""
    rights = Questions()
    pushes = GroupCommit(databases, rights, UploadRules(max_bytes=1))
    loop, now = asyncio.get_running_loop(), time.monotonic()
    group = [
        Waiting(
            Push.of(tenant.scope(), request(uuid4())),
            loop.create_future(),
            now - 3600 if is_long else now + 3600,
            now + 7200,
        )
        for is_long in waited
    ]
    admitted, _ = await pushes._admit(group)
    assert admitted == group
    assert [remembered for _, remembered in rights.asked] == [not any(waited)]


def request(file_id: object) -> PushRequest:
    change = create(UUID(str(file_id)))
    return PushRequest.model_validate({"changes": [change]})


async def test_a_push_that_waited_for_the_clock(
    tenant: TestTenant, databases: Databases, database_url: str
) -> None:
    document = await upload(tenant.user)
    rights = Granted()
    pushes = GroupCommit(databases, rights, UploadRules(max_bytes=1))
    holder = await asyncpg.connect(database_url)
    async with holder.transaction():
        await holder.execute("SELECT feed.tick($1)", tenant.id)
        pushing = asyncio.create_task(pushes.push(tenant.scope(), request(document["file"]["id"])))

        async def waits() -> bool:
            line = pushes._lines.get((tenant.id, tenant.database))
            return line is not None and line.clock_is_held

        await until(waits)
        rights.refusal = NotFound("no member any more")
    with pytest.raises(NotFound):
        await pushing
    await holder.close()


async def test_pushes_to_two_databases_share_nothing(
    tenant: TestTenant, database_url: str, other_database: str
) -> None:
    """In the moments of a move some requests know the old database, some the new one."""
    document = await upload(tenant.user)
    copy = "INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size) VALUES "
    file_id = UUID(document["file"]["id"])
    row = (tenant.id, file_id, "0" * 32, "0" * 64, "a", 1)
    await execute(other_database, f"{copy} ($1, $2, $3, $4, $5, $6)", *row)
    urls = DatabaseUrls(database_url, named={"other": other_database})
    old = tenant.scope()
    new = replace(old, database="other")
    await execute(other_database, "SELECT feed.open($1, $2)", tenant.id, tenant.feed_id)
    holder = await asyncpg.connect(database_url)
    async with Databases(urls, PoolLimits(size=4)) as databases:
        pushes = GroupCommit(databases, Granted(), UploadRules(max_bytes=1))
        async with holder.transaction():
            await holder.execute("SELECT feed.tick($1)", tenant.id)
            first = asyncio.create_task(pushes.push(old, request(file_id)))
            second = asyncio.create_task(pushes.push(old, request(file_id)))
            there = await pushes.push(new, request(file_id))
            assert not first.done()
        here = await asyncio.gather(first, second)
    await holder.close()
    found = "SELECT array_agg(id) FROM documents WHERE tenant_id = $1"
    assert await execute(other_database, found, tenant.id) == [there.results[0]["id"]]
    ours = {UUID(document["id"]), *(outcome.results[0]["id"] for outcome in here)}
    rows = await execute(database_url, found, tenant.id)
    assert isinstance(rows, list)
    assert set(rows) == ours
