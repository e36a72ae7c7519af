"""What a client was told of its pushes, and the feed has not brought yet. No I/O here.

An answer is given by a server that may be gone a moment later, with its last commits, and the
client's cursor, which is older than the answer, goes on at the next one as if nothing had been.
So a client keeps a change until a run has brought the very version that it was told of. If the
run after the answer does not, the change is pushed again: where nothing was lost it is unchanged.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from soak.stories import Json, Story, moment

_Told = dict[str, tuple[UUID, datetime]]


@dataclass(slots=True)
class Confirmations:
    """Changes by id, with their document and the version that was told.

    Attributes:
        fresh: told since the run began that is under way.
        awaited: told before it.
    """

    fresh: _Told = field(default_factory=dict)
    awaited: _Told = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.fresh or self.awaited)

    def told(self, story: Story, complete_to: str | None) -> None:
        """Take in a story's last answer.

        Args:
            complete_to: up to where the feed was brought; beyond that the cursor knows of nothing
                that may be lost.
        """
        self.fresh.pop(story.id, None)
        self.awaited.pop(story.id, None)
        version = next((t.version for t in reversed(story.tellings) if t.version), None)
        if version is None or story.tellings[-1].status == "rejected":
            return
        if complete_to is None or version > moment(complete_to):
            self.fresh[story.id] = story.document_id, version

    def run_begins(self) -> None:
        self.awaited |= self.fresh
        self.fresh = {}

    def page(self, data: Json) -> None:
        """Strike out what a page brings."""
        rows = (*data["added"], *data["modified"])
        brought = {(UUID(row["id"]), moment(row["updated_at"])) for row in rows}
        self.fresh = _without(self.fresh, brought)
        self.awaited = _without(self.awaited, brought)

    def run_ends(self) -> list[str]:
        """The changes that the run should have brought and did not."""
        missing, self.awaited = list(self.awaited), {}
        return missing


def _without(told: _Told, brought: set[tuple[UUID, datetime]]) -> _Told:
    return {change_id: what for change_id, what in told.items() if what not in brought}
