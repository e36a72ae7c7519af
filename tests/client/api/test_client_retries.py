"""What is tried again, how long it waits for that, and that nothing is done twice by it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from typing_extensions import override

from fixtures.client_faults import (
    Fault,
    FaultyTransport,
    WatchedRetries,
    answer_lost,
    answered,
    not_connected,
)
from fixtures.client_service import MakeClient
from fixtures.flaky import FlakyRelay
from fixtures.raw_server import CLOSED, RawServer, raw_answer
from fixtures.server import serving
from fixtures.service import TestTenant
from syncapi.client import (
    Client,
    RateLimited,
    RetryPolicy,
    ServerError,
    Unreachable,
)
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.push import CreateChange
from syncapi.server.domain.access import Role
from syncapi.server.main import create_app
from syncapi.server.settings import Settings

Faulty = Callable[..., tuple[Client, FaultyTransport]]


@pytest.fixture
def faulty(make_client: MakeClient, tenant: TestTenant) -> Faulty:
    """A client whose next requests are broken, and the transport that breaks them."""

    def make(*faults: Fault, retry: RetryPolicy | None = None) -> tuple[Client, FaultyTransport]:
        transport = FaultyTransport()
        transport.break_next(*faults)
        retry = retry or WatchedRetries()
        return make_client(tenant, transport=transport, retry=retry), transport

    return make


def test_waits_double_up_to_a_limit() -> None:
    policy = RetryPolicy(first_wait=1, longest_wait=10, jitter=0)
    assert [policy.wait(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert policy.wait(10_000) == 10


def test_waits_are_left_to_chance_in_part() -> None:
    policy = RetryPolicy(first_wait=1, longest_wait=10, jitter=0.5)
    waits = {policy.wait(3) for _ in range(200)}
    assert len(waits) > 100
    assert min(waits) >= 2
    assert max(waits) <= 4


def test_waits_at_least_as_long_as_was_asked_for() -> None:
    policy = RetryPolicy(first_wait=1, longest_wait=10)
    waits = [policy.wait(1, retry_after=5) for _ in range(200)]
    assert len(set(waits)) > 100, "else all that were refused together come back together"
    assert min(waits) >= 5
    assert max(waits) <= 5.5
    assert RetryPolicy(longest_wait=10, jitter=0).wait(1, retry_after=3600) == 10


@pytest.mark.parametrize("options", [{"attempts": 0}, {"jitter": 1.1}, {"jitter": -0.1}])
def test_policies_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="it"):
        RetryPolicy(**options)


@pytest.mark.parametrize(
    "fault",
    [answer_lost, not_connected, answered(429), answered(502), answered(503), answered(504)],
)
async def test_goes_on_after_what_may_pass(faulty: Faulty, fault: Fault) -> None:
    client, transport = faulty(fault, fault)
    assert (await client.documents()).documents == []
    assert len(transport.seen) == 3
    assert isinstance(client.retry, WatchedRetries)
    assert 0.1 <= client.retry.waits[0] <= 0.2 <= client.retry.waits[1] <= 0.4


@pytest.mark.parametrize("fault", [answered(400), answered(404), answered(500), answered(501)])
async def test_does_not_repeat_what_will_not_pass(faulty: Faulty, fault: Fault) -> None:
    client, transport = faulty(fault)
    with pytest.raises(Exception, match="no answer of syncapi"):
        await client.documents()
    assert len(transport.seen) == 1


async def test_gives_up_in_the_end(faulty: Faulty) -> None:
    client, transport = faulty(*[not_connected] * 4, retry=WatchedRetries(attempts=4))
    with pytest.raises(Unreachable, match="nobody there"):
        await client.documents()
    assert len(transport.seen) == 4
    client, _ = faulty(*[answered(503)] * 6)
    with pytest.raises(ServerError):
        await client.documents()


async def test_waits_as_long_as_retry_after_says(faulty: Faulty) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=15))
    client, _ = faulty(
        answered(503, retry_after="3"),
        answered(503, retry_after=moment),
        answered(503, retry_after="soon"),
        answered(429, retry_after="600"),
    )
    await client.documents()
    assert isinstance(client.retry, WatchedRetries)
    three, fifteen, none, capped = client.retry.waits
    assert 3 <= three < 4
    assert 10 < fifteen < 16
    assert none < 1
    assert 20 <= capped < 21


async def test_a_rate_limit_is_waited_out(
    make_client: MakeClient, tenant: TestTenant, settings: Settings
) -> None:
    class Waiting(WatchedRetries):
        @override
        async def pause(self, failures: int, retry_after: float | None = None) -> None:
            assert retry_after is not None
            await super().pause(failures, retry_after)
            await asyncio.sleep(self.waits[-1])

    limited = settings.model_copy(update={"rate_limit": "3 per 1 second"})
    with serving(create_app(limited)) as url:
        retry = Waiting()
        client = make_client(tenant, url=url, retry=retry)
        for _ in range(5):
            await client.documents()
        assert retry.waits
        assert retry.waits[0] >= 1

        impatient = make_client(tenant, url=url, retry=WatchedRetries(attempts=1))
        with pytest.raises(RateLimited) as raised:
            await asyncio.gather(*(impatient.documents() for _ in range(8)))
        assert raised.value.retry_after == 1


@asynccontextmanager
async def behind_a_relay(settings: Settings) -> AsyncIterator[tuple[FlakyRelay, str]]:
    """A service whose database can go away."""
    url = settings.database_url.get_secret_value()
    async with FlakyRelay.to(url) as (relay, database_url):
        own = settings.model_copy(update={"database_url": SecretStr(database_url)})
        with serving(create_app(own)) as service:
            yield relay, service


async def test_a_database_that_is_away_for_a_moment(
    make_client: MakeClient, tenant: TestTenant, settings: Settings
) -> None:
    async with behind_a_relay(settings) as (relay, url):
        retry = WatchedRetries(attempts=20, meanwhile=relay.restore)
        client = make_client(tenant, url=url, retry=retry)
        document = await client.upload_document(b"one", "one.txt")
        await relay.cut()
        renamed = await client.change_document(document.id, DocumentChanges(filename="two.txt"))
        assert renamed.filename == "two.txt"
        assert retry.waits
        await relay.cut()
        with pytest.raises(ServerError) as raised:
            await make_client(tenant, url=url, retry=WatchedRetries(attempts=2)).document(
                document.id
            )
        assert (raised.value.code, raised.value.problem.status) == ("unavailable", 503)


async def test_a_body_that_is_cut_off_is_asked_for_again() -> None:
    cut = raw_answer(200, b'{"success": tr', content_type="application/json", content_length="99")
    async with RawServer.answering(cut, CLOSED, cut) as server:
        retry = WatchedRetries(attempts=3)
        async with Client(server.url, uuid4(), "token", retry=retry) as client:
            with pytest.raises(Unreachable):
                await client.documents()
        assert server.count == 3


async def test_an_upload_whose_answer_was_lost_is_one_document(faulty: Faulty) -> None:
    client, transport = faulty(answer_lost, answer_lost)
    document = await client.upload_document(b"bytes of it" * 1000, "one.txt")
    assert [seen.status for seen in transport.seen] == [201, 201, 201]
    assert len({seen.headers["Idempotency-Key"] for seen in transport.seen}) == 1
    assert (await client.documents()).documents == [document]


async def test_a_restore_whose_answer_was_lost_is_one_version(faulty: Faulty) -> None:
    client, transport = faulty()
    document = await client.upload_document(b"one", "one.txt")
    await client.change_document(document.id, DocumentChanges(filename="two.txt"))
    transport.break_next(answer_lost)
    restored = await client.restore(document.id, document.updated_at)
    assert len({seen.headers["Idempotency-Key"] for seen in transport.seen[-2:]}) == 1
    assert len((await client.history(document.id)).versions) == 3
    assert await client.document(document.id) == restored


async def test_a_push_whose_answer_was_lost_is_one_change(faulty: Faulty) -> None:
    client, transport = faulty()
    file = (await client.upload_document(b"one", "one.txt")).file
    change = CreateChange(
        op="create",
        change_id=uuid4(),
        id=uuid4(),
        filename="made.txt",
        mime_type="text/plain",
        file_id=file.id,
    )
    transport.break_next(answer_lost)
    (result,) = (await client.push([change])).results
    assert result.status == "unchanged"
    assert result.document is not None
    assert len((await client.history(change.id)).versions) == 1


async def test_a_conditional_change_whose_answer_was_lost_was_made(faulty: Faulty) -> None:
    client, transport = faulty()
    document = await client.upload_document(b"one", "one.txt")
    transport.break_next(answer_lost)
    changes = DocumentChanges(filename="two.txt", mime_type="text/x-own")
    changed = await client.change_document(document.id, changes, if_match=document.updated_at)
    assert [seen.status for seen in transport.seen[-2:]] == [200, 200]
    assert (changed.filename, changed.mime_type) == ("two.txt", "text/x-own")
    assert await client.document(document.id) == changed


async def test_a_conditional_deletion_whose_answer_was_lost_was_made(faulty: Faulty) -> None:
    client, transport = faulty()
    document = await client.upload_document(b"one", "one.txt")
    transport.break_next(answer_lost)
    await client.delete_document(document.id, if_match=document.updated_at)
    transport.break_next(answer_lost)
    await client.delete_document(document.id, hard=True)
    assert (await client.documents()).documents == []


async def test_a_server_that_does_not_answer_in_time(tenant: TestTenant, service_url: str) -> None:
    async with FlakyRelay.to(service_url) as (relay, url):

        async def thaw() -> None:
            await relay.restore()

        retry = WatchedRetries(meanwhile=thaw)
        async with Client(
            url, tenant.id, tenant.tokens[Role.ADMIN], retry=retry, timeout=0.3
        ) as client:
            await client.documents()
            relay.freeze()
            await client.documents()
    assert len(retry.waits) == 1


async def test_a_connection_that_was_reset(tenant: TestTenant, service_url: str) -> None:
    async with FlakyRelay.to(service_url) as (relay, url):
        retry = WatchedRetries(meanwhile=relay.restore)
        async with Client(url, tenant.id, tenant.tokens[Role.ADMIN], retry=retry) as client:
            await client.documents()
            await relay.cut()
            await client.documents()
    assert retry.waits
