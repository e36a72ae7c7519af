"""What a client does to its documents while it is offline. No I/O here."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from fixtures.pushing import create, delete, update
from soak.stories import Json

_TYPES = ("text/plain", "text/markdown", "text/csv")
_FOLDERS = ("", "here", "here/below", "there")
_GRAVES = 20


@dataclass(slots=True)
class Editor:
    """Draws edits.

    Attributes:
        file_ids: contents that the tenant has.
        graves: documents that this client deleted, whose ids it may use again.
    """

    rng: random.Random
    file_ids: Sequence[str]
    graves: list[UUID] = field(default_factory=list)

    def edit(self, versions: Mapping[UUID, str]) -> Json:
        """A change of one of the documents, or a new one."""
        kinds = {"create": 4, "update": 12, "delete": 3, "recreate": 1}
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        if kind == "create" or not versions:
            return self._create(self._id())
        document = self.rng.choice(sorted(versions))
        if kind == "recreate":
            return self._create(self.rng.choice([document, *self.graves]))
        if kind == "delete":
            self.graves = [document, *self.graves][:_GRAVES]
            return delete(document, versions[document], change_id=str(self._id()))
        return self.update(document, versions[document])

    def update(self, document: UUID, base: str) -> Json:
        """Some fields anew."""
        fields = {
            "folder": self.rng.choice(_FOLDERS),
            "filename": f"{self.rng.random()}.txt",
            "mime_type": self.rng.choice(_TYPES),
            "file_id": self.rng.choice(self.file_ids),
        }
        names = self.rng.sample(sorted(fields), self.rng.choice((1, 1, 1, 2)))
        chosen = {name: fields[name] for name in names}
        return update(document, base, change_id=str(self._id()), **chosen)

    def _create(self, document: UUID) -> Json:
        name = f"{self.rng.random()}.txt"
        return create(
            UUID(self.rng.choice(self.file_ids)),
            document=document,
            folder=self.rng.choice(_FOLDERS),
            filename=name,
            change_id=str(self._id()),
        )

    def _id(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)
