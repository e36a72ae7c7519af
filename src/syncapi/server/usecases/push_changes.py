"""What one client pushes, in the types of the conflict rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from syncapi.protocol.push import (
    CHANGEABLE,
    CreateChange,
    DeleteChange,
    OnConflict,
    PushedChange,
    PushRequest,
    UpdateChange,
)
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.conflict_rules import Change, Create, Delete, Update
from syncapi.server.domain.errors import FieldError, InvalidInput


@dataclass(frozen=True, slots=True)
class Push:
    """What one client sent.

    Attributes:
        touches: the documents and change ids, which no other push in the same transaction may
            name.
        files: the files that the changes name.
    """

    scope: TenantScope
    changes: tuple[Change, ...]
    strategy: OnConflict
    is_atomic: bool
    touches: frozenset[UUID]
    files: frozenset[UUID]

    @classmethod
    def of(cls, scope: TenantScope, request: PushRequest) -> "Push":
        """Make a push of a request.

        Raises:
            InvalidInput: a document or a change id occurs twice.
        """
        changes = tuple(_change(change) for change in request.changes)
        ids = [change.id for change in changes]
        change_ids = [change.change_id for change in changes]
        named = (one.fields.get("file_id") for one in changes if not isinstance(one, Delete))
        touches = frozenset((*ids, *change_ids))
        if len(touches) < 2 * len(changes):
            _refuse_repeats("id", ids)
            _refuse_repeats("change_id", change_ids)
        return cls(
            scope,
            changes,
            request.on_conflict,
            is_atomic=request.mode == "atomic",
            touches=touches,
            files=frozenset(file_id for file_id in named if isinstance(file_id, UUID)),
        )


def _change(change: PushedChange) -> Change:
    match change:
        case CreateChange():
            return Create(change.change_id, change.id, _fields(change))
        case UpdateChange():
            return Update(change.change_id, change.id, change.base_updated_at, _fields(change))
        case DeleteChange():
            return Delete(change.change_id, change.id, change.base_updated_at)


def _fields(change: CreateChange | UpdateChange) -> dict[str, object]:
    sent = change.__dict__
    return {name: sent[name] for name in CHANGEABLE if sent[name] is not None}


def _refuse_repeats(name: str, values: Sequence[UUID]) -> None:
    seen: dict[UUID, int] = {}
    errors = []
    for index, value in enumerate(values):
        if value in seen:
            message = f"{value} stands in change {seen[value]} too. Send each once in a push."
            errors.append(FieldError(f"body.changes.{index}.{name}", message))
        seen.setdefault(value, index)
    if errors:
        raise InvalidInput(f"{errors[0].field}: {errors[0].message}", errors=errors)
