"""Garbage that is in the database alone."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from syncapi.server.domain.retention import Garbage
from syncapi.server.postgres import gc as store
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.gc import VersionLimits
from syncapi.server.usecases.gc.tenant_run import Turn

BEFORE_ALL: Final = UUID(int=0)

_Count = Callable[[TenantConnection, timedelta], Awaitable[int]]
_Collect = Callable[[TenantConnection, timedelta, int], Awaitable[int]]


async def tombstones(turn: Turn) -> None:
    """Deletions that every client with a living cursor has received."""
    age = turn.retention.tombstones
    await _old(turn, Garbage.TOMBSTONES, age, store.count_tombstones, store.collect_tombstones)


async def change_ids(turn: Turn) -> None:
    """Ids of changes whose versions are gone, and that clients no longer repeat."""
    age = turn.retention.tombstones
    await _old(turn, Garbage.CHANGE_IDS, age, store.count_changes, store.collect_changes)


async def idempotency_keys(turn: Turn) -> None:
    age = turn.retention.idempotency_keys
    await _old(turn, Garbage.IDEMPOTENCY_KEYS, age, store.count_keys, store.collect_keys)


async def versions(turn: Turn) -> None:
    """Versions beyond the limits of the history."""
    limits = VersionLimits(turn.retention.history_age, turn.retention.history_versions)
    if limits == VersionLimits(None, None):
        return
    if turn.is_dry:
        async with turn.reading() as connection:
            turn.note(Garbage.VERSIONS, await store.count_versions(connection, limits))
        return
    after: UUID | None = BEFORE_ALL
    while after is not None:
        count, last = await turn.writing(
            partial(store.collect_versions, limits=limits, after=after, most=turn.batch)
        )
        turn.note(Garbage.VERSIONS, count)
        if count < turn.batch:  # else there may be more of the same documents
            after = last


async def _old(
    turn: Turn, kind: Garbage, age: timedelta, count: _Count, collect: _Collect
) -> None:
    if turn.is_dry:
        async with turn.reading() as connection:
            turn.note(kind, await count(connection, age))
        return

    async def work(tx: TenantConnection) -> int:
        return await collect(tx, age, turn.batch)

    while True:
        collected = await turn.writing(work)
        turn.note(kind, collected)
        if collected < turn.batch:
            return
