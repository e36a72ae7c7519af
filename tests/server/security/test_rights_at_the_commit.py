"""Who waits for a connection or for the tenant's clock goes by the rights of afterwards.

And who asks what those rights are keeps nobody else from writing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from typing_extensions import override

from fixtures.collecting import is_waiting
from fixtures.pulling import problem_of
from fixtures.pushing import create, update
from fixtures.rights import Granted
from fixtures.sending import content_of, declare, follow, pending, send
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.protocol.content import Digest
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.push import PushRequest
from syncapi.server.domain.access import Role, TenantScope
from syncapi.server.domain.errors import NotFound, Unavailable
from syncapi.server.identity.tokens import TokenVerifier
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.postgres.push import Raced
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases import push as pushing
from syncapi.server.usecases.access import AccessGate
from syncapi.server.usecases.documents import Documents
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.usecases.upload_completion import Completions
from syncapi.server.usecases.uploads import Description, UploadRules, Uploads
from syncapi.server.usecases.verification import Verifier

MOMENT = "syncapi.server.usecases.writes.REMEMBERED_SECONDS"
MOMENT_OF_PUSHES = "syncapi.server.usecases.push_admission.REMEMBERED_SECONDS"
PATIENCE = "syncapi.server.usecases.access.CONFIRM_SECONDS"
MOVED = "UPDATE tenants SET database = 'elsewhere' WHERE id = $1"
LOSSES = {
    "removed": (404, "not_found"),
    "suspended": (404, "not_found"),
    "moved": (503, "unavailable"),
}
RULES = UploadRules(max_bytes=1)
WRITES: dict[str, tuple[Role, str, str, dict[str, Any]]] = {
    "upload": (Role.USER, "POST", "/documents", {"files": {"file": ("late.txt", b"late")}}),
    "patch": (Role.USER, "PATCH", "/documents/{}", {"json": {"filename": "late.txt"}}),
    "delete": (Role.ADMIN, "DELETE", "/documents/{}", {}),
    "erase": (Role.ADMIN, "DELETE", "/documents/{}?hard=true", {}),
    "restore": (Role.ADMIN, "POST", "/documents/{}/restore", {"json": {}}),
}


@asynccontextmanager
async def held(url: str, statement: str, *parameters: object) -> AsyncIterator[asyncpg.Connection]:
    """Somebody's transaction that stays open after one statement."""
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute(statement, *parameters)
            yield holder
    finally:
        await holder.close()


async def fetch(url: str, statement: str, *parameters: object) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *parameters)
    finally:
        await connection.close()


async def documents_of(url: str, tenant: TestTenant) -> object:
    query = "SELECT array_agg(d ORDER BY id)::text FROM documents d WHERE tenant_id = $1"
    return await fetch(url, query, tenant.id)


async def lose_right(
    how: str,
    tenant: TestTenant,
    role: Role,
    administration: TenantAdministration,
    database_url: str,
) -> None:
    """Have a member lose the right, or the tenant its place, as an operator does it."""
    match how:
        case "removed":
            await administration.remove_member(str(tenant.id), tenant.members[role])
        case "suspended":
            await administration.set_active(str(tenant.id), is_active=False)
        case "moved":
            await fetch(database_url, MOVED, tenant.id)


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_waited_for_the_clock(
    tenant: TestTenant,
    database_url: str,
    administration: TenantAdministration,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    how: str,
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    role, method, path, sent = WRITES[write]
    client: httpx.AsyncClient = {Role.ADMIN: tenant.admin, Role.USER: tenant.user}[role]
    document = await upload(tenant.user)
    if write == "restore":
        await tenant.admin.delete(f"/documents/{document['id']}")
    before = await documents_of(database_url, tenant)
    async with held(database_url, "SELECT feed.tick($1)", tenant.id) as holder:
        writing = asyncio.create_task(client.request(method, path.format(document["id"]), **sent))
        await until(partial(is_waiting, holder))
        await lose_right(how, tenant, role, administration, database_url)
    problem_of(await writing, *LOSSES[how])
    assert await documents_of(database_url, tenant) == before


@pytest.mark.parametrize("how", LOSSES)
async def test_a_push_that_waited_for_the_clock(
    tenant: TestTenant,
    database_url: str,
    administration: TenantAdministration,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """It tries again every second, each time by the rights of then."""
    monkeypatch.setattr(MOMENT_OF_PUSHES, 0.0)
    document = await upload(tenant.user)
    before = await documents_of(database_url, tenant)
    sent = {"changes": [create(UUID(document["file"]["id"]))]}
    async with held(database_url, "SELECT feed.tick($1)", tenant.id) as holder:
        pushing = asyncio.create_task(tenant.user.post("/documents/sync", json=sent))
        await until(partial(is_waiting, holder))
        await lose_right(how, tenant, Role.USER, administration, database_url)

        async def gave_up() -> bool:
            return not await is_waiting(holder)

        await until(gave_up)
    problem_of(await pushing, *LOSSES[how])
    assert await documents_of(database_url, tenant) == before


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/files/{}/complete"), ("GET", "/files/{}"), ("POST", "/files")],
)
async def test_a_promise_that_waited_for_its_file(
    tenant: TestTenant,
    database_url: str,
    administration: TenantAdministration,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    how: str,
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    file_id = (await upload(tenant.user, b"a"))["file"]["id"]
    sent = content_of(b"a") if path == "/files" else None
    lock = "SELECT FROM files WHERE id = $1 FOR UPDATE"
    async with held(database_url, lock, UUID(file_id)) as holder:
        asking = asyncio.create_task(tenant.user.request(method, path.format(file_id), json=sent))
        await until(partial(is_waiting, holder))
        await lose_right(how, tenant, Role.USER, administration, database_url)
    problem_of(await asking, *LOSSES[how])


@pytest.mark.parametrize("how", LOSSES)
async def test_a_completion_that_waited_for_its_upload(
    tenant: TestTenant,
    database_url: str,
    administration: TenantAdministration,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """No file is made of it."""
    monkeypatch.setattr(MOMENT, 0.0)
    declared = await declare(tenant.user, content_of(b"a"))
    await send(pending(declared), pending(declared).parts, lambda *_: b"a")
    lock = "SELECT FROM direct_uploads WHERE id = $1 FOR UPDATE"
    async with held(database_url, lock, declared.id) as holder:
        completing = asyncio.create_task(tenant.user.post(f"/files/{declared.id}/complete"))
        await until(partial(is_waiting, holder))
        await lose_right(how, tenant, Role.USER, administration, database_url)
    problem_of(await completing, *LOSSES[how])
    made = "SELECT count(*) FROM files WHERE tenant_id = $1"
    assert await fetch(database_url, made, tenant.id) == 0


@pytest.mark.parametrize("taken", ["connections", "places of the tenant"])
async def test_a_push_that_waited_for_a_connection(
    tenant: TestTenant, database_url: str, taken: str
) -> None:
    document = await upload(tenant.user)
    before = await documents_of(database_url, tenant)
    changes = [create(UUID(document["file"]["id"]))]
    rights = Granted()
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=2)) as databases:
        pushes = GroupCommit(databases, rights, RULES)
        async with AsyncExitStack() as others:
            for _ in range(2):
                other = (
                    databases.database("default")
                    if taken == "connections"
                    else databases.autocommitting(tenant.scope())
                )
                await others.enter_async_context(other)
            request = PushRequest.model_validate({"changes": changes})
            pushing = asyncio.create_task(pushes.push(tenant.scope(), request))

            async def waits() -> bool:
                line = pushes._lines.get((tenant.id, tenant.database))
                return line is not None and not line.waiting

            await until(waits)
            for _ in range(10):  # what would be done before the wait is done by now
                await asyncio.sleep(0)
            rights.refusal = NotFound("no member any more")
        with pytest.raises(NotFound):
            await pushing
    assert await documents_of(database_url, tenant) == before


async def test_of_a_group_only_those_are_refused_who_lost_the_right(
    tenant: TestTenant, database_url: str
) -> None:
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    removed = tenant.members[Role.USER]

    class WithoutOne(Granted):
        @override
        async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
            if scope.user_id == removed:
                raise NotFound("no member any more")
            return scope

    async with Databases(DatabaseUrls(database_url), PoolLimits(size=2)) as databases:
        pushes = GroupCommit(databases, WithoutOne(), RULES)
        scopes = [tenant.scope(), replace(tenant.scope(), user_id=removed), tenant.scope()]
        async with AsyncExitStack() as others:
            for _ in range(2):
                await others.enter_async_context(databases.database("default"))
            pushing = []
            for scope in scopes:  # the first has a group of its own, the others share one
                request = PushRequest.model_validate({"changes": [create(file_id)]})
                pushing.append(asyncio.create_task(pushes.push(scope, request)))
                await asyncio.sleep(0)
        first, refused, last = await asyncio.gather(*pushing, return_exceptions=True)
    assert isinstance(refused, NotFound)
    assert [one.statuses for one in (first, last) if isinstance(one, Outcome)] == [
        {"applied": 1}
    ] * 2


async def test_the_rights_of_many_are_not_asked_for_all_at_once(
    tenant: TestTenant, databases: Databases
) -> None:
    """Each has a time for its answer, which the others must not use up."""
    asked: list[int] = []
    under_way = 0

    class Slow(Granted):
        @override
        async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
            nonlocal under_way
            under_way += 1
            asked.append(under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return scope

    pushes = GroupCommit(databases, Slow(), RULES)
    file_id = UUID((await upload(tenant.user))["file"]["id"])

    async def push() -> Outcome:
        request = PushRequest.model_validate({"changes": [create(file_id)]})
        return await pushes.push(replace(tenant.scope(), user_id=uuid4()), request)

    outcomes = await asyncio.gather(*(push() for _ in range(200)))
    assert {outcome.results[0]["status"] for outcome in outcomes} == {"applied"}
    assert (len(asked), max(asked)) == (200, 50)


@pytest.fixture
async def documents(
    databases: Databases, control: ControlStore, store: ObjectStore
) -> AsyncIterator[Documents]:
    """Asks the control database each time."""
    verifier = TokenVerifier([], leeway=0, remember_seconds=0)
    gate = AccessGate(verifier, control, Invalidations(None), cache_seconds=0)
    yield Documents(databases, gate, store, RULES)
    await gate.close()


HANGING = "LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE"


async def test_a_control_database_that_hangs_stops_no_other_writer(
    tenant: TestTenant,
    database_url: str,
    documents: Documents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MOMENT, 3600.0)
    monkeypatch.setattr(PATIENCE, 3600.0)
    one, other = [UUID((await upload(tenant.user))["id"]) for _ in range(2)]
    now = tenant.scope()
    long_ago = replace(now, granted_at=now.granted_at - 7200)
    async with held(database_url, HANGING) as holder:
        late = DocumentChanges(filename="late.txt")
        waiting = asyncio.create_task(documents.change(long_ago, one, late))
        await until(partial(is_waiting, holder))
        await documents.change(now, other, DocumentChanges(filename="now.txt"))
        assert not waiting.done()
    assert (await waiting).filename == "late.txt"


async def test_a_control_database_that_hangs_is_not_waited_for_in_a_transaction(
    tenant: TestTenant,
    database_url: str,
    documents: Documents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    monkeypatch.setattr(PATIENCE, 0.1)
    document = UUID((await upload(tenant.user))["id"])
    before = await documents_of(database_url, tenant)
    async with held(database_url, HANGING):
        with pytest.raises(Unavailable, match="Nothing was changed") as refusal:
            await documents.change(tenant.scope(), document, DocumentChanges(filename="b.txt"))
    assert refusal.value.retry_after
    assert await documents_of(database_url, tenant) == before


async def pieces(*of: bytes) -> AsyncIterator[bytes]:
    for piece in of:
        yield piece


async def test_wrong_bytes_are_not_deleted_for_who_lost_the_right_while_they_were_read(
    tenant: TestTenant, databases: Databases, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MOMENT, 0.0)
    declared = await declare(tenant.user, content_of(b"a"))
    await send(pending(declared), pending(declared).parts, lambda *_: b"a")
    rights = Granted()

    class Reading(Verifier):
        @override
        async def digest(self, key: str, declared: Digest) -> Digest | None:
            rights.refusal = NotFound("no member any more")
            return replace(declared, md5_hash="0" * 32)

    completions = Completions(databases, rights, store, Reading(store, trusts_checksums=True))
    with pytest.raises(NotFound):
        await completions.complete(tenant.scope(), declared.id)
    assert pending(await follow(tenant.user, declared.id)).received


async def test_rights_are_asked_for_before_a_connection_is_taken(
    tenant: TestTenant, database_url: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler may have one connection for the control database and the tenant's together."""
    monkeypatch.setattr(MOMENT, 3600.0)
    declared = await declare(tenant.user, content_of(b"a"))
    await send(pending(declared), pending(declared).parts, lambda *_: b"a")
    now = tenant.scope()
    long_ago = replace(now, granted_at=now.granted_at - 7200)
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=1)) as databases:
        rights = Pooled(databases=databases)
        uploads = Uploads(databases, rights, store, RULES)
        names = Description(folder="", filename="a.txt", mime_type=None)
        document = await uploads.upload(now, pieces(b"b"), lambda: names)

        verifier = Verifier(store, trusts_checksums=True)
        completions = Completions(databases, rights, store, verifier)
        assert (await completions.complete(now, declared.id)).id == declared.id

        documents = Documents(databases, rights, store, RULES)
        changes = DocumentChanges(filename="b.txt")
        assert (await documents.change(long_ago, document.id, changes)).filename == "b.txt"


@dataclass(kw_only=True)
class Pooled(Granted):
    """Takes a connection of the same pool to say what a member may do.

    Attributes:
        remembers: it takes none where what is remembered will do.
    """

    databases: Databases
    remembers: bool = True

    @override
    async def confirmed(self, scope: TenantScope, *, remembered: bool = False) -> TenantScope:
        if not (remembered and self.remembers):
            await self.databases.check()
        return await super().confirmed(scope, remembered=remembered)


async def test_a_push_goes_alone_by_the_only_connection_of_a_pooler(
    tenant: TestTenant, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since somebody keeps its document locked."""
    monkeypatch.setattr(MOMENT, 3600.0)
    document = await upload(tenant.user)
    request = PushRequest.model_validate(
        {"changes": [update(UUID(document["id"]), document["updated_at"], filename="b.txt")]}
    )
    lock = "SELECT FROM documents WHERE id = $1 FOR UPDATE"
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=1)) as databases:
        pushes = GroupCommit(databases, Pooled(databases=databases), RULES)
        async with held(database_url, lock, UUID(document["id"])) as holder:
            alone = asyncio.create_task(pushes.push(tenant.scope(), request))
            await until(lambda: is_apart(pushes))
            await until(partial(is_waiting, holder))
        assert (await alone).results[0]["status"] == "applied"


async def is_apart(pushes: GroupCommit) -> bool:
    return any(line.apart for line in pushes._lines.values())


async def test_a_group_that_raced_asks_before_its_transaction(
    tenant: TestTenant, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = UUID((await upload(tenant.user))["file"]["id"])
    apply, tries = pushing.apply, 0

    async def raced_once(*arguments: Any) -> list[Outcome]:  # noqa: ANN401 - as of `apply`
        nonlocal tries
        tries += 1
        if tries == 1:
            rights.remembers = False
            raise Raced("40001")
        return await apply(*arguments)

    monkeypatch.setattr("syncapi.server.usecases.push.apply", raced_once)
    monkeypatch.setattr(MOMENT_OF_PUSHES, 3600.0)
    async with Databases(DatabaseUrls(database_url), PoolLimits(size=1)) as databases:
        rights = Pooled(databases=databases)
        pushes = GroupCommit(databases, rights, RULES)
        request = PushRequest.model_validate({"changes": [create(file_id)]})
        outcome = await pushes.push(tenant.scope(), request)
    assert (outcome.results[0]["status"], tries) == ("applied", 2)
