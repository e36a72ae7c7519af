"""One document, as the plan looks at it."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal, TypeAlias
from uuid import UUID

from syncapi.client.folder.conflict_names import is_interim
from syncapi.client.folder.model import Base, LocalFile, RemoteDocument
from syncapi.client.folder.names import split
from syncapi.client.folder.rules import Rules

Place = tuple[str, str]
"""Folder and filename of a document."""


WentBack: TypeAlias = Literal["ask", "theirs"]
"""A file has the bytes of an older version of its document: that is no edit. Either both versions
are kept until a person has decided, or the server's is fetched again."""


class Fate(Enum):
    """What becomes of a document as a whole."""

    KEEP = auto()
    """It is in the folder in the end."""
    HOLD = auto()
    """Nothing is done to it, on either side."""
    IGNORED = auto()
    """Its place is ignored here: nothing is done to it either, and it takes no name."""
    FORGET = auto()
    TRASH = auto()
    DELETE = auto()
    REVIVE = auto()


class ContentFate(Enum):
    """What becomes of the bytes of a document that is kept."""

    SAME = auto()
    PUSH = auto()
    FETCH = auto()
    AGREED = auto()
    """Both sides were changed, and alike."""
    CONFLICT = auto()


@dataclass(slots=True)
class Doc:
    """A document, its file and what was decided; each step fills in its part.

    Attributes:
        base: the ledger's entry; an unanswered push that has arrived is taken into it.
        agreed_sha256: the content that both sides had last; what differs from it has changed.
            Empty if there was none.
        agreed_place: likewise, the name that both sides had last.
        restored: the server has lost the version that was agreed on.
        was_ignored: its path is or was ignored: that the file is missing there says nothing.
        is_away: its path is ignored now, so that the scan does not show whether the file is there.
        is_taken: if its file is missing, the mirror itself has taken it away, and no person.
        stale: the ledger's entry needs writing even if nothing else is to be done.
        file: where the document is on the disk now; None if it is missing.
        target: the place it has in the end.
        path: its file's in the end.
    """

    id: UUID
    base: Base | None
    remote: RemoteDocument | None
    agreed_sha256: str = ""
    agreed_place: Place | None = None
    restored: bool = False
    was_ignored: bool = False
    is_away: bool = False
    is_taken: bool = False
    went_back: WentBack | None = None
    stale: bool = False
    file: LocalFile | None = None
    fate: Fate = Fate.KEEP
    content: ContentFate = ContentFate.SAME
    target: Place = ("", "")
    pushes_place: bool = False
    renamed_apart: bool = False
    path: str = ""

    @property
    def there(self) -> Place | None:
        return (self.remote.folder, self.remote.filename) if self.remote else None

    def here(self, rules: Rules) -> Place:
        """The place that its file's path stands for. Only what a person changed counts.

        A file that the mirror itself put elsewhere (two documents of one name, an interim name) is
        not renamed, and neither is one whose name the file system spells its own way.
        """
        assert self.base is not None and self.file is not None  # noqa: PT018, S101 - of those alone
        base, now = self.base, rules.spelling(self.file.path)
        if now == rules.spelling(base.path) or is_interim(now, self.id):
            return base.folder, base.filename
        (folder, name), (old_folder, old_name) = split(now), split(rules.spelling(base.path))
        return (
            base.folder if folder == old_folder else folder,
            base.filename if name == old_name else name,
        )


def document_of(base: Base | None, remote: RemoteDocument | None) -> Doc:
    """Find what both sides are to be compared with."""
    if base is None:
        assert remote is not None  # noqa: S101 - one of them is there
        return Doc(remote.id, None, remote)
    known = with_arrived(replace(base, leaving=False) if base.leaving else base, remote)
    doc = Doc(known.id, known, remote, known.sha256, (known.folder, known.filename))
    doc.stale = remote is not None and (known is not base or known.version != remote.version)
    doc.is_taken = base.leaving
    doc.restored = known.lost
    doc.was_ignored = known.was_ignored
    if remote is None:
        doc.agreed_sha256 = "" if known.lost or known.version is None else known.sha256
    elif known.version is not None and remote.version < known.version:
        doc.restored, doc.agreed_sha256 = True, remote.sha256
        doc.agreed_place = doc.there  # what is newer here counts as changed here
    elif known.lost and remote.version != known.version:
        doc.agreed_sha256 = ""
    return doc


def with_arrived(base: Base, remote: RemoteDocument | None) -> Base:
    """The entry as it would be, had the answer to its last push not been lost."""
    sent = base.sent
    if remote is None or sent is None:
        return base
    if (remote.sha256, remote.folder, remote.filename) != (
        sent.sha256,
        sent.folder,
        sent.filename,
    ):
        return base
    return base.answered(remote.version)
