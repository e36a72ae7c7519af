"""A database that is not the tenant's: nothing is read there, written there, or deleted for it."""

from collections.abc import AsyncGenerator
from datetime import datetime
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx
import pytest
from typing_extensions import override

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.homes import OTHER, Homes
from fixtures.pulling import BEGINNING, ask, problem_of, pull
from fixtures.pushing import create, send
from fixtures.sending import content_of
from fixtures.uploads import document_of, upload
from syncapi.server.domain.access import operator
from syncapi.server.domain.errors import Conflict, Unavailable
from syncapi.server.domain.feed import Start
from syncapi.server.domain.retention import Retention
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.feed import read_page
from syncapi.server.postgres.feed_identity import check_own
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.storage.listing import BucketListing, ListedObject
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.tenants import TenantAdministration

UNUSED = Retention(files=AT_ONCE)


async def send_everything(client: httpx.AsyncClient, document: UUID, token: str) -> None:
    """Send a request of each kind; each is a 503 with the way out."""
    file = {"file": ("a.txt", b"new")}
    answers = [
        await ask(client, since=BEGINNING),
        await ask(client, cursor=token),
        await client.get(
            "/documents/sync",
            params={"cursor": token},
            headers={"If-None-Match": f'W/"{token[-16:]}"'},
        ),
        await send(client, create(uuid4())),
        await client.post("/documents", files=file),
        await client.post("/documents", files=file, headers={"Idempotency-Key": "one"}),
        await client.post("/files", json=content_of(b"declared")),
        await client.get("/documents"),
        await client.get(f"/documents/{document}"),
        await client.get(f"/documents/{document}/history"),
        await client.get(f"/documents/{document}/download-url"),
        await client.patch(f"/documents/{document}", json={"filename": "b.txt"}),
        await client.delete(f"/documents/{document}"),
        await client.post("/documents/batch-download", json={"document_ids": [str(document)]}),
    ]
    for answer in answers:
        problem = problem_of(answer, 503, "unavailable")
        assert "in the database 'other'" in problem.detail
        assert "syncapi feed open" in problem.detail
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("has_another", [False, True])
async def test_a_write_into_a_wrong_database_does_not_disarm_the_collector(
    homes: Homes, store: ObjectStore, *, has_another: bool
) -> None:
    """A move half done, or a wrong URL: for clients it is a failure that passes, not a loss."""
    tenant, client = homes.tenant, homes.client
    document = UUID((await upload(client, b"precious"))["id"])
    token = (await pull(client, since=BEGINNING)).sync_token
    known = await keys(store, tenant)
    collect = Collector(homes.databases, store, homes.control)
    if has_another:
        await homes.open_other(uuid4())
    await homes.name(OTHER)

    for _ in range(2):
        error = (await collect.outcome(tenant, UNUSED)).error
        assert error is not None
        assert "in the database 'other'" in error
        assert "Nothing was deleted" in error
        await send_everything(client, document, token)
    assert await keys(store, tenant) >= known
    for table in ("files", "documents", "direct_uploads", "idempotency_keys"):
        assert await homes.other.fetchval(f"SELECT count(*) FROM {table}") == 0

    await homes.name("default")
    assert (await pull(client, cursor=token)).sync_token == token
    assert document_of(await client.get(f"/documents/{document}"))["id"] == str(document)
    assert (await collect.outcome(tenant, UNUSED)).error is None
    assert await keys(store, tenant) == known


async def test_the_collector_stops_where_the_database_changes_under_it(
    homes: Homes, store: ObjectStore
) -> None:
    """The same connection, and the feed is another one from one step to the next."""
    await upload(homes.client, b"precious")
    collect = Collector(homes.databases, store, homes.control)
    assert (await collect.outcome(homes.tenant, UNUSED)).error is None
    async with homes.databases.database("default") as driver:
        await driver.execute(
            "UPDATE tenant_clock SET feed_id = $2 WHERE tenant_id = $1", homes.tenant.id, uuid4()
        )
    assert "another feed" in ((await collect.outcome(homes.tenant, UNUSED)).error or "")
    assert len(await keys(store, homes.tenant)) == 1


async def test_the_collector_looks_again_before_it_takes_bytes_for_nobodys(
    homes: Homes, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database changes after the last step that writes there, while the bucket is listed."""
    await upload(homes.client, b"precious")
    objects = BucketListing.objects

    async def listed(
        listing: BucketListing, prefix: str, before: datetime
    ) -> AsyncGenerator[list[ListedObject]]:
        async with homes.databases.database("default") as driver:
            await driver.execute("DELETE FROM documents WHERE tenant_id = $1", homes.tenant.id)
            await driver.execute("DELETE FROM files WHERE tenant_id = $1", homes.tenant.id)
            await driver.execute(
                "UPDATE tenant_clock SET feed_id = $2 WHERE tenant_id = $1",
                homes.tenant.id,
                uuid4(),
            )
        async for page in objects(listing, prefix, before):
            yield page

    monkeypatch.setattr(BucketListing, "objects", listed)
    collect = Collector(homes.databases, store, homes.control)
    assert "another feed" in ((await collect.outcome(homes.tenant, UNUSED)).error or "")
    assert len(await keys(store, homes.tenant)) == 1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE tenant_clock SET feed_id = gen_random_uuid() WHERE tenant_id = $1", "another"),
        ("DELETE FROM tenant_clock WHERE tenant_id = $1", "no feed"),
    ],
)
async def test_a_page_compares_feeds_whatever_its_connection_saw_before(
    homes: Homes, change: str, found: str
) -> None:
    """A pooler may lead a connection elsewhere from one statement to the next."""
    start = Start.since(0, filters=1)
    async with homes.databases.reading(homes.tenant.scope()) as connection:
        await read_page(connection, start, most=1, with_tombstones=True)
        await connection.driver.execute(change, homes.tenant.id)
        with pytest.raises(Unavailable, match=found):
            await read_page(connection, start, most=1, with_tombstones=True)


async def test_what_a_connection_has_seen_is_good_for_ten_seconds(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(
        "syncapi.server.postgres.feed_identity.time", SimpleNamespace(monotonic=lambda: now)
    )
    scope = homes.tenant.scope()
    async with homes.databases.reading(scope) as connection:
        change = "UPDATE tenant_clock SET feed_id = gen_random_uuid() WHERE tenant_id = $1"
        await connection.driver.execute(change, scope.tenant_id)
        now += 9.9
        await check_own(connection.connection, connection.driver, scope)
        now += 0.2
        with pytest.raises(Unavailable, match="another feed"):
            await check_own(connection.connection, connection.driver, scope)


async def test_a_feed_that_is_taken_out_while_it_is_written_to(homes: Homes) -> None:
    """The write began while the feed was there: the triggers refuse it."""
    document = UUID((await upload(homes.client, b"precious"))["id"])
    scope = homes.tenant.scope()

    async def work(tx: TenantConnection) -> None:
        async with homes.databases.database("default") as driver:
            await driver.execute("DELETE FROM tenant_clock WHERE tenant_id = $1", scope.tenant_id)
        await tx.driver.execute("DELETE FROM documents WHERE id = $1", document)

    with pytest.raises(Unavailable):
        await homes.databases.writing(scope, work)


async def test_a_moved_tenant_goes_on_with_its_feed(homes: Homes) -> None:
    """Copied with its feed's id, and not with that of another one."""
    feed_id = await homes.feed_id()
    assert feed_id is not None
    await homes.open_other(feed_id)
    await homes.name(OTHER)
    await pull(homes.client, since=BEGINNING)
    await upload(homes.client, b"after the move")
    assert await homes.other.fetchval("SELECT count(*) FROM documents") == 1


class TestOpen:
    async def test_what_the_named_database_has_is_adopted(self, homes: Homes) -> None:
        feed_id = uuid4()
        await homes.open_other(feed_id)
        await homes.name(OTHER)
        for _ in range(2):
            found = await homes.feeds.open(str(homes.tenant.id))
            assert found.feed_id == feed_id == await homes.feed_id()
        await pull(homes.client, since=BEGINNING)

    async def test_nothing_is_opened_unasked(self, homes: Homes) -> None:
        await homes.name(OTHER)
        before = await homes.feed_id()
        with pytest.raises(Conflict, match="--empty"):
            await homes.feeds.open(str(homes.tenant.id))
        assert await homes.feed_id() == before
        assert await homes.other.fetchval("SELECT count(*) FROM tenant_clock") == 0

    async def test_an_empty_feed_is_another_one(self, homes: Homes) -> None:
        """So that the database of before is not taken for it."""
        await homes.name(OTHER)
        before = await homes.feed_id()
        await homes.feeds.open(str(homes.tenant.id), empty=True)
        assert await homes.feed_id() != before
        await upload(homes.client, b"anew")
        await homes.name("default")
        problem_of(await ask(homes.client, since=BEGINNING), 503, "unavailable")


class TestAdoption:
    async def test_the_only_feed_is_adopted(self, homes: Homes) -> None:
        feed_id = await homes.feed_id()
        await homes.forget_feed()
        refused = problem_of(await ask(homes.client, since=BEGINNING), 503, "unavailable")
        assert "syncapi migrate" in refused.detail
        left = await homes.feeds.adopt([OTHER], is_dry=True)
        assert homes.tenant.id in {one.tenant.id for one in left}
        left = await homes.feeds.adopt([OTHER])
        assert homes.tenant.id not in {one.tenant.id for one in left}
        assert await homes.feed_id() == feed_id
        await pull(homes.client, since=BEGINNING)

    @pytest.mark.parametrize("is_opened_there", [True, False])
    async def test_what_is_in_two_places_or_in_none_is_not(
        self, homes: Homes, *, is_opened_there: bool
    ) -> None:
        await homes.forget_feed()
        if is_opened_there:
            await homes.open_other(uuid4())
        else:
            await homes.name(OTHER)
        left = {one.tenant.id: one.why for one in await homes.feeds.adopt([OTHER])}
        where = "default, other" if is_opened_there else "none"
        assert f"feeds of it are in: {where}" in left[homes.tenant.id]
        assert await homes.feed_id() is None


class DyingControl(ControlStore):
    """Of a process that dies before it has written a tenant's row."""

    @override
    async def add_tenant(self, tenant_id: UUID, **_: object) -> Tenant | None:
        raise ConnectionError(tenant_id)


async def test_a_creation_that_was_cut_off_is_repeated(databases: Databases) -> None:
    """The feed was opened already: nobody reads it, and it stands in nobody's way."""
    name = f"Cut off {uuid4()}"
    dying = TenantAdministration(DyingControl(databases.control), databases, Invalidations(None))
    with pytest.raises(ConnectionError) as died:
        await dying.create(name)
    control = ControlStore(databases.control)
    tenant = await TenantAdministration(control, databases, Invalidations(None)).create(name)
    assert tenant.id != died.value.args[0]
    async with databases.reading(operator(tenant.id, tenant.database, tenant.feed_id)):
        pass
