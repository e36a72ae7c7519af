"""What else happens: clocks step, garbage is collected, cursors are voided, Valkey forgets."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from soak.session import session
from soak.tally import Budget, Tally
from soak.world import World
from syncapi.server.domain.access import operator
from syncapi.server.domain.errors import Unavailable
from syncapi.server.factories import database_urls
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits
from syncapi.server.postgres.failures import is_down, is_transient
from syncapi.server.postgres.gc import VersionLimits, collect_versions

Weights: TypeAlias = Mapping[Callable[[], Awaitable[None]], int]

# More than the 60 s that a `since` may be ahead of the API's own clock, which does not step.
_FURTHEST_STEP = 90.0
_LONGEST_LOCK_SECONDS = 4.0

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
CREATE OR REPLACE FUNCTION feed.void_put_back(tenant uuid, seen_lineage bytea, seen timestamptz)
RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
ALTER TABLE tenant_clock RENAME TO former_clock;
CREATE VIEW tenant_clock AS SELECT
  tenant_id, coalesce(newest, last) AS last, opened_at, lineage, tombstone_floor, place, feed_id,
  voided_at
FROM former_clock, LATERAL (
  SELECT max(updated_at) AS newest FROM feed_entries entry
  WHERE entry.tenant_id = former_clock.tenant_id) stamps;
"""

_SOME = "id IN (SELECT id FROM documents WHERE tenant_id = $1 AND id >= $2 ORDER BY id LIMIT $3)"
_HIDDEN_INSERT = """
INSERT INTO documents (tenant_id, id, filename, mime_type, file_id)
SELECT $1, gen_random_uuid(), 'hidden ' || $2::uuid, 'text/plain', id
FROM files WHERE tenant_id = $1 LIMIT $3
"""
_HIDDEN = (
    _HIDDEN_INSERT,
    f"UPDATE documents SET filename = 'hidden' WHERE tenant_id = $1 AND {_SOME}",
    f"UPDATE documents SET is_deleted = true, deleted_at = now() WHERE tenant_id = $1 AND {_SOME}",
    f"UPDATE documents SET is_deleted = false, deleted_at = NULL WHERE tenant_id = $1 AND {_SOME}",
    f"DELETE FROM documents WHERE tenant_id = $1 AND {_SOME}",
)
"""What the triggers do not see."""


async def make_clock_step(connection: asyncpg.Connection) -> None:
    """Give the database a clock that `disturb` can step."""
    await connection.execute(_STEPPING_CLOCK)


async def make_stamps_naive(connection: asyncpg.Connection) -> None:
    """Stamp with `now()` in the stead of the clock: a feed that misses changes."""
    await connection.execute(_NAIVE_STAMPS)


async def disturb(disturbances: "Disturbances", weights: Weights) -> None:
    """Disturb until the budget is spent."""
    budget, rng, tally = disturbances.budget, disturbances.rng, disturbances.tally
    if weights[disturbances.step_clock]:  # no run is so short that its clock is right
        await _try(disturbances.step_clock, tally)
    locks = {disturbances.leave_rows_locked, disturbances.lock_table, disturbances.hold_clock}
    async with asyncio.TaskGroup() as held:
        while not budget.is_over:
            await budget.pause(rng.uniform(0.1, 0.8))
            act = rng.choices(list(weights), list(weights.values()))[0]
            if act in locks:
                held.create_task(_try(act, tally))
            else:
                await _try(act, tally)


async def _try(act: Callable[[], Awaitable[None]], tally: Tally) -> None:
    try:
        await act()
    except (Unavailable, RedisError):
        tally("disturbed: in vain")
    except Exception as error:
        if not (is_down(error) or is_transient(error)):
            raise
        tally("disturbed: in vain")


@dataclass(frozen=True, slots=True)
class Disturbances:
    """Each disturbs once."""

    world: World
    budget: Budget
    tally: Tally
    rng: random.Random

    def weights(self, *, voids: bool, steps: bool) -> Weights:
        """How often each happens, of a hundred or so; with `voids` cursors are voided too."""
        return {
            self.step_clock: 50 if steps else 0,
            self.collect_tombstones: 30,
            self.collect_versions: 15,
            self.leave_rows_locked: 4,
            self.lock_table: 2,
            self.hold_clock: 2,
            self.evict: 5,
            self.flush: 2,
            self.void: 3 if voids else 0,
            self.work_unseen: 3 if voids else 0,
        }

    async def step_clock(self) -> None:
        step = timedelta(seconds=self.rng.uniform(-_FURTHEST_STEP, _FURTHEST_STEP))
        async with session(self.world.database_url) as connection:
            await connection.execute("UPDATE soak_wall SET step = $1", step)
        self.tally("disturbed: clock stepped")

    async def collect_tombstones(self) -> None:
        keep = timedelta(seconds=self.rng.uniform(0, 3))
        collect = "SELECT feed.collect_tombstones($1, $2, $3)"
        async with session(self.world.database_url) as connection:
            collected = await connection.fetchval(
                collect, self._tenant(), keep, self.rng.randint(1, 200)
            )
        self.tally("disturbed: tombstones collected", collected)

    async def collect_versions(self) -> None:
        """Forget old versions, as `syncapi gc` does; the ledger of pushes must not."""
        limits = VersionLimits(None, self.rng.randint(1, 3))
        after, urls = UUID(int=0), database_urls(self.world.settings)
        async with Databases(urls, PoolLimits(size=1)) as databases:
            tenant = await ControlStore(databases.control).tenant(self._tenant())
            assert tenant is not None
            scope = operator(tenant.id, tenant.database, tenant.feed_id)
            collect = partial(collect_versions, limits=limits, after=after, most=500)
            collected, _ = await databases.writing(scope, collect)
        self.tally("disturbed: versions collected", collected)

    async def leave_rows_locked(self) -> None:
        """As somebody at psql who has gone to lunch."""
        lock = f"SELECT FROM documents WHERE tenant_id = $1 AND {_SOME} FOR UPDATE"
        await self._hold("rows left", lock, self._tenant(), uuid4(), self.rng.randint(1, 20))

    async def lock_table(self) -> None:
        """As CREATE INDEX does: nobody writes documents meanwhile, all may read."""
        await self._hold("table", "LOCK TABLE documents IN SHARE MODE")

    async def hold_clock(self) -> None:
        """As a session that has flushed its changes and stays open."""
        lock = "SELECT FROM tenant_clock WHERE tenant_id = $1 FOR NO KEY UPDATE"
        await self._hold("clock", lock, self._tenant())

    async def _hold(self, what: str, lock: str, *arguments: object) -> None:
        async with session(self.world.database_url) as connection, connection.transaction():
            await connection.execute(lock, *arguments)
            self.tally(f"disturbed: {what} locked")
            await self.budget.pause(self.rng.uniform(0.5, _LONGEST_LOCK_SECONDS))

    async def void(self) -> None:
        async with session(self.world.database_url) as connection:
            await connection.execute("SELECT feed.void_cursors()")
        self.tally("disturbed: all cursors voided")

    async def work_unseen(self) -> None:
        """Write what the triggers do not see, and void the cursors, as operators are asked to."""
        async with session(self.world.database_url) as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            for statement in self.rng.choices(_HIDDEN, k=self.rng.randint(1, 6)):
                some = uuid4(), self.rng.randint(1, 10)
                await connection.execute(statement, self._tenant(), *some)
            await connection.execute("SET LOCAL session_replication_role = origin")
            await connection.execute("SELECT feed.void_cursors()")
        self.tally("disturbed: work that the triggers did not see, then a void")

    async def evict(self) -> None:
        """Take half of what Valkey keeps of the tenants, as one does that is short of memory."""
        await self._forget(0.5)
        self.tally("disturbed: Valkey evicted keys")

    async def flush(self) -> None:
        """Take all that Valkey keeps of the tenants; others may share it."""
        await self._forget(1)
        self.tally("disturbed: Valkey flushed")

    async def _forget(self, part: float) -> None:
        url = self.world.settings.redis_url
        assert url is not None
        async with Redis.from_url(url.get_secret_value()) as redis:
            for tenant in self.world.tenants:
                keys = [key async for key in redis.scan_iter(f"*{tenant}*")]
                for key in keys:
                    if self.rng.random() < part:
                        await redis.delete(key)

    def _tenant(self) -> UUID:
        return self.rng.choice(self.world.tenants)
