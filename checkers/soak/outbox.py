"""A client's queue of changes, and the batches in which they are sent. No I/O here."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from soak.stories import STRATEGIES, Json, Story

_LARGEST = 40
_REPLAYS = 0.1


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that are sent together."""

    stories: tuple[Story, ...]
    strategy: str
    mode: str

    @property
    def body(self) -> Json:
        changes = [story.change for story in self.stories]
        return {"changes": changes, "mode": self.mode, "on_conflict": self.strategy}


@dataclass(slots=True)
class Outbox:
    """Changes by id: those that wait for an answer, and those that were answered."""

    rng: random.Random
    waiting: dict[str, Story] = field(default_factory=dict)
    answered: dict[str, Story] = field(default_factory=dict)

    def add(self, story: Story) -> None:
        self.waiting[story.id] = story

    def settle(self, story: Story) -> None:
        self.waiting.pop(story.id, None)
        self.answered[story.id] = story

    def again(self, change_ids: Iterable[str]) -> None:
        """Put answered changes back into the queue."""
        for change_id in change_ids:
            story = self.answered.get(change_id)
            if story is not None:
                self.waiting[change_id] = story

    def names(self, document: UUID) -> bool:
        """Whether a change of the document waits."""
        return any(story.document_id == document for story in self.waiting.values())

    def batch(self) -> Batch | None:
        """Some changes of one strategy in any order, each document once; None for none.

        Now and then with some that were answered long ago.
        """
        strategies = {story.strategy for story in self.waiting.values()}
        if not strategies:
            return None
        strategy = self.rng.choice([each for each in STRATEGIES if each in strategies])
        mine = [story for story in self.waiting.values() if story.strategy == strategy]
        if self.rng.random() < _REPLAYS:
            old = [story for story in self.answered.values() if story.strategy == strategy]
            mine += self.rng.sample(old, min(len(old), 5))
        chosen = self.rng.sample(mine, self.rng.randint(1, min(len(mine), _LARGEST)))
        once = {story.document_id: story for story in chosen}
        mode = self.rng.choices(("partial", "atomic"), (6, 1))[0]
        return Batch(tuple(once.values()), strategy, mode)
