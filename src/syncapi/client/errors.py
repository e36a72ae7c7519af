"""What can go wrong for a client, as one tree.

    SyncError                        says what happened, and what to do about it
    ├── Unreachable                  no answer: the network, or the server is down
    ├── ApiError                     the server refused, with a problem document (RFC 9457)
    │   ├── InvalidRequest      400
    │   │   └── InvalidCursor   400
    │   ├── Unauthenticated     401
    │   ├── Forbidden           403
    │   ├── NotFound            404
    │   ├── Conflict            409  the server's state stands in the way
    │   ├── CursorExpired       410  resync
    │   ├── PreconditionFailed  412  the document has changed since
    │   ├── TooLarge            413
    │   ├── UnsupportedType     415
    │   ├── RateLimited         429
    │   ├── ServerError         5xx  Unavailable (503) among them
    │   └── UnexpectedAnswer         no answer of this API: a proxy's, or a wrong address
    ├── TransferError                bytes that did not arrive as they should
    │   ├── ContentMismatch          the bytes are not those that were promised
    │   ├── ContentReplaced          the document has other bytes by now: pull, then fetch those
    │   ├── ContentMissing           the object store has lost the bytes
    │   ├── InvalidDigest            the server has hashes that no bytes can have
    │   └── SourceChanged            a local file changed while it was read
    ├── StoreError                   the local state
    │   ├── StoreBusy                another process works on the same replica
    │   ├── WrongKey                 it is encrypted with another key
    │   └── StoreDamaged             it cannot be read
    └── SafetyStop                   stopped before anything could be lost

A class says the kind of mistake; the command line's exit codes follow from it.
"""

from collections.abc import Mapping
from typing import Self

from syncapi.protocol.problems import Problem


class SyncError(Exception):
    """The root: what happened, and the way out.

    Attributes:
        message: for a person.
        hint: what to do or to type next; None where nothing is to be done.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unreachable(SyncError):
    """The server gave no answer, after all retries."""


class ApiError(SyncError):
    """The server refused.

    Attributes:
        problem: the server's own words, its code and the request id among them.
        retry_after: seconds until a retry may succeed; None where the server named none.
        attempts: how often the request was sent; of all but the last there was no answer of use.
    """

    def __init__(
        self, problem: Problem, *, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(problem.detail, hint=hint)
        self.problem = problem
        self.retry_after = retry_after
        self.attempts = 1

    @classmethod
    def told_here(
        cls,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str = "",
        hint: str | None = None,
    ) -> Self:
        """A refusal that did not come as a problem document."""
        problem = Problem(
            type=f"urn:syncapi:problem:{code}",
            title=detail.partition(".")[0],
            status=status,
            detail=detail,
            success=False,
            code=code,
            request_id=request_id,
            errors=[],
        )
        return cls(problem, hint=hint)

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def request_id(self) -> str:
        """Quote this when you ask for help; empty where no server gave one."""
        return self.problem.request_id


class InvalidRequest(ApiError):
    pass


class InvalidCursor(InvalidRequest):
    pass


class Unauthenticated(ApiError):
    pass


class Forbidden(ApiError):
    pass


class NotFound(ApiError):
    pass


class Conflict(ApiError):
    pass


class CursorExpired(ApiError):
    pass


class PreconditionFailed(ApiError):
    pass


class TooLarge(ApiError):
    pass


class UnsupportedType(ApiError):
    pass


class RateLimited(ApiError):
    pass


class ServerError(ApiError):
    pass


class UnexpectedAnswer(ApiError):
    """It says nothing of documents, whatever its status: never take it for a 404 of one."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: CursorExpired,
    412: PreconditionFailed,
    413: TooLarge,
    415: UnsupportedType,
    429: RateLimited,
}


def error_of(problem: Problem, *, retry_after: float | None = None) -> ApiError:
    """The exception that a problem document is."""
    kind = _BY_STATUS.get(problem.status, ServerError if problem.status >= 500 else ApiError)  # noqa: PLR2004 - RFC 9110 §15.6
    if problem.code == "invalid_cursor":
        kind = InvalidCursor
    return kind(problem, retry_after=retry_after)


class TransferError(SyncError):
    """Bytes did not arrive as they should."""


class ContentMismatch(TransferError):
    pass


class ContentReplaced(TransferError):
    pass


class ContentMissing(TransferError):
    pass


class InvalidDigest(TransferError):
    pass


class SourceChanged(TransferError):
    pass


class StoreError(SyncError):
    """The local state cannot be used."""


class StoreBusy(StoreError):
    pass


class WrongKey(StoreError):
    pass


class StoreDamaged(StoreError):
    pass


class SafetyStop(SyncError):
    """Nothing was done, since it might have lost something."""
