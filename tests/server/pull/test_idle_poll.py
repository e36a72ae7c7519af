"""Polls of tenants in which nothing has happened: cheap, and never wrong."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from fixtures.postgres_relay import PostgresRelay
from fixtures.pulling import BEGINNING, Parameter, Replica, ask, deleted, page_of, problem_of
from fixtures.server import serving
from fixtures.service import TestTenant, token_of
from fixtures.until import until
from fixtures.writing import MakeWriter, SqlWriter
from syncapi.server.domain.access import Role
from syncapi.server.main import create_app
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.redis.client import connect
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.usecases.tenants import TenantAdministration

CROWD = 30


@dataclass
class Poller:
    """A client that is up to date and polls."""

    client: httpx.AsyncClient
    cursor: str = ""
    etag: str = ""

    async def catch_up(self, **query: Parameter) -> None:
        """Pull to the end, and once more for the validator."""
        replica = Replica(self.client, token=self.cursor or None)
        await replica.pull_run(**query)
        assert replica.token is not None
        self.cursor = replica.token
        answer = await ask(self.client, cursor=self.cursor, **query)
        assert page_of(answer).sync_token == self.cursor
        self.etag = answer.headers["etag"]

    async def poll(self, **query: Parameter) -> httpx.Response:
        params = {"cursor": self.cursor} | {name: str(v).lower() for name, v in query.items()}
        return await self.client.get(
            "/documents/sync", params=params, headers={"If-None-Match": self.etag}
        )


class Arrivals:
    """Counts the requests that have come to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._count += scope["type"] == "http"
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def awaited(self, number: int) -> AsyncIterator[None]:
        """Do not leave the block before so many more have come."""
        wanted = self._count + number

        async def have_come() -> bool:
            return self._count >= wanted

        yield
        await until(have_come)


@dataclass(frozen=True)
class Running:
    """A service of the test's own."""

    url: str
    arrivals: Arrivals


@asynccontextmanager
async def served(settings: Settings, **changes: Any) -> AsyncIterator[Running]:  # noqa: ANN401
    """The service with other settings; its sockets may lead through this event loop."""
    arrivals = Arrivals(create_app(settings.model_copy(update=changes)))
    server = serving(arrivals)
    url = await asyncio.to_thread(server.__enter__)
    try:
        yield Running(url, arrivals)
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@asynccontextmanager
async def served_through_relay(
    settings: Settings,
) -> AsyncIterator[tuple[Running, PostgresRelay]]:
    url = settings.database_url.get_secret_value()
    async with (
        PostgresRelay.to(url) as (relay, relay_url),
        served(settings, database_url=SecretStr(relay_url)) as service,
    ):
        yield service, relay


MakePoller = Callable[..., Awaitable[Poller]]


@pytest.fixture
async def make_poller(service_url: str, tenant: TestTenant) -> AsyncIterator[MakePoller]:
    """Makes pollers of the tenant, by default of its viewer at the service of this worker."""
    async with AsyncExitStack() as stack:

        async def make(service: Running | None = None, token: str | None = None) -> Poller:
            headers = {"Authorization": f"Bearer {token or tenant.tokens[Role.VIEWER]}"}
            url = f"{service.url if service else service_url}/api/tenants/{tenant.id}"
            client = httpx.AsyncClient(base_url=url, headers=headers, timeout=60)
            poller = Poller(await stack.enter_async_context(client))
            await poller.catch_up()
            return poller

        yield make


@pytest.fixture
async def writer(tenant: TestTenant, make_writer: MakeWriter) -> SqlWriter:
    writer = await make_writer(tenant.id)
    await writer.insert_one()
    return writer


@pytest.fixture
async def poller(writer: SqlWriter, make_poller: MakePoller) -> Poller:  # noqa: ARG001
    """One of a tenant that has a document."""
    return await make_poller()


async def test_it_is_not_modified(poller: Poller) -> None:
    for _ in range(3):
        answer = await poller.poll()
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == poller.etag
        assert answer.headers["x-request-id"]
        assert answer.headers["cache-control"] == "no-store"


async def test_without_a_validator_the_page_is_empty(poller: Poller) -> None:
    answer = await ask(poller.client, cursor=poller.cursor)
    page = page_of(answer)
    assert (page.added, page.modified, page.deleted) == ([], [], [])
    assert page.sync_token == poller.cursor


async def test_of_a_tenant_without_documents(make_poller: MakePoller) -> None:
    assert (await (await make_poller()).poll()).status_code == 304


@pytest.mark.parametrize(
    "query", [{"per_page": 1}, {"per_page": 500, "include_urls": False}, {"include_deleted": True}]
)
async def test_of_whatever_size_of_page(poller: Poller, query: dict[str, Parameter]) -> None:
    assert (await poller.poll(**query)).status_code == 304


@pytest.mark.parametrize("spelt", ["1", "yes", "on", "True"])
async def test_of_whatever_spelling(poller: Poller, spelt: str) -> None:
    params = {"cursor": poller.cursor, "include_deleted": spelt}
    headers = {"If-None-Match": poller.etag}
    answer = await poller.client.get("/documents/sync", params=params, headers=headers)
    assert answer.status_code == 304


class TestChanges:
    """Never 304 when something changed."""

    @pytest.mark.parametrize("change", [SqlWriter.touch, SqlWriter.delete, SqlWriter.erase, None])
    async def test_each_is_noticed(
        self, poller: Poller, writer: SqlWriter, change: Callable[..., Awaitable[None]] | None
    ) -> None:
        if change is None:
            await writer.insert_one()
        else:
            await change(writer, *await writer.live())
        page = page_of(await poller.poll())
        assert len(page.added) + len(page.modified) + len(page.deleted) == 1

    async def test_what_the_filter_hides_still_moves_the_cursor(
        self, poller: Poller, writer: SqlWriter
    ) -> None:
        """Else it would stay behind until the tombstone is collected, and expire."""
        poller.cursor = ""
        await poller.catch_up(include_deleted=False)
        await writer.delete(*await writer.live())
        answer = await poller.poll(include_deleted=False)
        page = page_of(answer)
        assert page.deleted == []
        assert page.sync_token != poller.cursor
        await writer.collect_tombstones()
        page_of(await ask(poller.client, cursor=page.sync_token, include_deleted=False))

    async def test_a_page_inside_a_run_is_no_poll(self, poller: Poller, writer: SqlWriter) -> None:
        first, second = sorted(uuid4() for _ in range(2))
        await writer.insert(first, second)
        page = page_of(await ask(poller.client, cursor=poller.cursor, per_page=1))
        await writer.touch(second)  # the rest of the run has moved out of it
        poller.cursor, poller.etag = page.sync_token, f'W/"{page.sync_token[-16:]}"'
        rest = page_of(await poller.poll())
        assert rest.sync_token != poller.cursor

    async def test_one_that_is_committed_during_a_read_is_noticed_by_the_next_poll(
        self, settings: Settings, writer: SqlWriter, make_poller: MakePoller
    ) -> None:
        async with served_through_relay(settings) as (service, relay):
            early, late = await make_poller(service), await make_poller(service)
            relay.hold_answers()
            first = asyncio.create_task(early.poll())
            await relay.answer_is_held()
            await writer.delete(*await writer.live())
            async with service.arrivals.awaited(1):
                second = asyncio.create_task(late.poll())
            relay.release()
            assert len(deleted(page_of(await second))) == 1
            await first

    @pytest.mark.parametrize("seed", range(2))
    async def test_at_random_among_others_that_poll(
        self, poller: Poller, make_poller: MakePoller, writer: SqlWriter, seed: int
    ) -> None:
        chance = random.Random(seed)
        over = asyncio.Event()

        async def keep_polling(other: Poller) -> None:
            while not over.is_set():
                await other.poll()

        others = [asyncio.create_task(keep_polling(await make_poller())) for _ in range(2)]
        for _ in range(15):
            for _ in range(chance.randint(0, 2)):
                assert (await poller.poll()).status_code == 304
            await _write_something(writer, chance)
            assert (await poller.poll()).status_code == 200
            await poller.catch_up()
        over.set()
        await asyncio.gather(*others)


async def _write_something(writer: SqlWriter, chance: random.Random) -> None:
    """Commit one change that is one."""
    live = list(await writer.live())
    if not live or chance.random() < 0.4:
        await writer.insert(*(uuid4() for _ in range(chance.randint(1, 3))))
        return
    change = chance.choice((SqlWriter.touch, SqlWriter.delete, SqlWriter.erase))
    await change(writer, *chance.sample(live, 1))


class TestCost:
    """No query of its own."""

    async def test_one_poll_is_one_read_of_a_head(
        self, settings: Settings, make_poller: MakePoller
    ) -> None:
        async with served_through_relay(settings) as (service, relay):
            poller = await make_poller(service)
            before = relay.statements
            assert (await poller.poll()).status_code == 304
            assert relay.statements == before + 1

    async def test_many_polls_at_once_share_one(
        self, settings: Settings, make_poller: MakePoller
    ) -> None:
        async with served_through_relay(settings) as (service, relay):
            early, *crowd = [await make_poller(service) for _ in range(CROWD)]
            relay.hold_answers()
            first = asyncio.create_task(early.poll())
            await relay.answer_is_held()
            before = relay.statements
            async with service.arrivals.awaited(len(crowd)):
                polls = [asyncio.create_task(poller.poll()) for poller in crowd]
            relay.release()
            answers = await asyncio.gather(first, *polls)
            assert {answer.status_code for answer in answers} == {304}
            assert relay.statements == before + 1

    async def test_a_database_that_is_gone_is_not_taken_for_idle(
        self, settings: Settings, make_poller: MakePoller
    ) -> None:
        async with served_through_relay(settings) as (service, relay):
            poller = await make_poller(service)
            await relay.cut()
            problem_of(await poller.poll(), 503, "unavailable")
            await relay.restore()
            assert (await poller.poll()).status_code == 304


class TestValidators:
    """Whatever is not plainly idle is answered by the route."""

    @pytest.mark.parametrize(
        "etag", ['W/"AAAAAAAAAAAAAAAA"', "", '""', "W/", "nonsense", 'w/"x"', "\x80"]
    )
    async def test_another_etag(self, poller: Poller, etag: str) -> None:
        poller.etag = etag
        headers = {b"If-None-Match": etag.encode("latin-1")}
        params = {"cursor": poller.cursor}
        page_of(await poller.client.get("/documents/sync", params=params, headers=headers))

    @pytest.mark.parametrize(
        "lines",
        [
            ['"x", {}'],
            ['{}, W/"x"'],
            [', W/"x,y" ,{},'],
            ['"x"', "{}"],
            ["{}", '"x"'],
            ["{strong}"],
            ["*"],
        ],
        ids=str,
    )
    async def test_one_of_a_list_is_enough(self, poller: Poller, lines: list[str]) -> None:
        """RFC 9110 §13.1.2; the comparison is the weak one."""
        strong = poller.etag.removeprefix("W/")
        told = [line.format(poller.etag, strong=strong) for line in lines]
        answer = await poller.client.get(
            "/documents/sync",
            params={"cursor": poller.cursor},
            headers=[("If-None-Match", line) for line in told],
        )
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == poller.etag

    async def test_a_list_that_does_not_name_it(self, poller: Poller, writer: SqlWriter) -> None:
        headers = {"If-None-Match": f'"x", {poller.etag[:-2]}"'}
        params = {"cursor": poller.cursor}
        page_of(await poller.client.get("/documents/sync", params=params, headers=headers))
        await writer.insert_one()
        headers = {"If-None-Match": f'"x", {poller.etag}'}
        page_of(await poller.client.get("/documents/sync", params=params, headers=headers))

    async def test_the_etag_of_another_cursor(self, poller: Poller, writer: SqlWriter) -> None:
        old = poller.etag
        await writer.insert_one()
        await poller.catch_up()
        assert poller.etag != old
        poller.etag = old
        page_of(await poller.poll())

    async def test_a_page_with_changes_has_none(self, poller: Poller, writer: SqlWriter) -> None:
        await writer.insert_one()
        assert "etag" not in (await ask(poller.client, cursor=poller.cursor)).headers
        assert "etag" not in (await ask(poller.client, since=BEGINNING)).headers

    @pytest.mark.parametrize(
        "wrong",
        [
            {"per_page": 0},
            {"per_page": 501},
            {"per_page": "\N{ARABIC-INDIC DIGIT FIVE}"},
            {"include_urls": "maybe"},
            {"include_deleted": ""},
            {"page": 2},
            {"since": BEGINNING},
            {"unknown": 1},
            {"Cursor": "x"},
        ],
    )
    async def test_invalid_parameters(self, poller: Poller, wrong: dict[str, Parameter]) -> None:
        problem = problem_of(await poller.poll(**wrong), 400, "invalid_request")
        assert next(iter(wrong)) in [error.field for error in problem.errors]

    async def test_a_repeated_parameter(self, poller: Poller) -> None:
        answer = await poller.client.get(
            f"/documents/sync?cursor={poller.cursor}&cursor={poller.cursor}",
            headers={"If-None-Match": poller.etag},
        )
        problem_of(answer, 400, "invalid_request")

    async def test_other_filters(self, poller: Poller) -> None:
        problem_of(await poller.poll(include_deleted=False), 400, "invalid_cursor")

    async def test_an_altered_cursor(self, poller: Poller) -> None:
        """The validator is its end, so the beginning is altered."""
        poller.cursor = "B" + poller.cursor[1:]
        problem_of(await poller.poll(), 400, "invalid_cursor")

    async def test_a_voided_cursor(self, poller: Poller, writer: SqlWriter) -> None:
        await writer.connection.execute("SELECT feed.void_cursors()")
        problem_of(await poller.poll(), 410, "cursor_expired")

    async def test_another_method(self, poller: Poller) -> None:
        answer = await poller.client.request(
            "OPTIONS",
            "/documents/sync",
            params={"cursor": poller.cursor},
            headers={"If-None-Match": poller.etag},
        )
        assert answer.status_code == 405


class TestAccess:
    """Never 304 for who may not know it."""

    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Basic eDp5"])
    async def test_no_token(self, poller: Poller, header: str | None) -> None:
        del poller.client.headers["Authorization"]
        if header is not None:
            poller.client.headers["Authorization"] = header
        problem_of(await poller.poll(), 401, "unauthenticated")

    async def test_a_stranger(self, poller: Poller, settings: Settings) -> None:
        poller.client.headers["Authorization"] = f"Bearer {token_of(settings, uuid4())}"
        for _ in range(2):  # also when it is remembered that there is no membership
            problem_of(await poller.poll(), 404, "not_found")

    async def test_another_tenant(
        self, poller: Poller, make_tenant: Callable[[], Awaitable[TestTenant]]
    ) -> None:
        other = await make_tenant()
        stranger = Poller(other.viewer)
        await stranger.catch_up()
        stranger.cursor, stranger.etag = poller.cursor, poller.etag
        problem_of(await stranger.poll(), 400, "invalid_cursor")

    async def test_a_token_that_expires(
        self, settings: Settings, tenant: TestTenant, make_poller: MakePoller
    ) -> None:
        brief = token_of(settings, tenant.members[Role.VIEWER], lifetime=3)
        async with served(settings, jwt_leeway=0) as service:
            poller = await make_poller(service)
            poller.client.headers["Authorization"] = f"Bearer {brief}"
            await until(_answers(poller, 401))

    async def test_a_removed_member_beyond_the_time_of_the_cache(
        self,
        settings: Settings,
        tenant: TestTenant,
        administration: TenantAdministration,
        make_poller: MakePoller,
    ) -> None:
        """Nobody tells the service: it asks again by itself."""
        async with served(settings, membership_cache_seconds=1) as service:
            poller = await make_poller(service)
            await administration.remove_member(str(tenant.id), tenant.members[Role.VIEWER])
            await until(_answers(poller, 404))
            assert (await poller.poll()).status_code == 404

    async def test_without_a_cache_a_removed_member_is_out_at_once(
        self,
        settings: Settings,
        tenant: TestTenant,
        administration: TenantAdministration,
        make_poller: MakePoller,
    ) -> None:
        async with served(settings, membership_cache_seconds=0) as service:
            poller = await make_poller(service)
            await administration.remove_member(str(tenant.id), tenant.members[Role.VIEWER])
            problem_of(await poller.poll(), 404, "not_found")

    @pytest.mark.parametrize("verb", ["remove", "suspend"])
    async def test_what_an_operator_does_counts_at_once(
        self,
        settings: Settings,
        databases: Databases,
        tenant: TestTenant,
        make_poller: MakePoller,
        verb: str,
    ) -> None:
        """The cache would last an hour: it is the news that ends it."""
        assert settings.redis_url is not None
        async with (
            served(settings, membership_cache_seconds=3600) as service,
            connect(settings.redis_url.get_secret_value()) as redis,
        ):
            poller = await make_poller(service)
            assert (await poller.poll()).status_code == 304
            operator = TenantAdministration(
                ControlStore(databases.control), databases, Invalidations(redis)
            )
            await _let_no_longer_in(operator, tenant, verb)
            await until(_answers(poller, 404))


async def _let_no_longer_in(operator: TenantAdministration, tenant: TestTenant, verb: str) -> None:
    if verb == "suspend":
        await operator.set_active(str(tenant.id), is_active=False)
    else:
        await operator.remove_member(str(tenant.id), tenant.members[Role.VIEWER])


def _answers(poller: Poller, status: int) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        found = (await poller.poll()).status_code
        assert found in {200, 304, status}
        return found == status

    return answers
