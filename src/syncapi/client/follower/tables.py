"""The tables of a follower."""

from dataclasses import dataclass
from datetime import datetime

from syncapi.client.follower.machine import State
from syncapi.client.follower.records import FollowerState, LostVersion, Pushed
from syncapi.client.store.store import Store
from syncapi.client.store.tables import Table
from syncapi.protocol.documents import Document

STATE = "state"
"""The table of single records; others may keep one of their own there."""

_KEY = "replica"


@dataclass(frozen=True, slots=True)
class FollowerTables:
    """All of them have document ids as keys.

    Attributes:
        documents: the live documents, as the server last said.
        shadow: those that a resync has brought so far.
        unconfirmed: versions that answers to pushes named, until the feed brings them too.
        lost: versions that were held when the server lost them, and whose bytes are not in the
            store.
    """

    store: Store
    documents: Table[Document]
    shadow: Table[Document]
    unconfirmed: Table[Pushed]
    lost: Table[LostVersion]
    _state: Table[FollowerState]

    @classmethod
    def of(cls, store: Store) -> "FollowerTables":
        return cls(
            store,
            documents=store.table("documents", Document),
            shadow=store.table("shadow", Document),
            unconfirmed=store.table("unconfirmed", Pushed),
            lost=store.table("lost", LostVersion),
            _state=store.table(STATE, FollowerState),
        )

    @property
    def state(self) -> FollowerState:
        return self._state.get(_KEY) or FollowerState()

    @property
    def machine(self) -> State:
        kept = self.state
        return State(kept.phase, kept.cursor, kept.reason)

    def keep(self, machine: State) -> None:
        """Keep the machine's state."""
        self._change(phase=machine.phase, cursor=machine.cursor, reason=machine.reason)

    def note_time(self, complete_until: datetime) -> None:
        self._change(complete_until=complete_until)

    def _change(self, **fields: object) -> None:
        with self.store.transaction():
            self._state.put(_KEY, self.state.model_copy(update=fields))
