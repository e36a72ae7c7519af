"""Clients that page by the rules end with the server's state, whatever is written meanwhile.

The feed here is a list in memory with the database's semantics: one stamp per transaction, a
document's entry moves to its latest stamp, tombstones are collected under a floor. The rules are
the real ones, and every cursor goes through the real codec. A server may be put back to any of
its backups, again and again, and be put back to what was itself put back.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from syncapi.server.domain.cursor import CursorCodec, Position
from syncapi.server.domain.errors import CursorExpired
from syncapi.server.domain.feed import Head, Run, Start, begin, is_idle

TENANT = UUID(int=1)
CODEC = CursorCodec(["model"])
FILTERS = 1
IDS = [UUID(int=n) for n in range(1, 7)]


@dataclass(frozen=True)
class Entry:
    position: Position
    appeared_at: int
    is_deleted: bool

    @property
    def id(self) -> UUID:
        return self.position.id


OPENED = 10
VOID_AHEAD = 1000
NONCES = itertools.count(1)


def new_lineage() -> bytes:
    return next(NONCES).to_bytes(8, "big")


def opened() -> Head:
    return Head(OPENED, OPENED, new_lineage(), 0, 0)


@dataclass
class Server:
    """One copy of the database. It forks at its first write after it was put back."""

    head: Head = field(default_factory=opened)
    entries: dict[UUID, Entry] = field(default_factory=dict)
    forks: dict[bytes, int] = field(default_factory=dict)
    is_elsewhere: bool = False

    def copy(self) -> "Server":
        return Server(self.head, dict(self.entries), dict(self.forks), is_elsewhere=True)

    def write(self, states: Sequence[tuple[UUID, bool]]) -> None:
        """Commit one transaction: each document of it lives (True) or is deleted (False)."""
        self.fork()
        stamp = self.head.last + 10
        for document, lives in states:
            known = self.entries.get(document)
            if known is None and not lives:
                continue
            came = known is None or (known.is_deleted and lives)
            appeared = stamp if came or known is None else known.appeared_at
            self.entries[document] = Entry(Position(stamp, document), appeared, not lives)
        self.head = replace(self.head, last=stamp)

    def fork(self) -> None:
        if self.is_elsewhere:
            self.forks[self.head.lineage] = self.head.last
            self.head = replace(self.head, lineage=new_lineage())
            self.is_elsewhere = False

    def void(self) -> None:
        floor = self.head.last + VOID_AHEAD
        self.forks, self.is_elsewhere = {}, False
        self.head = Head(floor, 1, new_lineage(), floor, floor)

    def collect(self, up_to: int) -> None:
        old = [e for e in self.entries.values() if e.is_deleted and e.position.time <= up_to]
        for entry in old:
            del self.entries[entry.id]
        floor = max([e.position.time for e in old], default=0)
        self.head = replace(self.head, tombstone_floor=max(self.head.tombstone_floor, floor))

    def page(self, start: Start, most: int) -> tuple[Run, list[Entry], bool]:
        """As the SQL does: rows behind the position, up to the bound, tombstones if wanted."""
        forked_at = self.forks.get(start.cursor.lineage) if start.cursor else None
        run = begin(start, replace(self.head, forked_at=forked_at))
        ordered = sorted(self.entries.values(), key=lambda entry: entry.position)
        wanted = [
            entry
            for entry in ordered
            if start.position < entry.position
            and entry.position.time <= run.upper
            and (run.tells_deletions or not entry.is_deleted)
        ]
        return run, wanted[:most], len(wanted) > most

    def live(self) -> dict[UUID, int]:
        return {e.id: e.position.time for e in self.entries.values() if not e.is_deleted}


@dataclass
class Client:
    """Stores what a page brought together with its cursor."""

    token: str | None = None
    documents: dict[UUID, int] = field(default_factory=dict)
    is_at_the_end: bool = False

    def pull(self, server: Server, most: int) -> None:
        """Apply one page."""
        try:
            start = self.start()
            run, rows, has_more = server.page(start, most)
        except CursorExpired:
            self.token, self.documents = None, {}
            return
        self.is_at_the_end = not has_more
        if is_idle(start, server.head):
            assert not rows, "a poll was called idle and there was something"
        for row in rows:
            self.apply(row, run)
        cursor = run.cursor(rows[-1].position if has_more else None)
        self.token = CODEC.encode(cursor, TENANT)

    def start(self) -> Start:
        if self.token is None:
            return Start.since(0, FILTERS)
        return Start.at(CODEC.decode(self.token, TENANT), FILTERS)

    def apply(self, row: Entry, run: Run) -> None:
        if row.is_deleted:
            assert run.tells_deletions
            self.documents.pop(row.id, None)
        else:
            self.documents[row.id] = row.position.time


class Paging(RuleBasedStateMachine):
    """Writers, collectors, a restore, and clients that page at their own speed."""

    @initialize(clients=st.integers(1, 3))
    def begin(self, clients: int) -> None:
        self.server = Server()
        self.backups = [self.server.copy()]
        self.clients = [Client() for _ in range(clients)]

    @rule(states=st.lists(st.tuples(st.sampled_from(IDS), st.booleans()), min_size=1, max_size=6))
    def write(self, states: list[tuple[UUID, bool]]) -> None:
        self.server.write(states)

    @rule(lives=st.booleans())
    def write_all(self, *, lives: bool) -> None:
        """Many in one stamp, so that pages end inside it."""
        self.server.write([(document, lives) for document in IDS])

    @rule(age=st.integers(0, 5))
    def collect(self, age: int) -> None:
        self.server.collect(self.server.head.last - 10 * age)

    @rule()
    def back_up(self) -> None:
        self.backups.append(self.server.copy())

    @rule(which=st.integers(0, 9))
    def restore(self, which: int) -> None:
        """Back to an older state; clients may come before the first write there, or after it."""
        self.server = self.backups[which % len(self.backups)].copy()

    @rule()
    def start_anew(self) -> None:
        self.server.is_elsewhere = True

    @rule()
    def void(self) -> None:
        self.server.void()

    @rule(which=st.integers(0, 2), most=st.integers(1, 4))
    def pull(self, which: int, most: int) -> None:
        self.clients[which % len(self.clients)].pull(self.server, most)

    @rule(which=st.integers(0, 2), most=st.integers(1, 4))
    def crash_before_storing(self, which: int, most: int) -> None:
        """A page that was answered and never applied must come again."""
        client = self.clients[which % len(self.clients)]
        before = replace(client, documents=dict(client.documents))
        client.pull(self.server, most)
        self.clients[which % len(self.clients)] = before

    @invariant()
    def all_agree_at_rest(self) -> None:
        for client in self.clients if hasattr(self, "clients") else ():
            copy = replace(client, documents=dict(client.documents))
            for _ in range(100):
                copy.pull(self.server, 3)
                if copy.is_at_the_end and self.is_at_rest(copy):
                    break
            assert copy.documents == self.server.live()

    def is_at_rest(self, client: Client) -> bool:
        return client.token is not None and is_idle(client.start(), self.server.head)


TestPaging = Paging.TestCase
TestPaging.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
