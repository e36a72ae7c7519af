"""A client that follows the feed over HTTP, and now and then crashes."""

import asyncio
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import httpx

from soak import truth
from soak.exchanges import Exchanges
from soak.replica import ByTime, Disk, Progress
from soak.tally import Tally
from soak.truth import Miss
from soak.world import Member, World
from syncapi.server.postgres.failures import is_down

_PAGE_SIZES = {1: 1, 5: 4, 20: 15, 100: 40, 500: 40}  # and how often each
_CRASHES = 0.06
_RESTORES = 0.01
_CHECKS = 0.05


class ProtocolError(AssertionError):
    """The server answered what it must not answer.

    Attributes:
        actor: whose request it was.
        exchanges: the actor's last requests.
    """

    def __init__(self, actor: str, what: str, exchanges: Exchanges) -> None:
        super().__init__(f"{actor}: {what}")
        self.actor = actor
        self.exchanges = exchanges


class Watcher(Protocol):
    """Who wants to know how a replica's runs go."""

    def run_begins(self) -> None:
        """The first page behind an earlier run is about to be asked for."""

    def page(self, data: dict[str, Any]) -> None:
        """A page was stored."""

    def run_ends(self) -> None:
        """The replica is complete."""

    def expired(self) -> None:
        """The position was refused, and all begins anew."""


@dataclass(slots=True)
class Reader:
    """One replica.

    Attributes:
        is_crash_prone: whether it loses, from time to time, all that is not on its disk; more
            rarely its disk is set back to a backup of it.
        is_checked_under_way: whether it is compared with the server before the end, too.
    """

    name: str
    world: World
    member: Member
    disk: Disk
    rng: random.Random
    tally: Tally
    is_crash_prone: bool
    is_checked_under_way: bool
    largest_page: int
    misses: list[Miss] = field(default_factory=list)
    watcher: Watcher | None = None
    _etag: str | None = None
    _backup: Disk | None = None

    async def follow(self, ends: Mapping[UUID, str], database: asyncpg.Pool) -> None:
        """Pull until a run is complete to the feed's end, which `ends` tells at rest."""
        while not self._is_done(ends.get(self.member.tenant_id)):
            has_ended = await self.pull()
            if has_ended and self.rng.random() < _CHECKS:
                await self._check(database)
            await asyncio.sleep(self.rng.random() ** 3 * (0.2 if has_ended else 0.05))

    def _is_done(self, end: str | None) -> bool:
        complete_to = self.disk.complete_to
        return end is not None and complete_to is not None and complete_to >= end

    async def pull(self) -> bool:
        """Ask for one page; whether a run has ended with it."""
        if self.watcher is not None and self.disk.complete_to is not None:
            self.watcher.run_begins()
        query = {"per_page": str(self._draw_page_size()), "include_urls": "false"}
        query |= self._progress().query()
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        try:
            answer = await self.world.request(
                self.member, "GET", "/documents/sync", params=query, headers=headers
            )
        except httpx.TransportError:
            self.tally("read: no connection")
            await asyncio.sleep(0.1)
            return False
        return await self._take(answer)

    def _progress(self) -> Progress:
        """Where to go on; one that counts its pages first settles how many rows they have."""
        progress = self.disk.progress
        if isinstance(progress, ByTime) and progress.counts and progress.page_size is None:
            progress = replace(progress, page_size=self._draw_page_size())
            self.disk = replace(self.disk, progress=progress)
        return progress

    def _draw_page_size(self) -> int:
        sizes = {size: weight for size, weight in _PAGE_SIZES.items() if size <= self.largest_page}
        return self.rng.choices(list(sizes), list(sizes.values()))[0]

    async def _take(self, answer: httpx.Response) -> bool:
        match answer.status_code:
            case HTTPStatus.OK:
                return self._apply(answer.json()["data"], answer.headers.get("etag"))
            case HTTPStatus.NOT_MODIFIED:
                self.tally("read: 304")
                if self.watcher is not None:
                    self.watcher.run_ends()
                return True
            case HTTPStatus.GONE:
                self.tally("read: 410, back to where the protocol goes on")
                self.disk, self._etag = self.disk.expired(), None
                if self.watcher is not None:
                    self.watcher.expired()
            case HTTPStatus.BAD_REQUEST if self._is_expected(answer):
                pass
            case HTTPStatus.SERVICE_UNAVAILABLE if "retry-after" in answer.headers:
                self.tally("read: 503 with Retry-After")
                await asyncio.sleep(0.2)
            case status:
                what = f"{status} {answer.text} to {answer.request.url}"
                raise ProtocolError(self.name, what, self.member.exchanges)
        return False

    def _is_expected(self, answer: httpx.Response) -> bool:
        """Whether a reader by time may be refused so; then it takes the way out."""
        progress = self.disk.progress
        if not isinstance(progress, ByTime):
            return False
        fields = {error["field"] for error in answer.json()["errors"]}
        if "since" in fields and not self.is_checked_under_way:
            self.tally("read: a `since` of a lost history, which is not voided yet")
            return True
        if "page" in fields and progress.counts and progress.page > 1:
            self.tally("read: counted further than is served, and began again")
            has_way = progress.page_size is not None and progress.page_size < self.largest_page
            self.disk = self.disk.beginning_again(
                progress.in_pages_of(self.largest_page) if has_way else progress.that_follows()
            )
            return True
        return False

    def _apply(self, data: dict[str, Any], etag: str | None) -> bool:
        if self._crashes(_CRASHES):
            self.tally("read: crash before storing")
            self.member.exchanges.note("read: crash before storing")
            self._etag = None
            return False
        self._count(data)
        self.disk, self._etag = self.disk.with_page(data), etag
        if self.watcher is not None:
            self.watcher.page(data)
            if not data["has_more"]:
                self.watcher.run_ends()
        if self._crashes(_CRASHES):
            self.tally("read: crash after storing")
            self.member.exchanges.note("read: crash after storing")
            self._etag = None
        elif self._crashes(_RESTORES) and self._backup is not None:
            self.tally("read: disk set back to a backup")
            self.member.exchanges.note("read: disk set back to a backup")
            self.disk, self._etag = self._backup, None
            return False
        elif self._crashes(_RESTORES):
            self._backup = self.disk
        return not data["has_more"]

    def _crashes(self, probability: float) -> bool:
        return self.is_crash_prone and self.rng.random() < probability

    def _count(self, data: dict[str, Any]) -> None:
        rows = [*data["added"], *data["modified"]]
        held = self.disk.documents
        again = [
            row
            for row in rows
            if (copy := held.get(UUID(row["id"]))) and copy.version == row["updated_at"]
        ]
        self.tally("read: pages")
        self.tally("read: changes", len(rows) + len(data["deleted"]))
        self.tally("read: changes that were held already", len(again))

    async def _check(self, database: asyncpg.Pool) -> None:
        """Look for what the replica has passed without getting it, while all goes on."""
        if self.disk.complete_to is None or not self.is_checked_under_way:
            return
        try:
            async with database.acquire() as connection:
                found = await truth.unsettled(
                    connection, self.member.tenant_id, self.disk.documents, self.disk.complete_to
                )
                await self.record(connection, found)
            self.tally("checked: a replica under way")
        except Exception as error:
            if not is_down(error):
                raise
            self.tally("checked: in vain, PostgreSQL was down")

    async def verify(self, connection: asyncpg.Connection) -> None:
        """Compare the replica with the server, both at rest."""
        server = await truth.documents(connection, self.member.tenant_id)
        self.tally("checked: a replica at rest")
        self.tally("checked: documents at rest", len(server))
        await self.record(connection, truth.differences(self.disk.documents, server))

    async def record(
        self, connection: asyncpg.Connection, found: Iterable[truth.Difference]
    ) -> None:
        """Keep misses with what the database says of them."""
        tenant = self.member.tenant_id
        for document, kind, what in found:
            evidence = await truth.evidence(connection, tenant, document)
            self.misses.append(Miss(tenant, document, self.name, kind, what, evidence))
            self.tally(f"MISSED by {self.name}: {kind}")
