"""A resync's end: what the run brought against what is held."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import NotFound
from syncapi.client.replica.conflicts import values_of
from syncapi.client.replica.outbox import Outbox
from syncapi.client.replica.overlay import seen
from syncapi.client.replica.records import ContentHash, LostVersion, PendingChange
from syncapi.client.replica.remote import Remote
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables
from syncapi.domain.merge import differing
from syncapi.wire.documents import Document

_AT_ONCE: Final = 8
_NEXT: Final = timedelta(microseconds=1)  # versions are stamped to the microsecond


class Comparing:
    """Puts the shadow in the documents' place, and keeps what only the replica still has.

    A version that is held and that the server no longer knows is lost there. Where contents are
    kept, it becomes an edit, to be pushed like any other; else it is noted for whoever has them.
    """

    def __init__(
        self,
        client: Client,
        tables: Tables,
        outbox: Outbox,
        remote: Remote,
        make_id: Callable[[], UUID],
        *,
        keeps_contents: bool,
    ) -> None:
        self._client = client
        self._tables = tables
        self._outbox = outbox
        self._remote = remote
        self._make_id = make_id
        self._keeps_contents = keeps_contents

    async def lost(self) -> set[UUID]:
        """Which documents are held in a version that the server has lost."""
        lost, doubtful = self._suspects()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def is_known(held: Document) -> bool:
            async with slots:
                return await self._is_known(held)

        known = await asyncio.gather(*map(is_known, doubtful), return_exceptions=True)
        for answer in known:
            if isinstance(answer, BaseException):
                raise answer
        pairs = zip(doubtful, known, strict=True)
        return lost | {held.id for held, answer in pairs if answer is False}

    def swap(self, lost: set[UUID], tally: Tally) -> None:
        """Let the shadow take the documents' place; part of the caller's transaction."""
        newer = self._pushed_since()
        for key in [key for key, _ in self._tables.documents.items()]:
            if UUID(key) in lost:
                self._keep(UUID(key))
            if UUID(key) not in newer and self._tables.shadow.get(key) is None:
                self._remote.drop(UUID(key), tally)
        for key, document in self._tables.shadow.items():
            if UUID(key) not in newer:
                self._remote.put(document, tally)
        self._tables.shadow.clear()
        for key, _ in list(self._tables.unconfirmed.items()):
            if UUID(key) not in newer:
                self._tables.unconfirmed.delete(key)

    def _suspects(self) -> tuple[set[UUID], list[Document]]:
        """Documents that are lost for certain, and those whose history must be asked."""
        state, newer = self._tables.state, self._pushed_since()
        lost, doubtful = set(), []
        for held in self._tables.documents.values():
            there = self._tables.shadow.get(str(held.id))
            if held.id in newer or (there is not None and there.updated_at == held.updated_at):
                continue
            if there is not None and there.updated_at < held.updated_at:  # versions only rise
                lost.add(held.id)
            elif _is_other(held, there) and (
                state.reason == "history_lost" or _is_ahead(held, state.complete_until)
            ):
                doubtful.append(held)
        return lost, doubtful

    async def _is_known(self, held: Document) -> bool:
        """Whether the history has the version that is held."""
        try:
            page = await self._client.history(held.id, held.updated_at + _NEXT, per_page=1)
        except NotFound:
            return False
        return any(version.updated_at == held.updated_at for version in page.versions)

    def _pushed_since(self) -> set[UUID]:
        """What was pushed after the resync had begun: the replica knows it better."""
        pushed = self._tables.unconfirmed.items()
        return {UUID(key) for key, version in pushed if not version.is_due}

    def _keep(self, document_id: UUID) -> None:
        """Keep a lost version."""
        key = str(document_id)
        held, there = self._tables.documents.get(key), self._tables.shadow.get(key)
        if held is None or self._tables.conflicts.get(key) is not None:
            return  # an open conflict has both sides already
        if not self._keeps_contents:
            self._tables.lost.put(key, LostVersion(version=held.updated_at))
            return
        mine = seen(held, self._tables.changes_of(document_id))
        self._outbox.take_off(document_id)
        change = self._bring_back(held, mine, there)
        if change is not None:
            self._tables.outbox.put(key, change)

    def _bring_back(
        self, held: Document, mine: Document | None, there: Document | None
    ) -> PendingChange | None:
        """The change that makes the server's document what it is here."""
        based_on = held if there is not None and there.updated_at > held.updated_at else there
        change = PendingChange(
            change_id=self._make_id(),
            id=held.id,
            op="delete",
            base=based_on,
            base_updated_at=None if based_on is None else based_on.updated_at,
            queued_at=held.updated_at,
            is_lost=True,
        )
        if mine is None:
            return None if there is None else change
        fields = self._fields(mine)
        if there is None:
            whole = change.model_copy(update={"op": "create", **fields})
            return None if whole.content is None else whole
        apart = differing(values_of(mine), values_of(there))
        changed = {name: fields[name] for name in apart if fields[name] is not None}
        return change.model_copy(update={"op": "update", **changed}) if changed else None

    def _fields(self, document: Document) -> dict[str, object]:
        """All fields; without the content if the replica has not got it."""
        names = ("folder", "filename", "mime_type")
        held = self._tables.store.blobs.has(document.file.sha256_hash)
        content = ContentHash.of_file(document.file) if held else None
        return {**{name: getattr(document, name) for name in names}, "content": content}


def _is_other(held: Document, there: Document | None) -> bool:
    return there is None or values_of(there) != values_of(held)


def _is_ahead(held: Document, until: datetime | None) -> bool:
    """Whether a version is from a time that the server has not come to."""
    return until is not None and held.updated_at > until
