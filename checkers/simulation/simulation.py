"""A run: devices, people, crashes and a bad network, and at the end the reckoning.

Around every sync the promises of `promises` hold. On the way the server goes back to an earlier
state, backups are put back, and folders are moved and copied. At rest: all folders and the server
are equal but for what is ignored, nothing is left lying about, and a further sync has nothing to
do.
"""

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from simulation.backups import Backup
from simulation.colleague import Colleague
from simulation.decisions import LONGEST, Decisions
from simulation.desks import Desk, Interference
from simulation.device import NOTHING, Befalling, Device
from simulation.lost_history import ServerHistory, wait_until_served
from simulation.moments import Moment
from simulation.older_copies import (
    go_back_after_loss,
    go_back_after_lost_answers,
    go_back_beside_copy,
    go_back_to_what_was_asked,
)
from simulation.people import Contents, Person
from simulation.promises import Meanwhile, Sync, broken, misjudged, not_given_back, owed
from simulation.rest import differences
from simulation.runs import Outcome, Place, act_at_random
from simulation.truth import Truth
from simulation.went_back import asked_without_reason
from simulation.whereabouts import Whereabouts
from syncapi.client.api.client import Client
from syncapi.client.folder.observe.observer import Keep
from syncapi.client.folder.reports import MirrorReport
from syncapi.client.folder.rules import Direction

_MOST_CALM_ROUNDS: Final = 8
_LONGEST_SYNC: Final = 80  # changes of the disk
_ACTS: Final = 4  # during a sync in which people act
_ANSWERS: Final[tuple[Keep, ...]] = ("mine", "theirs")
_WAYS_BACK: Final = (go_back_beside_copy, go_back_to_what_was_asked, go_back_after_lost_answers)
_DIRECTIONS: Final[tuple[Direction, ...]] = ("both", "both", "push")


async def simulate(
    place: Place, folder: Path, *, seed: int, steps: int, devices: int, parallel: int = 1
) -> Outcome:
    """Run ``steps`` steps; the same seed makes the same run, if one transfer goes at a time."""
    async with place.client() as client:
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
        contents = self._contents = Contents(self._rng)
        self._desks = [self._desk(device, folder, contents) for device in self._devices]
        self._colleague = Colleague(client, self._rng, contents, self._devices[0].new_id)
        self._decisions = Decisions(self._rng, self._outcome, self._colleague, self._sync_calmly)
        self._history = ServerHistory(place.plain_database_url)
        self._forked_at: datetime | None = None
        self._know_history = {device.name for device in self._devices}
        self._truth: Truth

    def _desk(self, device: Device, folder: Path, contents: Contents) -> Desk:
        return Desk(
            device,
            Person(lambda: device.root, self._rng, contents),
            Backup(device, folder / f"{device.name}.backup"),
            Whereabouts(device, folder),
        )

    def set_parallel(self, parallel: int) -> None:
        for device in self._devices:
            device.parallel = parallel

    async def run(self, steps: int) -> Outcome:
        self._truth = Truth(await self._place.connect(), self._place.tenant_id)
        try:
            await self._run(steps)
        finally:
            for device in self._devices:
                await device.end()
            await self._truth.close()
            await self._history.drop_copy()
        return self._outcome

    async def _run(self, steps: int) -> None:
        acts = {
            self._work: 10,
            self._colleague_works: 4,
            self._sync: 8,
            self._back_up: 2,
            self._go_back: 2,
            self._move: 1,
            self._decide: 2,
        }
        if self._place.is_own:
            acts[self._lose_history] = 1
        if await act_at_random(self._rng, acts, steps, self._outcome):
            await self._come_to_rest()

    async def _work(self) -> None:
        desk = self._rng.choice(self._desks)
        for _ in range(self._rng.randint(1, 4)):
            self._outcome.say(f"{desk.device.name}: {desk.work()}")

    async def _colleague_works(self) -> None:
        self._outcome.say(await self._colleague.act())

    async def _back_up(self) -> None:
        desk = self._rng.choice(self._desks)
        await desk.device.end()
        backup = desk.backup
        what = backup.make() if self._rng.random() < 0.5 else backup.put_back(self._rng)
        self._outcome.say(f"{desk.device.name}: {what}")

    async def _go_back(self) -> None:
        """Put a backup back, have others work meanwhile, and sync without a kill."""
        desk = self._rng.choice(self._desks)
        device = desk.device
        await device.end()
        go_back = self._rng.choice(_WAYS_BACK)
        what = await go_back(desk, self._rng, self._contents, lambda: self._sync_calmly(device))
        self._outcome.say(f"{device.name}: {what}")
        for _ in range(self._rng.choice((0, 0, 3))):
            self._outcome.say(await self._colleague.act(may_erase=False))
        direction = self._rng.choice(_DIRECTIONS)
        await self._sync_once(desk, None, befalling=NOTHING, direction=direction)
        if device.suspects_backup and self._rng.random() < 0.7:
            await self._fetch_all_again(desk)

    async def _fetch_all_again(self, desk: Desk) -> None:
        """Answer that the server's versions are to stay; that sync may be killed."""
        there = {document.id: document for document in await self._truth.live()}
        befalling = self._befalling(str, acts=0)
        await self._sync_once(desk, "theirs", befalling=befalling)
        await self._sync_calmly(desk.device)
        since = {document.id: document for document in await self._truth.live()}
        self._outcome.blame(
            f"{desk.device.name}: {document} was to stay, and is {since.get(document.id)}"
            for document in there.values()
            if document.id not in since or since[document.id].sha256 != document.sha256
        )

    async def _move(self) -> None:
        """Move the folder, copy it, or have a copy take its place."""
        desk = self._rng.choice(self._desks)
        if not desk.whereabouts.can_tell:
            return
        acts = (self._rename, self._copy, self._exchange)
        self._outcome.say(f"{desk.device.name}: {await self._rng.choice(acts)(desk)}")
        self._outcome.counts["folders moved or copied"] += 1

    async def _rename(self, desk: Desk) -> str:
        before = await desk.device.to_do()
        desk.whereabouts.move()
        self._outcome.blame(desk.judge_place())
        after = await desk.device.to_do()
        if after != before:
            self._outcome.blame(
                [f"{desk.device.name}: moved, and has to do {after}, not {before}"]
            )
        return f"move the folder to {desk.device.root.name}"

    async def _copy(self, desk: Desk) -> str:
        copy = desk.whereabouts.copy()
        found = desk.whereabouts.find(copy)
        self._outcome.blame(misjudged(copy, found, is_the_folder=False))
        self._outcome.blame(desk.judge_place())
        return "copy the folder"

    async def _exchange(self, desk: Desk) -> str:
        if not desk.whereabouts.put_copy_in_place():
            return "no copy"
        self._outcome.blame(desk.judge_place(is_the_folder=False))
        is_adopted = self._rng.random() < 0.5
        if is_adopted:
            desk.whereabouts.adopt()
            desk.device.may_have_gone_back = True
            desk.device.hidden = set()  # whatever its last sync was told is not known any more
        else:
            desk.whereabouts.undo()
        self._outcome.blame(desk.judge_place())
        return f"put a copy in the folder's place, {'for good' if is_adopted else 'and undo it'}"

    async def _decide(self) -> None:
        """Settle a conflict, be it that the process is killed or that the file is edited."""
        open_ones = [(d, conflict) for d in self._desks for conflict in await d.device.conflicts()]
        if not open_ones:
            return
        desk, conflict = self._rng.choice(open_ones)
        interference = self._interference(desk)
        befalling = self._befalling(interference.work, longest=LONGEST, acts=1)
        await self._decisions.make(desk, conflict, befalling, interference.meanwhile)

    def _interference(self, desk: Desk) -> Interference:
        return Interference(desk, self._rng, self._outcome, self._colleague, self._place)

    def _befalling(
        self, act: Callable[[], object], *, longest: int = _LONGEST_SYNC, acts: int = _ACTS
    ) -> Befalling:
        moment = self._rng.randint(1, longest) if self._rng.random() < 0.5 else 0
        is_after = self._rng.random() < 0.5
        is_alone = self._rng.random() < 0.7
        moments = () if is_alone else self._rng.sample(range(1, longest), acts)
        return Befalling(moment, is_after, moments, act)

    async def _sync(self) -> None:
        """Sync; if there is a question, go on with something else before answering."""
        desk = self._rng.choice(self._desks)
        desk.device.set_faults(self._rng.choice((0, 0, 0.05, 0.3)))
        await self._sync_once(desk, None)
        if desk.device.is_asked and self._rng.random() < 0.5:
            for _ in range(self._rng.randint(0, 2)):
                self._outcome.say(f"{desk.device.name}: asked: {desk.work()}")
            await self._sync_once(desk, self._rng.choice(_ANSWERS))

    async def _sync_once(
        self,
        desk: Desk,
        answer: Keep | None,
        *,
        befalling: Befalling | None = None,
        direction: Direction = "both",
    ) -> None:
        device, interference = desk.device, self._interference(desk)
        if befalling is None:
            befalling = self._befalling(interference.act)
        before, hidden = await Moment.now(device, self._truth), device.hidden
        said = await device.sync(
            befalling,
            allow_mass_delete=answer is not None or self._rng.random() < 0.8,
            went_back=answer,
            direction=direction,
            is_standing=self._rng.random() < 0.3,
        )
        self._outcome.say(f"{said}{f', answered {answer}' if answer else ''}")
        how = said.split(": ")[1].split(" ")[0]
        self._outcome.counts["synced" if how.startswith("{") else how] += 1
        self._outcome.counts["questions answered"] += answer is not None
        has_crashed = how == "crashed"
        await self._judge(device, before, hidden, interference.meanwhile, has_crashed=has_crashed)

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
            answer=device.answer,
        )
        self._outcome.blame(broken(sync, self._truth, self._colleague.erased))
        self._outcome.blame(asked_without_reason(device, (before, after), self._truth))
        if device.has_come_through:
            device.may_have_gone_back &= bool(meanwhile.acts)
            self._know_history.add(device.name)
        return after

    async def _lose_history(self) -> None:
        """Begin with what is to be lost; the next time, lose it."""
        if self._forked_at is None:
            if self._rng.random() < 0.3:
                await self._go_back_after_loss()
            else:
                await self._fork()
            return
        forked_at = self._forked_at
        await self._lose()
        if self._rng.random() < 0.5:
            await self._give_back(self._rng.choice(self._devices), forked_at)

    async def _fork(self) -> None:
        await self._history.fork()
        self._truth.ask(await self._place.connect())
        await wait_until_served(self._client)
        self._forked_at = await self._truth.time()
        self._outcome.say("server: what comes now is lost later")

    async def _lose(self) -> None:
        self._forked_at = None
        await self._truth.versions()  # it remembers what is lost now
        await self._history.lose()
        self._truth.ask(await self._place.connect())
        await wait_until_served(self._client)
        self._know_history.clear()
        for device in self._devices:
            device.may_have_gone_back = True
        self._outcome.say("server: history is lost")
        self._outcome.counts["losses of history"] += 1

    async def _go_back_after_loss(self) -> None:
        """Put a backup back that is older than what the server still has after a loss."""
        desk = self._rng.choice(self._desks)
        device = desk.device
        await device.end()
        what = await go_back_after_loss(
            desk,
            self._rng,
            self._contents,
            lambda: self._sync_calmly(device),
            fork=self._fork,
            lose=self._lose,
        )
        self._outcome.say(f"{device.name}: {what}")
        await self._sync_once(desk, None, befalling=NOTHING)

    async def _give_back(self, device: Device, forked_at: datetime) -> None:
        due = owed(await Moment.now(device, self._truth), forked_at)
        _, after = await self._sync_calmly(device)
        self._outcome.counts["given back"] += len(due)
        self._outcome.blame(f"{device.name}: {fault}" for fault in not_given_back(due, after))

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
