"""The results of a push: one for each change, in the shape of `protocol.push.ChangeResult`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from syncapi.protocol.push import ProblemCode
from syncapi.server.domain.conflict_rules import Change, Decision, Write
from syncapi.server.postgres.push import Base, Known, Row, State, Written
from syncapi.server.usecases.json_encoding import Json, utc


@dataclass(slots=True)
class Problem:
    """Why a change was rejected."""

    code: ProblemCode
    detail: str


@dataclass(slots=True)
class Judged:
    """A change and what was decided.

    Attributes:
        state: the server's document before.
        base: the version that the change was made from, if it is known and not the server's.
        problem: why the change was rejected.
    """

    change: Change
    decision: Decision
    state: State | None
    base: Base | None = None
    problem: Problem | None = None


class Results:
    """Makes the results of changes that were judged.

    Args:
        known: what they were judged by, from before the write.
        written: None if nothing was written.
    """

    def __init__(self, known: Known, written: Written | None) -> None:
        self._files = {id_: _file(id_, row) for id_, row in known.files.items()}
        self._stamp = None if written is None else _utc(written.stamp)
        self._at = None if written is None else _utc(written.at)

    def of(self, judged: Iterable[Judged], author: UUID | None) -> list[Json]:
        """A result for each change of one author."""
        user = None if author is None else str(author)
        return [self._result(one, user) for one in judged]

    def _result(self, judged: Judged, user: str | None) -> Json:
        change, decision, problem = judged.change, judged.decision, judged.problem
        before = _before(judged.state)
        write = decision.write
        return {
            "change_id": change.change_id,
            "id": change.id,
            "status": decision.status,
            "document": before if write is None else self._after(change.id, write, before, user),
            "conflict": _conflict(judged, before),
            "problem": problem and {"code": problem.code, "detail": problem.detail},
        }

    def _after(self, id_: UUID, write: Write, before: Json | None, user: str | None) -> Json:
        """The document as it was written."""
        fields: Any = write.fields
        origin = before or {"user_id": user, "created_at": self._at, "created_by": user}
        return {
            "id": id_,
            "folder": fields["folder"],
            "filename": fields["filename"],
            "mime_type": fields["mime_type"],
            "user_id": origin["user_id"],
            "created_at": origin["created_at"],
            "created_by": origin["created_by"],
            "updated_at": self._stamp,
            "is_deleted": write.is_deleted,
            "deleted_at": self._at if write.is_deleted else None,
            "deleted_by": user if write.is_deleted else None,
            "file": self._files.get(fields["file_id"]) or (before and before["file"]),
        }


def _before(state: State | None) -> Json | None:
    if state is None or state.row is None:
        return None
    row = state.row
    return {
        "id": str(row["id"]),
        "folder": row["folder"],
        "filename": row["filename"],
        "mime_type": row["mime_type"],
        "user_id": row["user_id"],
        "created_at": utc(row["created_at"]),
        "created_by": row["created_by"],
        "updated_at": _utc(state.version.updated_at),
        "is_deleted": row["is_deleted"],
        "deleted_at": row["deleted_at"] and utc(row["deleted_at"]),
        "deleted_by": row["deleted_by"],
        "file": _file(row["reference"], row),
    }


def _conflict(judged: Judged, before: Json | None) -> Json | None:
    disagreement, base = judged.decision.disagreement, judged.base
    if disagreement is None:
        return None
    return {
        "resolution": disagreement.resolution,
        "fields": disagreement.fields,
        "server": before,
        "base": base and _base(base),
    }


def _base(base: Base) -> Json:
    times = {"updated_at": _utc(base.updated_at)}
    return {**base.fields, "file_id": str(base.fields["file_id"]), **times}


def _file(id_: UUID, row: Row) -> Json:
    return {
        "id": str(id_),
        "md5_hash": row["md5_hash"],
        "sha256_hash": row["sha256_hash"],
        "file_size": row["file_size"],
    }


def _utc(moment: datetime) -> datetime | str:
    return utc(moment.replace(tzinfo=None))
