"""A client that was told of a file may refer to it for a day, whoever erases meanwhile (G17)."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.collecting import Collector, two_days_pass
from fixtures.pausing import Pausing, is_waiting
from fixtures.pushing import create, push_one
from fixtures.sending import complete, content_of, declare, follow, sent, state_of
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.server.domain.retention import Retention
from syncapi.server.postgres import documents, files
from syncapi.server.postgres.databases import Databases, TenantConnection

Tell = Callable[[httpx.AsyncClient, UUID, bytes], Awaitable[object]]

HARD = {"hard": "true"}


async def told_by_declaring(client: httpx.AsyncClient, _file: UUID, text: bytes) -> UUID:
    state = await declare(client, content_of(text))
    assert state.status == "complete"
    return state.id


async def told_by_completing(client: httpx.AsyncClient, file: UUID, _text: bytes) -> UUID:
    return state_of(await complete(client, file)).id


async def told_by_following(client: httpx.AsyncClient, file: UUID, _text: bytes) -> UUID:
    return (await follow(client, file)).id


async def told_by_uploading(client: httpx.AsyncClient, _file: UUID, text: bytes) -> UUID:
    document = await upload(client, text)
    await client.delete(f"/documents/{document['id']}", params=HARD)
    return UUID(document["file"]["id"])


WAYS: dict[str, Tell] = {
    "declare": told_by_declaring,
    "complete": told_by_completing,
    "follow": told_by_following,
    "upload": told_by_uploading,
}


async def erase(tenant: TestTenant, *ids: UUID) -> None:
    for document in ids:
        answer = await tenant.admin.delete(f"/documents/{document}", params=HARD)
        assert answer.status_code == 200, answer.text


async def content(client: httpx.AsyncClient, document: UUID) -> bytes:
    answer = await client.get(f"/documents/{document}/download-url")
    async with httpx.AsyncClient() as stranger:
        return (await stranger.get(answer.json()["data"]["download_url"])).content


@pytest.mark.parametrize("way", WAYS)
async def test_an_old_file_that_a_client_was_told_of_stays_for_a_day(
    tenant: TestTenant, databases: Databases, collect: Collector, way: str
) -> None:
    text = uuid4().bytes
    file = await sent(tenant.user, text)
    old = await push_one(tenant.user, create(file))
    await two_days_pass(databases, tenant)

    assert await WAYS[way](tenant.admin, file, text) == file
    await erase(tenant, old.id)
    await collect(tenant, Retention())

    made = await push_one(tenant.user, create(file))
    assert made.status == "applied", made.problem
    assert await content(tenant.viewer, made.id) == text


async def test_a_promise_ends(
    tenant: TestTenant, databases: Databases, collect: Collector
) -> None:
    file = await sent(tenant.user, b"promised, and never used")
    await erase(tenant, (await push_one(tenant.user, create(file))).id)
    await two_days_pass(databases, tenant)
    await collect(tenant, Retention())
    made = await push_one(tenant.user, create(file))
    assert made.problem is not None
    assert made.problem.code == "invalid_file"


async def erasing(tx: TenantConnection, document: UUID) -> None:
    """As an erasure does it, within the time that files stay by themselves."""
    dropped = await documents.remove(tx, document)
    await files.drop_unreferenced(tx, dropped, unpromised_for=Retention().files)


@pytest.mark.parametrize("way", ["declare", "upload"])
async def test_who_is_told_while_the_file_is_being_dropped_is_told_right(
    tenant: TestTenant, databases: Databases, way: str
) -> None:
    """It waits for the erasure, and then sends the bytes again."""
    text = uuid4().bytes
    old = await push_one(tenant.user, create(await sent(tenant.user, text)))
    await two_days_pass(databases, tenant)
    other = await Pausing(databases, tenant, partial(erasing, document=old.id)).reach()
    if way == "declare":
        telling = asyncio.create_task(declare(tenant.user, content_of(text)))
        await until(lambda: is_waiting(databases, tenant))
        await other.end(commits=True)
        assert (await telling).status == "pending"
    else:
        uploading = asyncio.create_task(upload(tenant.user, text))
        await until(lambda: is_waiting(databases, tenant))
        await other.end(commits=True)
        assert await content(tenant.viewer, UUID((await uploading)["id"])) == text


async def test_who_drops_waits_for_who_promises(tenant: TestTenant, databases: Databases) -> None:
    text = uuid4().bytes
    file = await sent(tenant.user, text)
    old = await push_one(tenant.user, create(file))
    await two_days_pass(databases, tenant)
    promising = partial(files.promise, file_id=file)
    other = await Pausing(databases, tenant, promising).reach()
    erased = asyncio.create_task(erase(tenant, old.id))
    await until(lambda: is_waiting(databases, tenant))
    await other.end(commits=True)
    await erased
    assert (await push_one(tenant.user, create(file))).status == "applied"


async def test_erasures_beside_declarations_break_no_promise(
    tenant: TestTenant, databases: Databases
) -> None:
    """Whatever order they come in, who is told "complete" can refer to the file."""

    async def once() -> None:
        text = uuid4().bytes
        old = await push_one(tenant.user, create(await sent(tenant.user, text)))
        await two_days_pass(databases, tenant)
        _, file = await asyncio.gather(erase(tenant, old.id), sent(tenant.user, text))
        made = await push_one(tenant.user, create(file))
        assert made.status == "applied", made.problem
        assert await content(tenant.viewer, made.id) == text

    for _ in range(5):
        await once()
