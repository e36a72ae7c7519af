"""What did not work for single documents."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from syncapi.client.errors import (
    ApiError,
    RateLimited,
    ServerError,
    StoreDamaged,
    SyncError,
    TransferError,
    Unauthenticated,
)
from syncapi.client.replica.records import FailureRecord
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables

What: TypeAlias = Literal["download", "upload", "push", "resolve"]

_OF_THE_RUN = (Unauthenticated, RateLimited, ServerError)


def is_of_one_document(error: BaseException) -> bool:
    """Whether a failure says nothing of the other documents, so that the run goes on."""
    if isinstance(error, ApiError):
        return not isinstance(error, _OF_THE_RUN)
    return isinstance(error, TransferError | StoreDamaged)


def raise_what_ends_the_run(outcomes: Iterable[object]) -> None:
    """Of things that were done at once, raise a failure that is not of one document alone."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not is_of_one_document(outcome):
            raise outcome


class Failures:
    """Keeps what failed until it works."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock

    def note(self, document_id: UUID, what: What, error: BaseException, tally: Tally) -> None:
        """Remember that something failed, once more perhaps."""
        message = error.message if isinstance(error, SyncError) else str(error)
        request_id = error.request_id if isinstance(error, ApiError) else None
        self.note_refusal(document_id, what, (_code(error), message), tally, request_id=request_id)

    def note_refusal(
        self,
        document_id: UUID,
        what: What,
        refusal: tuple[str, str],
        tally: Tally,
        *,
        request_id: str | None = None,
    ) -> None:
        """Remember a refusal, by its code and its words."""
        code, message = refusal
        before = self._tables.failures.get(str(document_id))
        record = FailureRecord(
            id=document_id,
            what=what,
            message=message,
            code=code,
            request_id=request_id,
            attempts=1 if before is None else before.attempts + 1,
            since=self._clock() if before is None else before.since,
        )
        self._tables.failures.put(str(document_id), record)
        tally.errors[document_id] = record

    def clear(self, document_id: UUID) -> None:
        """It works, or is no more."""
        self._tables.failures.delete(str(document_id))


def _code(error: BaseException) -> str:
    """The server's code, else the kind of error: ``ContentMissing`` is ``content_missing``."""
    if isinstance(error, ApiError):
        return error.code
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
