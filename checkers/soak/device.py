"""A client that works offline: a replica, a queue, lost answers, replays."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

import httpx
from typing_extensions import override

from soak.confirmations import Confirmations
from soak.edits import Editor
from soak.hanging_up import When, post_and_hang_up
from soak.outbox import Batch, Outbox
from soak.reader import Reader, Watcher
from soak.stories import STRATEGIES, Json, Story, Telling, moment, now
from soak.tally import Budget, Tally
from soak.truth import Difference

_WAYS = {"read": 12, "answered": 4, "sent": 1, "half sent": 1, "forgotten": 2, "twice": 2}
_HANGING_UP: Mapping[str, When] = {
    "answered": "answered",
    "sent": "sent",
    "half sent": "half sent",
}
_INSISTS = 0.5


@dataclass(slots=True)
class Device(Watcher):
    """One client.

    Attributes:
        reader: its replica, which follows by cursor and does not crash.
        is_eager: whether its replica takes in what answers to pushes say; else pages alone.
        stories: all that it ever pushed, for the audit.
        faults: documents, and what was wrong with an answer.
    """

    reader: Reader
    editor: Editor
    rng: random.Random
    tally: Tally
    is_eager: bool
    outbox: Outbox
    stories: list[Story] = field(default_factory=list)
    faults: list[Difference] = field(default_factory=list)
    _confirmations: Confirmations = field(default_factory=Confirmations)
    _is_at_rest: bool = False

    @classmethod
    def of(
        cls, reader: Reader, file_ids: Sequence[str], rng: random.Random, *, is_eager: bool
    ) -> "Device":
        """A device with an empty queue, which may use these contents."""
        device = cls(
            reader, Editor(rng, file_ids), rng, reader.tally, is_eager=is_eager, outbox=Outbox(rng)
        )
        reader.watcher = device
        return device

    async def live(self, budget: Budget) -> None:
        """Edit, push and pull until the budget is spent."""
        while budget.take():
            await self.act()
            await asyncio.sleep(self.rng.random() ** 2 * 0.1)

    async def act(self) -> None:
        """Work offline for a while, then push or pull."""
        for _ in range(self.rng.randint(0, 4)):
            self.edit()
        await self.rng.choice((self.push, self.push, self.reader.pull, self.pull_run))()

    async def come_to_rest(self) -> None:
        """Push until nothing waits, and pull until nothing is missing.

        A request that nobody waits for may be judged after its own repeat: what was told of such
        a change is asked once more.
        """
        self._is_at_rest = True
        while True:
            while self.outbox.waiting:
                await self.push()
            await self.pull_run()
            self.outbox.again(self._unsure())
            if not self.outbox.waiting and self._confirmations.is_empty:
                return

    def _unsure(self) -> list[str]:
        """Refused changes of which an abandoned request may have been at work; each once."""
        refused = [
            s for s in self.stories if s.was_abandoned and s.tellings and not _is_accepted(s)
        ]
        for story in refused:
            story.was_abandoned = False
        return [story.id for story in refused]

    def edit(self) -> None:
        """Change something; a document that waits in the queue is left alone."""
        held = self.reader.disk.documents
        change = self.editor.edit(
            {id_: copy.version for id_, copy in held.items() if not self.outbox.names(id_)}
        )
        if not self.outbox.names(UUID(change["id"])):
            self._queue(change)

    async def pull_run(self) -> None:
        """Pull until a run has ended."""
        has_ended = False
        while not has_ended:
            has_ended = await self.reader.pull()

    async def push(self) -> None:
        """Send a batch, in one of the ways in which an answer comes, or does not."""
        batch = self.outbox.batch()
        if batch is None:
            return
        way = (
            "read" if self._is_at_rest else self.rng.choices(list(_WAYS), list(_WAYS.values()))[0]
        )
        try:
            if way in _HANGING_UP:
                await self._hang_up(batch, _HANGING_UP[way])
            elif way == "twice":
                await self._push_twice(batch)
            else:
                await self._push(batch, is_forgotten=way == "forgotten")
        except (OSError, TimeoutError, httpx.TransportError):
            _abandon(batch)
            self.tally("pushed: connection lost")
            await asyncio.sleep(0.1)

    async def _hang_up(self, batch: Batch, when: When) -> None:
        url, headers = self.reader.world.way_of(self.reader.member, "/documents/sync")
        _abandon(batch)
        self.reader.member.exchanges.note(f"POST {batch.body} -> hung up, request {when}")
        await post_and_hang_up(url, headers, batch.body, when=when)
        self.tally(f"pushed: hung up, request {when}")

    async def _push(self, batch: Batch, *, is_forgotten: bool) -> None:
        sent_at, held = now(), self._held(batch)
        answer = await self._post(batch)
        if answer.status_code == HTTPStatus.OK and is_forgotten:
            _abandon(batch)  # an old change that was refused may be applied now: ask once more
            self.tally("pushed: answer forgotten in a crash")
        else:
            await self._take(batch, [answer], sent_at, held)

    async def _push_twice(self, batch: Batch) -> None:
        """As after a time-out of the client, while the first request is still at work."""
        sent_at, held = now(), self._held(batch)
        answers = await asyncio.gather(
            self._post(batch), self._post(batch), return_exceptions=True
        )
        self.tally("pushed: twice at once")
        got = [answer for answer in answers if isinstance(answer, httpx.Response)]
        if len(got) < len(answers):
            _abandon(batch)
        await self._take(batch, got, sent_at, held)

    async def _post(self, batch: Batch) -> httpx.Response:
        world, member = self.reader.world, self.reader.member
        return await world.request(member, "POST", "/documents/sync", json=batch.body)

    def _held(self, batch: Batch) -> Sequence[datetime | None]:
        copies = [self.reader.disk.documents.get(story.document_id) for story in batch.stories]
        return [None if copy is None else moment(copy.version) for copy in copies]

    async def _take(
        self,
        batch: Batch,
        answers: Sequence[httpx.Response],
        sent_at: float,
        held: Sequence[datetime | None],
    ) -> None:
        tellings: list[list[Telling]] = []
        for answer in answers:
            if answer.status_code == HTTPStatus.OK:
                results = answer.json()["data"]["results"]
                self._check(batch, results)
                tellings.append(
                    [Telling(sent_at, *pair) for pair in zip(held, results, strict=True)]
                )
            elif answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
                self.tally("pushed: 503")
                await asyncio.sleep(0.2)
            else:
                self._refused(batch, answer)
        if len(tellings) == 1 and self.is_eager:
            told = {UUID(telling.result["id"]): telling.document for telling in tellings[0]}
            self.reader.disk = self.reader.disk.with_documents(told)
        if tellings:
            for story, *answered in zip(batch.stories, *tellings, strict=True):
                self._told(story, answered)

    def _told(self, story: Story, told: Sequence[Telling]) -> None:
        """Take in the answers to one change; of two at once the one that applied it came first."""
        story.tellings += sorted(told, key=lambda telling: telling.status != "applied")
        last = story.tellings[-1]
        self.tally(f"pushed: {story.strategy}, {last.status}")
        self.outbox.settle(story)
        self._confirmations.told(story, self.reader.disk.complete_to)
        conflict = last.result["conflict"]
        if last.status == "conflict" and conflict and conflict["resolution"] == "open":
            self._settle(story, conflict["server"])

    def _settle(self, story: Story, server: Json | None) -> None:
        """Now and then insist, by a new change on the server's version."""
        if self._is_at_rest or server is None or self.rng.random() > _INSISTS:
            return
        self.tally("pushed: a new change settles a conflict")
        self._queue(self.editor.update(story.document_id, server["updated_at"]))

    def _queue(self, change: Json) -> None:
        tenant_id, strategy = self.reader.member.tenant_id, self.rng.choice(STRATEGIES)
        story = Story(self.reader.name, tenant_id, change, strategy)
        self.stories.append(story)
        self.outbox.add(story)

    def _check(self, batch: Batch, results: Sequence[Json]) -> None:
        if [result["change_id"] for result in results] != [story.id for story in batch.stories]:
            self._fault(batch, "the results are not those of the changes, in their order")
        statuses = {result["status"] for result in results}
        if batch.mode == "atomic" and "applied" in statuses:
            self.tally("pushed: all of an atomic push")
            if statuses & {"conflict", "rejected"}:
                self._fault(batch, f"an atomic push was applied in part: {statuses}")

    def _refused(self, batch: Batch, answer: httpx.Response) -> None:
        """No answer that a push may get: the changes leave the queue, so that all goes on."""
        self._fault(batch, f"a push was answered {answer.status_code} {answer.text}")
        for story in batch.stories:
            self.outbox.settle(story)

    def _fault(self, batch: Batch, what: str) -> None:
        self.faults.append(Difference(batch.stories[0].document_id, "push", what))

    @override
    def run_begins(self) -> None:
        self._confirmations.run_begins()

    @override
    def page(self, data: Json) -> None:
        self._confirmations.page(data)

    @override
    def run_ends(self) -> None:
        missing = self._confirmations.run_ends()
        self.tally("pushed: again, since the feed did not bring it", len(missing))
        self.outbox.again(missing)

    @override
    def expired(self) -> None:
        """What was accepted, or lost to another version, may be lost with the history.

        The other version too: who was refused for one that is gone is refused no more.
        """
        self._confirmations = Confirmations()
        judged = [s.id for s in self.stories if _is_judged(s)]
        self.tally("pushed: again, after a 410", len(judged))
        self.outbox.again(judged)


def _abandon(batch: Batch) -> None:
    for story in batch.stories:
        story.was_abandoned = True


def _is_accepted(story: Story) -> bool:
    return bool(story.tellings) and story.tellings[-1].status in ("applied", "unchanged")


def _is_judged(story: Story) -> bool:
    return bool(story.tellings) and story.tellings[-1].status != "rejected"
