"""Uploads that break off, and servers that go away: nothing half-done is left."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest

from fixtures.flaky import FlakyRelay
from fixtures.process import environment_of, service_process
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.until import until
from fixtures.uploads import assert_problem, upload
from syncapi.embedded.s3 import S3Server
from syncapi.server.main import create_app
from syncapi.server.postgres.databases import Databases
from syncapi.server.settings import Settings
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import ObjectStore

MIB = 1024**2
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}

Body = AsyncGenerator[bytes]


async def form(content: AsyncIterator[bytes]) -> Body:
    yield HEAD
    async for piece in content:
        yield piece
    yield TAIL


async def zeros(mebibytes: int) -> Body:
    for _ in range(mebibytes):
        yield bytes(MIB)


async def is_begun(store: ObjectStore, tenant: TestTenant) -> bool:
    answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return bool(answer.get("Uploads"))


async def is_clean(store: ObjectStore, tenant: TestTenant) -> bool:
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return not answer.get("Contents") and not await is_begun(store, tenant)


async def row_count(databases: Databases, tenant: TestTenant) -> int:
    """Rows of documents and files."""
    async with databases.reading(tenant.scope()) as connection:
        count: int = await connection.driver.fetchval(
            "SELECT (SELECT count(*) FROM documents WHERE tenant_id = $1) "
            "+ (SELECT count(*) FROM files WHERE tenant_id = $1)",
            tenant.id,
        )
    return count


async def served_count(client: httpx.AsyncClient) -> int:
    """How many uploads the service has done with, one way or the other."""
    metrics = (await client.get(str(client.base_url.copy_with(path="/metrics")))).text
    lines = [line for line in metrics.splitlines() if line.startswith("http_requests_total{")]
    ours = [line for line in lines if '/documents"' in line and 'method="POST"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in ours)


@pytest.mark.parametrize("mebibytes", [0, 1, 12], ids=["head", "part", "parts"])
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_client_that_hangs_up_leaves_nothing(
    tenant: TestTenant, store: ObjectStore, databases: Databases, mebibytes: int, how: str
) -> None:
    url = tenant.user.base_url
    before = await served_count(tenant.user)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = [
        f"POST {url.path}documents HTTP/1.1",
        f"Host: {url.host}",
        f"Authorization: {tenant.user.headers['Authorization']}",
        f"Content-Type: {FORM['Content-Type']}",
        "Content-Length: 100000000",
    ]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + HEAD)
    async for piece in zeros(mebibytes):
        writer.write(piece)
        await writer.drain()
    if mebibytes > 8:
        await until(lambda: is_begun(store, tenant))
    if how == "close":
        writer.close()
    else:
        writer.transport.abort()

    async def is_noticed() -> bool:
        return await served_count(tenant.user) > before

    await until(is_noticed)
    assert await is_clean(store, tenant)
    assert await row_count(databases, tenant) == 0


async def test_over_the_limit_is_refused_and_leaves_nothing(
    settings: Settings, tenant: TestTenant, databases: Databases
) -> None:
    small = settings.model_copy(update={"upload_max_bytes": 10 * MIB})
    with serving(create_app(small)) as url:
        async with at(url, tenant) as client:
            refused = await client.post("/documents", content=form(zeros(40)), headers=FORM)
            assert_problem(refused, 413, "too_large", word=str(10 * MIB))
            await upload(client, bytes(MIB))  # the service goes on
    assert await row_count(databases, tenant) == 2


async def test_types_that_are_not_allowed_are_refused(
    settings: Settings, tenant: TestTenant, databases: Databases
) -> None:
    strict = settings.model_copy(update={"upload_allowed_types": ("image/*", "text/plain")})
    with serving(create_app(strict)) as url:
        async with at(url, tenant) as client:
            kept = await upload(client, filename="a.PNG")
            await upload(client, fields={"mime_type": "Text/PLAIN"})
            for name, media_type, fields in (
                ("a.pdf", "", {}),
                ("a.png", "text/html", {}),
                ("a.png", "", {"mime_type": "imagex/png"}),
            ):
                file = (name, b"1", media_type) if media_type else (name, b"1")
                refused = await client.post("/documents", files={"file": file}, data=fields)
                assert_problem(refused, 415, "unsupported_type", word="image/*, text/plain")
            changed = await client.patch(f"/documents/{kept['id']}", json={"mime_type": "a/b"})
            assert_problem(changed, 415, "unsupported_type")
    assert await row_count(databases, tenant) == 3  # two documents of the same bytes


def at(url: str, tenant: TestTenant) -> httpx.AsyncClient:
    """The user's client at another service."""
    return httpx.AsyncClient(
        base_url=f"{url}/api/tenants/{tenant.id}",
        headers={"Authorization": tenant.user.headers["Authorization"]},
        timeout=120,
    )


async def test_without_its_database_an_upload_leaves_nothing(
    settings: Settings, tenant: TestTenant, store: ObjectStore, databases: Databases
) -> None:
    """The database goes away while the bytes come, and later comes back."""
    async with FlakyRelay.to(settings.database_url.get_secret_value()) as (relay, through):

        async def until_cut() -> Body:
            async for piece in zeros(12):
                yield piece
            await until(lambda: is_begun(store, tenant))
            await relay.cut()
            yield bytes(MIB)

        changed = settings.model_copy(
            update={"database_url": type(settings.database_url)(through)}
        )
        with serving(create_app(changed)) as url:
            async with at(url, tenant) as client:
                refused = await client.post("/documents", content=form(until_cut()), headers=FORM)
                assert_problem(refused, 503, "unavailable")
                assert "Retry-After" in refused.headers
                await relay.restore()
                await until(lambda: is_clean(store, tenant))
                assert await row_count(databases, tenant) == 0
                await upload(client)
                await relay.cut()  # it lives in this thread, which waits for the service's end


@pytest.fixture
async def own_s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    """An S3 of the test's own, which it may kill."""
    server = S3Server(tmp_path / "s3", durable=False)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.kill)


@pytest.mark.slow
async def test_an_s3_that_is_killed_under_an_upload_leaves_nothing(
    settings: Settings, tenant: TestTenant, databases: Databases, own_s3: S3Server
) -> None:
    changed = settings.model_copy(
        update={
            "s3_endpoint_url": own_s3.endpoint_url,
            "s3_access_key_id": own_s3.access_key_id,
            "s3_secret_access_key": type(settings.cursor_key)(own_s3.secret_access_key),
        }
    )
    bucket = Bucket(
        name=own_s3.bucket,
        endpoint_url=own_s3.endpoint_url,
        region=own_s3.region,
        access_key_id=own_s3.access_key_id,
        secret_access_key=own_s3.secret_access_key,
    )
    with serving(create_app(changed)) as url:
        async with ObjectStore(bucket) as store, at(url, tenant) as client:

            async def until_killed() -> Body:
                async for piece in zeros(10):
                    yield piece
                await until(lambda: is_begun(store, tenant))
                await asyncio.to_thread(own_s3.kill)
                async for piece in zeros(10):
                    yield piece

            refused = await client.post("/documents", content=form(until_killed()), headers=FORM)
            assert_problem(refused, 503, "unavailable")
            assert "Retry-After" in refused.headers
            assert await row_count(databases, tenant) == 0
            await asyncio.to_thread(own_s3.start)
            await until(lambda: is_clean(store, tenant), seconds=120)
            await upload(client)


def memory(pid: int, name: str) -> int:
    """Bytes, as ``/proc`` tells them."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024


def forget_peak(pid: int) -> None:
    """Let ``VmHWM`` begin anew, from what is in use now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(
    settings: Settings, tenant: TestTenant, tmp_path: Path
) -> None:
    with service_process(environment_of(settings), tmp_path) as service:
        async with at(service.url, tenant) as client:
            await upload(client, bytes(MIB))
            pid = service.process.pid
            before = memory(pid, "VmRSS")
            forget_peak(pid)
            answer = await client.post("/documents", content=form(zeros(200)), headers=FORM)
            assert answer.status_code == 201, answer.text
            assert answer.json()["data"]["document"]["file"]["file_size"] == 200 * MIB
            grown = memory(pid, "VmHWM") - before
    assert grown < 100 * MIB  # three parts of 8 MiB, and what the allocator makes of them
