"""A device with all that belongs to it, and what comes between while it is at work."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.backups import Backup
from simulation.colleague import Colleague
from simulation.crashes import beside
from simulation.device import Device
from simulation.people import Person
from simulation.promises import Meanwhile, misjudged
from simulation.runs import Outcome, Place
from simulation.second_process import Intruded, act_beside
from simulation.whereabouts import Whereabouts
from syncapi.client.errors import SyncError
from syncapi.client.folder.ignore_rules import read_ignores


@dataclass(frozen=True, slots=True)
class Desk:
    """A device, who works at it, the backup of it, and where its folder is."""

    device: Device
    person: Person
    backup: Backup
    whereabouts: Whereabouts

    def work(self) -> str:
        """Whoever sits there does something; say what."""
        what = self.person.act()
        self.device.may_have_gone_back |= self.person.has_undone
        self.person.has_undone = False
        return what

    def judge_place(self, *, is_the_folder: bool = True) -> list[str]:
        """What is wrong with how the folder is known where it is."""
        root = self.device.root
        return misjudged(root, self.whereabouts.find(root), is_the_folder=is_the_folder)


@dataclass(slots=True)
class Interference:
    """What people and other processes do at a desk while its device is at work."""

    desk: Desk
    rng: random.Random
    outcome: Outcome
    colleague: Colleague
    place: Place
    meanwhile: Meanwhile = field(default_factory=Meanwhile)

    def act(self) -> None:
        """Do something, and note it."""
        acts: dict[Callable[[], str], int] = {
            self.work: 14,
            self._work_beside: 4,
            self._change_server: 4,
            self._move: 1,
        }
        what = self.rng.choices(list(acts), list(acts.values()))[0]()
        self.outcome.counts["acts during a sync"] += 1
        self.outcome.say(f"{self.desk.device.name}: meanwhile {what}")

    def work(self) -> str:
        """Whoever sits there goes on."""
        before = self.desk.device.tree()
        what = self.desk.work()
        covers = read_ignores(self.desk.device.root).covers
        self.meanwhile.note(before, self.desk.device.tree(), covers)
        return what

    def _work_beside(self) -> str:
        before = self.desk.device.tree()
        self.desk.device.may_have_gone_back = True  # a conflict may be settled
        try:
            what = beside(act_beside(self.desk.device, self.rng))
        except (Intruded, SyncError) as error:
            self.outcome.blame([f"{self.desk.device.name}: beside a sync: {error}"])
            return "beside it: failed"
        self.meanwhile.note_decision(before, self.desk.device.tree())
        self.outcome.counts["processes beside a sync"] += 1
        return f"beside it: {what}"

    def _change_server(self) -> str:
        async def change() -> str:
            async with self.place.client() as client:
                return await self.colleague.through(client).act(may_erase=False)

        what = beside(change())
        self.meanwhile.note_deleted(self.colleague.deleted)
        return what

    def _move(self) -> str:
        self.desk.whereabouts.move()
        self.outcome.blame(self.desk.judge_place())
        self.meanwhile.acts += 1
        return f"move the folder to {self.desk.device.root.name}"
