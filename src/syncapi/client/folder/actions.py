"""What a plan is made of. Actions are carried out in the order of the plan.

The order is: SetAside, Trash, Move, Download, Create, Update, Delete, Adopt, Forget; of the last
two only the ledger learns, which may be done first. Whoever carries it out keeps five rules, and
then may stop anywhere and plan anew:

- Before an action on the disk, check that what it names is still as planned (``sha256``,
  ``replaces_sha256``) and that a target is free. Else leave it, and leave the later actions of
  the same document.
- A folder that a Trash or a Move has emptied is removed at once: the next action may put a file
  of its name there.
- ``entry`` is what the ledger holds of the document afterwards, in place of what it held. Fill
  in what only the deed can tell: ``inode`` and ``birth_ns`` after a Download, ``version`` (the
  answered document's) after a Create or an Update. Where an Update's entry has no inode (0), the
  ledger's ``inode`` and ``birth_ns`` stay.
- Before a Trash, a Move or a Download the ledger holds what is about to be done (`intents`).
- Before a push is sent, the ledger holds what it carries: the entry as it was (of a Create
  without one: ``entry`` itself, whose version is None) with ``sent`` of ``entry``.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from syncapi.client.folder.model import Base


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rename a local edit that conflicts, so that the server's version can have the name.

    Attributes:
        id: whose file it was; None for a file that was no document's.
        entry: to be stored *before* the renaming: nothing is agreed on any more, and no move will
            be seen in it. None where ``id`` is.
    """

    path: str
    to: str
    sha256: str
    id: UUID | None = None
    entry: Base | None = None


@dataclass(frozen=True, slots=True)
class Trash:
    """Deleted there and unchanged here. Removes the entry."""

    id: UUID
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Move:
    """Renamed there: do so here. Swaps and cycles go by an interim name, which is a Move too.

    Source and target may be alike but for case or Unicode form; then they are one file to some
    file systems, and the target is free.

    Attributes:
        sha256: of the file.
    """

    id: UUID
    source: str
    target: str
    sha256: str
    entry: Base


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the server's bytes.

    Attributes:
        sha256, size: what is fetched.
        replaces_sha256: what must be at ``path`` by then; None: nothing must be.
    """

    id: UUID
    path: str
    sha256: str
    size: int
    replaces_sha256: str | None
    entry: Base


@dataclass(frozen=True, slots=True)
class Create:
    """Push a file as a document.

    Attributes:
        revives: the server had the id: it was deleted there and edited here, or lost. Push it with
            ``on_conflict=merge``. Else a conflict says that an unanswered create had arrived, and
            that the document was deleted since.
        restores: the server has lost it, and it was not changed here. Push it with
            ``on_conflict=reject`` first: if it was erased there, it stays erased.
    """

    id: UUID
    path: str
    sha256: str
    folder: str
    filename: str
    revives: bool
    entry: Base
    restores: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Push what changed here.

    Attributes:
        path: of the file.
        sha256: the new content; None where it stays.
        folder, filename: the new place; None where it stays.
        base_version: what the server has, as far as was pulled.
    """

    id: UUID
    path: str
    sha256: str | None
    folder: str | None
    filename: str | None
    base_version: datetime
    entry: Base


@dataclass(frozen=True, slots=True)
class Delete:
    """Deleted here and unchanged there. Removes the entry once it is applied."""

    id: UUID
    path: str
    base_version: datetime


@dataclass(frozen=True, slots=True)
class Adopt:
    """Both sides have it already; only the ledger learns."""

    id: UUID
    path: str
    entry: Base


@dataclass(frozen=True, slots=True)
class Forget:
    """Gone on both sides. Removes the entry."""

    id: UUID
    path: str


Action = SetAside | Trash | Move | Download | Create | Update | Delete | Adopt | Forget

ProblemCode = Literal[
    "local_name",  # the server cannot take the name
    "remote_name",  # this disk cannot take the name, or it is hostile
    "folder_in_the_way",  # a folder is where a file would go
    "file_in_the_way",  # a file is where a folder would go
    "unknown_place",  # what is there could not be read, or is a link
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is left alone on both sides until a person mends it.

    Attributes:
        path: of the file or, without one, of the document.
        id: the document's; None for a file that is none.
        detail: what is wrong and what to do.
    """

    path: str
    id: UUID | None
    code: ProblemCode
    detail: str


SettledKind = Literal["renamed_apart", "edit_survives", "both_kept", "restored", "alike"]


@dataclass(frozen=True, slots=True)
class Settled:
    """Both sides had changed, and it was decided without a conflict.

    Attributes:
        kind: ``renamed_apart`` the server's name wins; ``edit_survives`` an edit here or there
            outlives the deletion on the other side; ``both_kept`` two contents, hence two files;
            ``restored`` the server had lost the version and is given it again; ``alike`` two
            documents have one name, and this one has another on this disk.
    """

    path: str
    id: UUID | None
    kind: SettledKind
    detail: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What the other direction would do: a pull pushes nothing, a push changes nothing here."""

    path: str
    id: UUID | None
    kind: Literal["create", "update", "delete", "download", "move", "trash", "conflict"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and what to tell.

    Attributes:
        ignored: documents of the server whose place is ignored here.
    """

    actions: tuple[Action, ...] = ()
    problems: tuple[Problem, ...] = ()
    settled: tuple[Settled, ...] = ()
    pending: tuple[Pending, ...] = ()
    ignored: tuple[str, ...] = field(default=())
