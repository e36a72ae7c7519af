"""Archives in flight: slow clients, gone clients, a store that dies, a service that must end."""

import asyncio
import io
import signal
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from fixtures.flaky import FlakyRelay
from fixtures.process import ServiceProcess, environment_of, service_process
from fixtures.pulling import problem_of
from fixtures.server import serving
from fixtures.service import MakeTenant, TestTenant
from fixtures.until import until
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.embedded.s3 import S3Server
from syncapi.server.domain.access import Role
from syncapi.server.main import create_app
from syncapi.server.settings import Settings

MB = 1024**2
FILE = bytes(range(256)) * 4096 * 16  # 16 MB
PATH = "/documents/batch-download"
OPEN = {"01", "04", "08"}  # ESTABLISHED, FIN_WAIT1 and CLOSE_WAIT in the kernel's list


class Watched:
    """An application whose event loop can be looked into from outside."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        await self.app(scope, receive, send)

    def tasks(self) -> set[str]:
        """What the tasks of the loop are doing, by name of their coroutine."""
        assert self._loop is not None
        tasks = asyncio.all_tasks(self._loop)
        return {getattr(t.get_coro(), "__qualname__", "?") for t in tasks}

    def archives(self) -> int:
        """How many are being made."""
        return int(self.app.state.service.archives._slots._taken.total())


@contextmanager
def service_of(settings: Settings, **changes: Any) -> Iterator[tuple[Watched, str]]:  # noqa: ANN401
    """A service of the test's own, with settings changed."""
    app = Watched(create_app(settings.model_copy(update=changes)))
    with serving(app) as url:
        yield app, url


@asynccontextmanager
async def member_of(
    tenant: TestTenant, url: str, role: Role = Role.VIEWER
) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{url}/api/tenants/{tenant.id}",
        headers={"Authorization": f"Bearer {tenant.tokens[role]}"},
        timeout=60,
    ) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Library:
    """Documents of the same 16 MB, which are stored once: as many archives as one likes."""

    tenant: TestTenant
    writer: SqlWriter

    async def documents(self, number: int) -> dict[str, Any]:
        """So many new documents, as the body of a request for them."""
        ids = [uuid4() for _ in range(number)]
        await self.writer.insert(*ids)
        return {"document_ids": [str(document_id) for document_id in ids], "format": "zip"}


async def stock(tenant: TestTenant, make_writer: MakeWriter, client: httpx.AsyncClient) -> Library:
    made = await client.post("/documents", files={"file": ("sixteen.bin", FILE)})
    assert made.status_code == 201, made.text
    file_id = UUID(made.json()["data"]["document"]["file"]["id"])
    writer = await make_writer(tenant.id)
    return Library(tenant, replace(writer, file_id=file_id))


@pytest.fixture
async def library(tenant: TestTenant, make_writer: MakeWriter) -> Library:
    return await stock(tenant, make_writer, tenant.user)


@asynccontextmanager
async def begun(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> AsyncIterator[AsyncIterator[bytes]]:
    """An archive of which one piece has been read."""
    async with client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        pieces = answer.aiter_raw()
        assert await anext(pieces)
        yield pieces


async def assert_cut(pieces: AsyncIterator[bytes]) -> None:
    """Hold that a client cannot take what it got for the whole."""
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        async for _ in pieces:
            pass


def assert_whole(raw: bytes, files: int) -> None:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert len(archive.infolist()) == files + 1
        for info in archive.infolist()[:-1]:
            assert archive.read(info) == FILE


def memory(pid: int) -> int:
    """The most that a process has had in memory, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


@pytest.mark.parametrize("format_", ["zip", "tar"])
async def test_memory_does_not_grow_with_the_archive(
    library: Library, environment: dict[str, str], tmp_path: Path, format_: str
) -> None:
    large = {**await library.documents(20), "format": format_}
    small = {**large, "document_ids": large["document_ids"][:1]}
    with service_process(environment, tmp_path) as service:
        async with member_of(library.tenant, service.url) as client:
            (await client.post(PATH, json=small)).raise_for_status()  # all is loaded
            before, size = memory(service.process.pid), 0
            async with begun(client, large) as pieces:
                async for piece in pieces:
                    size += len(piece)
            growth = memory(service.process.pid) - before
    assert size > 310 * MB
    assert growth < 32 * MB, f"{growth / MB:.0f} MB"


async def test_a_client_that_waits_holds_s3_back(settings: Settings, library: Library) -> None:
    """It reads one piece, then nothing until all is still, then the rest."""
    body = await library.documents(20)
    assert settings.s3_endpoint_url is not None
    async with CountingRelay.to(settings.s3_endpoint_url) as (relay, through):
        with service_of(settings, s3_endpoint_url=through) as (app, url):
            async with member_of(library.tenant, url) as client, begun(client, body) as pieces:
                await until(relay.is_still)
                assert relay.passed < 160 * MB
                assert app.archives() == 1
                assert sum([len(piece) async for piece in pieces]) > 310 * MB
            await until(lambda: is_over(app))


class CountingRelay(FlakyRelay):
    """Counts the bytes that come from the server."""

    passed = 0
    _seen = -1
    _times_seen = 0

    @override
    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        counted = _Counted(self, source)
        await super()._pass(counted, sink)  # type: ignore[arg-type]

    async def is_still(self) -> bool:
        """Whether nothing has passed for some time, as far as that can be said."""
        self._times_seen = self._times_seen + 1 if self._seen == self.passed else 0
        self._seen = self.passed
        return self._times_seen > 25


@dataclass
class _Counted:
    relay: CountingRelay
    source: asyncio.StreamReader

    async def read(self, most: int) -> bytes:
        data = await self.source.read(most)
        self.relay.passed += len(data)
        return data


async def is_over(app: Watched) -> bool:
    """Whether no archive is being made, and no task is left of one."""
    return app.archives() == 0 and not any(
        word in task
        for task in app.tasks()
        for word in ("archive", "Streamed", "open", "RequestResponse")
    )


@pytest.mark.parametrize("pieces_read", [1, 200])
async def test_a_client_that_goes_away_frees_everything(
    settings: Settings, library: Library, pieces_read: int
) -> None:
    body = await library.documents(10)
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        with service_of(settings, s3_endpoint_url=through) as (app, url):
            async with member_of(library.tenant, url) as client:
                async with begun(client, body) as pieces:
                    for _ in range(pieces_read - 1):
                        await anext(pieces)
                    assert relay._writers
                    assert not await is_over(app)
                await until(lambda: is_over(app))

            async def has_no_connection() -> bool:
                return not relay._writers

            await until(has_no_connection)


async def test_a_client_that_stops_reading_frees_everything(
    settings: Settings, library: Library
) -> None:
    body = await library.documents(10)
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        with service_of(settings, s3_endpoint_url=through, archive_stall_seconds=0.3) as (
            app,
            url,
        ):
            async with member_of(library.tenant, url) as client, begun(client, body) as pieces:
                await until(lambda: is_over(app))
                await assert_cut(pieces)
            assert not relay._writers


async def test_a_line_to_s3_that_breaks_is_not_noticed(
    settings: Settings, library: Library
) -> None:
    body = await library.documents(3)
    assert settings.s3_endpoint_url is not None
    async with FlakyRelay.to(settings.s3_endpoint_url) as (relay, through):
        with service_of(settings, s3_endpoint_url=through) as (_, url):
            async with (
                member_of(library.tenant, url) as client,
                client.stream("POST", PATH, json=body) as answer,
            ):
                raw, breaks = bytearray(), 0
                async for piece in answer.aiter_raw():
                    raw += piece
                    if len(raw) > (breaks + 1) * 4 * MB:
                        breaks += 1
                        relay.break_connections()
    assert breaks > 8
    assert_whole(bytes(raw), 3)


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 that may be killed."""
    server = S3Server(tmp_path / "s3", durable=False)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def service_on(
    server: S3Server, settings: Settings, tenant: TestTenant, make_writer: MakeWriter
) -> AsyncIterator[tuple[Watched, httpx.AsyncClient, Library]]:
    """A service, a member and a library on an S3 of their own."""
    place = {
        "s3_endpoint_url": server.endpoint_url,
        "s3_bucket": server.bucket,
        "s3_access_key_id": server.access_key_id,
        "s3_secret_access_key": SecretStr(server.secret_access_key),
    }
    with service_of(settings, **place) as (app, url):
        async with member_of(tenant, url, Role.USER) as client:
            yield app, client, await stock(tenant, make_writer, client)


async def test_an_s3_that_is_killed_cuts_the_archive(
    settings: Settings,
    tenant: TestTenant,
    make_writer: MakeWriter,
    own_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client sees a cut transfer, never a whole archive that is wrong."""
    monkeypatch.setattr("syncapi.server.usecases.archives.prefetch._PATIENCE", 0.3)
    async with service_on(own_s3, settings, tenant, make_writer) as (app, client, library):
        body = await library.documents(10)
        async with begun(client, body) as pieces:
            own_s3.kill()
            await assert_cut(pieces)
        await until(lambda: is_over(app))
        answer = await client.post(PATH, json=body)
        problem_of(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.slow
async def test_an_s3_that_is_killed_and_comes_back_is_waited_for(
    settings: Settings, tenant: TestTenant, make_writer: MakeWriter, own_s3: S3Server
) -> None:
    async with service_on(own_s3, settings, tenant, make_writer) as (_, client, library):
        body = await library.documents(6)
        async with client.stream("POST", PATH, json=body) as answer:
            pieces = answer.aiter_raw()
            raw = bytearray(await anext(pieces))
            own_s3.kill()
            restart = asyncio.create_task(asyncio.to_thread(own_s3.start))
            async for piece in pieces:
                raw += piece
            await restart
    assert_whole(bytes(raw), 6)


async def test_archives_are_bounded_by_tenant_and_by_process(
    settings: Settings, library: Library, make_tenant: MakeTenant
) -> None:
    other = await make_tenant()
    body = await library.documents(10)
    nothing = {"document_ids": [str(uuid4())]}
    with service_of(settings, archives_at_once=2) as (app, url):
        async with member_of(library.tenant, url) as mine, member_of(other, url) as theirs:
            async with begun(mine, body):
                refused = await mine.post(PATH, json=body)
                problem_of(refused, 429, "rate_limited")
                assert int(refused.headers["retry-after"]) > 0
                assert (await theirs.post(PATH, json=nothing)).status_code == 200
            await until(lambda: is_over(app))
            assert (await mine.post(PATH, json=nothing)).status_code == 200
    with service_of(settings, archives_at_once=1) as (app, url):
        async with (
            member_of(library.tenant, url) as mine,
            member_of(other, url) as theirs,
            begun(mine, body),
        ):
            refused = await theirs.post(PATH, json=nothing)
            problem_of(refused, 503, "unavailable")


async def test_a_service_that_is_told_to_end_does_so(
    settings: Settings, library: Library, tmp_path: Path
) -> None:
    """With an archive that nobody reads on: after its time of grace, and cut."""
    body = await library.documents(10)
    environment = environment_of(settings, shutdown_seconds="1")
    with service_process(environment, tmp_path) as service:
        async with member_of(library.tenant, service.url) as client, begun(client, body) as pieces:
            service.process.send_signal(signal.SIGTERM)
            ended = await asyncio.to_thread(service.process.wait, 30)
            await assert_cut(pieces)
    assert ended in {0, -signal.SIGTERM}


async def test_a_connection_that_nobody_reads_does_not_stay(
    settings: Settings, library: Library, tmp_path: Path
) -> None:
    """The service cannot close it, having bytes to send; the kernel can."""
    body = await library.documents(10)
    environment = environment_of(settings, archive_stall_seconds="1")
    with service_process(environment, tmp_path) as service:
        async with member_of(library.tenant, service.url) as client, begun(client, body):
            assert connections(service) == 1

            async def has_none() -> bool:
                return connections(service) == 0

            await until(has_none)


def connections(service: ServiceProcess) -> int:
    """Open ones to the service, as the kernel lists them."""
    port = f":{urlsplit(service.url).port:04X}"
    lines = Path(f"/proc/{service.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] in OPEN for line in lines)
