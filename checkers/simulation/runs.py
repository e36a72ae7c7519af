"""Where a run of the simulation takes place, and what comes of it."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import asyncpg

from simulation.device import QUICK
from soak.exchanges import Exchanges
from syncapi.client.api.client import Client

_Act: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run takes place: a tenant of its own.

    Attributes:
        is_own: whether nothing else uses the database, so that it may lose history.
    """

    url: str
    database_url: str
    tenant_id: UUID
    token: str
    is_own: bool = False

    def client(self) -> Client:
        """Of a network without faults."""
        return Client(self.url, self.tenant_id, self.token, retry=QUICK)

    @property
    def plain_database_url(self) -> str:
        """Without the name of a driver."""
        return self.database_url.replace("+asyncpg", "")

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self.plain_database_url)


class Actor(Protocol):
    """Who speaks to the server, with its last requests and what was answered."""

    @property
    def name(self) -> str: ...

    @property
    def exchanges(self) -> Exchanges: ...


@dataclass(slots=True)
class Outcome:
    """What happened, step by step, and what was wrong with it."""

    log: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    devices: Sequence[Actor] = ()

    def say(self, line: str) -> None:
        self.log.append(line)

    def blame(self, faults: Iterable[str]) -> None:
        """Note faults, in the log too: it tells after what they were found."""
        for fault in faults:
            self.faults.append(fault)
            self.say(f"FAULT {fault}")

    def write(self, folder: Path, name: str) -> None:
        """Write the evidence: what happened, and the last requests of each device."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.log").write_text("\n".join([*self.log, "", *self.faults, ""]))
        for device in self.devices:
            device.exchanges.write(folder / f"{name} {device.name}.log")


async def act_at_random(
    rng: Random, acts: Mapping[_Act, int], steps: int, outcome: Outcome
) -> bool:
    """Do as many acts, drawn by their weights; stop at the first fault.

    Returns:
        Whether there was none.
    """
    for _ in range(steps):
        await rng.choices(list(acts), list(acts.values()))[0]()
        if outcome.faults:
            return False
    return True
