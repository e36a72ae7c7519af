"""The one tree of refusals that the service can give.

::

    Refusal
    ├── InvalidInput            400  the request itself is wrong; ``errors`` names each field
    │   └── InvalidCursor       400  not ours, another tenant's, or of other filters
    ├── Unauthenticated         401  no token, or one that does not verify
    ├── Forbidden               403  a member without the permission
    ├── NotFound                404  no such thing, or not yours: the two look alike
    ├── Conflict                409  the state of the server forbids it
    ├── CursorExpired           410  the feed no longer reaches back that far
    ├── PreconditionFailed      412  If-Match names another version
    ├── TooLarge                413  over a limit in bytes
    ├── UnsupportedType         415  a media type that the settings do not admit
    ├── RateLimited             429  come back after ``retry_after`` seconds
    └── Unavailable             503  a dependency is down; come back after ``retry_after`` seconds

The status codes are those of RFC 9110 and RFC 6585; the web layer alone knows them.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, and the way out."""

    field: str
    message: str


class Refusal(Exception):  # noqa: N818 - the tree's own word: these are answers, not accidents
    """A request that the service answers with a problem document (RFC 9457).

    Attributes:
        code: stable and machine-readable; clients branch on it.
        detail: what happened and what to do, for a person.
        errors: one entry per wrong field; empty where no field is to blame.
        retry_after: seconds until a retry may succeed; None where a retry changes nothing.
        reason: machine-readable, which of several causes the code has; None where there is
            nothing to tell apart.
    """

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.reason = reason


class InvalidInput(Refusal):
    code = "invalid_request"
    title = "The request is not valid"

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        """Refuse one field."""
        return cls(f"{field}: {message}", errors=[FieldError(field, message)])


class InvalidCursor(InvalidInput):
    code = "invalid_cursor"
    title = "The cursor is not valid"


class Unauthenticated(Refusal):
    code = "unauthenticated"
    title = "A valid bearer token is required"


class Forbidden(Refusal):
    code = "forbidden"
    title = "Your role does not allow this"


class NotFound(Refusal):
    code = "not_found"
    title = "Not found"


class Conflict(Refusal):
    code = "conflict"
    title = "The request conflicts with the server's state"


class UploadIncomplete(Conflict):
    code = "upload_incomplete"
    title = "Bytes are missing"


class ContentMismatch(Conflict):
    code = "content_mismatch"
    title = "The bytes are not the declared ones"


class IdempotencyKeyReused(Conflict):
    code = "idempotency_key_reused"
    title = "The idempotency key was used for another request"


class ExpiryReason(enum.StrEnum):
    """Why a cursor goes on no more. Of what a client then misses, each means something else."""

    TOMBSTONES_COLLECTED = "tombstones_collected"
    HISTORY_LOST = "history_lost"
    PAGE_FORGOTTEN = "page_forgotten"


class CursorExpired(Refusal):
    code = "cursor_expired"
    title = "The cursor has expired"


class PreconditionFailed(Refusal):
    code = "precondition_failed"
    title = "The document has changed since"


class TooLarge(Refusal):
    code = "too_large"
    title = "The request is too large"


class UnsupportedType(Refusal):
    code = "unsupported_type"
    title = "The media type is not accepted"


class RateLimited(Refusal):
    code = "rate_limited"
    title = "Too many requests"


class Unavailable(Refusal):
    code = "unavailable"
    title = "A dependency is not available"
