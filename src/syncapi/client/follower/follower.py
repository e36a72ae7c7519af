"""The follower: a tenant's documents, kept in step with the server's feed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.follower.exclusion import Exclusion
from syncapi.client.follower.feed import Feed
from syncapi.client.follower.holder import Fetch, Holder
from syncapi.client.follower.machine import Phase
from syncapi.client.follower.pulled import Pulled
from syncapi.client.follower.remote import Remote
from syncapi.client.follower.resync import Comparing
from syncapi.client.follower.submission import submit
from syncapi.client.follower.tables import FollowerTables
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document
from syncapi.protocol.push import ChangeResult, OnConflict, PushedChange


class Follower:
    """Pulls a tenant's documents, submits changes of them, and learns what the server has lost.

    It knows the documents and nothing of their contents: those are the holder's. It may be cut
    short at any point, by a crash too: the next run goes on.

    Attributes:
        remote: takes over what the answers to a holder's own pushes say of the documents.
    """

    def __init__(
        self, client: Client, store: Store, holder: Holder, *, per_page: int = 500
    ) -> None:
        """Follow a tenant.

        Args:
            client: of the tenant.
            store: where the documents are kept; the holder's own.
            holder: stands on this, and learns what comes.
            per_page: documents of a page, 1 to 500.
        """
        self._client = client
        self._tables = FollowerTables.of(store)
        self._exclusion = Exclusion(store.folder)
        self.remote = Remote(self._tables, holder)
        comparing = Comparing(client, self._tables, self.remote, holder)
        self._feed = Feed(client, self._tables, self.remote, comparing, per_page=per_page)

    def documents(self) -> Iterator[Document]:
        """The live documents, as the server last said."""
        return self._tables.documents.values()

    @property
    def cursor(self) -> str | None:
        """What to poll with; None unless the last run came to its end."""
        machine = self._tables.machine
        return machine.cursor if machine.phase is Phase.IN_STEP else None

    @property
    def urls(self) -> Mapping[UUID, str]:
        """Signed URLs of the contents that the last run brought, by document."""
        return self.remote.urls

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other runs out, over all tasks and processes. Raises `StoreBusy`."""
        return self._exclusion.held()

    async def pull(self, pulled: Pulled, fetch: Fetch | None = None) -> None:
        """Pull until the feed's end.

        Args:
            pulled: counts what comes.
            fetch: fetches the contents of each page.

        Raises:
            StoreBusy: another task or process works on the store.
            SyncError: the server cannot be reached or refuses.
        """
        with self.exclusively():
            self.remote.urls.clear()
            await self._feed.run(pulled, fetch)

    async def submit(
        self, changes: Sequence[PushedChange], *, on_conflict: OnConflict = "reject"
    ) -> list[ChangeResult]:
        """Push changes; what the server says of their documents is held when this returns.

        Who calls it sends a change whose answer was lost again, with its `change_id`.

        Returns:
            A result per change, in their order. A change that the server cannot read is
            ``rejected`` as ``not_applied``, and stops no other.
        """
        with self.exclusively():
            return await submit(self._client, self._tables, self.remote, changes, on_conflict)

    def lost(self) -> dict[UUID, datetime]:
        """Documents that were held in a version that the server has lost, and which one it was."""
        return {UUID(key): held.version for key, held in self._tables.lost.items()}

    async def has_lost(self, document_id: UUID, version: datetime) -> bool:
        """Ask the server whether it has no such version of a document any more."""
        return bool(await self._client.unknown_versions([(document_id, version)]))

    def settle_lost(self, document_ids: Iterable[UUID]) -> None:
        """Forget of these that they were lost."""
        with self._tables.store.transaction():
            for document_id in document_ids:
                self._tables.lost.delete(str(document_id))
