"""Conflicts: recorded when they are met, judged by the strategy, carried out."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from syncapi.client.follower.values import Values, values_of
from syncapi.client.replica.conflicts import (
    Ask,
    KeepBoth,
    ReplicaConflict,
    Resolution,
    Strategy,
    Take,
    conflict_of,
    contents_of,
    judge,
    kept_name,
    theirs,
)
from syncapi.client.replica.failures import Failures
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.records import ConflictRecord, Outcome, PendingChange
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables
from syncapi.protocol.documents import Document
from syncapi.protocol.merging import differing

_MOST_QUESTIONS: Final = 8
"""About one conflict in one run, where it is edited here again and again meanwhile."""


class Settling:
    """Conflicts of a replica.

    A conflict is in the table before its strategy is asked, so that a crash leaves both versions
    there and the question open. What it settles on is queued in the transaction that closes it.
    """

    def __init__(
        self,
        tables: Tables,
        outbox: Outbox,
        failures: Failures,
        make_id: Callable[[], UUID],
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._outbox = outbox
        self._failures = failures
        self._make_id = make_id
        self._clock = clock

    def record(self, change: PendingChange, server: Document | None, *, has_base: bool) -> None:
        """Take a refused change out of the queue and keep it as a conflict; in a transaction.

        Args:
            change: the one at the head of its document's queue.
            server: what stands against it.
            has_base: the server still knows the version that was changed.
        """
        is_edited = self._tables.later.get(str(change.id)) is not None
        mine = self._outbox.take_off(change.id)
        if mine is None:  # made and deleted here meanwhile, or lost by the server and deleted here
            was_deleted_since = server is not None and server.updated_at > change.queued_at
            if change.is_lost and not was_deleted_since:
                self._keep_for_a_while(self._record(change, server))
            return
        if is_edited and server is None:
            mine = mine.model_copy(update={"is_lost": False})
        self._open(mine, server, mine.base if has_base else None)
        self.follow(change.id, server)

    def oppose(self, mine: PendingChange, held: Document) -> None:
        """Open a conflict with a version that only this replica has; in a transaction.

        Args:
            mine: what was changed here of an older version; it is in no queue.
            held: the version that the server has lost.
        """
        self._open(mine, held, None if mine.is_lost else mine.base)

    def _open(self, mine: PendingChange, server: Document | None, base: Document | None) -> None:
        record = self._record(mine, server, base)
        before = self._tables.conflicts.get(str(mine.id))
        if before is not None:  # what was to bring its other side back has met a third version
            self._tables.conflicts.put(
                str(mine.id), before.model_copy(update={"is_judged": False})
            )
            self._keep_third(record)
            return
        conflict = conflict_of(record)
        record = record.model_copy(update={"fields": conflict.apart})
        self._tables.conflicts.put(str(mine.id), record)

    def _record(
        self, mine: PendingChange, server: Document | None, base: Document | None = None
    ) -> ConflictRecord:
        return ConflictRecord(
            id=mine.id, mine=mine, server=server, base=base, fields=(), seen_at=self._clock()
        )

    def _keep_third(self, record: ConflictRecord) -> None:
        """Keep a lost version that is no side of the conflict that is open."""
        if record.server is None or conflict_of(record).mine is None:
            self._keep_for_a_while(record)
        else:
            self.keep_beside(record.mine)

    def keep_beside(self, lost: PendingChange) -> None:
        """Make a document of its own of a lost version; in a transaction."""
        self._outbox.put(self._beside(self._record(lost, None)))

    async def judge_new(self, strategy: Strategy, tally: Tally) -> None:
        """Ask the strategy about each conflict that it was not asked about yet."""
        waiting = [record for record in self._tables.conflicts.values() if not record.is_judged]
        for record in waiting:
            try:
                await self._judge(strategy, record.id, tally)
            except Exception as error:  # noqa: BLE001 - the caller's own function may raise anything
                self._failures.note(record.id, "resolve", error, tally)

    async def _judge(self, strategy: Strategy, document_id: UUID, tally: Tally) -> None:
        """Ask about one, and again where it was edited here while the answer was waited for.

        Where that goes on and on, it is asked at the next run.
        """
        conflicts, key = self._tables.conflicts, str(document_id)
        for _ in range(_MOST_QUESTIONS):
            asked = conflicts.get(key)
            if asked is None or asked.is_judged:
                return  # settled by another hand meanwhile
            tally.conflicts[document_id] = asked
            is_erased = asked.mine.is_lost and asked.server is None  # on purpose: it stays so
            resolution = await judge(theirs if is_erased else strategy, conflict_of(asked))
            with self._tables.store.transaction():
                if conflicts.get(key) == asked or not isinstance(resolution, Take):
                    self.settle(document_id, resolution, tally)
                    return

    def settle(
        self, document_id: UUID, resolution: Resolution, tally: Tally | None = None
    ) -> None:
        """Carry a resolution out: the document's own transaction.

        Raises:
            ValueError: it names a content that neither side has.
        """
        key = str(document_id)
        with self._tables.store.transaction():
            record = self._tables.conflicts.get(key)
            if record is None:
                return  # settled by another hand meanwhile
            outcome = self._carry_out(record, resolution)
            judged = record.model_copy(update={"is_judged": True, "outcome": outcome})
            if outcome == "open":
                self._tables.conflicts.put(key, judged)
            self._failures.clear(document_id)
        if tally is not None:
            tally.conflicts[document_id] = judged

    def follow(self, document_id: UUID, server: Document | None) -> None:
        """The server's side of an open conflict has changed, or come round to mine.

        While the other side is a version that the server has lost and does not have again yet, it
        stays as it is.
        """
        record = self._tables.conflicts.get(str(document_id))
        head = self._tables.outbox.get(str(document_id))
        if record is None or record.server == server or (head is not None and head.is_lost):
            return
        now = record.model_copy(update={"server": server})
        conflict = conflict_of(now)
        if conflict.mine == conflict.theirs:
            self._close(now, keeps=False)
            return
        now = now.model_copy(update={"fields": conflict.apart})
        self._tables.conflicts.put(str(document_id), now)

    def _carry_out(self, record: ConflictRecord, resolution: Resolution) -> Outcome:
        match resolution:
            case Ask():
                return "open"
            case KeepBoth():
                return self._keep_both(record)
            case Take(values, outcome):
                return self._take(record, values, outcome)

    def _take(self, record: ConflictRecord, values: Values | None, outcome: Outcome) -> Outcome:
        conflict = conflict_of(record)
        change = None if values == conflict.theirs else self._change_to(record, values)
        self._close(record, keeps=_gives_up(conflict, values))
        if change is not None:
            self._outbox.follow(change)
        return outcome

    def _keep_both(self, record: ConflictRecord) -> Outcome:
        conflict = conflict_of(record)
        if conflict.mine is None or conflict.theirs is None:
            survivor = conflict.mine or conflict.theirs  # an edit beside a deletion
            return self._take(record, survivor, "theirs" if conflict.mine is None else "mine")
        self._close(record, keeps=False)
        self._outbox.put(self._beside(record))
        return "both"

    def _beside(self, record: ConflictRecord) -> PendingChange:
        """The change that makes a document of its own of mine."""
        values = conflict_of(record).mine or {}
        content = contents_of(record)[str(values["content"])]
        name = kept_name(str(values["filename"]), record.mine.queued_at, content.sha256[:4])
        own = {"id": self._make_id(), "op": "create", "base": None, "base_updated_at": None}
        fields = {**values, "filename": name, "content": content}
        return record.mine.model_copy(update={**self._new_change(), **own, **fields})

    def _change_to(self, record: ConflictRecord, values: Values | None) -> PendingChange:
        """The change that gives the server's document these values."""
        server = record.server
        new = record.mine.model_copy(
            update={
                **self._new_change(),
                "base": server,
                "base_updated_at": None if server is None else server.updated_at,
                **dict.fromkeys(("folder", "filename", "mime_type", "content")),
            }
        )
        if values is None:
            return new.model_copy(update={"op": "delete"})
        known = contents_of(record)
        if values["content"] not in known:
            raise ValueError("A resolution takes the content of one of the two sides.")
        fields = {**values, "content": known[str(values["content"])]}
        if server is None:
            return new.model_copy(update={"op": "create", "on_conflict": "merge", **fields})
        if not server.is_deleted:
            fields = {name: fields[name] for name in differing(values, values_of(server))}
        return new.model_copy(update={"op": "update", **fields})

    def _new_change(self) -> dict[str, object]:
        return {
            "change_id": self._make_id(),
            "is_sent": False,
            "is_lost": False,
            "on_conflict": "reject",
        }

    def _close(self, record: ConflictRecord, *, keeps: bool) -> None:
        """Close a conflict; what was changed here is kept for a while if it did not win."""
        self._tables.conflicts.delete(str(record.id))
        self._tables.note_untidy()
        if keeps:
            self._keep_for_a_while(record)

    def _keep_for_a_while(self, record: ConflictRecord) -> None:
        key = f"{record.seen_at.isoformat()} {record.id}"
        self._tables.settled.put(key, record)


def _gives_up(conflict: ReplicaConflict, values: Values | None) -> bool:
    """Whether something that was written here is not in what was settled on."""
    if conflict.mine is None:
        return False
    base = conflict.base or {}
    edited = [name for name, value in conflict.mine.items() if base.get(name) != value]
    return values is None or any(values[name] != conflict.mine[name] for name in edited)
