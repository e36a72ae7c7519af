"""What else happens: clocks step, tombstones and versions are collected, cursors voided."""

import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg

from soak.session import session
from soak.tally import Budget, Tally
from soak.world import World
from syncapi.domain.access import operator
from syncapi.domain.errors import Unavailable
from syncapi.postgres.collection import VersionLimits, collect_versions
from syncapi.postgres.databases import DEFAULT_DATABASE, Databases, PoolLimits
from syncapi.postgres.failures import is_down, is_transient
from syncapi.wiring import database_urls

# More than the 60 s that a `since` may be ahead of the API's own clock, which does not step.
_FURTHEST_STEP = 90.0

_VOIDING = 0.97
_FORGETTING = 0.2

_STEPPING_CLOCK = """
CREATE TABLE IF NOT EXISTS soak_wall (step interval NOT NULL);
INSERT INTO soak_wall SELECT '0' WHERE NOT EXISTS (SELECT FROM soak_wall);
CREATE OR REPLACE FUNCTION feed.wall_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS
$$ SELECT clock_timestamp() + step FROM public.soak_wall $$;
"""

# The way of those who never heard of the trouble: the transaction's own time, and a reader who
# takes the newest that it can see for the end.
_NAIVE_STAMPS = """
CREATE OR REPLACE FUNCTION feed.stamp(tenant uuid) RETURNS timestamptz LANGUAGE sql AS
$$ SELECT now() $$;
ALTER TABLE tenant_clock RENAME TO former_clock;
CREATE VIEW tenant_clock AS SELECT
  tenant_id, coalesce(newest, last) AS last, opened_at, lineage, generation, previous_lineage,
  forked_at, tombstone_floor
FROM former_clock, LATERAL (
  SELECT max(updated_at) AS newest FROM feed_entries entry
  WHERE entry.tenant_id = former_clock.tenant_id) stamps;
"""


async def make_clock_step(connection: asyncpg.Connection) -> None:
    """Give the database a clock that `disturb` can step."""
    await connection.execute(_STEPPING_CLOCK)


async def make_stamps_naive(connection: asyncpg.Connection) -> None:
    """Stamp with `now()` in the stead of the clock: a feed that misses changes."""
    await connection.execute(_NAIVE_STAMPS)


async def disturb(
    world: World, budget: Budget, tally: Tally, rng: random.Random, *, voids: bool
) -> None:
    """Disturb until the budget is spent; with `voids`, cursors are voided too."""
    while not budget.is_over:
        await budget.pause(rng.uniform(0.1, 0.8))
        try:
            draw = rng.random() * (1 if voids else _VOIDING)
            async with session(world.database_url) as connection:
                await _disturb_once(connection, world.tenants, draw, tally, rng)
            await _collect_versions(world, tally, rng)
        except Unavailable:
            tally("disturbed: in vain")
        except Exception as error:
            if not (is_down(error) or is_transient(error)):
                raise
            tally("disturbed: in vain")


async def _disturb_once(
    connection: asyncpg.Connection,
    tenants: Sequence[UUID],
    draw: float,
    tally: Tally,
    rng: random.Random,
) -> None:
    if draw < 0.6:
        step = timedelta(seconds=rng.uniform(-_FURTHEST_STEP, _FURTHEST_STEP))
        await connection.execute("UPDATE soak_wall SET step = $1", step)
        tally("disturbed: clock stepped")
    elif draw < _VOIDING:
        keep = timedelta(seconds=rng.uniform(0, 3))
        collect = "SELECT feed.collect_tombstones($1, $2, $3)"
        tenant, most = rng.choice(tenants), rng.randint(1, 200)
        collected = await connection.fetchval(collect, tenant, keep, most)
        tally("disturbed: tombstones collected", collected)
    else:
        await connection.execute("SELECT feed.void_cursors()")
        tally("disturbed: all cursors voided")


async def _collect_versions(world: World, tally: Tally, rng: random.Random) -> None:
    """Forget old versions now and then, as `syncapi gc` does; the ledger of pushes must not."""
    if rng.random() > _FORGETTING:
        return
    limits = VersionLimits(None, rng.randint(1, 3))
    tenant, after = operator(rng.choice(world.tenants), DEFAULT_DATABASE), UUID(int=0)
    async with Databases(database_urls(world.settings), PoolLimits(size=1)) as databases:
        collect = partial(collect_versions, limits=limits, after=after, most=500)
        collected, _ = await databases.writing(tenant, collect)
    tally("disturbed: versions collected", collected)
