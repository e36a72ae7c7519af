"""Direct uploads at once, over servers that go away, and of files that no memory holds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from fixtures.flaky import FlakyRelay
from fixtures.memory import forget_peak, memory
from fixtures.process import environment_of, service_process
from fixtures.pulling import problem_of
from fixtures.sending import (
    Content,
    complete,
    content_of,
    declare,
    follow,
    pending,
    send,
    state_of,
)
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.protocol.files import FileState
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore

MIB = 1024**2
PARTED = {"direct_upload_single_bytes": MIB, "direct_upload_part_bytes": 5 * MIB}


_FINISH = """
WITH upload AS (UPDATE direct_uploads SET file_id = id WHERE id = $1 RETURNING *)
INSERT INTO files (tenant_id, id, md5_hash, sha256_hash, s3_path, file_size)
SELECT tenant_id, id, md5_hash, sha256_hash, s3_path, file_size FROM upload
"""


@pytest.fixture(scope="module")
def parted_url(settings: Settings) -> Iterator[str]:
    with serving(create_app(settings.model_copy(update=PARTED))) as url:
        yield url


@pytest.fixture
async def parted(parted_url: str, tenant: TestTenant) -> AsyncIterator[httpx.AsyncClient]:
    async with at(parted_url, tenant) as client:
        yield client


def at(url: str, tenant: TestTenant) -> httpx.AsyncClient:
    """The user's client at a service."""
    return httpx.AsyncClient(
        base_url=f"{url}/api/tenants/{tenant.id}",
        headers={"Authorization": tenant.user.headers["Authorization"]},
        timeout=120,
    )


async def objects(store: ObjectStore, tenant: TestTenant) -> int:
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return len(answer.get("Contents", []))


async def multiparts(store: ObjectStore, tenant: TestTenant) -> list[dict[str, str]]:
    answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return list(answer.get("Uploads", []))


async def all_sent(client: httpx.AsyncClient, content: Content) -> FileState:
    """Declare and send; what is left is to complete."""
    state = await declare(client, content.declaration())
    invitation = pending(state)
    await send(invitation, invitation.parts, content.slice)
    return state


async def test_declared_by_many_at_once_is_one_upload(
    parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    declaration = Content(6 * MIB, uuid4().hex).declaration()
    states = await asyncio.gather(*(declare(parted, declaration) for _ in range(8)))
    assert len({state.id for state in states}) == 1
    assert len(await multiparts(store, tenant)) == 1


async def test_completed_by_many_at_once_is_one_file(
    settings: Settings, parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    state = await all_sent(parted, Content(6 * MIB, uuid4().hex))
    with serving(create_app(settings.model_copy(update=PARTED))) as url:  # another process
        async with at(url, tenant) as other:
            answers = await asyncio.gather(
                *(complete(client, state.id) for client in (parted, other) * 4)
            )
    assert {state_of(answer).status for answer in answers} == {"complete"}
    assert {state_of(answer).id for answer in answers} == {state.id}
    assert await objects(store, tenant) == 1


async def test_the_same_bytes_by_form_and_directly_are_one_file(
    tenant: TestTenant, store: ObjectStore
) -> None:
    for _ in range(5):
        text = uuid4().bytes
        before = await objects(store, tenant)
        state = await declare(tenant.user, content_of(text))
        invitation = pending(state)
        await send(invitation, invitation.parts, lambda *_, text=text: text)
        answer, document = await asyncio.gather(
            complete(tenant.user, state.id), upload(tenant.admin, text)
        )
        done = state_of(answer)
        assert str(done.id) == document["file"]["id"]
        assert state_of(await complete(tenant.user, state.id)) == done
        assert await follow(tenant.user, state.id) == done
        assert await objects(store, tenant) == before + 1


async def test_bytes_that_came_by_form_meanwhile_are_kept_once(
    tenant: TestTenant, store: ObjectStore
) -> None:
    text = uuid4().bytes
    state = await declare(tenant.user, content_of(text))
    invitation = pending(state)
    await send(invitation, invitation.parts, lambda *_: text)
    document = await upload(tenant.admin, text)
    done = state_of(await complete(tenant.user, state.id))
    assert str(done.id) == document["file"]["id"] != str(state.id)
    assert state_of(await complete(tenant.user, state.id)) == done
    assert await objects(store, tenant) == 1
    url = (await tenant.user.get(f"/documents/{document['id']}/download-url")).json()["data"]
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(url["download_url"])).content == text


async def test_a_completion_that_died_halfway_is_taken_up(
    parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    """Its process had put the parts together, and not yet made the file."""
    content = Content(6 * MIB, uuid4().hex)
    state = await all_sent(parted, content)
    (entry,) = await multiparts(store, tenant)
    parts = await store.multipart.parts(entry["Key"], entry["UploadId"])
    assert parts is not None
    await store.multipart.complete(entry["Key"], entry["UploadId"], parts)
    assert pending(await follow(parted, state.id)).parts == []
    assert (await declare(parted, content.declaration())).id == state.id
    assert state_of(await complete(parted, state.id)).status == "complete"


async def test_s3_down_during_a_completion(
    settings: Settings, tenant: TestTenant, store: ObjectStore
) -> None:
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        places = {"s3_endpoint_url": through, "s3_public_endpoint_url": settings.s3_endpoint_url}
        with serving(create_app(settings.model_copy(update={**PARTED, **places}))) as url:
            async with at(url, tenant) as client:
                state = await all_sent(client, Content(6 * MIB, uuid4().hex))
                await relay.cut()
                refused = await complete(client, state.id)
                problem_of(refused, 503, "unavailable")
                assert "Retry-After" in refused.headers
                problem_of(await client.get(f"/files/{state.id}"), 503, "unavailable")
                await relay.restore()
                assert state_of(await complete(client, state.id)).status == "complete"
    assert await objects(store, tenant) == 1


async def test_the_database_down_during_a_completion(
    settings: Settings, tenant: TestTenant
) -> None:
    async with FlakyRelay.to(settings.database_url.get_secret_value()) as (relay, through):
        changed = {**PARTED, "database_url": type(settings.database_url)(through)}
        with serving(create_app(settings.model_copy(update=changed))) as url:
            async with at(url, tenant) as client:
                state = await all_sent(client, Content(6 * MIB, uuid4().hex))
                await relay.cut()
                problem_of(await complete(client, state.id), 503, "unavailable")
                await relay.restore()
                assert state_of(await complete(client, state.id)).status == "complete"
                await relay.cut()  # the service waits for the server when it closes


async def test_a_completion_goes_on_when_nobody_waits(
    settings: Settings, tenant: TestTenant
) -> None:
    """S3 stands still while the client gives up; the file is made all the same."""
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        places = {"s3_endpoint_url": through, "s3_public_endpoint_url": settings.s3_endpoint_url}
        with serving(create_app(settings.model_copy(update={**PARTED, **places}))) as url:
            async with at(url, tenant) as client:
                state = await all_sent(client, Content(6 * MIB, uuid4().hex))
                relay.freeze()
                with pytest.raises(httpx.ReadTimeout):
                    await client.post(f"/files/{state.id}/complete", timeout=0.5)
                await relay.restore()

                async def is_complete() -> bool:
                    return (await follow(client, state.id)).status == "complete"

                await until(is_complete)


async def test_bytes_whose_row_was_finished_meanwhile_stay(
    settings: Settings, tenant: TestTenant, store: ObjectStore, database_url: str
) -> None:
    """This process finds them wrong; by then another one has made a file of them."""
    assert settings.s3_endpoint_url is not None
    right, wrong = Content(6 * MIB, uuid4().hex), Content(6 * MIB, uuid4().hex)
    sql = await asyncpg.connect(database_url)
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        places = {"s3_endpoint_url": through, "s3_public_endpoint_url": settings.s3_endpoint_url}
        with serving(create_app(settings.model_copy(update={**PARTED, **places}))) as url:
            async with at(url, tenant) as client:
                state = await declare(client, right.declaration())
                invitation = pending(state)
                await send(invitation, invitation.parts, wrong.slice)
                relay.freeze()
                completing = asyncio.create_task(complete(client, state.id))

                async def is_being_verified() -> bool:
                    query = "SELECT expires_at > now() + interval '23 h' FROM direct_uploads"
                    return bool(await sql.fetchval(f"{query} WHERE id = $1", state.id))

                await until(is_being_verified)
                await sql.execute(_FINISH, state.id)
                await relay.restore()
                problem_of(await completing, 409, "content_mismatch")
                assert (await follow(client, state.id)).status == "complete"
    await sql.close()
    assert await objects(store, tenant) == 1


async def test_many_parts_are_paged(parted: httpx.AsyncClient) -> None:
    """A declaration of ten gigabytes does not bring its two thousand URLs at once."""
    declaration = {**content_of(uuid4().bytes), "file_size": 10 * 1024**3}
    state = await declare(parted, declaration)
    invitation = pending(state)
    assert invitation.part_count == 2048
    assert (len(invitation.parts), invitation.next_after) == (100, 100)
    seen = [part.number for part in invitation.parts]
    while invitation.next_after is not None:
        following = await follow(parted, state.id, after=invitation.next_after, per_page=1000)
        invitation = pending(following)
        seen += [part.number for part in invitation.parts]
    assert seen == list(range(1, 2049))


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(
    settings: Settings, tenant: TestTenant, tmp_path: Path
) -> None:
    """The service reads the whole file to verify it."""
    small, large = Content(6 * MIB, uuid4().hex), Content(400 * MIB, uuid4().hex, block=MIB)
    changed = settings.model_copy(update={**PARTED, "direct_upload_part_bytes": 20 * MIB})
    with service_process(environment_of(changed), tmp_path) as service:
        async with at(service.url, tenant) as client:
            await complete(client, (await all_sent(client, small)).id)
            pid = service.process.pid
            before = memory(pid)
            forget_peak(pid)
            state = await all_sent(client, large)
            done = state_of(await complete(client, state.id))
            assert done.file is not None
            assert (done.id, done.file.file_size) == (UUID(str(state.id)), 400 * MIB)
            grown = memory(pid, "VmHWM") - before
    assert grown < 60 * MIB
