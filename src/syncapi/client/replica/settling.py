"""Conflicts: recorded when they are met, judged by the strategy, carried out."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from syncapi.client.replica.conflicts import (
    Ask,
    Conflict,
    KeepBoth,
    Resolution,
    Strategy,
    Take,
    Values,
    conflict_of,
    contents_of,
    judge,
    kept_name,
    values_of,
)
from syncapi.client.replica.failures import Failures
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.records import ConflictRecord, Outcome, PendingChange
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables
from syncapi.domain.merge import differing
from syncapi.wire.documents import Document

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
        mine = self._outbox.take_off(change.id)
        if mine is None or (mine.is_lost and server is None):
            return  # made and deleted here meanwhile; or lost, and deleted since for good
        record = ConflictRecord(
            id=change.id,
            mine=mine,
            server=server,
            base=mine.base if has_base else None,
            fields=(),
            seen_at=self._clock(),
        )
        fields = conflict_of(record).apart
        self._tables.conflicts.put(str(change.id), record.model_copy(update={"fields": fields}))

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
            resolution = await judge(strategy, conflict_of(asked))
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
        """The server's side of an open conflict has changed, or come round to mine."""
        record = self._tables.conflicts.get(str(document_id))
        if record is None or record.server == server:
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
            self._outbox.put(change)
        return outcome

    def _keep_both(self, record: ConflictRecord) -> Outcome:
        conflict = conflict_of(record)
        if conflict.mine is None or conflict.theirs is None:
            survivor = conflict.mine or conflict.theirs  # an edit beside a deletion
            return self._take(record, survivor, "theirs" if conflict.mine is None else "mine")
        content = contents_of(record)[str(conflict.mine["content"])]
        name = kept_name(str(conflict.mine["filename"]), record.mine.queued_at, content.sha256[:4])
        self._close(record, keeps=False)
        self._outbox.put(
            record.mine.model_copy(
                update={
                    **self._new_change(),
                    "id": self._make_id(),
                    "op": "create",
                    "base": None,
                    "base_updated_at": None,
                    "folder": conflict.mine["folder"],
                    "filename": name,
                    "mime_type": conflict.mine["mime_type"],
                    "content": content,
                }
            )
        )
        return "both"

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
            key = f"{record.seen_at.isoformat()} {record.id}"
            self._tables.settled.put(key, record)


def _gives_up(conflict: Conflict, values: Values | None) -> bool:
    """Whether something that was written here is not in what was settled on."""
    if conflict.mine is None:
        return False
    base = conflict.base or {}
    edited = [name for name, value in conflict.mine.items() if base.get(name) != value]
    return values is None or any(values[name] != conflict.mine[name] for name in edited)
