"""Somebody keeps a row locked, or a change cannot be written: nobody else waits for that.

What is held is held until the test lets go, so a push that is answered before did not wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.collecting import is_waiting
from fixtures.pushing import Json, create, push_one, update
from fixtures.rights import Granted
from fixtures.sending import sent
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from syncapi.protocol.push import PushRequest
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres import push as postgres_push
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.postgres.push import Known
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.missing_bytes import Looks
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.uploads import UploadRules

RULES = UploadRules(max_bytes=2**30)

Hold = Callable[..., AbstractAsyncContextManager[asyncpg.Connection]]
Push = Callable[..., "asyncio.Task[Outcome]"]

LOCK = "SELECT FROM documents WHERE tenant_id = $1 AND id = $2 FOR UPDATE"


@pytest.fixture
def hold(tenant: TestTenant, database_url: str) -> Hold:
    """Somebody's transaction in ``psql`` that is left open after one statement."""

    @asynccontextmanager
    async def hold(statement: str, *parameters: object) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction():
                named = (tenant.id, *parameters) if "$1" in statement else ()
                await connection.execute(statement, *named)
                yield connection
        finally:
            await connection.close()

    return hold


@pytest.fixture
async def file_id(tenant: TestTenant, make_writer: MakeWriter) -> UUID:
    return (await make_writer(tenant.id)).file_id


@pytest.fixture
def pushes(databases: Databases) -> GroupCommit:
    return GroupCommit(databases, Granted(), RULES)


@pytest.fixture
def push(pushes: GroupCommit, tenant: TestTenant) -> Push:
    """Begins a push that overwrites what there is."""

    def push(*changes: Json, at: GroupCommit = pushes) -> "asyncio.Task[Outcome]":
        request = PushRequest.model_validate(
            {"changes": changes, "on_conflict": "last_write_wins"}
        )
        return asyncio.create_task(at.push(tenant.scope(), request))

    return push


async def made(tenant: TestTenant, file_id: UUID) -> tuple[UUID, str]:
    """A document and its version."""
    result = await push_one(tenant.admin, create(file_id))
    assert result.document is not None
    return result.id, result.document.model_dump(mode="json")["updated_at"]


def version(outcome: Outcome) -> object:
    (first, *_) = outcome.results
    assert first["status"] == "applied", first
    return first["document"]["updated_at"]


async def all_wait(pushes: GroupCommit, tenant: TestTenant, waiting: int, apart: int) -> None:
    async def stand() -> bool:
        line = pushes._lines.get((tenant.id, tenant.database))
        return line is not None and (len(line.waiting), len(line.apart)) == (waiting, apart)

    await until(stand)


async def test_a_locked_document_delays_only_its_own_pushes(
    tenant: TestTenant, hold: Hold
) -> None:
    document = await upload(tenant.user)
    mine = UUID(document["id"])
    changes = [update(mine, document["updated_at"], filename=f"{n}.txt") for n in range(2)]
    async with hold(LOCK, mine) as holder:
        first = asyncio.create_task(push_one(tenant.user, changes[0]))
        await until(lambda: is_waiting(holder))
        second = asyncio.create_task(
            push_one(tenant.user, changes[1], on_conflict="last_write_wins")
        )
        for _ in range(3):
            other = await push_one(tenant.admin, create(UUID(document["file"]["id"])))
            assert other.status == "applied"
        assert not first.done()
        assert not second.done()
    assert (await first).status == "applied"
    last = await second
    assert (last.status, last.conflict is None) == ("applied", False), "it came after the first"


async def test_who_is_passed_over_holds_back_those_behind(
    tenant: TestTenant, file_id: UUID, hold: Hold, push: Push, pushes: GroupCommit
) -> None:
    """A{1} is held up, B{1,2} waits for it, and C{2} must not overtake B."""
    one, two = await made(tenant, file_id), await made(tenant, file_id)
    async with hold(LOCK, one[0]):
        a = push(update(*one, filename="a.txt"))
        await all_wait(pushes, tenant, 0, 1)
        b = push(update(*one, filename="b.txt"), update(*two, filename="b.txt"))
        c = push(update(*two, filename="c.txt"))
        version(await push(create(file_id)))
        assert [task.done() for task in (a, b, c)] == [False] * 3
        await all_wait(pushes, tenant, 2, 1)
    versions = [version(outcome) for outcome in await asyncio.gather(a, b, c)]
    assert versions == sorted(versions, key=str)
    assert len(set(map(str, versions))) == 3
    assert pushes._lines == {}


async def test_those_that_shared_a_group_with_a_locked_one_go_on(
    tenant: TestTenant, file_id: UUID, hold: Hold, push: Push
) -> None:
    locked = await made(tenant, file_id)
    async with hold(LOCK, locked[0]):
        held_up = push(update(*locked, filename="a.txt"))
        others = [push(create(file_id)) for _ in range(20)]
        stamps = {str(version(outcome)) for outcome in await asyncio.gather(*others)}
        assert len(stamps) == 1, "they still share a transaction"
        assert not held_up.done()
    version(await held_up)


async def test_a_lock_on_a_file_or_an_id_that_somebody_takes(
    tenant: TestTenant, file_id: UUID, hold: Hold, push: Push, make_writer: MakeWriter
) -> None:
    other_file = (await make_writer(tenant.id)).file_id
    lock_file = "SELECT FROM files WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
    insert = """INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
                VALUES ($1, $2, 'theirs.txt', 'text/plain', $3)"""
    document = uuid4()
    for statement, parameters, change in (
        (lock_file, [other_file], create(other_file)),
        (insert, [document, file_id], create(file_id, document=document)),
    ):
        async with hold(statement, *parameters):
            held_up = push(change)
            for outcome in await asyncio.gather(*(push(create(file_id)) for _ in range(3))):
                version(outcome)
            assert not held_up.done()
        version(await held_up)


@pytest.mark.parametrize("mode", ["EXCLUSIVE", "ACCESS EXCLUSIVE"])
@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("session", ["", "?lock_timeout=100ms"], ids=["waits", "gives_up"])
async def test_a_lock_on_the_whole_table(
    tenant: TestTenant,
    file_id: UUID,
    hold: Hold,
    push: Push,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    session: str,
    together: int,
    mode: str,
) -> None:
    """Also where the operator has all sessions give up locks: no push stays without an answer."""
    monkeypatch.setattr("syncapi.server.usecases.group_commit.GROUP_SECONDS", 0.5)
    urls = DatabaseUrls(f"{database_url}{session}")
    async with Databases(urls, PoolLimits(size=4)) as databases:
        pushes = GroupCommit(databases, Granted(), RULES)
        async with hold(f"LOCK TABLE documents IN {mode} MODE"):
            held_up = [push(create(file_id), at=pushes) for _ in range(together)]
            await all_wait(pushes, tenant, 0, together)
        for outcome in await asyncio.gather(*held_up):
            version(outcome)
        assert pushes._lines == {}


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("table", ["document_history", "files"])
async def test_a_lock_on_a_table_that_comes_after_the_first_read(
    tenant: TestTenant,
    make_writer: MakeWriter,
    hold: Hold,
    push: Push,
    store: ObjectStore,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    together: int,
) -> None:
    """The rest of the group's statements are passed by like the first."""
    writer, promised = await make_writer(tenant.id), await sent(tenant.user, b"promised")
    documents = [await made(tenant, writer.file_id) for _ in range(together)]
    await writer.mend_md5()
    changes = {
        "document_history": [update(*document, filename="a copy.txt") for document in documents],
        "files": [create(promised) for _ in documents],
    }
    read = postgres_push.read
    async with (
        Databases(DatabaseUrls(f"{database_url}?lock_timeout=100ms"), PoolLimits(size=4)) as few,
        AsyncExitStack() as locks,
    ):

        async def read_before_lock(*arguments: Any, **named: Any) -> Known:  # noqa: ANN401 - passed through
            known = await read(*arguments, **named)
            monkeypatch.undo()
            await locks.enter_async_context(hold(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            return known

        monkeypatch.setattr(postgres_push, "read", read_before_lock)
        looks = partial(Looks, store, timedelta(0))
        pushes = GroupCommit(few, Granted(), RULES, looks=looks)
        held_up = [push(change, at=pushes) for change in changes[table]]
        await all_wait(pushes, tenant, 0, together)
        await locks.aclose()
        for outcome in await asyncio.gather(*held_up):
            version(outcome)
        assert pushes._lines == {}


async def test_a_lock_that_stays_is_a_clear_refusal(
    tenant: TestTenant, file_id: UUID, hold: Hold, push: Push, databases: Databases
) -> None:
    document = await made(tenant, file_id)
    impatient = GroupCommit(databases, Granted(), RULES, patience=1.0)
    async with hold(LOCK, document[0]):
        tasks = [push(update(*document, filename=f"{n}.txt"), at=impatient) for n in range(3)]
        for refusal in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(refusal, Unavailable)
            assert "locked" in refusal.detail
            assert refusal.retry_after
        version(await push(create(file_id), at=impatient))
    found = await tenant.viewer.get(f"/documents/{document[0]}")
    assert found.json()["data"]["document"]["filename"] == "made.txt"
    version(await push(update(*document, filename="at last.txt"), at=impatient))
    assert impatient._lines == {}


@pytest.fixture
async def stuck(database_url: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """A name of documents that no statement comes to an end with, and how to end that."""
    name = f"stuck_{uuid4().hex}"
    admin, keeper = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    await keeper.execute("SELECT pg_advisory_lock(hashtext($1))", name)
    await admin.execute(f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          WHILE NOT pg_try_advisory_xact_lock_shared(hashtext('{name}')) LOOP
            PERFORM pg_sleep(0.01);
          END LOOP;
          RETURN NEW;
        END $$;
        CREATE TRIGGER {name} BEFORE INSERT ON documents FOR EACH ROW
          WHEN (NEW.filename = '{name}') EXECUTE FUNCTION {name}();
    """)

    async def release() -> None:
        await keeper.execute("SELECT pg_advisory_unlock_all()")

    yield name, release
    await release()
    await admin.execute(f"DROP TRIGGER {name} ON documents; DROP FUNCTION {name}")
    await admin.close()
    await keeper.close()


async def test_a_statement_that_does_not_end_delays_nobody_else(
    file_id: UUID,
    push: Push,
    stuck: tuple[str, Callable[[], Awaitable[None]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("syncapi.server.usecases.group_commit.GROUP_SECONDS", 0.5)
    name, release = stuck
    slow = push(create(file_id, filename=name))
    for outcome in await asyncio.gather(*(push(create(file_id)) for _ in range(5))):
        assert outcome.results[0]["status"] in {"applied", "unchanged"}
    version(await push(create(file_id)))
    assert not slow.done()
    await release()
    assert (await slow).results[0]["status"] in {"applied", "unchanged"}
