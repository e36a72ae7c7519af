"""What comes between a push's read and its write: nothing is lost, and nothing half written.

Another transaction holds what the push will want. The push reads what was before it, waits in its
write, and when the other one commits must find that what it read no longer holds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.pausing import Pausing, Work, is_waiting
from fixtures.pushing import Json, create, delete, push, push_one, update
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from fixtures.writing import MakeWriter
from syncapi.protocol.push import ChangeResult
from syncapi.server.postgres.databases import Databases, TenantConnection

Race = Callable[..., Awaitable[list[ChangeResult]]]

_PUSH = "SELECT stamp FROM feed.push($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"


def sql(statement: str, *parameters: object) -> Work:
    async def work(tx: TenantConnection) -> None:
        await tx.driver.execute(statement, tx.tenant_id, *parameters)

    return work


def create_of(document: UUID, change: UUID, file: UUID, name: str) -> tuple[object, ...]:
    return [document], [None], [change], [None], [""], [name], ["text/plain"], [file], [False]


@pytest.fixture
def raced(tenant: TestTenant, databases: Databases) -> Race:
    """Pushes while another transaction is open, which commits when the push waits for it."""

    async def race(work: Work, *changes: Json, **options: str) -> list[ChangeResult]:
        other = await Pausing(databases, tenant, work).reach()
        pushed = asyncio.create_task(push(tenant.admin, *changes, **options))
        await until(lambda: is_waiting(databases, tenant))
        await other.end(commits=True)
        return await pushed

    return race


def place_of(result: ChangeResult) -> tuple[str, str]:
    assert result.document is not None
    return result.document.folder, result.document.filename


async def made(tenant: TestTenant) -> tuple[UUID, str, UUID]:
    document = await upload(tenant.user)
    return UUID(document["id"]), document["updated_at"], UUID(document["file"]["id"])


RENAME = "UPDATE documents SET filename = 'theirs.txt' WHERE tenant_id = $1 AND id = $2"
REMOVE = "DELETE FROM documents WHERE tenant_id = $1 AND id = $2"


async def test_a_document_that_changes_in_between_is_a_conflict(
    tenant: TestTenant, raced: Race
) -> None:
    document, version, file_id = await made(tenant)
    other = create(file_id)
    mine = update(document, version, filename="mine.txt")
    results = await raced(sql(RENAME, document), mine, other)
    assert [result.status for result in results] == ["conflict", "applied"]
    assert place_of(results[0]) == ("", "theirs.txt")


async def test_it_merges_with_what_came_in_between(tenant: TestTenant, raced: Race) -> None:
    document, version, _ = await made(tenant)
    mine = update(document, version, folder="mine")
    (result,) = await raced(sql(RENAME, document), mine, on_conflict="merge")
    assert (result.status, place_of(result)) == ("applied", ("mine", "theirs.txt"))


@pytest.mark.parametrize("kind", ["update", "delete"])
async def test_a_document_that_is_erased_in_between(
    tenant: TestTenant, raced: Race, kind: str
) -> None:
    document, version, _ = await made(tenant)
    change = update(document, version, filename="m.txt")
    if kind == "delete":
        change = delete(document, version)
    (result,) = await raced(sql(REMOVE, document), change)
    assert result.status == {"update": "rejected", "delete": "unchanged"}[kind]


async def test_an_id_that_is_taken_in_between(tenant: TestTenant, raced: Race) -> None:
    file_id = (await made(tenant))[2]
    mine, fine = create(file_id, filename="mine.txt"), create(file_id)
    insert = """INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
                VALUES ($1, $2, 'theirs.txt', 'text/plain', $3)"""
    results = await raced(sql(insert, UUID(mine["id"]), file_id), mine, fine)
    assert [result.status for result in results] == ["conflict", "applied"]
    assert place_of(results[0]) == ("", "theirs.txt")


async def test_an_id_that_is_made_and_erased_in_between(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    """Its row is gone, and its history: the tombstone tells that something was there."""
    file_id = (await made(tenant))[2]
    mine = create(file_id)
    document = UUID(mine["id"])
    assert (await push_one(tenant.user, mine)).status == "applied"
    erased = await tenant.admin.delete(f"/documents/{document}", params={"hard": True})
    assert erased.status_code == 200
    connection = (await make_writer(tenant.id)).connection
    write = create_of(document, UUID(mine["change_id"]), file_id, mine["filename"])
    with pytest.raises(asyncpg.SerializationError):
        await connection.execute(_PUSH, tenant.id, *write)  # as read before it was made
    assert (await push_one(tenant.user, mine)).status == "unchanged"


async def test_a_file_that_is_collected_in_between(
    tenant: TestTenant, raced: Race, make_writer: MakeWriter
) -> None:
    file_id = (await make_writer(tenant.id)).file_id
    change = create(file_id)
    remove = "DELETE FROM files WHERE tenant_id = $1 AND id = $2"
    (result,) = await raced(sql(remove, file_id), change)
    assert result.status == "rejected"
    assert result.problem is not None
    assert result.problem.code == "invalid_file"


async def test_a_change_that_is_applied_elsewhere_in_between(
    tenant: TestTenant, raced: Race
) -> None:
    """By another process, to the same document or to another one."""
    file_id = (await made(tenant))[2]
    for is_same in (True, False):
        mine = create(file_id)
        document = UUID(mine["id"]) if is_same else uuid4()
        theirs = create_of(document, UUID(mine["change_id"]), file_id, mine["filename"])
        (result,) = await raced(sql(_PUSH, *theirs), mine)
        assert result.status == ("unchanged" if is_same else "rejected")


async def test_a_write_that_finds_another_version_leaves_nothing(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document, _, file_id = await made(tenant)
    writer = await make_writer(tenant.id)
    before = await writer.last_stamp()
    other = uuid4()
    with pytest.raises(asyncpg.SerializationError, match="has changed since"):
        await writer.connection.execute(
            _PUSH,
            tenant.id,
            [document, other],
            [before.replace(year=2001), None],
            [uuid4(), uuid4()],
            [None, None],
            ["", ""],
            ["a", "b"],
            ["text/plain", "text/plain"],
            [file_id, file_id],
            [False, False],
        )
    assert set(await writer.live()) == {document}
    assert await writer.last_stamp() == before


async def test_many_writers_of_one_document_all_get_their_turn(
    tenant: TestTenant, databases: Databases
) -> None:
    """Reading without locks may race again and again; a push that has raced locks first."""
    document, version, _ = await made(tenant)
    stop = asyncio.Event()

    async def touch() -> None:
        while not stop.is_set():
            statement = "UPDATE documents SET filename = $3 WHERE tenant_id = $1 AND id = $2"
            await databases.writing(tenant.scope(), sql(statement, document, uuid4().hex))

    noise = [asyncio.create_task(touch()) for _ in range(3)]
    for number in range(10):
        change = update(document, version, folder=f"{number}")
        result = await push_one(tenant.user, change, on_conflict="last_write_wins")
        assert result.status == "applied"
    stop.set()
    await asyncio.gather(*noise)
