"""Versions that the server has lost and the replica still holds: what is done to keep them."""

from collections.abc import Callable
from uuid import UUID

from syncapi.client.follower.records import LostVersion
from syncapi.client.follower.values import values_of
from syncapi.client.replica.conflict_handler import Settling
from syncapi.client.replica.outbox import Outbox, as_create
from syncapi.client.replica.records import ContentHash, PendingChange
from syncapi.client.replica.tables import Tables
from syncapi.protocol.documents import Document
from syncapi.protocol.merging import differing


class Losses:
    """Keeps what the server has lost. Every method is part of the caller's transaction.

    A lost version becomes a change at the head of its document's queue, which brings it back as it
    was. What was changed here on top of it waits behind that change, so that the server gets both
    versions. What was changed here on top of an older version is in conflict with it.

    A lost version whose bytes had not come cannot be pushed. It is noted, for the program.
    """

    def __init__(
        self,
        tables: Tables,
        outbox: Outbox,
        settling: Settling,
        make_id: Callable[[], UUID],
    ) -> None:
        self._tables = tables
        self._outbox = outbox
        self._settling = settling
        self._make_id = make_id

    def keep(self, held: Document, there: Document | None) -> None:
        """Keep a lost version.

        Args:
            held: the version that the server has lost.
            there: the document as the server has it now; None if it has none.
        """
        mine = self._outbox.take_off(held.id)
        if mine is not None and mine.base_updated_at != held.updated_at:
            self._settling.oppose(mine, held)
            mine = None
        is_superseded = there is not None and there.updated_at > held.updated_at
        lost = self._bring_back(held, there, base=held if is_superseded else there)
        if mine is not None:
            self._outbox.follow(mine if lost is not None else self._moved(mine, held, there))

    def keep_overwritten(self, change: PendingChange, held: Document, there: Document) -> None:
        """Keep a lost version that a change of an older one has just overwritten.

        Args:
            change: the head of the queue, applied since the server has lost the version.
            held: the version.
            there: what the change made of the document.
        """
        self._settling.oppose(self._outbox.take_off(change.id) or change, held)
        self._bring_back(held, there, base=there)

    def keep_third(self, held: Document) -> None:
        """Keep a lost version of a document in conflict that is neither side of the conflict."""
        fields = self._fields(held)
        if fields["content"] is None:
            self._tables.lost.put(str(held.id), LostVersion(version=held.updated_at))
            return
        self._settling.keep_beside(self._change(held, None).model_copy(update=fields))

    def _bring_back(
        self, held: Document, there: Document | None, *, base: Document | None
    ) -> PendingChange | None:
        """Queue the change that makes the server's document what is held, if there is one."""
        fields = self._fields(held)
        if there is not None and not there.is_deleted:
            apart = differing(values_of(held), values_of(there))
            fields = {name: fields[name] for name in apart}
        if not fields:
            return None
        if "content" in fields and fields["content"] is None:
            self._tables.lost.put(str(held.id), LostVersion(version=held.updated_at))
            fields.pop("content")
            if there is None or there.is_deleted or not fields:
                return None
        change = self._change(held, base).model_copy(update=fields)
        self._tables.outbox.put(str(held.id), change)
        return change

    def _change(self, held: Document, base: Document | None) -> PendingChange:
        return PendingChange(
            change_id=self._make_id(),
            id=held.id,
            op="create" if base is None else "update",
            base=base,
            base_updated_at=None if base is None else base.updated_at,
            queued_at=held.updated_at,
            is_lost=True,
        )

    def _fields(self, document: Document) -> dict[str, object]:
        """All fields; of a content that the replica has not got, None."""
        names = ("folder", "filename", "mime_type")
        has_content = self._tables.store.blobs.has(document.file.sha256_hash)
        content = ContentHash.of_file(document.file) if has_content else None
        return {**{name: getattr(document, name) for name in names}, "content": content}

    def _moved(
        self, mine: PendingChange, held: Document, there: Document | None
    ) -> PendingChange | None:
        """A change of a lost version that is not brought back, made one of what is there."""
        fresh = mine.model_copy(update={"change_id": self._make_id(), "is_sent": False})
        if there is None:
            whole = as_create(fresh).model_copy(update={"on_conflict": "reject"})
            return None if mine.op == "delete" else whole
        if there.updated_at > held.updated_at and values_of(there) != values_of(held):
            return fresh  # others have changed it since, which the server will say
        return fresh.model_copy(update={"base": there, "base_updated_at": there.updated_at})
