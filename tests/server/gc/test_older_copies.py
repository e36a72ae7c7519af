"""Older copies of a tenant's database: nothing that the original needs is deleted for them."""

from uuid import UUID

import asyncpg
import httpx
import pytest
from typing_extensions import override

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.failovers import Failover
from fixtures.homes import OTHER, Homes
from fixtures.pushing import create, push_one
from fixtures.sending import content_of, declare, pending, send, sent
from fixtures.uploads import upload
from syncapi.server.domain.retention import Collected, Garbage, Retention
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.feeds import FeedAdministration
from syncapi.server.usecases.gc.run import GarbageCollection

UNUSED = Retention(files=AT_ONCE, uploads=AT_ONCE)
BYTES = {Garbage.OBJECTS, Garbage.FILES, Garbage.UPLOADS}


@pytest.mark.parametrize("is_written_to", [False, True])
async def test_an_older_copy_does_not_disarm_the_collector(
    homes: Homes, store: ObjectStore, *, is_written_to: bool
) -> None:
    """It has the tenant's own feed. What was restored is collected once an operator says so."""
    tenant, client = homes.tenant, homes.client
    collect = Collector(homes.databases, store, homes.control)
    await upload(client, b"old")
    await homes.copy_to_other()
    await upload(client, b"precious")
    assert (await collect.outcome(tenant, UNUSED)).error is None
    known = await keys(store, tenant)
    assert len(known) == 2
    await homes.name(OTHER)
    if is_written_to:
        await upload(client, b"written into the copy")

    for _ in range(2):
        error = (await collect.outcome(tenant, UNUSED)).error or ""
        assert "Nothing was deleted" in error
        assert "syncapi feed void" in error
    assert await keys(store, tenant) >= known

    await homes.name("default")
    assert (await collect.outcome(tenant, UNUSED)).error is None
    await homes.name(OTHER)
    await homes.feeds.void(lambda _: None, reference=str(tenant.id))
    assert (await collect.outcome(tenant, UNUSED)).error is None
    assert not await keys(store, tenant) >= known


async def test_a_collection_goes_on_after_a_move(homes: Homes, store: ObjectStore) -> None:
    """It is a fork, as a start of the server is, that keeps all that there was."""
    collect = Collector(homes.databases, store, homes.control)
    await upload(homes.client, b"one")
    assert (await collect.outcome(homes.tenant, UNUSED)).error is None
    await homes.copy_to_other()
    await homes.name(OTHER)
    for _ in range(2):
        await upload(homes.client, b"two")
        assert (await collect.outcome(homes.tenant, UNUSED)).error is None


async def test_a_dry_collection_notes_nothing(homes: Homes, store: ObjectStore) -> None:
    collect = Collector(homes.databases, store, homes.control)
    assert (await collect.outcome(homes.tenant, UNUSED, is_dry=True)).error is None
    assert await homes.control.collected_at(homes.tenant.id) is None


@pytest.fixture
def collect(homes: Homes, store: ObjectStore) -> Collector:
    """Knows both databases."""
    return Collector(homes.databases, store, homes.control)


async def refused(homes: Homes, collect: Collector) -> bool:
    """Whether a collection deletes nothing, and says what an operator can do."""
    error = (await collect.outcome(homes.tenant, UNUSED)).error
    if error is None:
        return False
    assert "Nothing was deleted" in error
    assert "syncapi feed void" in error
    return True


async def confirm(homes: Homes) -> None:
    """Run `syncapi feed void`: an operator says that the database is the tenant's."""
    (voided,) = await homes.feeds.void(lambda _: None, reference=str(homes.tenant.id))
    assert voided.error is None


async def add_file(homes: Homes, *, days_old: float) -> None:
    """Add a file to the other database that nothing refers to."""
    await homes.other.execute(
        "INSERT INTO files (tenant_id, md5_hash, sha256_hash, s3_path, file_size, updated_at) "
        "VALUES ($1, repeat('a', 32), repeat('a', 64), 'a', 1, now() - $2 * interval '1 day')",
        *(homes.tenant.id, days_old),
    )


@pytest.fixture
async def in_other(homes: Homes) -> asyncpg.Connection:
    """The tenant has moved to the other database, which is its own."""
    await homes.move_to_other()
    return homes.other


class TestCopiesFromAfterTheLastCollection:
    """Such a copy has all that the collector saw, and lacks what came after."""

    @pytest.fixture
    async def needed(self, homes: Homes, collect: Collector, store: ObjectStore) -> set[str]:
        """What the original needs of the bucket when its copy has taken its place."""
        await upload(homes.client, b"old")
        assert await collect(homes.tenant) == {}
        under_way = await declare(homes.client, content_of(b"under way"))
        invitation = pending(under_way)
        await send(invitation, invitation.parts, lambda *_: b"under way")
        unused = await sent(homes.client, b"not referred to yet")
        await homes.copy_to_other()
        await homes.other.execute("UPDATE direct_uploads SET expires_at = now() - interval '1 h'")
        await upload(homes.client, b"new")
        await store.multipart.begin(f"{homes.tenant.id}/large", "text/plain")
        for file_id in (unused, await sent(homes.client, b"under way")):
            assert (await push_one(homes.client, create(file_id))).status == "applied"
        await homes.name(OTHER)
        return await keys(store, homes.tenant)

    @pytest.mark.parametrize("is_written_to", [False, True])
    async def test_what_the_original_needs_stays(
        self,
        homes: Homes,
        collect: Collector,
        needed: set[str],
        store: ObjectStore,
        *,
        is_written_to: bool,
    ) -> None:
        if is_written_to:
            await upload(homes.client, b"written into the copy")
        for _ in range(2):
            assert await collect(homes.tenant, UNUSED) == {}
        assert await keys(store, homes.tenant) >= needed

    async def test_garbage_from_before_goes_all_the_same(
        self, homes: Homes, collect: Collector, needed: set[str]
    ) -> None:
        assert needed
        await add_file(homes, days_old=9)
        assert await collect(homes.tenant, UNUSED) == {Garbage.FILES: 1}

    async def test_it_goes_when_an_operator_has_said_so(
        self, homes: Homes, collect: Collector, needed: set[str], store: ObjectStore
    ) -> None:
        assert await collect(homes.tenant, UNUSED) == {}
        await confirm(homes)
        assert set(await collect(homes.tenant, UNUSED)) >= {
            Garbage.OBJECTS,
            Garbage.FILES,
            Garbage.UPLOADS,
        }
        assert len(needed) == 4
        assert len(await keys(store, homes.tenant)) == 1

    @pytest.mark.parametrize(
        ("days", "expected"), [(6.9, {}), (7.1, {Garbage.FILES: 1})], ids=["before", "after"]
    )
    async def test_it_goes_after_a_week(
        self, homes: Homes, collect: Collector, days: float, expected: dict[Garbage, int]
    ) -> None:
        await upload(homes.client, b"old")
        await homes.copy_to_other()
        await homes.name(OTHER)
        assert await collect(homes.tenant) == {}
        past = "UPDATE feed_forks SET left_at = now() - $1 * interval '1 day', forked_at = 'epoch'"
        await homes.other.execute(past, days)
        await add_file(homes, days_old=days)
        assert await collect(homes.tenant, UNUSED) == expected


async def test_a_copy_of_the_whole_database_with_what_the_collector_noted(
    failover: Failover, store: ObjectStore
) -> None:
    """The tables of tenants are copied along: the copy knows the same last collection."""
    account = failover.account
    path = f"{account.url}/api/tenants/{account.tenant_id}"
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(base_url=path, headers=headers) as client:
        await upload(client, b"old")
        await collected_in(failover.database_url, account.tenant_id, store)
        failover.fork()
        await upload(client, b"new")
    failover.take_over()
    for _ in range(2):
        found = await collected_in(failover.database_url, account.tenant_id, store)
        assert not {kind: count for kind, count in found.counts.items() if count}


async def collected_in(url: str, tenant_id: UUID, store: ObjectStore) -> Collected:
    """What a collection comes to in a database that has all tables."""
    async with Databases(DatabaseUrls(url), PoolLimits(size=2)) as databases:
        control = ControlStore(databases.control)
        tenant = await control.tenant(tenant_id)
        assert tenant is not None
        collection = GarbageCollection(databases, control, store, UNUSED)
        (outcome,) = await collection.run([tenant], lambda *_: None, lambda _: None)
    assert outcome.error is None
    return outcome.collected


class TestVoids:
    """A void in the database that the collector saw last is no copy; it says nothing of others."""

    @pytest.mark.parametrize("times", [1, 2])
    async def test_by_sql_it_does_not_stop_the_collector(
        self, homes: Homes, in_other: asyncpg.Connection, collect: Collector, times: int
    ) -> None:
        assert not await refused(homes, collect)
        for _ in range(times):
            await in_other.execute("SELECT feed.void_cursors()")
        for _ in range(2):
            await upload(homes.client, b"goes on")
            assert not await refused(homes, collect)

    @pytest.mark.parametrize("times", [1, 2])
    async def test_by_sql_it_does_not_make_an_older_copy_the_tenants(
        self, homes: Homes, collect: Collector, store: ObjectStore, times: int
    ) -> None:
        await upload(homes.client, b"old")
        await homes.copy_to_other()
        await upload(homes.client, b"precious")
        assert not await refused(homes, collect)
        known = await keys(store, homes.tenant)
        await homes.name(OTHER)
        for _ in range(times):
            await homes.other.execute("SELECT feed.void_cursors()")
        await upload(homes.client, b"written into the copy")
        for _ in range(2):
            assert await refused(homes, collect)
        assert await keys(store, homes.tenant) >= known
        await confirm(homes)
        assert not await refused(homes, collect)

    async def test_by_sql_it_does_not_hide_that_tables_were_put_back(
        self, homes: Homes, in_other: asyncpg.Connection, collect: Collector
    ) -> None:
        """The void's own stamps are later than anything that the collector saw."""
        await in_other.execute("CREATE TABLE kept AS TABLE tenant_clock")
        await upload(homes.client, b"precious")
        assert not await refused(homes, collect)
        await in_other.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE kept")
        await in_other.execute("SELECT feed.void_cursors()")
        assert await refused(homes, collect)
        await confirm(homes)
        assert not await refused(homes, collect)

    async def test_by_the_service_it_is_no_operators_word(
        self, homes: Homes, in_other: asyncpg.Connection, collect: Collector
    ) -> None:
        """Tables were put back, to after the last collection: others may yet be."""
        assert not await refused(homes, collect)
        await in_other.execute("CREATE TABLE kept AS TABLE tenant_clock")
        await upload(homes.client, b"precious")
        seen = await in_other.fetchrow("SELECT tenant_id, lineage, last FROM tenant_clock")
        await in_other.execute("DELETE FROM tenant_clock; INSERT INTO tenant_clock TABLE kept")
        assert await in_other.fetchval("SELECT feed.void_put_back($1, $2, $3)", *seen)
        assert await refused(homes, collect)
        await confirm(homes)
        assert not await refused(homes, collect)

    @pytest.mark.parametrize("is_older", [False, True])
    async def test_a_command_that_dies_after_the_void_can_be_repeated(
        self, homes: Homes, collect: Collector, *, is_older: bool
    ) -> None:
        await upload(homes.client, b"old")
        if is_older:
            await homes.copy_to_other()
            await upload(homes.client, b"precious")
        assert not await refused(homes, collect)
        if is_older:
            await homes.name(OTHER)
        dying = FeedAdministration(
            DyingControl(homes.databases.control), homes.databases, Invalidations(None)
        )
        with pytest.raises(ConnectionError):
            await dying.void(lambda _: None, reference=str(homes.tenant.id))
        assert await refused(homes, collect) == is_older
        await confirm(homes)
        assert not await refused(homes, collect)


class DyingControl(ControlStore):
    """Of a process that dies before it has written to the control database."""

    @override
    async def forget_collection(self, tenant_id: UUID) -> None:
        raise ConnectionError(tenant_id)
