"""What the object store answers, and what may go better next time."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import httpx

from syncapi.client.errors import SyncError, TransferError
from syncapi.client.retrying import RETRIED_STATUSES, unreachable

_CODE = re.compile(rb"<Code>(\w+)</Code>")
_MOST_READ: Final = 65_536
_PASSING: Final = RETRIED_STATUSES | {404, 408, 500}  # 404: of a part whose upload has ended
REFUSED: Final = frozenset({400, 401, 403})
"""A signature that has expired, or is not believed; which of them it is differs between stores."""


class PassingError(Exception):
    """A failure that need not be the last word.

    Attributes:
        failure: to raise once there have been too many.
        is_of_the_bytes: whether the object store may have held the bytes to be wrong.
    """

    def __init__(self, failure: SyncError, *, is_of_the_bytes: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.is_of_the_bytes = is_of_the_bytes


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """Turn a lost connection into what may pass."""
    try:
        yield
    except httpx.RequestError as error:
        raise PassingError(unreachable(error)) from error


async def failure_of(answer: httpx.Response, what: str) -> TransferError | PassingError:
    """The exception for an answer that brings nothing.

    Args:
        answer: whose body was not read.
        what: was asked for, for a person.
    """
    failure = TransferError(
        f"The object store answered {answer.status_code} {await _code_of(answer)} to {what}."
    )
    if answer.status_code in _PASSING or answer.status_code in REFUSED:
        return PassingError(failure, is_of_the_bytes=answer.status_code == HTTPStatus.BAD_REQUEST)
    return failure


async def _code_of(answer: httpx.Response) -> str:
    """S3's own word for it, such as ``AccessDenied``; else that of HTTP."""
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _MOST_READ:
            break
    found = _CODE.search(body)
    return found[1].decode() if found else answer.reason_phrase
