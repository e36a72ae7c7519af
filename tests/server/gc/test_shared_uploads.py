"""An upload that was under way when a copy of the database was made has one key in both."""

from uuid import UUID

import pytest

from fixtures.collecting import AT_ONCE, Collector, keys
from fixtures.homes import OTHER, Homes
from fixtures.pushing import create, push_one
from fixtures.sending import complete, content_of, declare, pending, send, state_of
from fixtures.uploads import upload
from syncapi.server.domain.retention import Garbage, Retention
from syncapi.server.storage.s3 import ObjectStore

BYTES = b"under way when the copy was made"


@pytest.fixture
def collect(homes: Homes, store: ObjectStore) -> Collector:
    """Knows both databases."""
    return Collector(homes.databases, store, homes.control)


@pytest.fixture
async def shared(homes: Homes, collect: Collector) -> UUID:
    """Its bytes are there, the collector knows the tenant, and the copy has been made."""
    assert await collect(homes.tenant) == {}
    state = await declare(homes.client, content_of(BYTES))
    await send(pending(state), pending(state).parts, lambda *_: BYTES)
    await homes.copy_to_other()
    return state.id


async def completed(homes: Homes, upload_id: UUID) -> UUID:
    """Complete it where the tenant is; returns the document that refers to it."""
    file = state_of(await complete(homes.client, upload_id)).file
    assert file is not None
    result = await push_one(homes.client, create(file.id))
    assert result.status == "applied"
    return result.id


async def test_who_erases_in_the_copy_leaves_the_bytes_to_the_original(
    homes: Homes, collect: Collector, store: ObjectStore, shared: UUID
) -> None:
    await completed(homes, shared)
    needed = await keys(store, homes.tenant)
    await homes.name(OTHER)
    document = await completed(homes, shared)
    await homes.other.execute("UPDATE files SET updated_at = updated_at - interval '2 days'")
    answer = await homes.client.delete(f"/documents/{document}", params={"hard": True})
    assert answer.status_code == 200
    assert await keys(store, homes.tenant) == needed
    assert await collect(homes.tenant, Retention(files=AT_ONCE, uploads=AT_ONCE)) == {}
    assert await keys(store, homes.tenant) == needed


async def test_what_the_copy_has_from_elsewhere_takes_no_bytes_of_the_original(
    homes: Homes, store: ObjectStore, shared: UUID
) -> None:
    """The upload in the copy becomes the other file, and its own bytes serve nothing there."""
    await completed(homes, shared)
    needed = await keys(store, homes.tenant)
    await homes.name(OTHER)
    await upload(homes.client, BYTES)
    await completed(homes, shared)
    assert await keys(store, homes.tenant) > needed


async def test_in_a_database_that_is_no_copy_they_go_at_once(
    homes: Homes, store: ObjectStore
) -> None:
    state = await declare(homes.client, content_of(BYTES))
    await send(pending(state), pending(state).parts, lambda *_: BYTES)
    await upload(homes.client, BYTES)
    await completed(homes, state.id)
    assert len(await keys(store, homes.tenant)) == 1


async def test_in_a_copy_that_is_the_tenants_own_they_are_collected(
    homes: Homes, collect: Collector, store: ObjectStore, shared: UUID
) -> None:
    await homes.name(OTHER)
    await upload(homes.client, BYTES)
    await completed(homes, shared)
    await homes.feeds.void(lambda _: None, reference=str(homes.tenant.id))
    collected = await collect(homes.tenant, Retention(files=AT_ONCE, uploads=AT_ONCE))
    assert collected[Garbage.OBJECTS] == 1
    assert len(await keys(store, homes.tenant)) == 1
