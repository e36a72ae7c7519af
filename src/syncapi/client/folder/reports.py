"""What a sync of a folder did, for a person or a program to read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from syncapi.client.folder.plan.actions import ActionName, Plan, Problem


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was done.

    Attributes:
        path: in the folder, afterwards.
        detail: for a person; empty where the action says it all.
    """

    action: ActionName
    path: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that was not done. It is tried again at the next sync; the others went on.

    Attributes:
        what: the action, as in "download".
        why: what happened.
        hint: what to do about it.
        request_id: of the server's answer, where there was one.
        code: of the server's refusal, as in ``forbidden``.
    """

    path: str
    what: str
    why: str
    hint: str | None = None
    request_id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class FolderConflict:
    """Two versions of a file, each under a name of its own.

    Attributes:
        path: where the server's version is.
        copy_path: where the one from this folder is.
        copy_id: of the document that the copy became; None until it is pushed.
    """

    id: UUID
    path: str
    copy_path: str
    copy_id: UUID | None
    seen_at: datetime
    mine_sha256: str
    theirs_sha256: str | None


@dataclass(slots=True)
class MirrorReport:
    """What a sync did, or with ``dry_run`` would do.

    Attributes:
        conflicts: all that wait for a person, those of earlier syncs too.
        problems: files that cannot be kept in step as they are, and why.
        bytes_up, bytes_down: sent and fetched.
        pending: the plan of a dry run. Of a sync in one direction its last plan, whose ``pending``
            is what is left to the other direction. Else None.
        left: how much is still to be done, since files changed under one round after the other.
    """

    done: list[Done] = field(default_factory=list)
    conflicts: Sequence[FolderConflict] = ()
    problems: Sequence[Problem] = ()
    failures: list[Failure] = field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0
    pending: Plan | None = None
    left: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many of each action were done."""
        return dict(Counter(done.action for done in self.done))


@dataclass(frozen=True, slots=True)
class Checked:
    """A file held against the server's document.

    Attributes:
        state: ``ok``, or in what they differ; ``extra``: a file without a document.
    """

    path: str
    state: Literal["ok", "missing", "different", "extra", "unreadable"]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Every file of the folder and every document of the server."""

    files: Sequence[Checked]
    store: Sequence[str]

    @property
    def is_well(self) -> bool:
        return not self.store and all(one.state == "ok" for one in self.files)


class Progress(Protocol):
    """Told how a sync goes on: bars on a terminal, or lines in a log."""

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes are to be moved now; once a round."""

    def advance(self, size: int) -> None:
        """So many bytes more."""

    def file_done(self, done: Done) -> None: ...

    def failed(self, failure: Failure) -> None: ...


class Silent:
    """Shows nothing."""

    def begin(self, files: int, size: int) -> None: ...

    def advance(self, size: int) -> None: ...

    def file_done(self, done: Done) -> None: ...

    def failed(self, failure: Failure) -> None: ...
