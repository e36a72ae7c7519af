"""A run of the garbage collection: every tenant of every database."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Final

from structlog import get_logger

from syncapi.server.domain.errors import Conflict, Refusal, Unavailable
from syncapi.server.domain.retention import Collected, Retention
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.postgres.feed_identity import FeedPlace, find_place, goes_on_from, note_fork
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.gc import contents, rows
from syncapi.server.usecases.gc.tenant_run import Progress, Turn

log = get_logger(__name__)

BATCH: Final = 1000

_DATABASES_AT_ONCE: Final = 8

# Each step finds what the steps before it set free.
_STEPS: Final = (
    rows.tombstones,
    rows.versions,
    rows.change_ids,
    rows.idempotency_keys,
    contents.uploads,
    contents.files,
    contents.orphans,
)


@dataclass(frozen=True, slots=True)
class TenantCollection:
    """The result of a tenant's turn; `error` is None if it did not fail."""

    tenant: Tenant
    collected: Collected
    error: str | None = None


class GarbageCollection:
    """Collects, or with ``is_dry`` only counts.

    A dry run does not see what its own deletions would set free.
    """

    def __init__(
        self,
        databases: Databases,
        control: ControlStore,
        objects: ObjectStore,
        retention: Retention,
        *,
        is_dry: bool = False,
        batch: int = BATCH,
    ) -> None:
        self._databases = databases
        self._control = control
        self._objects = objects
        self._retention = retention
        self._is_dry = is_dry
        self._batch = batch
        self._slots = asyncio.Semaphore(_DATABASES_AT_ONCE)

    async def run(
        self,
        tenants: Iterable[Tenant],
        progress: Progress,
        finished: Callable[[TenantCollection], None],
    ) -> list[TenantCollection]:
        """Give every tenant its turn: several databases at once, the tenants of one in sequence.

        A failure ends the turn of one tenant; a database that does not answer ends the turns of
        all its tenants.
        """
        by_database = attrgetter("database")
        groups = groupby(sorted(tenants, key=by_database), by_database)

        async def collect(database: str, tenants: Sequence[Tenant]) -> list[TenantCollection]:
            async with self._slots:
                trouble = None
                try:
                    await self._databases.check(database)
                except Unavailable as refusal:
                    trouble = refusal.detail
                outcomes = []
                for tenant in tenants:
                    outcome = (
                        await self._collect(tenant, progress)
                        if trouble is None
                        else TenantCollection(tenant, Collected(), trouble)
                    )
                    finished(outcome)
                    outcomes.append(outcome)
                return outcomes

        runs = [collect(database, list(group)) for database, group in groups]
        return [outcome for outcomes in await asyncio.gather(*runs) for outcome in outcomes]

    async def _collect(self, listed: Tenant, progress: Progress) -> TenantCollection:
        """Collect the garbage of one tenant, step by step."""
        collected = Collected()
        try:
            # It may have moved since; while a tenant is suspended its rows may be being moved.
            tenant = await self._control.tenant(listed.id)
            if tenant is not None and tenant.is_active:
                turn = Turn(
                    self._control,
                    self._databases,
                    self._objects,
                    tenant,
                    self._retention.for_tenant(tenant.settings),
                    progress,
                    self._is_dry,
                    self._batch,
                    collected,
                )
                turn = await self._check_feed(turn)
                for step in _STEPS:
                    await step(turn)
        except Refusal as refusal:
            return TenantCollection(listed, collected, refusal.detail)
        except Exception as error:
            log.exception("collection_failed", tenant=str(listed.id))
            return TenantCollection(listed, collected, f"{type(error).__name__}: {error}")
        return TenantCollection(listed, collected)

    async def _check_feed(self, turn: Turn) -> Turn:
        """Check that the database has the tenant's own feed: in another one all bytes look unused.

        Returns:
            The turn with what was found. It is cautious if the feed may be a copy, made after the
            last collection, of one that goes on elsewhere. It is not cautious at a tenant's first
            collection, and after `syncapi feed open` or `syncapi feed void`.

        Raises:
            Conflict: the database has another feed, or an older state of it, or cannot be asked.
        """
        tenant = turn.tenant

        async def find_start(tx: TenantConnection) -> FeedPlace:
            await note_fork(tx.driver, tx.tenant_id)  # it may be elsewhere than before
            return await find_place(tx.driver, tx.tenant_id)

        before, start = await self._control.collected_at(tenant.id), None
        try:
            async with turn.reading() as connection:
                goes_on = before is None or await goes_on_from(
                    connection.driver, tenant.id, before
                )
            if goes_on and not self._is_dry:
                start = await turn.writing(find_start)
                await self._control.note_collection(tenant.id, start)
        except Unavailable as refusal:
            raise Conflict(f"{refusal.detail} Nothing was deleted.") from refusal
        if not goes_on:
            raise Conflict(
                f"The feed in the database '{tenant.database}' lacks what the last collection "
                "saw: is it an older copy? Nothing was deleted. Check that the tenant's row names "
                "the right database and that its URL is right; if the database was restored, run "
                "`syncapi feed void`."
            )
        return replace(turn, is_cautious=before is not None, start=start)
