"""What the server's history shows where the three states alone do not."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.folder.bounded_gather import each
from syncapi.client.folder.model import Base, LocalFile
from syncapi.client.folder.observe.older_names import PlacedBytes, places_of
from syncapi.client.folder.rules import Rules
from syncapi.client.follower.histories import versions_of
from syncapi.protocol.documents import Document
from syncapi.protocol.history import DocumentVersion


class Histories:
    """Asks for the versions of documents, of several at once."""

    def __init__(self, client: Client, *, parallel: int) -> None:
        self._client = client
        self._parallel = parallel

    async def answers(
        self, entries: Iterable[Base], documents: Mapping[UUID, Document]
    ) -> list[Base]:
        """Entries whose unanswered push had arrived and was changed by others since.

        The states cannot distinguish that from a push that never arrived: to the next plan the
        edit of the others would be one against ours, and their deletion one of what they never
        had.

        Args:
            entries: the ledger.
            documents: what lives on the server.

        Raises:
            SyncError: the server cannot be reached or refuses.
        """
        answered: list[Base] = []

        async def ask(entry: Base) -> None:
            found = await self._answer(entry)
            if found is not None:
                answered.append(found)

        doubtful = [entry for entry in entries if _is_doubtful(entry, documents.get(entry.id))]
        await each(doubtful, ask, parallel=self._parallel)
        return answered

    async def copied(
        self,
        entries: Iterable[Base],
        documents: Mapping[UUID, Document],
        files: Iterable[LocalFile],
        *,
        is_one_enough: bool = False,
    ) -> list[Base]:
        """Entries of missing files whose versions were only copied since, as of the last copy.

        The server makes copies where it mends what it holds of a file, such as its MD5. A document
        that was deleted and restored has the same values, too, but a person has written it.

        Args:
            entries: the ledger.
            documents: what lives on the server.
            files: those that are here.
            is_one_enough: whether to ask about no more once one is found.

        Raises:
            SyncError: the server cannot be reached or refuses.
        """
        found: list[Base] = []

        async def ask(entry: Base) -> None:
            if found and is_one_enough:
                return
            document = documents[entry.id]
            if await self._is_copy(entry, document):
                found.append(replace(entry, version=document.updated_at))

        seeming = [entry for entry in entries if _seems_copied(entry, documents.get(entry.id))]
        here = {file.path for file in files} if seeming else set()
        missing = [entry for entry in seeming if entry.path not in here]
        await each(missing, ask, parallel=self._parallel)
        return found

    async def went_back(self, edits: Mapping[UUID, str]) -> set[UUID]:
        """Which documents had those bytes in an older version already.

        Args:
            edits: SHA-256 in hex of each document's file here, which is not what the server has.

        Raises:
            SyncError: the server cannot be reached or refuses.
        """
        found: set[UUID] = set()

        async def ask(document_id: UUID) -> None:
            async for version in versions_of(self._client, document_id):
                if version.file is not None and version.file.sha256_hash == edits[document_id]:
                    found.add(document_id)
                    return

        await each(edits, ask, parallel=self._parallel)
        return found

    async def under_older_names(
        self, missing: Mapping[UUID, str], files: Collection[PlacedBytes], rules: Rules
    ) -> dict[UUID, PlacedBytes]:
        """Documents that are missing here and had the name and the bytes of another file once.

        Such a file is no new work, but was put back.

        Args:
            missing: SHA-256 of the files as they were, by document. Those bytes are no older
                version. Each costs a request, if there are files.
            files: what has bytes or a name that is new there.
            rules: which names are one on this disk.

        Returns:
            That file of each such document.

        Raises:
            SyncError: the server cannot be reached or refuses.
        """
        found: dict[UUID, PlacedBytes] = {}

        async def ask(document_id: UUID) -> None:
            async for version in versions_of(self._client, document_id):
                for file in places_of(document_id, version, rules):
                    if file in files and file[1] != missing[document_id]:
                        found[document_id] = file
                        return

        await each(missing if files else (), ask, parallel=self._parallel)
        return found

    async def _is_copy(self, entry: Base, document: Document) -> bool:
        """Whether nothing but copies of the entry's version came after it."""
        async for version in versions_of(self._client, entry.id):
            if version.is_deleted or not _is_alike(version, document):
                return False
            if version.updated_at == entry.version:
                return True
        return False

    async def _answer(self, entry: Base) -> Base | None:
        sent, found = entry.sent, None
        async for version in versions_of(self._client, entry.id):
            if entry.version is not None and version.updated_at <= entry.version:
                break
            if sent is not None and not version.is_deleted and _carries(entry, version):
                found = entry.answered(version.updated_at)
        return found


def _is_doubtful(entry: Base, remote: Document | None) -> bool:
    """Whether others may have changed what an unanswered push had made."""
    sent = entry.sent
    if sent is None:
        return False
    if remote is None:
        return True
    has = (remote.file.sha256_hash, remote.folder, remote.filename)
    return remote.updated_at != entry.version and has != (sent.sha256, sent.folder, sent.filename)


def _seems_copied(entry: Base, remote: Document | None) -> bool:
    """Whether the document has another version than the ledger, and the same name and bytes."""
    if remote is None or entry.version is None or entry.version == remote.updated_at:
        return False
    if entry.lost or entry.leaving or entry.was_ignored or entry.sent is not None:
        return False
    has = (remote.file.sha256_hash, remote.folder, remote.filename)
    return has == (entry.sha256, entry.folder, entry.filename)


def _is_alike(version: DocumentVersion, document: Document) -> bool:
    if version.file is None or version.file.sha256_hash != document.file.sha256_hash:
        return False
    return all(
        getattr(version, name) == getattr(document, name)
        for name in ("folder", "filename", "mime_type")
    )


def _carries(entry: Base, version: DocumentVersion) -> bool:
    sent, file = entry.sent, version.file
    if sent is None or file is None:
        return False
    return (file.sha256_hash, version.folder, version.filename) == (
        sent.sha256,
        sent.folder,
        sent.filename,
    )
