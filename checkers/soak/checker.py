"""The randomised checker: many write, many follow, and at rest all replicas equal the server.

Every draw comes from one seed. What the draws meet (who is first, who must retry) is up to the
machine, so a seed makes a run like another one, not the same.
"""

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
from typing_extensions import override

from soak import truth
from soak.api_writer import ApiWriter
from soak.device import Device
from soak.disturbances import Disturbances, disturb
from soak.exchanges import Exchanges
from soak.reader import Reader
from soak.replica import ByCursor, ByTime, Disk, Progress
from soak.session import session
from soak.sql_writer import write_by_sql
from soak.stories import Fork
from soak.tally import Budget, Tally
from soak.trail import keep_trail
from soak.transactions import Planner
from soak.truth import Miss
from soak.verdict import verify_pushes
from soak.world import Member, World

_SHOWN = 5
_LONGEST_WAY_SECONDS = 180

_TIME_READERS = (
    ByTime(takes_first=False),
    ByTime(takes_first=True),
    ByTime(takes_first=True, counts=True),
    ByTime(takes_first=False, counts=True),
)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part.

    Attributes:
        cursor_readers: replicas of each tenant that follow by cursor; every other is prone to
            crash.
        time_readers: groups of replicas of each tenant that go by `since` and page. Those of a
            group are devices of one user: two that follow `next_page`, in pages of changing
            sizes, and two that count.
        longest_pause: seconds that a writer's transaction stays open, each time.
        largest_page: rows; small pages make runs long.
        devices: clients of each tenant that work offline and push; every other takes what it is
            told into its replica at once.
        is_disturbed: whether tombstones are collected, rows are locked, and the like.
        has_stepping_clock: whether the database's clock steps, too.
        is_voided: whether all cursors are voided now and then, too. That heals what was missed.
        loses_history: whether the server may lose what a replica has seen. Then replicas are
            compared with it only at the end, and nobody counts on a file that it took.
    """

    sql_writers: int = 8
    api_writers: int = 3
    cursor_readers: int = 4
    time_readers: int = 1
    devices: int = 3
    longest_pause: float = 0.1
    largest_page: int = 500
    is_disturbed: bool = True
    has_stepping_clock: bool = True
    is_voided: bool = True
    loses_history: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did, and what it found."""

    tally: Tally
    misses: Sequence[Miss]
    exchanges: Mapping[str, Exchanges]

    @override
    def __str__(self) -> str:
        shown = [f"\nMISS {miss}" for miss in self.misses[:_SHOWN]]
        return "\n".join([*self.tally.lines(), *shown])

    def keep_evidence(self, folder: Path) -> None:
        """Write all misses, and the last requests of each replica that has one."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "misses.log").write_text("\n".join(map(str, self.misses)))
        for name, exchanges in self.exchanges.items():
            exchanges.write(folder / f"{name}.log")


class Checker:
    """One run.

    Args:
        world: with tenants; nobody else writes to its database.
        seed: of all draws.
        forks: fail-overs to standbys that lagged, filled in by who makes them.
    """

    def __init__(self, world: World, *, seed: int, cast: Cast, forks: Sequence[Fork] = ()) -> None:
        self.tally = Tally()
        self._forks = forks
        self._world = world
        self._seed = seed
        self._cast = cast

    async def run(self, budget: Budget, *others: Awaitable[None]) -> Outcome:
        """Write until the budget is spent, then compare. `others` end with the budget, too."""
        readers, devices = await self._readers(), await self._devices()
        ends: dict[UUID, str] = {}
        if devices:
            async with session(self._world.database_url) as connection:
                await keep_trail(connection)
        async with asyncpg.create_pool(self._world.database_url, min_size=0, max_size=3) as pool:
            async with asyncio.TaskGroup() as reading:
                following = [reading.create_task(reader.follow(ends, pool)) for reader in readers]
                await self._write(budget, devices, others)
                rest = asyncio.gather(*(device.come_to_rest() for device in devices))
                await asyncio.wait_for(rest, _LONGEST_WAY_SECONDS)
                async with pool.acquire() as connection:
                    ends |= await truth.ends(connection)
                readers += [device.reader for device in devices]
                following += [
                    reading.create_task(device.reader.follow(ends, pool)) for device in devices
                ]
                await asyncio.wait_for(asyncio.gather(*following), _LONGEST_WAY_SECONDS)
            async with pool.acquire() as connection:
                for reader in readers:
                    await reader.verify(connection)
                await verify_pushes(connection, devices, self._forks)
        failing = {
            f"{reader.name} of tenant {reader.member.tenant_id}": reader.member.exchanges
            for reader in readers
            if reader.misses
        }
        misses = [miss for reader in readers for miss in reader.misses]
        return Outcome(self.tally, misses, failing)

    async def _write(
        self, budget: Budget, devices: Sequence[Device], others: Sequence[Awaitable[None]]
    ) -> None:
        world, tenants = self._world, self._world.tenants
        async with asyncio.TaskGroup() as writing:
            for number in range(self._cast.sql_writers):
                rng = self._rng(f"sql writer {number}")
                planner = Planner(rng, tenants, longest_pause=self._cast.longest_pause)
                writing.create_task(
                    write_by_sql(world.database_url, planner, budget, self.tally, rng)
                )
            for number in range(self._cast.api_writers):
                member = await world.member(tenants[number % len(tenants)])
                rng = self._rng(f"api writer {number}")
                writer = ApiWriter(
                    world, member, rng, self.tally, declares=not self._cast.loses_history
                )
                writing.create_task(writer.write(budget))
            for device in devices:
                writing.create_task(device.live(budget))
            if self._cast.is_disturbed:
                rng = self._rng("disturbances")
                disturbances = Disturbances(world, budget, self.tally, rng)
                weights = disturbances.weights(
                    voids=self._cast.is_voided, steps=self._cast.has_stepping_clock
                )
                writing.create_task(disturb(disturbances, weights))
            for other in others:
                writing.create_task(_finish(other))

    async def _readers(self) -> list[Reader]:
        readers = []
        for tenant in self._world.tenants:
            for number in range(self._cast.cursor_readers):
                member = await self._world.member(tenant)
                readers.append(self._reader(f"cursor reader {number}", member, ByCursor(), number))
            for group in range(self._cast.time_readers):
                member = await self._world.member(tenant)
                for number, start in enumerate(_TIME_READERS):
                    name, device = f"time reader {group}.{number}", member.on_another_device()
                    readers.append(self._reader(name, device, start, number))
        return readers

    async def _devices(self) -> list[Device]:
        devices = []
        for tenant in self._world.tenants:
            for number in range(self._cast.devices):
                member = await self._world.member(tenant)
                reader = self._reader(f"device {number}", member, ByCursor(), 0)
                rng = self._rng(f"device {number} of {self._world.tenants.index(tenant)}")
                files, is_eager = self._world.files[tenant], number % 2 == 0
                devices.append(Device.of(reader, files, rng, is_eager=is_eager))
        return devices

    def _reader(self, name: str, member: Member, start: Progress, number: int) -> Reader:
        return Reader(
            name,
            self._world,
            member,
            Disk(start, start),
            self._rng(f"{name} of {self._world.tenants.index(member.tenant_id)}"),
            self.tally,
            is_crash_prone=number % 2 == 1,
            is_checked_under_way=not self._cast.loses_history,
            largest_page=self._cast.largest_page,
        )

    def _rng(self, name: str) -> random.Random:
        return random.Random(f"{self._seed} {name}")


async def _finish(other: Awaitable[None]) -> None:
    await other
