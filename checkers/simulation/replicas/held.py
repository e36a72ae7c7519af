"""What a replica holds, read from its disk while nothing runs, or between two steps of a run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from simulation.replicas.wishes import marks_of
from syncapi.client.follower.values import values_of
from syncapi.client.replica.conflicts import wanted_values
from syncapi.client.replica.records import ConflictRecord, PendingChange
from syncapi.client.replica.tables import Tables
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document


@dataclass(frozen=True, slots=True)
class Held:
    """Attributes:
    documents: the live ones, as the server last told them. shadow: those that a resync has
        brought so far.
    pending: what was changed here and is not pushed yet.
    conflicts: the open ones. settled: those that went against what was written here.
    contents: SHA-256 of the bytes that are there.
    """

    documents: dict[UUID, Document]
    shadow: tuple[Document, ...]
    pending: tuple[PendingChange, ...]
    conflicts: dict[UUID, ConflictRecord]
    settled: tuple[ConflictRecord, ...]
    contents: frozenset[str]

    @classmethod
    def now(cls, store: Store) -> Self:
        """What is in a store now."""
        tables = Tables.of(store)
        return cls(
            {document.id: document for document in tables.documents.values()},
            tuple(tables.shadow.values()),
            (*tables.outbox.values(), *tables.later.values()),
            {conflict.id: conflict for conflict in tables.conflicts.values()},
            tuple(tables.settled.values()),
            frozenset(store.blobs.digests()),
        )

    def versions(self) -> Iterable[Document]:
        """The server's versions that are kept here; a deletion that it lost need not be."""
        yield from self.documents.values()
        others = (conflict.server for conflict in self.conflicts.values())
        yield from (other for other in others if other is not None and not other.is_deleted)

    def written(self) -> Iterable[Mapping[str, object]]:
        """The fields of what was written here and is kept."""
        yield from map(given, self.pending)
        yield from map(written_in, (*self.conflicts.values(), *self.settled))

    def places_of(self, mark: str) -> Iterator[object]:
        """Whatever has a mark, for the evidence."""
        yield from (version for version in self.versions() if mark in marks_of(values_of(version)))
        yield from (values for values in self.written() if mark in marks_of(values))

    def marks(self) -> set[str]:
        """Marks of all that is kept; of versions whose bytes have not come there is no promise."""
        whole = (v for v in self.versions() if v.file.sha256_hash in self.contents)
        found = {mark for version in whole for mark in marks_of(values_of(version))}
        found |= {mark for values in self.written() for mark in marks_of(values)}
        return {mark for mark in found if len(mark) != _SHA256 or mark in self.contents}


_SHA256 = 64  # characters


def written_in(conflict: ConflictRecord) -> Mapping[str, object]:
    """What one side of a conflict was to have; all of it, if the server knows no common past."""
    if conflict.base is None:
        return wanted_values(conflict.mine) or {}
    return given(conflict.mine)


def given(change: PendingChange) -> dict[str, object]:
    """The fields that a change sets."""
    names = ("folder", "filename", "mime_type")
    fields: dict[str, object] = {name: getattr(change, name) for name in names}
    fields["content"] = None if change.content is None else change.content.sha256
    return {name: value for name, value in fields.items() if value is not None}
