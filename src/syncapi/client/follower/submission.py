"""Changes of a program that keeps the contents itself, as the folder mirror does."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError
from syncapi.client.follower.batches import Answer, push_each
from syncapi.client.follower.remote import Remote
from syncapi.client.follower.tables import FollowerTables
from syncapi.protocol.push import (
    MOST_CHANGES,
    ChangeProblem,
    ChangeResult,
    OnConflict,
    PushedChange,
)


async def submit(
    client: Client,
    tables: FollowerTables,
    remote: Remote,
    changes: Sequence[PushedChange],
    on_conflict: OnConflict,
) -> list[ChangeResult]:
    """Push changes in batches; the results of each batch are stored in one transaction."""
    results: dict[int, ChangeResult] = {}
    for batch in _batches(changes):
        sent = [changes[index] for index in batch]
        answers = await push_each(client, sent, on_conflict)
        found = [_result(change, answer) for change, answer in zip(sent, answers, strict=True)]
        with tables.store.transaction():
            for change, result in zip(sent, found, strict=True):
                _store(remote, change, result)
        results |= dict(zip(batch, found, strict=True))
    return [results[index] for index in range(len(changes))]


def _batches(changes: Sequence[PushedChange]) -> Iterator[list[int]]:
    """Positions of changes that go together: a document once, and not before its earlier ones."""
    waiting = list(range(len(changes)))
    while waiting:
        batch: list[int] = []
        named: set[UUID] = set()
        rest = []
        for index in waiting:
            document = changes[index].id
            if document in named or len(batch) == MOST_CHANGES:
                rest.append(index)
            else:
                batch.append(index)
            named.add(document)
        yield batch
        waiting = rest


def _result(change: PushedChange, answer: Answer) -> ChangeResult:
    if isinstance(answer, ChangeResult):
        return answer
    return ChangeResult(
        change_id=change.change_id,
        id=change.id,
        status="rejected",
        document=None,
        conflict=None,
        problem=_problem(answer),
    )


def _problem(error: ApiError) -> ChangeProblem:
    code = "forbidden" if error.code == "forbidden" else "not_applied"
    return ChangeProblem.model_validate({"code": code, "detail": error.message})


def _store(remote: Remote, change: PushedChange, result: ChangeResult) -> None:
    if result.problem is not None and result.problem.code != "not_found":
        return
    base = None if change.op == "create" else change.base_updated_at
    there = result.document
    if there is not None and base is not None and there.updated_at < base:
        remote.note_that_it_went_back()
    else:
        remote.answered(change.id, there)
