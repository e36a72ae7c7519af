"""The three states that a plan is made of: the folder, the server, and where they last agreed."""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final, Literal
from uuid import UUID

EMPTY: Final = sha256().hexdigest()
"""SHA-256 of no bytes."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as the scan found it.

    The next scan gets these of the last one, so that it hashes only what has changed. They say
    what the disk holds; the ledger says what both sides agreed on.

    Attributes:
        path: relative to the root, with ``/`` between names, spelt as on the disk.
        size: in bytes.
        sha256: hex.
        md5: hex; None where the hash of the scan gives none.
        inode: 0 where the system has none.
        mtime_ns: when the bytes were changed, in ns since the epoch.
        ctime_ns: when the inode was changed. No program can set it, so it shows changes that
            keep size and mtime.
        birth_ns: when the inode was made; None where the system does not know. With the inode it
            distinguishes a renamed file from a new one that was given a deleted one's inode.
        hashed_ns: when hashing began, by the clock of the file system.
    """

    path: str
    size: int
    sha256: str
    md5: str | None
    inode: int
    mtime_ns: int
    ctime_ns: int = 0
    birth_ns: int | None = None
    hashed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a push carried that is not answered yet: the whole state it would lead to."""

    path: str
    sha256: str
    folder: str
    filename: str


@dataclass(frozen=True, slots=True)
class Base:
    """The last state in which a file and its document agreed: an entry of the ledger.

    Attributes:
        path: where the file was, spelt as on the disk. It differs from folder and filename where
            two documents have one name, or the file system spells names its own way.
        version: the document's; None for a create that has not been answered.
        sha256: hex; empty where nothing is agreed (the file was set aside).
        folder: of the document, with ``/`` between names; empty for the root.
        inode, birth_ns: of the file, to know it again under another name; 0 and None if unknown.
        lost: the server was restored and has not this version any more.
        sent: an unanswered push.
        was_ignored: its path was ignored since, and the file was not seen there again. That it
            is missing does not mean that somebody deleted it.
        coming: the entry that takes the place of this one once the file that was about to be
            placed or moved is where it should be (see `intents`).
        leaving: the mirror itself was about to take the file away, or is fetching it again. If it
            is missing, nobody has deleted it.
    """

    id: UUID
    path: str
    version: datetime | None
    sha256: str
    folder: str
    filename: str
    inode: int = 0
    birth_ns: int | None = None
    lost: bool = False
    sent: Sent | None = None
    was_ignored: bool = False
    coming: "Base | None" = None
    leaving: bool = False

    def answered(self, version: datetime) -> "Base":
        """The entry once its unanswered push is known to have arrived, as that version."""
        sent = self.sent
        if sent is None:
            return self
        return replace(
            self,
            path=sent.path,
            version=version,
            sha256=sent.sha256,
            folder=sent.folder,
            filename=sent.filename,
            lost=False,
            sent=None,
        )

    def may_be(self, file: LocalFile) -> bool:
        """Whether a file has the inode of this one, as far as their times of birth say.

        Where one of these is not known, it may be a new file that was given the inode again.
        """
        if not self.inode or self.inode != file.inode:
            return False
        return None in (self.birth_ns, file.birth_ns) or self.birth_ns == file.birth_ns


@dataclass(frozen=True, slots=True)
class RemoteDocument:
    """A document that lives on the server."""

    id: UUID
    folder: str
    filename: str
    sha256: str
    size: int
    version: datetime
    mime_type: str


SkipKind = Literal["ignored", "symlink", "special", "unreadable", "busy", "undecodable"]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What the scan found and left alone, and why.

    Attributes:
        path: of a file or of a folder with all that is in it.
        kind: ``busy`` changed while it was hashed, ``undecodable`` has a name that is no text.
        why: for a person.
    """

    path: str
    kind: SkipKind
    why: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What is on the disk, all in the order of paths.

    Attributes:
        files: the files that count.
        folders: every folder that was looked into, empty ones too; without the root.
        skipped: what is there and does not count, or could not be read.
    """

    files: tuple[LocalFile, ...]
    folders: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Paths of which nothing may be concluded: neither that they are there nor that not."""
        return tuple(skipped.path for skipped in self.skipped if skipped.kind != "ignored")


def is_left_alone(path: str, scan: Scan) -> bool:
    """Whether a scan has left a path alone, by itself or with a folder that it is in."""
    up = {path, *map(str, PurePosixPath(path).parents)}
    return any(skipped.path in up for skipped in scan.skipped)
