"""A resync's end: what the run brought against what is held."""

from datetime import datetime
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.follower.histories import missing_in_history
from syncapi.client.follower.holder import Holder
from syncapi.client.follower.pulled import Pulled
from syncapi.client.follower.remote import Remote
from syncapi.client.follower.tables import FollowerTables
from syncapi.client.follower.values import values_of
from syncapi.protocol.documents import Document


class Comparing:
    """Puts the shadow in the documents' place, and keeps what only this side still has."""

    def __init__(
        self, client: Client, tables: FollowerTables, remote: Remote, holder: Holder
    ) -> None:
        self._client = client
        self._tables = tables
        self._remote = remote
        self._holder = holder

    async def lost(self) -> list[Document]:
        """The versions held here that the server has lost."""
        lost, doubtful = self._suspects()
        return [*lost, *await missing_in_history(self._client, doubtful)]

    def swap(self, lost: list[Document], pulled: Pulled) -> None:
        """Let the shadow take the documents' place; part of the caller's transaction."""
        newer = self._pushed_since()
        for held in lost:
            self._holder.keep_lost(held, self._tables.shadow.get(str(held.id)))
        for key in [key for key, _ in self._tables.documents.items()]:
            if UUID(key) not in newer and self._tables.shadow.get(key) is None:
                self._remote.drop(UUID(key), pulled)
        for key, document in self._tables.shadow.items():
            if UUID(key) not in newer:
                self._remote.put(document, pulled)
        self._tables.shadow.clear()
        for key, _ in list(self._tables.unconfirmed.items()):
            if UUID(key) not in newer:
                self._tables.unconfirmed.delete(key)

    def _suspects(self) -> tuple[list[Document], list[Document]]:
        """Versions that are lost for certain, and those whose history must be asked."""
        newer = self._pushed_since()
        lost, doubtful = self._lost_bases(newer), []
        for held in self._tables.documents.values():
            there = self._tables.shadow.get(str(held.id))
            if held.id in newer or (there is not None and there.updated_at == held.updated_at):
                continue
            if there is not None and there.updated_at < held.updated_at:  # versions only rise
                lost.append(held)
            elif _is_other(held, there) and self._may_be_lost(held):
                doubtful.append(held)
        return lost, doubtful

    def _lost_bases(self, newer: set[UUID]) -> list[Document]:
        """Versions that were changed here before others deleted the document.

        The server has lost the deletion and the version; it has an older one.
        """
        lost = []
        for base in self._holder.edited_versions():
            key = str(base.id)
            there = self._tables.shadow.get(key)
            if there is None or self._tables.documents.get(key) is not None:
                continue
            if there.updated_at < base.updated_at and base.id not in newer:
                lost.append(base)
        return lost

    def _may_be_lost(self, held: Document) -> bool:
        """Whether the server may have lost a version, rather than deleted the document."""
        state = self._tables.state
        return (
            state.reason == "history_lost"
            or _is_ahead(held, state.complete_until)
            or self._tables.unconfirmed.get(str(held.id)) is not None
        )

    def _pushed_since(self) -> set[UUID]:
        """What was pushed after the resync had begun: what was answered says more."""
        pushed = self._tables.unconfirmed.items()
        return {UUID(key) for key, version in pushed if not version.is_due}


def _is_other(held: Document, there: Document | None) -> bool:
    return there is None or values_of(there) != values_of(held)


def _is_ahead(held: Document, until: datetime | None) -> bool:
    """Whether a version is from a time that the server has not come to."""
    return until is not None and held.updated_at > until
