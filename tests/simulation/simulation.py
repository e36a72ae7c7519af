"""A run: devices, people, crashes and a bad network, and at the end the reckoning.

Around every sync the promises of `promises` hold. On the way the server goes back to an earlier
state, and backups are put back. At rest: all folders and the server are equal but for what is
ignored, nothing is left lying about, and a further sync has nothing to do.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

import asyncpg

from simulation.backups import Backup
from simulation.colleague import Colleague
from simulation.device import QUICK, Device
from simulation.lost_history import ServerHistory, wait_until_served
from simulation.people import Contents, Person
from simulation.promises import Meanwhile, Moment, Sync, broken, not_given_back, owed
from simulation.truth import LiveDocument, Truth
from syncapi.client.api.client import Client
from syncapi.client.folder.ignoring import read_ignores
from syncapi.client.folder.reports import MirrorReport

_MOST_CALM_ROUNDS = 8
_LONGEST_SYNC = 80  # changes of the disk
_ACTS = 4  # during a sync in which people act


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


@dataclass(slots=True)
class Outcome:
    """What happened, step by step, and what was wrong with it."""

    log: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    devices: list[Device] = field(default_factory=list)

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


async def simulate(
    place: Place, folder: Path, *, seed: int, steps: int, devices: int, parallel: int = 1
) -> Outcome:
    """Run ``steps`` steps; the same seed makes the same run, if one transfer goes at a time."""
    async with Client(place.url, place.tenant_id, place.token, retry=QUICK) as client:
        simulation = Simulation(place, folder, client, seed, devices)
        simulation.set_parallel(parallel)
        return await simulation.run(steps)


class Simulation:
    def __init__(
        self, place: Place, folder: Path, client: Client, seed: int, devices: int
    ) -> None:
        self._rng = random.Random(seed)
        self._place = place
        self._client = client
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
        self._outcome = Outcome(devices=self._devices)
        contents = Contents(self._rng)
        self._people = {
            device.name: Person(device.root, self._rng, contents) for device in self._devices
        }
        self._colleague = Colleague(client, self._rng, contents, self._devices[0].new_id)
        self._backups = [
            Backup(device, folder / f"{device.name}.backup") for device in self._devices
        ]
        self._history = ServerHistory(place.database_url.replace("+asyncpg", ""))
        self._forked_at: datetime | None = None
        self._know_history = {device.name for device in self._devices}
        self._truth: Truth

    def set_parallel(self, parallel: int) -> None:
        for device in self._devices:
            device.parallel = parallel

    async def run(self, steps: int) -> Outcome:
        self._truth = Truth(await self._connect(), self._place.tenant_id)
        try:
            await self._run(steps)
        finally:
            await self._truth.close()
            await self._history.drop_copy()
        return self._outcome

    async def _run(self, steps: int) -> None:
        acts = {self._work: 10, self._colleague_works: 4, self._sync: 8, self._back_up: 1}
        if self._place.is_own:
            acts[self._lose_history] = 1
        for _ in range(steps):
            await self._rng.choices(list(acts), list(acts.values()))[0]()
            if self._outcome.faults:
                return
        await self._come_to_rest()

    async def _work(self) -> None:
        device = self._rng.choice(self._devices)
        for _ in range(self._rng.randint(1, 4)):
            self._outcome.say(f"{device.name}: {self._people[device.name].act()}")

    async def _colleague_works(self) -> None:
        self._outcome.say(await self._colleague.act())

    async def _back_up(self) -> None:
        number = self._rng.randrange(len(self._devices))
        backup = self._backups[number]
        what = backup.make() if self._rng.random() < 0.5 else backup.put_back(self._rng)
        self._outcome.say(f"{self._devices[number].name}: {what}")

    async def _sync(self) -> None:
        device = self._rng.choice(self._devices)
        device.set_faults(self._rng.choice((0, 0, 0.05, 0.3)))
        moment = self._rng.randint(1, _LONGEST_SYNC) if self._rng.random() < 0.5 else 0
        is_after = self._rng.random() < 0.5
        is_alone = self._rng.random() < 0.7
        moments = () if is_alone else self._rng.sample(range(1, _LONGEST_SYNC), _ACTS)
        meanwhile = Meanwhile()

        def act() -> None:
            before = device.tree()
            self._outcome.say(f"{device.name}: meanwhile {self._people[device.name].act()}")
            meanwhile.note(before, device.tree())

        before, hidden = await Moment.now(device, self._truth), device.hidden
        said = await device.sync(
            crash_moment=moment, is_after=is_after, act_moments=moments, act=act
        )
        self._outcome.say(said)
        how = said.split(": ")[1].split(" ")[0]
        self._outcome.counts["synced" if how.startswith("{") else how] += 1
        self._outcome.counts["acts during a sync"] += meanwhile.acts
        await self._judge(device, before, hidden, meanwhile, has_crashed=how == "crashed")

    async def _sync_calmly(self, device: Device) -> tuple[MirrorReport, Moment]:
        before, hidden = await Moment.now(device, self._truth), device.hidden
        report = await device.sync_calmly()
        self._outcome.say(f"{device.name}: calmly {report.counts}")
        self._outcome.blame(f"{device.name}: {failure}" for failure in report.failures)
        return report, await self._judge(device, before, hidden, Meanwhile())

    async def _judge(
        self,
        device: Device,
        before: Moment,
        hidden: set[UUID],
        meanwhile: Meanwhile,
        *,
        has_crashed: bool = False,
    ) -> Moment:
        after = await Moment.now(device, self._truth)
        sync = Sync(
            device,
            before,
            after,
            hidden,
            meanwhile,
            is_complete=device.has_come_through,
            has_crashed=has_crashed,
            knows_history=device.name in self._know_history,
        )
        self._outcome.blame(broken(sync, self._truth, self._colleague.erased))
        if device.has_come_through:
            self._know_history.add(device.name)
        return after

    async def _lose_history(self) -> None:
        """Begin with what is to be lost; the next time, lose it."""
        if self._forked_at is None:
            await self._history.fork()
            self._truth.ask(await self._connect())
            await wait_until_served(self._client)
            self._forked_at = await self._truth.time()
            self._outcome.say("server: what comes now is lost later")
            return
        forked_at, self._forked_at = self._forked_at, None
        await self._history.lose()
        self._truth.ask(await self._connect())
        await wait_until_served(self._client)
        self._know_history.clear()
        self._outcome.say("server: history is lost")
        self._outcome.counts["losses of history"] += 1
        if self._rng.random() < 0.5:
            await self._give_back(self._rng.choice(self._devices), forked_at)

    async def _give_back(self, device: Device, forked_at: datetime) -> None:
        due = owed(await Moment.now(device, self._truth), forked_at)
        _, after = await self._sync_calmly(device)
        self._outcome.counts["given back"] += len(due)
        self._outcome.blame(f"{device.name}: {fault}" for fault in not_given_back(due, after))

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._place.database_url.replace("+asyncpg", ""))

    async def _come_to_rest(self) -> None:
        for _ in range(_MOST_CALM_ROUNDS):
            reports = [(await self._sync_calmly(device))[0] for device in self._devices]
            if not any(report.done for report in reports):
                break
        else:
            self._outcome.blame(["does not come to rest"])
        await self._compare()
        for device in self._devices:
            self._outcome.counts.update(device.api.met + device.storage.met)

    async def _compare(self) -> None:
        live = await self._truth.live()
        for device in self._devices:
            self._outcome.blame(await differences(device, live))
            self._outcome.blame(f"{device.name}: left {name}" for name in device.litter())


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
