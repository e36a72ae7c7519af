"""What a folder's mirror does with what the server says: it notes which versions are lost."""

from collections.abc import Collection
from uuid import UUID

from syncapi.client.follower.records import LostVersion
from syncapi.client.follower.tables import FollowerTables
from syncapi.client.follower.values import values_of
from syncapi.client.store.store import Store
from syncapi.protocol.documents import Document


class LostVersions:
    """The mirror's side of its follower; see `Holder`. The bytes are in the folder."""

    def __init__(self, store: Store) -> None:
        self._table = FollowerTables.of(store).lost

    def put(self, document: Document, before: Document | None) -> None:
        """Nothing: each sync holds all documents against the folder."""

    def drop(self, document_id: UUID, before: Document | None, there: Document | None) -> None:
        """Nothing: each sync holds all documents against the folder."""

    def keep_lost(self, held: Document, there: Document | None) -> None:
        if there is None or there.is_deleted or values_of(held) != values_of(there):
            self._table.put(str(held.id), LostVersion(version=held.updated_at))

    def edited_versions(self) -> Collection[Document]:
        return ()
