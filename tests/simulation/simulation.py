"""A run: devices, people, crashes and a bad network, and at the end the reckoning.

Around every sync: whatever bytes the device or the server had before, one of them has after it, in
the folder, the trash, a document or a version of the history; and no document is deleted that the
device's last sync was told to ignore. At rest: all folders and the server are equal but for what
is ignored, nothing is left lying about, and a further sync has nothing to do.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg

from simulation.colleague import Colleague
from simulation.device import QUICK, Device
from simulation.people import Contents, Person
from simulation.truth import LiveDocument, Truth
from syncapi.client.api.client import Client
from syncapi.client.folder.ignoring import read_ignores

_MOST_CALM_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run takes place: a tenant of its own."""

    url: str
    database_url: str
    tenant_id: UUID
    token: str


@dataclass(slots=True)
class Outcome:
    """What happened, step by step, and what was wrong with it."""

    log: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def say(self, line: str) -> None:
        self.log.append(line)


async def simulate(
    place: Place, folder: Path, *, seed: int, steps: int, devices: int, parallel: int = 1
) -> Outcome:
    """Run ``steps`` steps; the same seed makes the same run, if one transfer goes at a time."""
    database_url = place.database_url.replace("+asyncpg", "")
    connection = await asyncpg.connect(database_url)
    client = Client(place.url, place.tenant_id, place.token, retry=QUICK)
    try:
        async with client:
            simulation = Simulation(
                place, folder, Truth(connection, place.tenant_id), client, seed, devices
            )
            simulation.set_parallel(parallel)
            return await simulation.run(steps)
    finally:
        await connection.close()


class Simulation:
    def __init__(
        self,
        place: Place,
        folder: Path,
        truth: Truth,
        client: Client,
        seed: int,
        devices: int,
    ) -> None:
        self._rng = random.Random(seed)
        self._truth = truth
        self._outcome = Outcome()
        self._devices = [
            Device(
                f"device{number}",
                folder,
                place.url,
                place.tenant_id,
                place.token,
                random.Random(f"{seed} {number}"),
            )
            for number in range(devices)
        ]
        contents = Contents(self._rng)
        self._people = [Person(device.root, self._rng, contents) for device in self._devices]
        self._colleague = Colleague(client, self._rng, contents, self._devices[0].new_id)

    def set_parallel(self, parallel: int) -> None:
        for device in self._devices:
            device.parallel = parallel

    async def run(self, steps: int) -> Outcome:
        for _ in range(steps):
            await self._rng.choices((self._work, self._colleague_works, self._sync), (5, 2, 4))[
                0
            ]()
            if self._outcome.faults:
                return self._outcome
        await self._come_to_rest()
        return self._outcome

    async def _work(self) -> None:
        number = self._rng.randrange(len(self._devices))
        for _ in range(self._rng.randint(1, 4)):
            self._outcome.say(f"{self._devices[number].name}: {self._people[number].act()}")

    async def _colleague_works(self) -> None:
        self._outcome.say(await self._colleague.act())

    async def _sync(self) -> None:
        device = self._rng.choice(self._devices)
        device.set_faults(self._rng.choice((0, 0, 0.05, 0.3)))
        moment = self._rng.randint(1, 80) if self._rng.random() < 0.5 else 0
        is_after = self._rng.random() < 0.5
        before = device.kept() | await self._truth.kept()
        hidden = await self._hidden(device)
        said = await device.sync(crash_moment=moment, is_after=is_after)
        self._outcome.say(said)
        await self._nothing_hidden_deleted(device, hidden)
        how = said.split(": ")[1].split(" ")[0]
        self._outcome.counts["synced" if how.startswith("{") else how] += 1
        await self._nothing_lost(device, before)

    async def _nothing_lost(self, device: Device, before: set[str]) -> None:
        lost = before - device.kept() - await self._truth.kept()
        if lost:
            self._outcome.faults.append(f"lost by a sync of {device.name}: {sorted(lost)}")

    async def _hidden(self, device: Device) -> set[UUID]:
        """Documents that the device's last sync was told to ignore, and that live."""
        return device.hidden & {document.id for document in await self._truth.live()}

    async def _nothing_hidden_deleted(self, device: Device, hidden: set[UUID]) -> None:
        deleted = hidden - {document.id for document in await self._truth.live()}
        if deleted:
            fault = f"{device.name} deleted what it had been told to ignore: {sorted(deleted)}"
            self._outcome.faults.append(fault)

    async def _come_to_rest(self) -> None:
        for _ in range(_MOST_CALM_ROUNDS):
            is_quiet = True
            for device in self._devices:
                before = device.kept() | await self._truth.kept()
                hidden = await self._hidden(device)
                report = await device.sync_calmly()
                await self._nothing_hidden_deleted(device, hidden)
                await self._nothing_lost(device, before)
                self._outcome.say(f"{device.name}: at rest {report.counts}")
                self._outcome.faults += [f"{device.name}: {f}" for f in report.failures]
                is_quiet &= not report.done
            if is_quiet:
                break
        else:
            self._outcome.faults.append("does not come to rest")
        await self._compare()
        for device in self._devices:
            self._outcome.counts.update(device.api.met + device.storage.met)

    async def _compare(self) -> None:
        live = await self._truth.live()
        for device in self._devices:
            self._outcome.faults += await differences(device, live)
            self._outcome.faults += [f"{device.name}: left {name}" for name in device.litter()]


async def differences(device: Device, live: list[LiveDocument]) -> list[str]:
    """In what a folder differs from the server, but for what it told as a problem."""
    async with device.opened() as mirror:
        view = await mirror.look()
        refused = {problem.id for problem in view.plan.problems if problem.id is not None}
        refused_paths = {problem.path for problem in view.plan.problems if problem.id is None}
        paths = {entry.id: entry.path for entry in mirror.entries()}
    covers = read_ignores(device.root).covers
    tree = {path: sha256 for path, sha256 in device.tree().items() if not covers(path)}
    wanted = {d.id: d for d in live if d.id not in refused and not covers(d.path)}
    twice = Counter(d.path for d in wanted.values())
    held = {paths[document_id] for document_id in refused if document_id in paths}
    mine = {paths[document_id] for document_id in wanted if document_id in paths}
    extra = tree.keys() - mine - held - refused_paths
    # One that is held, and was renamed here, is not where it was last.
    if len(extra) <= sum(paths.get(document_id) not in tree for document_id in refused):
        held |= extra
    faults = [f"{device.name}: still to do {action}" for action in view.plan.actions]
    for document in wanted.values():
        path = paths.get(document.id)
        if twice[document.path] > 1 and (path is None or covers(path)):
            continue  # its name is another one's, and the one that it would get is ignored
        if path is None or tree.get(path) != document.sha256:
            faults.append(f"{device.name}: {document} is not at {path}")
        elif path != document.path and twice[document.path] == 1 and document.path not in held:
            faults.append(f"{device.name}: {document} is called {path}")
    return faults + [f"{device.name}: {path} is no document" for path in sorted(extra - held)]
