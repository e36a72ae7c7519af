"""What a plan is made of. This table says all that one action differs in from the others.

The order of a plan is that of the table.

| action | in words | changes | its ledger entry |
|---|---|---|---|
| `SetAside` | gives a local edit that conflicts another name | the folder | stored before |
| `MoveToTrash` | deleted there and unchanged here | the folder | removed |
| `Move` | renamed there | the folder | stored |
| `Download` | the bytes of the server | the folder | stored |
| `Create` | a file becomes a document | the server | stored |
| `Update` | bytes or name of a document | the server | stored |
| `Delete` | deleted here and unchanged there | the server | removed |
| `Adopt` | both sides have it already | nothing | stored |
| `Forget` | gone on both sides | nothing | removed |

Whoever carries it out keeps five rules, and then may stop anywhere and plan anew:

- Before an action on the disk, check that what it names is still as planned (``sha256``,
  ``replaces_sha256``) and that a target is free. Else leave it, and leave the later actions of
  the same document.
- A folder that a MoveToTrash or a Move has emptied is removed at once: the next action may put a
  file of its name there.
- ``entry`` is what the ledger holds of the document afterwards, in place of what it held. Fill
  in what only the deed can tell: ``inode`` and ``birth_ns`` after a Download, ``version`` (the
  answered document's) after a Create or an Update. Where an Update's entry has no inode (0), the
  ledger's ``inode`` and ``birth_ns`` stay.
- Before a MoveToTrash, a Move or a Download the ledger holds what is about to be done (`intents`).
- Before a push is sent, the ledger holds what it carries: the entry as it was (of a Create
  without one: ``entry`` itself, whose version is None) with ``sent`` of ``entry``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, TypeAlias, get_args
from uuid import UUID

from typing_extensions import override

from syncapi.client.folder.model import Base

ActionName = Literal[
    "set_aside", "move", "download", "trash", "create", "update", "delete", "adopt", "forget"
]
Side = Literal["folder", "server"]


class _Action:
    """What is asked of every action.

    Attributes:
        name: as programs are given it.
        changes: which side; None where only the ledger learns.
        path: of the file, in the folder, before the action.
    """

    __slots__ = ()
    name: ClassVar[ActionName]
    changes: ClassVar[Side | None]
    path: str

    @property
    def path_after(self) -> str:
        """Of the file, in the folder, after the action."""
        return self.path


@dataclass(frozen=True, slots=True)
class SetAside(_Action):
    """Rename a local edit that conflicts, so that the server's version can have the name.

    Attributes:
        id: whose file it was; None for a file that was no document's.
        entry: to be stored *before* the renaming: nothing is agreed on any more, and no move will
            be seen in it. None where ``id`` is.
    """

    name = "set_aside"
    changes = "folder"

    path: str
    to: str
    sha256: str
    id: UUID | None = None
    entry: Base | None = None

    @property
    @override
    def path_after(self) -> str:
        return self.to


@dataclass(frozen=True, slots=True)
class MoveToTrash(_Action):
    """Deleted there and unchanged here. Removes the entry."""

    name = "trash"
    changes = "folder"

    id: UUID
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Move(_Action):
    """Renamed there: do so here. Swaps and cycles go by an interim name, which is a Move too.

    The two paths may be alike but for case or Unicode form; then they are one file to some
    file systems, and the new one is free.

    Attributes:
        sha256: of the file.
    """

    name = "move"
    changes = "folder"

    id: UUID
    path: str
    to: str
    sha256: str
    entry: Base

    @property
    @override
    def path_after(self) -> str:
        return self.to


@dataclass(frozen=True, slots=True)
class Download(_Action):
    """Fetch the server's bytes.

    Attributes:
        sha256, size: what is fetched.
        replaces_sha256: what must be at ``path`` by then; None: nothing must be.
    """

    name = "download"
    changes = "folder"

    id: UUID
    path: str
    sha256: str
    size: int
    replaces_sha256: str | None
    entry: Base


@dataclass(frozen=True, slots=True)
class Create(_Action):
    """Push a file as a document.

    Attributes:
        revives: the server had the id: it was deleted there and edited here, or lost. Push it with
            ``on_conflict=merge``. Else a conflict says that an unanswered create had arrived, and
            that the document was deleted since.
        restores: the server has lost it, and it was not changed here. Push it with
            ``on_conflict=reject`` first: if it was erased there, it stays erased.
    """

    name = "create"
    changes = "server"

    id: UUID
    path: str
    sha256: str
    folder: str
    filename: str
    revives: bool
    entry: Base
    restores: bool = False


@dataclass(frozen=True, slots=True)
class Update(_Action):
    """Push what changed here.

    Attributes:
        path: of the file.
        sha256: the new content; None where it stays.
        folder, filename: the new place; None where it stays.
        base_version: what the server has, as far as was pulled.
    """

    name = "update"
    changes = "server"

    id: UUID
    path: str
    sha256: str | None
    folder: str | None
    filename: str | None
    base_version: datetime
    entry: Base


@dataclass(frozen=True, slots=True)
class Delete(_Action):
    """Deleted here and unchanged there. Removes the entry once it is applied."""

    name = "delete"
    changes = "server"

    id: UUID
    path: str
    base_version: datetime


@dataclass(frozen=True, slots=True)
class Adopt(_Action):
    """Both sides have it already; only the ledger learns."""

    name = "adopt"
    changes = None

    id: UUID
    path: str
    entry: Base


@dataclass(frozen=True, slots=True)
class Forget(_Action):
    """Gone on both sides. Removes the entry."""

    name = "forget"
    changes = None

    id: UUID
    path: str


Action: TypeAlias = (
    SetAside | MoveToTrash | Move | Download | Create | Update | Delete | Adopt | Forget
)

_TURNS = {kind: turn for turn, kind in enumerate(get_args(Action))}


def in_turn(actions: Iterable[Action]) -> tuple[Action, ...]:
    """The actions in the order of the table, those of a kind as they were."""
    return tuple(sorted(actions, key=lambda action: _TURNS[type(action)]))


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
