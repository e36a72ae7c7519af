"""Who stands on a follower: what it does with what the server says."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from syncapi.protocol.documents import Document


class Holder(Protocol):
    """Holds something of the documents: their contents, edits of them, files.

    Every method is part of the transaction that keeps what it is about.
    """

    def put(self, document: Document, before: Document | None) -> None:
        """Note that the server has a live document, or another version of one.

        Args:
            document: as it is now.
            before: as it was held until now; None of one that was not held.
        """

    def drop(self, document_id: UUID, before: Document | None, there: Document | None) -> None:
        """Note that the server has deleted a document.

        Args:
            document_id: of which.
            before: as it was held until now; None of one that was not held.
            there: what the server has of it, if that is known.
        """

    def keep_lost(self, held: Document, there: Document | None) -> None:
        """Keep a version that the server has lost.

        Args:
            held: that version.
            there: the document as the server has it now; None if it has none.
        """

    def edited_versions(self) -> Collection[Document]:
        """The versions that pending edits were made of."""


class Fetch(Protocol):
    """Fetches contents of a page while the next page is asked for."""

    async def __call__(self, documents: Sequence[Document], urls: dict[UUID, str]) -> None:
        """Fetch what is wanted of these documents; ``urls`` are signed ones, by document."""
