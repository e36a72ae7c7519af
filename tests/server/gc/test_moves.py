"""Tenants that are moved while garbage is collected: nothing goes but what nobody needs."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.homes import OTHER, Homes
from fixtures.pushing import create, push_one
from fixtures.sending import content_of, declare, sent
from fixtures.uploads import upload
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.gc import contents, run
from syncapi.server.usecases.gc.tenant_run import Turn

UNUSED = Retention(files=AT_ONCE, uploads=AT_ONCE)


@pytest.fixture
def collect(homes: Homes, store: ObjectStore) -> Collector:
    """Knows both databases."""
    return Collector(homes.databases, store, homes.control)


async def use_the_unused(homes: Homes) -> None:
    """Refer to the file that nothing has referred to."""
    state = await declare(homes.client, content_of(b"unused"))
    assert state.file is not None
    assert (await push_one(homes.client, create(state.file.id))).status == "applied"


async def move(homes: Homes) -> None:
    await homes.copy_to_other()
    await homes.name(OTHER)
    await use_the_unused(homes)


async def suspend(homes: Homes) -> None:
    await homes.control.set_active(homes.tenant.id, is_active=False)


async def put_back(homes: Homes) -> None:
    """The other database, which the tenant's row names, is set back."""
    await homes.copy_to_other()


async def test_a_tenant_that_moved_before_its_turn_is_collected_where_it_is(
    homes: Homes, store: ObjectStore
) -> None:
    """The collector has listed all tenants at its start, and was busy with others."""
    await sent(homes.client, b"unused")
    listed = await homes.control.tenant(homes.tenant.id)
    assert listed is not None
    await move(homes)
    collection = run.GarbageCollection(homes.databases, homes.control, store, UNUSED)
    (outcome,) = await collection.run([listed], lambda *_: None, lambda _: None)
    assert outcome.error is None
    assert len(await keys(store, homes.tenant)) == 1


async def test_a_tenant_that_is_gone_before_its_turn_is_passed_over(
    homes: Homes, store: ObjectStore
) -> None:
    listed = await homes.control.tenant(homes.tenant.id)
    assert listed is not None
    async with homes.databases.database("default") as driver:
        await driver.execute("DELETE FROM memberships WHERE tenant_id = $1", listed.id)
        await driver.execute("DELETE FROM tenants WHERE id = $1", listed.id)
    collection = run.GarbageCollection(homes.databases, homes.control, store, UNUSED)
    (outcome,) = await collection.run([listed], lambda *_: None, lambda _: None)
    assert outcome.error is None


async def test_of_a_suspended_tenant_nothing_is_collected(
    homes: Homes, collect: Collector
) -> None:
    """It may be on the move, and its rows copied already."""
    await sent(homes.client, b"unused")
    await suspend(homes)
    assert await collect(homes.tenant, UNUSED) == {}
    await homes.control.set_active(homes.tenant.id, is_active=True)
    assert await collect(homes.tenant, UNUSED) == {Garbage.FILES: 1}


@pytest.mark.parametrize("event", [move, suspend], ids=["moved", "suspended"])
@pytest.mark.parametrize("step", [contents.uploads, contents.files, contents.orphans])
async def test_a_turn_ends_where_its_tenant_is_moved_or_suspended(
    homes: Homes,
    store: ObjectStore,
    collect: Collector,
    monkeypatch: pytest.MonkeyPatch,
    event: Callable[[Homes], Awaitable[None]],
    step: Callable[[Turn], Awaitable[None]],
) -> None:
    await sent(homes.client, b"unused")
    known = await keys(store, homes.tenant)
    await homes.copy_to_other()
    after = partial(_happen, event, homes)
    monkeypatch.setattr(run, "_STEPS", (after, step))
    error = (await collect.outcome(homes.tenant, UNUSED)).error
    assert error is not None
    assert "moved or suspended" in error
    assert await keys(store, homes.tenant) == known


@pytest.mark.parametrize("step", [contents.uploads, contents.files, contents.orphans])
async def test_a_turn_ends_where_its_database_is_set_back(
    homes: Homes,
    store: ObjectStore,
    collect: Collector,
    monkeypatch: pytest.MonkeyPatch,
    step: Callable[[Turn], Awaitable[None]],
) -> None:
    """By a pooler that leads elsewhere, or a dump that is put back: the feed has the same id."""
    await sent(homes.client, b"unused")
    await homes.copy_to_other()
    await homes.name(OTHER)
    await upload(homes.client, b"precious")
    known = await keys(store, homes.tenant)
    monkeypatch.setattr(run, "_STEPS", (partial(_happen, put_back, homes), step))
    error = (await collect.outcome(homes.tenant, UNUSED)).error
    assert error is not None
    assert "voided or set back" in error
    assert await keys(store, homes.tenant) == known


async def test_the_old_home_is_refused_after_a_move_by_the_guide(
    homes: Homes, store: ObjectStore, collect: Collector
) -> None:
    """Its rows stay for a while, and the collector has not run in the new one."""
    await upload(homes.client, b"old")
    assert await collect(homes.tenant) == {}
    await homes.copy_to_other()
    async with homes.databases.database("default") as driver:
        await driver.execute("DELETE FROM tenant_clock WHERE tenant_id = $1", homes.tenant.id)
    await homes.name(OTHER)
    await upload(homes.client, b"written after the move")
    known = await keys(store, homes.tenant)
    await homes.name("default")
    assert "has no feed" in ((await collect.outcome(homes.tenant, UNUSED)).error or "")
    assert await keys(store, homes.tenant) == known


async def _happen(event: Callable[[Homes], Awaitable[None]], homes: Homes, turn: Turn) -> None:
    """A step of a turn during which something happens."""
    assert turn.tenant.id == homes.tenant.id
    await event(homes)
