"""What a replica keeps in its store, beside the contents."""

from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from syncapi.client.follower.records import Record
from syncapi.protocol.content import Digest
from syncapi.protocol.documents import Document, FileInfo

NOT_UPLOADED: Final = UUID(int=0)
"""The file id of a content that the server does not have yet."""

Outcome: TypeAlias = Literal["open", "mine", "theirs", "merged", "both"]
"""How a conflict was settled; `open` waits for a person."""


class ContentHash(Record):
    """Identifies a content that the replica holds. Hashes in lower-case hex, size in bytes."""

    sha256: str
    md5: str
    size: int

    @classmethod
    def of(cls, digest: Digest) -> "ContentHash":
        return cls(sha256=digest.sha256_hash, md5=digest.md5_hash, size=digest.file_size)

    @classmethod
    def of_file(cls, file: FileInfo) -> "ContentHash":
        return cls(sha256=file.sha256_hash, md5=file.md5_hash, size=file.file_size)

    def digest(self) -> Digest:
        return Digest(self.md5, self.sha256, self.size)

    def file(self) -> FileInfo:
        """As a document shows it before it is uploaded."""
        return FileInfo(
            id=NOT_UPLOADED, md5_hash=self.md5, sha256_hash=self.sha256, file_size=self.size
        )


class PendingChange(Record):
    """A change that was made here and that the server has not answered for good.

    Attributes:
        base: the document as it was when it was changed; None if it was made here.
        base_updated_at: the version that is sent to the server as the base; None until the change
            before this one is answered.
        folder, filename, mime_type, content: of an update those that changed, else None.
        queued_at: when it was made; of a lost version the version itself.
        is_sent: it may have arrived, so that it must be sent again exactly as it is.
        is_lost: it brings back a version that the server has lost, perhaps with later edits.
    """

    change_id: UUID
    id: UUID
    op: Literal["create", "update", "delete"]
    base: Document | None = None
    base_updated_at: datetime | None = None
    folder: str | None = None
    filename: str | None = None
    mime_type: str | None = None
    content: ContentHash | None = None
    queued_at: datetime
    on_conflict: Literal["reject", "merge"] = "reject"
    is_sent: bool = False
    is_lost: bool = False


class ConflictRecord(Record):
    """Both sides changed a document. While it is open, both versions are kept.

    Attributes:
        mine: the change that was not applied; later edits of the document are folded into it.
        server: the document there; None or `is_deleted` where it was deleted.
        base: the version that both started from, where the server knows it too.
        fields: in which both sides differ.
        is_judged: the strategy was asked.
    """

    id: UUID
    mine: PendingChange
    server: Document | None
    base: Document | None
    fields: tuple[str, ...]
    seen_at: datetime
    is_judged: bool = False
    outcome: Outcome = "open"


class FailureRecord(Record):
    """What did not work for one document. It is tried again at the next run.

    Attributes:
        what: what was tried.
        code: the server's, or the exception's name.
        since: when it failed first.
    """

    id: UUID
    what: Literal["download", "upload", "push", "resolve"]
    message: str
    code: str
    request_id: str | None
    attempts: int
    since: datetime


class Tidiness(Record):
    """Whether contents may be in the store that nothing needs. Nothing noted means that they may.

    Attributes:
        is_untidy: there may be contents that nothing refers to any more.
        is_tidying: those of before are being removed, or were when the process ended.
    """

    is_untidy: bool = True
    is_tidying: bool = False


class Wanted(Record):
    """A content that a document has and the replica does not hold yet."""

    sha256: str
