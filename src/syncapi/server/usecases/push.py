"""A push: a client's changes, judged and written in one transaction with one stamp."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from syncapi.server.domain.access import Permission
from syncapi.server.domain.conflict_rules import (
    Change,
    Create,
    Decision,
    Delete,
    Update,
    decide,
)
from syncapi.server.domain.errors import Refusal
from syncapi.server.postgres import push as store
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.push import Known, PlannedWrite
from syncapi.server.usecases.json_encoding import Json
from syncapi.server.usecases.missing_bytes import Looks, Unseen
from syncapi.server.usecases.push_changes import Push
from syncapi.server.usecases.push_results import Judged, Problem, Results
from syncapi.server.usecases.uploads import UploadRules

_UNCHANGED = Decision("unchanged")
_REJECTED = Decision("rejected")
_BYTES_LOST = (
    "The bytes of this deleted document are lost. Send them again, and repeat this change with "
    "the file_id of the answer."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a push, in the shape of `protocol.push.PushOutcome`, for `encode`."""

    results: list[Json]

    @property
    def statuses(self) -> Counter[str]:
        """How many changes have each status."""
        return Counter(result["status"] for result in self.results)


async def apply(
    connection: TenantConnection,
    pushes: Sequence[Push],
    rules: UploadRules,
    looks: Looks | None = None,
) -> list[Outcome]:
    """Judge and write a group of pushes that touch different documents.

    All documents that are written get the transaction's one stamp as their version. One statement
    reads, and a second writes after it has compared the locked rows with what was read. In
    between, a third statement runs if a document was written again but equals the client's
    version, and a fourth if a file that was promised long ago is named, or would come back with a
    document.

    Args:
        connection: a connection of the tenant.
        pushes: the group.
        rules: what may be kept.
        looks: looks for the bytes of such files; without it they are taken to be there.

    If another transaction comes in between, it raises a transient failure and writes nothing.

    Raises:
        Unseen: the bytes of files must be looked for first; nothing is written.
    """
    known = await _read_known(connection, pushes)
    if looks is not None:
        promised = {file_id: row["promised_ago"] for file_id, row in known.files.items()}
        for file_id in await looks.lacking(connection, looks.doubtful(promised)):
            del known.files[file_id]
    copied = await _find_copied(connection, known)
    judge = _Judge(known, copied, rules)
    judged = [judge.all_of(push) for push in pushes]
    if looks is not None and (lost := await _find_lost(connection, judged, looks)):
        judge = _Judge(known, copied, rules, lost)
        judged = [judge.all_of(push) for push in pushes]
    planned = [
        PlannedWrite(
            one.change.id,
            one.change.change_id,
            None if one.state is None else one.state.version.updated_at,
            push.scope.user_id,
            one.decision.write,
        )
        for push, judgements in zip(pushes, judged, strict=True)
        for one in judgements
        if one.decision.write is not None
    ]
    written = await store.write(connection, planned) if planned else None
    results = Results(known, written)
    return [
        Outcome(results.of(judgements, push.scope.user_id))
        for push, judgements in zip(pushes, judged, strict=True)
    ]


async def lock(tx: TenantConnection, pushes: Sequence[Push]) -> None:
    """Lock the documents and files of the pushes until the transaction ends."""
    await store.lock(tx, *_named_by(pushes))


async def locked(connection: TenantConnection, pushes: Sequence[Push]) -> set[UUID]:
    """The documents and files of the pushes that another transaction keeps locked now."""
    return await store.locked(connection, *_named_by(pushes))


def _named_by(pushes: Iterable[Push]) -> tuple[set[UUID], set[UUID]]:
    """The ids of the documents and of the files that pushes name."""
    ids = {change.id for push in pushes for change in push.changes}
    return ids, {file_id for push in pushes for file_id in push.files}


async def _read_known(connection: TenantConnection, pushes: Sequence[Push]) -> Known:
    changes = [change for push in pushes for change in push.changes]
    based = [change for change in changes if not isinstance(change, Create)]
    return await store.read(
        connection,
        ids=[change.id for change in changes],
        change_ids=[change.change_id for change in changes],
        file_ids=_named_by(pushes)[1],
        bases=[(change.id, change.base) for change in based],
    )


async def _find_lost(
    connection: TenantConnection, judged: Iterable[Iterable[Judged]], looks: Looks
) -> set[UUID]:
    """The files without bytes among those that deleted documents would come back with.

    Raises:
        Unseen: the bytes of some must be looked for first.
    """
    revived = {
        one.change.id: file_id
        for judgements in judged
        for one in judgements
        if (file_id := _find_revived_file(one)) is not None
    }
    try:
        return await looks.lacking(connection, set(revived.values()))
    except Unseen as unseen:
        unseen.documents = {id_ for id_, file_id in revived.items() if file_id in unseen.paths}
        raise


def _find_revived_file(judged: Judged) -> UUID | None:
    """The file that a deleted document would come back with because the change names none."""
    change, state = judged.change, judged.state
    is_edit = isinstance(change, Update) and "file_id" not in change.fields
    if not is_edit or judged.decision.write is None or state is None or state.row is None:
        return None
    file_id: UUID = state.row["reference"]
    return file_id if state.version.is_deleted else None


async def _find_copied(connection: TenantConnection, known: Known) -> set[tuple[UUID, datetime]]:
    """The bases of which the server's versions are copies."""
    alike = []
    for (document, version), base in known.bases.items():
        server = known.states[document].version
        if base.fields == server.fields:
            alike.append((document, version, server.updated_at))
    return await store.copied(connection, alike) if alike else set()


class _Judge:
    """Judges the changes of a group of pushes by what is known."""

    def __init__(
        self,
        known: Known,
        copied: Collection[tuple[UUID, datetime]],
        rules: UploadRules,
        lost: Collection[UUID] = (),
    ) -> None:
        self._known = known
        self._copied = copied
        self._rules = rules
        self._lost = lost
        self._unsupported: dict[str, Problem | None] = {}

    def all_of(self, push: Push) -> list[Judged]:
        """Judge a push. If it is atomic, all changes are applied, or none."""
        judged = [self._judge(push, change) for change in push.changes]
        refused = {"conflict", "rejected"}
        if not push.is_atomic or not any(one.decision.status in refused for one in judged):
            return judged
        detail = "Another change of this atomic push was not applied, so none was."
        problem = Problem("not_applied", detail)
        return [
            one
            if one.decision.write is None
            else Judged(one.change, _REJECTED, one.state, problem=problem)
            for one in judged
        ]

    def _judge(self, push: Push, change: Change) -> Judged:
        known = self._known
        state = known.states.get(change.id)
        if known.applied and known.applied.get(change.change_id) == change.id:
            return Judged(change, _UNCHANGED, state)
        problem = self._find_problem(push, change)
        if problem is not None:
            return Judged(change, _REJECTED, state, problem=problem)
        base = None if isinstance(change, Create) else known.bases.get((change.id, change.base))
        based = change
        if not isinstance(change, Create) and (change.id, change.base) in self._copied:
            # The server's version is a copy of the base: judge the change as if made from it.
            based = replace(change, base=known.states[change.id].version.updated_at)
        decision = decide(
            based,
            None if state is None else state.version,
            None if base is None else base.fields,
            push.strategy,
        )
        if decision.problem is not None:
            problem = Problem("not_found", decision.problem)
        judged = Judged(change, decision, state, base, problem)
        if _find_revived_file(judged) in self._lost:
            problem = Problem("invalid_file", _BYTES_LOST)
            return Judged(change, _REJECTED, state, problem=problem)
        return judged

    def _find_problem(self, push: Push, change: Change) -> Problem | None:
        if self._known.applied and change.change_id in self._known.applied:
            detail = "This change_id was used for another document. Make one for each change."
            return Problem("not_applied", detail)
        if isinstance(change, Delete):
            role = push.scope.role
            if Permission.DELETE in role.permissions:
                return None
            detail = f"Deleting needs the permission 'delete', which the role '{role}' lacks."
            return Problem("forbidden", detail)
        file_id, mime_type = change.fields.get("file_id"), change.fields.get("mime_type")
        if file_id is not None and file_id not in self._known.files:
            detail = f"file_id: The tenant has no complete file {file_id}. Upload it first."
            return Problem("invalid_file", detail)
        return self._problem_of_type(mime_type) if isinstance(mime_type, str) else None

    def _problem_of_type(self, mime_type: str) -> Problem | None:
        if mime_type not in self._unsupported:
            self._unsupported[mime_type] = None
            try:
                self._rules.check_type(mime_type, "mime_type")
            except Refusal as refusal:
                problem = Problem("unsupported_type", refusal.detail)
                self._unsupported[mime_type] = problem
        return self._unsupported[mime_type]
