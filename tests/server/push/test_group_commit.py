"""Pushes that wait together: one transaction, and to each its own answer and failure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from fixtures.rights import Granted
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.writing import MakeWriter
from syncapi.protocol.push import ChangeResult, CreateChange, PushOutcome, PushRequest
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres.databases import Databases
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.json_encoding import encode
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.uploads import UploadRules

RULES = UploadRules(max_bytes=2**30)

Create = Callable[..., CreateChange]


@pytest.fixture
async def file_id(tenant: TestTenant, make_writer: MakeWriter) -> UUID:
    return (await make_writer(tenant.id)).file_id


@pytest.fixture
def create(file_id: UUID) -> Create:
    def make(document: UUID | None = None, filename: str = "a.txt") -> CreateChange:
        return CreateChange(
            op="create",
            change_id=uuid4(),
            id=document or uuid4(),
            filename=filename,
            mime_type="text/plain",
            file_id=file_id,
        )

    return make


@pytest.fixture
async def held(
    tenant: TestTenant, database_url: str
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The tenant's clock, held by another transaction; call it to let it go."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT feed.tick($1)", tenant.id)
    yield transaction.commit
    await connection.close()


def one(change: CreateChange) -> PushRequest:
    return PushRequest(changes=[change])


def told(outcomes: Sequence[Outcome]) -> list[ChangeResult]:
    """The results as the models read them."""
    results = [result for outcome in outcomes for result in outcome.results]
    return PushOutcome.model_validate_json(encode({"results": results})).results


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [result.status for result in told(outcomes)]


def versions(outcomes: Sequence[Outcome]) -> set[object]:
    documents = (result.document for result in told(outcomes))
    return {document.updated_at for document in documents if document is not None}


async def waiting(pushes: GroupCommit, tenant: TestTenant, number: int) -> None:
    """Return when so many pushes stand in line behind the one under way."""

    async def stand() -> bool:
        line = pushes._lines.get((tenant.id, tenant.database))
        return line is not None and len(line.waiting) == number

    await until(stand)


async def test_those_that_wait_share_a_transaction(
    tenant: TestTenant,
    databases: Databases,
    create: Create,
    held: Callable[[], Awaitable[None]],
) -> None:
    pushes = GroupCommit(databases, Granted(), RULES)
    first = asyncio.create_task(pushes.push(tenant.scope(), one(create())))
    await waiting(pushes, tenant, 0)
    behind = [asyncio.create_task(pushes.push(tenant.scope(), one(create()))) for _ in range(20)]
    await waiting(pushes, tenant, 20)
    await held()

    outcomes = await asyncio.gather(first, *behind)

    assert statuses(outcomes) == ["applied"] * 21
    assert len(versions(outcomes[1:])) == 1
    assert versions(outcomes[:1]) != versions(outcomes[1:])
    assert pushes._lines == {}


async def test_two_writes_of_a_document_are_two_versions(
    tenant: TestTenant,
    databases: Databases,
    create: Create,
    held: Callable[[], Awaitable[None]],
) -> None:
    pushes = GroupCommit(databases, Granted(), RULES)
    first = asyncio.create_task(pushes.push(tenant.scope(), one(create())))
    await waiting(pushes, tenant, 0)
    document = uuid4()
    writes = [
        PushRequest(changes=[create(document, f"{n}.txt")], on_conflict="last_write_wins")
        for n in range(3)
    ]
    behind = [asyncio.create_task(pushes.push(tenant.scope(), write)) for write in writes]
    await waiting(pushes, tenant, 3)
    await held()

    outcomes = await asyncio.gather(first, *behind)

    assert statuses(outcomes) == ["applied"] * 4
    assert len(versions(outcomes)) == 4
    last = told(outcomes)[-1].document
    assert last is not None
    assert last.filename == "2.txt"


async def test_one_that_brings_the_transaction_down_falls_alone(
    tenant: TestTenant,
    databases: Databases,
    create: Create,
    database_url: str,
    held: Callable[[], Awaitable[None]],
) -> None:
    """A check that the service knows nothing of, as a DBA may add one to the table."""
    name = f"poison_{uuid4().hex}"
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        f"ALTER TABLE documents ADD CONSTRAINT {name} CHECK (filename <> '{name}') NOT VALID"
    )
    pushes = GroupCommit(databases, Granted(), RULES)
    first = asyncio.create_task(pushes.push(tenant.scope(), one(create())))
    await waiting(pushes, tenant, 0)
    good = [asyncio.create_task(pushes.push(tenant.scope(), one(create()))) for _ in range(4)]
    bad = asyncio.create_task(pushes.push(tenant.scope(), one(create(filename=name))))
    await waiting(pushes, tenant, 5)
    await held()

    outcomes = await asyncio.gather(first, *good)

    assert statuses(outcomes) == ["applied"] * 5
    with pytest.raises(asyncpg.CheckViolationError):
        await bad
    await admin.execute(f"ALTER TABLE documents DROP CONSTRAINT {name}")
    await admin.close()


async def test_a_client_that_hangs_up_takes_nothing_back(
    tenant: TestTenant,
    databases: Databases,
    create: Create,
    held: Callable[[], Awaitable[None]],
) -> None:
    pushes = GroupCommit(databases, Granted(), RULES)
    first = asyncio.create_task(pushes.push(tenant.scope(), one(create())))
    await waiting(pushes, tenant, 0)
    request = one(create())
    gone = asyncio.create_task(pushes.push(tenant.scope(), request))
    await waiting(pushes, tenant, 1)
    gone.cancel()
    await held()
    await first
    again = await pushes.push(tenant.scope(), request)
    assert statuses([again]) == ["unchanged"]


async def test_a_line_that_is_too_long_is_told_to_come_back(
    tenant: TestTenant,
    databases: Databases,
    create: Create,
    held: Callable[[], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("syncapi.server.usecases.group_commit.MOST_WAITING", 2)
    pushes = GroupCommit(databases, Granted(), RULES)
    tasks = [asyncio.create_task(pushes.push(tenant.scope(), one(create())))]
    await waiting(pushes, tenant, 0)
    tasks += [asyncio.create_task(pushes.push(tenant.scope(), one(create()))) for _ in range(2)]
    await waiting(pushes, tenant, 2)
    with pytest.raises(Unavailable) as refused:
        await pushes.push(tenant.scope(), one(create()))
    assert refused.value.retry_after == 1
    await held()
    assert statuses(await asyncio.gather(*tasks)) == ["applied"] * 3
