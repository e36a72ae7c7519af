"""Two that write the same at once: both get a right answer, and none a 500."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.pausing import Pausing, is_waiting
from fixtures.pushing import create, send, update
from fixtures.sending import content_of
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import Json, document_of, upload
from fixtures.writing import MakeWriter
from syncapi.server.postgres.databases import Databases, TenantConnection


async def restore(client: httpx.AsyncClient, document: Json) -> httpx.Response:
    return await client.post(f"/documents/{document['id']}/restore", json={})


async def test_two_restores_of_a_document_that_sql_deleted(
    tenant: TestTenant, databases: Databases, make_writer: MakeWriter
) -> None:
    """The other one's is not committed yet when this one finds nothing there."""
    document = await upload(tenant.user)
    await (await make_writer(tenant.id)).erase(UUID(document["id"]))

    async def theirs(tx: TenantConnection) -> None:
        await tx.driver.execute(
            """INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
               VALUES ($1, $2, 'a.txt', 'text/plain', $3)""",
            tenant.id,
            UUID(document["id"]),
            UUID(document["file"]["id"]),
        )

    other = await Pausing(databases, tenant, theirs).reach()
    restoring = asyncio.create_task(restore(tenant.user, document))
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=True)
    restored = document_of(await restoring)
    assert (restored["filename"], restored["is_deleted"]) == ("a.txt", False)
    found = document_of(await tenant.viewer.get(f"/documents/{document['id']}"))
    assert found == restored


async def test_many_restores_at_once_make_one_version(
    tenant: TestTenant, make_writer: MakeWriter
) -> None:
    document = await upload(tenant.user)
    await (await make_writer(tenant.id)).erase(UUID(document["id"]))
    answers = await asyncio.gather(*(restore(tenant.user, document) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({document_of(answer)["updated_at"] for answer in answers}) == 1


@pytest.mark.parametrize("round_", range(3))
async def test_no_race_of_writes_is_a_500(
    tenant: TestTenant, make_writer: MakeWriter, round_: int
) -> None:
    """All ways to write one document and one file, together, in whatever order they come."""
    text = uuid4().bytes
    document = await upload(tenant.user, text)
    file, document_id = UUID(document["file"]["id"]), UUID(document["id"])
    path = f"/documents/{document_id}"
    writer = await make_writer(tenant.id)
    if round_:
        await writer.erase(document_id)
    user, admin = tenant.user, tenant.admin
    version = document["updated_at"]
    writes: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: restore(user, document),
        lambda: user.patch(path, json={"filename": uuid4().hex}),
        lambda: user.patch(path, json={"file_id": str(file)}),
        lambda: admin.delete(path),
        lambda: admin.delete(path, params={"hard": "true"}),
        lambda: send(user, create(file, document=document_id)),
        lambda: send(user, update(document_id, version, filename=uuid4().hex)),
        lambda: user.post("/files", json=content_of(text)),
        lambda: user.post("/documents", files={"file": ("b.txt", text)}),
    ]
    answers = await asyncio.gather(*(write() for write in writes * 3))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 201, 404, 409}, [answer.text for answer in answers]
