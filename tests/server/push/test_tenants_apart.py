"""What somebody keeps locked in one tenant costs no other tenant anything.

The service has four connections to the database that both tenants are in.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx
import pytest

from fixtures.collecting import is_waiting
from fixtures.pulling import problem_of
from fixtures.pushing import create, push_one, send, update
from fixtures.server import serving
from fixtures.service import MakeTenant, TestTenant
from fixtures.until import until
from fixtures.uploads import Json, upload
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.usecases import access

MANY = 12


@pytest.fixture
async def tenants(
    settings: Settings, make_tenant: MakeTenant
) -> AsyncIterator[tuple[TestTenant, TestTenant]]:
    """Two, at a service that loses its patience with locks after some seconds."""
    pair = await make_tenant(), await make_tenant()
    few = settings.model_copy(
        update={"pool_size": 4, "pool_timeout": 2.0, "statement_timeout": 6.0}
    )
    with serving(create_app(few)) as url:
        for tenant in pair:
            for client in (tenant.admin, tenant.user, tenant.viewer):
                client.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        yield pair


@asynccontextmanager
async def held(
    settings: Settings, statement: str, *parameters: object
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        async with connection.transaction():
            await connection.execute(statement, *parameters)
            yield connection
    finally:
        await connection.close()


async def works(tenant: TestTenant, number: int) -> None:
    """Every kind of write and a read of this tenant succeed."""
    document = await upload(tenant.user, f"{tenant.id} {number}".encode())
    path = f"/documents/{document['id']}"
    assert (await push_one(tenant.user, create(UUID(document["file"]["id"])))).status == "applied"
    assert (await tenant.user.patch(path, json={"filename": "b"})).status_code == 200
    assert (await tenant.admin.delete(path)).status_code == 200
    assert (await tenant.viewer.get("/documents")).status_code == 200


async def requests(tenant: TestTenant, documents: list[Json]) -> list[httpx.Response]:
    """Many of all kinds at once, each to a document of its own."""
    return await asyncio.gather(
        *(
            tenant.user.patch(f"/documents/{one['id']}", json={"filename": "patched"})
            for one in documents[::2]
        ),
        *(
            send(tenant.user, update(UUID(one["id"]), one["updated_at"], filename="pushed"))
            for one in documents[1::2]
        ),
    )


LOCK_CLOCK = "SELECT FROM tenant_clock WHERE tenant_id = $1 FOR UPDATE"
LOCK_DOCUMENTS = "SELECT FROM documents WHERE tenant_id = $1 FOR UPDATE"


@pytest.mark.parametrize("what", ["clock", "documents"])
async def test_a_tenant_that_is_held_up_waits_alone(
    tenants: tuple[TestTenant, TestTenant],
    settings: Settings,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "CONFIRM_SECONDS", 30.0)  # the machine may be slow
    ours, other = tenants
    documents = [await upload(ours.user, filename=f"{n}.txt") for n in range(MANY)]
    lock = {"clock": LOCK_CLOCK, "documents": LOCK_DOCUMENTS}[what]
    async with held(settings, lock, ours.id) as holder:
        waiting = asyncio.create_task(requests(ours, documents))
        await until(lambda: is_waiting(holder))
        number = 0
        while not waiting.done():
            await works(other, number)
            number += 1
        assert (await ours.viewer.get("/documents")).status_code == 200
    assert number > 0
    for answer in waiting.result():
        assert "locked" in problem_of(answer, 503, "unavailable").detail
        assert int(answer.headers["Retry-After"]) > 0
    await works(ours, 0)
    names = [
        (await ours.viewer.get(f"/documents/{one['id']}")).json()["data"]["document"]["filename"]
        for one in documents
    ]
    assert names == [f"{n}.txt" for n in range(MANY)], "what was refused was not done"


async def test_who_waits_for_the_clock_is_served_when_it_is_let_go(
    tenants: tuple[TestTenant, TestTenant], settings: Settings
) -> None:
    ours, _ = tenants
    documents = [await upload(ours.user, filename=f"{n}.txt") for n in range(MANY)]
    async with held(settings, LOCK_CLOCK, ours.id) as holder:
        waiting = asyncio.create_task(requests(ours, documents))
        await until(lambda: is_waiting(holder))
    assert {answer.status_code for answer in await waiting} == {200}
