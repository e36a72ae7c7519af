"""What users and other processes do with a program's store, also while a run is under way."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from simulation.colleague import Colleague
from simulation.crashes import Crashed, beside
from simulation.device import Befalling
from simulation.replicas.program import Program, Run
from simulation.replicas.user import User
from simulation.runs import Outcome, Place
from syncapi.client.errors import StoreBusy

_AT_A_REQUEST: Final = 0.08
_AT_A_QUESTION: Final = 0.4


class Interference:
    """Around one program.

    Attributes:
        user: who uses the program, in whatever process.
        is_server_quiet: whether nobody has changed the server since `begin`.
        run_beside: a run by another process, since then.
    """

    user: User

    def __init__(
        self,
        program: Program,
        rng: random.Random,
        outcome: Outcome,
        colleague: Colleague,
        place: Place,
    ) -> None:
        self.program = program
        self._rng = rng
        self._outcome = outcome
        self._colleague = colleague
        self._place = place
        self.begin()

    def begin(self) -> None:
        """Forget what was noted until now."""
        self.is_server_quiet = True
        self.run_beside: Run | None = None
        self.program.wishes.touched.clear()
        self.program.wishes.resolved.clear()
        self.program.person.answered.clear()

    def change(self, befalling: Befalling, *, is_slow: bool) -> str:
        """Have the user do something in a process of its own, whatever comes."""
        try:
            with befalling.befall(), self.program.edited() as replica:
                return self.user.act(replica, is_slow=is_slow)
        except Crashed as crash:
            return f"a change crashed at {crash}"

    def settle_all(self) -> int:
        """Keep both sides of all conflicts; returns how many there were."""
        with self.program.edited() as replica:
            conflicts = replica.conflicts()
            for conflict in conflicts:
                self.user.resolve(replica, conflict.id, "both")
        return len(conflicts)

    @contextmanager
    def at_requests_and_questions(self) -> Iterator[None]:
        """Have the user go on in the process that runs, now and then."""
        program = self.program
        program.api.meanwhile = program.storage.meanwhile = lambda: self._go_on(_AT_A_REQUEST)
        program.person.meanwhile = lambda: self._go_on(_AT_A_QUESTION)
        try:
            yield
        finally:
            program.api.meanwhile = program.storage.meanwhile = lambda: None
            program.person.meanwhile = lambda: None

    def act_at_disk(self) -> None:
        """Another process does something, between two changes of the disk by the run."""
        acts: dict[Callable[[], str], int] = {
            self._work_beside: 6,
            self._intrude: 1,
            self._change_server: 3,
        }
        self._note(self._rng.choices(list(acts), list(acts.values()))[0]())

    def while_copied(self, at: int) -> None:
        """Others come between while a content is copied in, in the given read of two."""
        acts: list[Callable[[], str]] = [self._run_beside, self._run_beside, self._work_beside]
        del at
        self._note(self._rng.choice(acts)())

    def _go_on(self, chance: float) -> None:
        replica = self.program.running
        if replica is not None and self._rng.random() < chance:
            self._note(f"in the same process {self.user.act(replica)}")

    def _note(self, what: str) -> None:
        self._outcome.counts["acts meanwhile"] += 1
        self._outcome.say(f"{self.program.name}: meanwhile {what}")

    def _work_beside(self) -> str:
        async def work() -> str:
            with self.program.edited() as replica:
                return self.user.act(replica, may_copy=self.program.can_copy_in())

        return f"beside it {beside(work())}"

    def _intrude(self) -> str:
        async def intrude() -> str:
            with self.program.edited() as replica:
                try:
                    with replica.exclusively():
                        pass
                except StoreBusy:
                    return "a second process waits"
            self._outcome.blame([f"{self.program.name}: a second process could sync"])
            return "a second process could sync"

        return beside(intrude())

    def _run_beside(self) -> str:
        async def run() -> str:
            self.run_beside = await self.program.run()
            return self.run_beside.how

        return f"a second process syncs: {beside(run())}"

    def _change_server(self) -> str:
        async def change() -> str:
            async with self._place.client() as client:
                return await self._colleague.through(client).act(may_erase=False)

        self.is_server_quiet = False
        return beside(change())
