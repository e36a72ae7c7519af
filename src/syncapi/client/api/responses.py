"""What an answer says: its data, or the exception that it is."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeVar

import httpx
from pydantic import ValidationError

from syncapi.client.errors import (
    ApiError,
    RateLimited,
    ServerError,
    Unauthenticated,
    UnexpectedAnswer,
    error_of,
)
from syncapi.protocol.base import Success, WireModel
from syncapi.protocol.problems import Problem

_CODE: Final = "unexpected_answer"
_HINT: Final = "check the address of the server; something else may answer in its place"

Data = TypeVar("Data", bound=WireModel)


def data_of(answer: httpx.Response, envelope: type[Success[Data]]) -> Data:
    """The data of a success, whose body was read.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    if answer.is_success:
        try:
            return envelope.model_validate_json(answer.content).data
        except ValidationError as error:
            raise _unexpected(answer) from error
    raise _unexpected(answer)


def refusal_of(answer: httpx.Response) -> ApiError:
    """The exception that an answer is, whose body was read and which is no success."""
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        return _unexpected(answer)
    return error_of(problem, retry_after=retry_after_of(answer))


def retry_after_of(answer: httpx.Response) -> float | None:
    """Seconds to wait as of ``Retry-After``, which has them or a date (RFC 9110 §10.2.3)."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _unexpected(answer: httpx.Response) -> ApiError:
    status = answer.status_code
    kind = {401: Unauthenticated, 429: RateLimited}.get(status, UnexpectedAnswer)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = ServerError
    media_type = answer.headers.get("Content-Type", "no content type")
    error = kind.told_here(
        status if status >= HTTPStatus.BAD_REQUEST else HTTPStatus.BAD_GATEWAY,
        _CODE,
        f"This is no answer of syncapi: {status} {answer.reason_phrase} with {media_type}, "
        f"to {answer.request.method} {answer.request.url.copy_with(query=None)}.",
        request_id=answer.headers.get("X-Request-ID", ""),
        hint=_HINT,
    )
    error.retry_after = retry_after_of(answer)
    return error
