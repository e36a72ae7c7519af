"""A push: a client's changes, judged and written in one transaction with one stamp."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from syncapi.domain.access import Permission, TenantScope
from syncapi.domain.errors import FieldError, InvalidInput, Refusal
from syncapi.domain.pushing import (
    Change,
    Create,
    Decision,
    Delete,
    Status,
    Strategy,
    Update,
    decide,
)
from syncapi.postgres import push as store
from syncapi.postgres.databases import TenantConnection
from syncapi.postgres.push import Base, PlannedWrite, State
from syncapi.usecases.uploads import UploadRules
from syncapi.wire.documents import Document, FileInfo
from syncapi.wire.push import (
    CHANGEABLE,
    BaseFields,
    ChangeProblem,
    ChangeResult,
    ConflictDetail,
    CreateChange,
    DeleteChange,
    PushedChange,
    PushOutcome,
    PushRequest,
    UpdateChange,
)


@dataclass(frozen=True, slots=True)
class Push:
    """What one client sent."""

    scope: TenantScope
    changes: tuple[Change, ...]
    strategy: Strategy
    is_atomic: bool

    @classmethod
    def of(cls, scope: TenantScope, request: PushRequest) -> "Push":
        """Make a push of a request.

        Raises:
            InvalidInput: a document or a change id stands twice.
        """
        changes = tuple(_change(change) for change in request.changes)
        _refuse_repeats("id", [change.id for change in changes])
        _refuse_repeats("change_id", [change.change_id for change in changes])
        strategy = Strategy(request.on_conflict)
        return cls(scope, changes, strategy, request.mode == "atomic")

    @property
    def touches(self) -> frozenset[UUID]:
        """What no other push in the same transaction may name: documents and change ids."""
        return frozenset(
            {change.id for change in self.changes} | {change.change_id for change in self.changes}
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """All that a group of pushes needs to be judged by."""

    states: Mapping[UUID, State]
    applied: Mapping[UUID, UUID]
    bases: Mapping[tuple[UUID, datetime], Base]
    files: Mapping[UUID, FileInfo]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A change and what was decided; `problem` where it is not for `decide` to say."""

    change: Change
    decision: Decision
    problem: ChangeProblem | None = None


async def apply(
    tx: TenantConnection, pushes: Sequence[Push], rules: UploadRules
) -> list[PushOutcome]:
    """Judge and write a group of pushes that touch different documents.

    The version of every document written is the transaction's one stamp.

    Raises:
        RacedInsert: run the transaction again.
    """
    known = await _known(tx, [change for push in pushes for change in push.changes])
    judged = [_judge_all(push, known, rules) for push in pushes]
    planned = [
        plan
        for push, judgements in zip(pushes, judged, strict=True)
        for plan in _plans(push, judgements, known)
    ]
    written = await store.write(tx, planned, _contents(known)) if planned else {}
    return [
        PushOutcome(results=[_result(one, known, written) for one in judgements])
        for judgements in judged
    ]


async def _known(tx: TenantConnection, changes: Sequence[Change]) -> _Known:
    ids = {change.id for change in changes}
    await store.lock(tx, ids)
    states = await store.states(tx, ids)
    return _Known(
        states=states,
        applied=await store.applied(tx, {change.change_id for change in changes}),
        bases=await store.bases(tx, _bases_needed(changes, states)),
        files=await store.pin_files(tx, _files_named(changes)),
    )


def _bases_needed(
    changes: Iterable[Change], states: Mapping[UUID, State]
) -> Iterable[tuple[UUID, datetime]]:
    """The versions behind changes that were not made from the server's own."""
    for change in changes:
        state = states.get(change.id)
        if not isinstance(change, Create) and state and change.base != state.version.updated_at:
            yield change.id, change.base


def _files_named(changes: Iterable[Change]) -> set[UUID]:
    named = (change.fields.get("file_id") for change in changes if not isinstance(change, Delete))
    return {file_id for file_id in named if isinstance(file_id, UUID)}


def _contents(known: _Known) -> dict[UUID, FileInfo]:
    """The files that the written documents can have: those named, and those they had."""
    kept = (state.document.file for state in known.states.values() if state.document)
    return {file.id: file for file in kept} | dict(known.files)


def _judge_all(push: Push, known: _Known, rules: UploadRules) -> list[_Judged]:
    judged = [_judge(push, change, known, rules) for change in push.changes]
    refused = {Status.CONFLICT, Status.REJECTED}
    if not push.is_atomic or not any(one.decision.status in refused for one in judged):
        return judged
    return [one if one.decision.write is None else _withheld(one) for one in judged]


def _withheld(judged: _Judged) -> _Judged:
    detail = "Another change of this atomic push was not applied, so none was."
    problem = ChangeProblem(code="not_applied", detail=detail)
    return _Judged(judged.change, Decision(Status.REJECTED), problem)


def _judge(push: Push, change: Change, known: _Known, rules: UploadRules) -> _Judged:
    if known.applied.get(change.change_id) == change.id:
        return _Judged(change, Decision(Status.UNCHANGED))
    problem = _inadmissible(push, change, known, rules)
    if problem is not None:
        return _Judged(change, Decision(Status.REJECTED), problem)
    state, base = known.states.get(change.id), _base(change, known)
    decision = decide(
        change,
        None if state is None else state.version,
        None if base is None else base.fields,
        push.strategy,
    )
    if decision.problem is None:
        return _Judged(change, decision)
    return _Judged(change, decision, ChangeProblem(code="not_found", detail=decision.problem))


def _inadmissible(
    push: Push, change: Change, known: _Known, rules: UploadRules
) -> ChangeProblem | None:
    if change.change_id in known.applied:
        detail = "This change_id was used for another document. Make a new one for each change."
        return ChangeProblem(code="not_applied", detail=detail)
    if isinstance(change, Delete):
        return _not_allowed(push.scope)
    file_id, mime_type = change.fields.get("file_id"), change.fields.get("mime_type")
    if file_id is not None and file_id not in known.files:
        detail = f"file_id: The tenant has no complete file {file_id}. Upload it first."
        return ChangeProblem(code="invalid_file", detail=detail)
    return _unsupported(mime_type, rules) if isinstance(mime_type, str) else None


def _unsupported(mime_type: str, rules: UploadRules) -> ChangeProblem | None:
    try:
        rules.check_type(mime_type, "mime_type")
    except Refusal as refusal:
        return ChangeProblem(code="unsupported_type", detail=refusal.detail)
    return None


def _not_allowed(scope: TenantScope) -> ChangeProblem | None:
    if Permission.DELETE in scope.role.permissions:
        return None
    detail = f"Deleting needs the permission 'delete', which the role '{scope.role}' lacks."
    return ChangeProblem(code="forbidden", detail=detail)


def _base(change: Change, known: _Known) -> Base | None:
    return None if isinstance(change, Create) else known.bases.get((change.id, change.base))


def _plans(push: Push, judged: Iterable[_Judged], known: _Known) -> Iterable[PlannedWrite]:
    for one in judged:
        if one.decision.write is not None:
            state = known.states.get(one.change.id)
            yield PlannedWrite(
                id=one.change.id,
                change_id=one.change.change_id,
                author=push.scope.user_id,
                write=one.decision.write,
                is_new=state is None or state.document is None,
            )


def _result(judged: _Judged, known: _Known, written: Mapping[UUID, Document]) -> ChangeResult:
    change, decision = judged.change, judged.decision
    state = known.states.get(change.id)
    before = state.document if state else None
    return ChangeResult(
        change_id=change.change_id,
        id=change.id,
        status=decision.status.value,
        document=written.get(change.id, before),
        conflict=_conflict(judged, known, before),
        problem=judged.problem,
    )


def _conflict(judged: _Judged, known: _Known, before: Document | None) -> ConflictDetail | None:
    disagreement = judged.decision.disagreement
    if disagreement is None:
        return None
    base = _base(judged.change, known)
    return ConflictDetail(
        resolution=disagreement.resolution.value,
        fields=list(disagreement.fields),
        server=before,
        base=None if base is None else _base_fields(base),
    )


def _base_fields(base: Base) -> BaseFields:
    return BaseFields.model_validate({**base.fields, "updated_at": base.updated_at})


def _change(change: PushedChange) -> Change:
    match change:
        case CreateChange():
            return Create(change.change_id, change.id, _named(change))
        case UpdateChange():
            return Update(change.change_id, change.id, change.base_updated_at, _named(change))
        case DeleteChange():
            return Delete(change.change_id, change.id, change.base_updated_at)


def _named(change: CreateChange | UpdateChange) -> dict[str, object]:
    fields = {name: getattr(change, name) for name in CHANGEABLE}
    return {name: value for name, value in fields.items() if value is not None}


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
