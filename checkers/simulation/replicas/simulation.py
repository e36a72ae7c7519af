"""A run: programs that embed the replica, their users, a colleague on the server, all at random.

Around all that is done the promises of `promises` hold. At rest every replica has what the server
has, and nothing waits.
"""

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from simulation.colleague import Colleague
from simulation.device import Befalling
from simulation.lost_history import ServerHistory, wait_until_served
from simulation.people import Contents
from simulation.replicas.interference import Interference
from simulation.replicas.person import Question
from simulation.replicas.program import Kind, Program, Run
from simulation.replicas.promises import Episode, Moment, broken, marks_on_server, unrest
from simulation.replicas.user import User
from simulation.replicas.wishes import Marks
from simulation.runs import Outcome, Place, act_at_random
from simulation.truth import Truth
from syncapi.client.api.client import Client

_MOST_CALM_ROUNDS: Final = 10
_LONGEST_RUN: Final = 60  # changes of the disk
_LONGEST_CHANGE: Final = 8
_ACTS: Final = 4  # during a run in which others act
_KINDS: Final[tuple[Kind, ...]] = ("sync", "sync", "sync", "sync", "pull", "push")


async def simulate(place: Place, folder: Path, *, seed: int, steps: int, programs: int) -> Outcome:
    """Run ``steps`` steps; the same seed makes a run that is alike."""
    async with place.client() as client:
        return await Simulation(place, folder, client, seed, programs).run(steps)


class Simulation:
    def __init__(
        self, place: Place, folder: Path, client: Client, seed: int, programs: int
    ) -> None:
        self._rng = random.Random(seed)
        self._place = place
        self._client = client
        self._programs = [
            Program(f"program{number}", folder, place, random.Random(f"{seed} {number}"))
            for number in range(programs)
        ]
        self._outcome = Outcome(devices=self._programs)
        contents, marks = Contents(self._rng), Marks()
        self._colleague = Colleague(client, self._rng, contents, self._new_id)
        self._interferences = [
            Interference(program, self._rng, self._outcome, self._colleague, place)
            for program in self._programs
        ]
        for interference in self._interferences:
            interference.user = User(
                interference.program, self._rng, contents, marks, interference.while_copied
            )
        self._history = ServerHistory(place.plain_database_url)
        self._has_forked = self._is_void_lost = False
        self._gone: set[str] = set()
        self._first_loss: datetime | None = None
        self._lost_at: dict[str, datetime] = {}
        self._answered: set[tuple[str, Question]] = set()
        self._truth: Truth

    def _new_id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    async def run(self, steps: int) -> Outcome:
        self._truth = Truth(await self._place.connect(), self._place.tenant_id)
        try:
            await self._run(steps)
        finally:
            for program in self._programs:
                await program.end()
            await self._truth.close()
            await self._history.drop_copy()
        return self._outcome

    async def _run(self, steps: int) -> None:
        acts = {
            self._work: 10,
            self._colleague_works: 5,
            self._sync: 9,
            self._operate: 1,
        }
        if self._place.is_own:
            acts[self._lose_history] = 1
        if await act_at_random(self._rng, acts, steps, self._outcome):
            await self._come_to_rest()

    async def _work(self) -> None:
        """Somebody changes documents, be it that the process is killed, or others come between."""
        here = self._rng.choice(self._interferences)
        before = await self._begin(here)
        is_slow = self._rng.random() < 0.3
        for _ in range(1 if is_slow else self._rng.randint(1, 3)):
            self._change(here, is_slow=is_slow)
        await self._judge(here, before, here.run_beside)

    def _change(self, here: Interference, *, is_slow: bool) -> None:
        moment = (
            0 if is_slow or self._rng.random() < 0.9 else self._rng.randint(1, _LONGEST_CHANGE)
        )
        befalling = Befalling(moment, self._rng.random() < 0.5)
        said = here.change(befalling, is_slow=is_slow)
        self._outcome.say(f"{here.program.name}: {said}")

    async def _colleague_works(self) -> None:
        before = await self._truth.history()
        self._outcome.say(await self._colleague.act())
        left = {version.id for version in await self._truth.history()}
        self._gone |= marks_on_server(v for v in before if v.id not in left)

    async def _operate(self) -> None:
        act = self._rng.choice((self._void, self._truth.collect_tombstones))
        await act()
        self._outcome.say(f"server: {act.__name__}")

    async def _void(self) -> None:
        await self._truth.void()
        self._is_void_lost = self._has_forked

    async def _sync(self) -> None:
        here, kind = self._rng.choice(self._interferences), self._rng.choice(_KINDS)
        program = here.program
        program.set_faults(self._rng.choice((0, 0, 0.05, 0.3)))
        befalling = self._befalling(here.act_at_disk)
        before = await self._begin(here)
        with here.at_requests_and_questions():
            run = await program.run(kind, befalling, is_standing=self._rng.random() < 0.3)
        self._outcome.say(f"{program.name}: {kind} {run.how}{_told(run)}")
        self._outcome.counts[f"{kind}: {run.how.partition(':')[0]}"] += 1
        await self._judge(here, before, run)

    def _befalling(self, act: Callable[[], object]) -> Befalling:
        moment = self._rng.randint(1, _LONGEST_RUN) if self._rng.random() < 0.4 else 0
        is_alone = self._rng.random() < 0.6
        moments = () if is_alone else self._rng.sample(range(1, _LONGEST_RUN), _ACTS)
        return Befalling(moment, self._rng.random() < 0.5, moments, act)

    async def _begin(self, here: Interference) -> Moment:
        here.begin()
        return await Moment.now(here.program, self._truth)

    async def _judge(self, here: Interference, before: Moment, run: Run | None) -> None:
        name = here.program.name
        after = await Moment.now(here.program, self._truth)
        episode = Episode(
            here.program,
            before,
            after,
            run,
            self._gone,
            self._first_loss,
            self._lost_at.get(name),
            is_server_quiet=here.is_server_quiet,
        )
        self._outcome.blame(broken(episode))
        if run is not None and run.result is not None:
            self._note_answers(here.program)
            if run.kind == "sync":
                self._lost_at.pop(name, None)

    def _note_answers(self, program: Program) -> None:
        """Whoever has answered is not asked again, unless the server has lost what came of it."""
        questions = {(program.name, question) for question in program.person.answered}
        if program.name not in self._lost_at:
            again = questions & self._answered
            self._outcome.blame(f"asked again: {question}" for question in again)
        self._answered |= questions

    async def _lose_history(self) -> None:
        """Begin with what is to be lost; the next time, lose it."""
        if not self._has_forked:
            await self._history.fork()
            await self._go_on()
            self._outcome.say("server: what comes now is lost later")
        else:
            before = marks_on_server(await self._truth.history())
            await self._history.lose()
            await self._go_on()
            if self._is_void_lost:  # as operators are told: its stamps are an hour ahead
                await self._void()
            held = {mark for program in self._programs for mark in program.held().marks()}
            self._gone |= before - held - marks_on_server(await self._truth.history())
            now = await self._truth.time()
            self._first_loss = self._first_loss or now
            for program in self._programs:
                self._lost_at.setdefault(program.name, now)
            self._answered.clear()
            self._outcome.say("server: history is lost")
            self._outcome.counts["losses of history"] += 1
        self._has_forked, self._is_void_lost = not self._has_forked, False

    async def _go_on(self) -> None:
        self._truth.ask(await self._place.connect())
        await wait_until_served(self._client)

    async def _come_to_rest(self) -> None:
        for _ in range(_MOST_CALM_ROUNDS):
            is_at_rest = [await self._sync_calmly(here) for here in self._interferences]
            if all(is_at_rest) or self._outcome.faults:
                break
        else:
            self._outcome.blame(["does not come to rest"])
        for program in self._programs:
            faults = [*unrest(program.held()), *program.check()]
            self._outcome.blame(f"{program.name}: {fault}" for fault in faults)
            self._outcome.counts.update(program.api.met + program.storage.met)
        self._outcome.blame(await self._truth.pushed_twice())

    async def _sync_calmly(self, here: Interference) -> bool:
        """Sync and settle what is open; returns whether there was nothing to do."""
        program = here.program
        program.set_faults(0)
        program.person.is_patient = True
        before = await self._begin(here)
        run = await program.run()
        self._outcome.say(f"{program.name}: calmly {run.how}{_told(run)}")
        await self._judge(here, before, run)
        if run.result is None:
            self._outcome.blame([f"{program.name}: {run.how}, and nothing was wrong"])
            return False
        self._outcome.blame(f"{program.name}: {failure}" for failure in run.result.errors)
        settled = here.settle_all()
        result = run.result
        return not (settled or result.pushed or result.added or result.modified or result.deleted)


def _told(run: Run) -> str:
    result = run.result
    if result is None:
        return ""
    came = len(result.added), len(result.modified), len(result.deleted)
    pushed = [answer.status for answer in result.pushed]
    met = [(str(record.id), record.outcome) for record in result.conflicts]
    return f" {came} pushed {pushed} conflicts {met} errors {len(result.errors)} {result.resynced}"
