"""A client's local copy, and how it follows either protocol. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from uuid import UUID

BEGINNING = "1970-01-01T00:00:00Z"


class Copy(NamedTuple):
    """What a client knows of a document; `version` is its `updated_at` as sent."""

    version: str
    folder: str
    filename: str
    mime_type: str
    user_id: str | None
    file_id: str
    md5_hash: str
    sha256_hash: str
    file_size: int


class Progress(Protocol):
    """Where a client stands in its protocol."""

    def query(self) -> dict[str, str]:
        """What to ask next."""

    def after(self, data: Mapping[str, Any]) -> "Progress":
        """Where a page leads."""

    def expired(self) -> "Progress | None":
        """Where an answer of 410 leads; None for the very beginning."""


@dataclass(frozen=True, slots=True)
class ByCursor:
    """Sends the last page's `sync_token`."""

    token: str | None = None

    def query(self) -> dict[str, str]:
        return {"since": BEGINNING} if self.token is None else {"cursor": self.token}

    def after(self, data: Mapping[str, Any]) -> "ByCursor":
        return ByCursor(data["sync_token"])

    def expired(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ByTime:
    """Sends `since` and page numbers.

    Attributes:
        takes_first: whether the next `since` is the `server_time` of the run's first page; else
            of its last one.
        counts: whether it counts the pages by itself; else it follows `next_page`.
        page_size: rows a page where it counts, for a whole run; None where each page may differ.
        first: the `server_time` of the run's first page.
    """

    takes_first: bool
    counts: bool = False
    page_size: int | None = None
    since: str = BEGINNING
    page: int = 1
    first: str | None = None

    def query(self) -> dict[str, str]:
        size = {} if self.page_size is None else {"per_page": str(self.page_size)}
        return {"since": self.since, "page": str(self.page), **size}

    def after(self, data: Mapping[str, Any]) -> "ByTime":
        first = self.first or data["server_time"]
        if data["has_more"]:
            page = self.page + 1 if self.counts else data["next_page"]
            return replace(self, page=page, first=first)
        return self.from_time(first if self.takes_first else data["server_time"])

    def from_time(self, since: str) -> "ByTime":
        """The beginning of a run."""
        return replace(self, since=since, page=1, page_size=None, first=None)

    def expired(self) -> "ByTime | None":
        """The pages of a run are forgotten after a while: then it begins again."""
        return self.from_time(self.since) if self.page > 1 else None

    def in_pages_of(self, size: int) -> "ByTime":
        """A run that begins anew, with as many rows to each page."""
        return replace(self.from_time(self.since), page_size=size)

    def that_follows(self) -> "ByTime":
        """The same client when its maker has read what the refusal of its count says."""
        return replace(self.from_time(self.since), counts=False)


@dataclass(frozen=True, slots=True)
class Disk:
    """What survives a client's crash: documents and position, always written together.

    Attributes:
        start: the progress of a client that holds nothing.
        complete_to: the server's time up to which the copy is complete; None within a run.
        brought: what a run from the very beginning has brought so far, since what it does not
            bring is dropped at its end; None in other runs.
    """

    start: Progress
    progress: Progress
    documents: Mapping[UUID, Copy] = field(default_factory=dict)
    complete_to: str | None = None
    brought: frozenset[UUID] | None = frozenset()

    def with_page(self, data: Mapping[str, Any]) -> "Disk":
        """Apply a page."""
        documents = dict(self.documents)
        changed = {UUID(row["id"]): _copy(row) for row in (*data["added"], *data["modified"])}
        documents.update(changed)
        for row in data["deleted"]:
            documents.pop(UUID(row["id"]), None)
        brought = self._brought(changed)
        after = replace(self, documents=documents, progress=self.progress.after(data))
        if data["has_more"]:
            return replace(after, complete_to=None, brought=brought)
        if brought is not None:
            documents = {key: copy for key, copy in documents.items() if key in brought}
        return replace(after, documents=documents, complete_to=data["server_time"], brought=None)

    def _brought(self, page: Mapping[UUID, Copy]) -> frozenset[UUID] | None:
        """With what a page has brought; one that was counted to brings the whole run again."""
        if self.brought is None:
            return None
        is_whole = isinstance(self.progress, ByTime) and self.progress.counts
        return frozenset(page) if is_whole else self.brought | page.keys()

    def with_documents(self, told: Mapping[UUID, Mapping[str, Any] | None]) -> "Disk":
        """Take in what an answer to a push says of documents; None of one that is gone."""
        documents = {key: copy for key, copy in self.documents.items() if key not in told}
        for key, document in told.items():
            if document is not None and not document["is_deleted"]:
                documents[key] = _copy(document)
        return replace(self, documents=documents)

    def beginning_again(self, progress: Progress) -> "Disk":
        """A run that begins anew, of which nothing has been brought yet."""
        brought = None if self.brought is None else frozenset[UUID]()
        return replace(self, progress=progress, brought=brought)

    def expired(self) -> "Disk":
        """What 410 asks for: go back to where the protocol can go on, and keep the documents."""
        back = self.progress.expired()
        if back is not None:
            return self.beginning_again(back)
        return replace(self, progress=self.start, complete_to=None, brought=frozenset())


def _copy(row: Mapping[str, Any]) -> Copy:
    file = row["file"]
    return Copy(
        row["updated_at"],
        row["folder"],
        row["filename"],
        row["mime_type"],
        row["user_id"],
        file["id"],
        file["md5_hash"],
        file["sha256_hash"],
        file["file_size"],
    )
