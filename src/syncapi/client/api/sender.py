"""Sending requests: the token, the retries, and one kind of exception for each way to fail."""

from collections.abc import Callable
from http import HTTPStatus

import httpx

from syncapi.client.api.responses import refusal_of
from syncapi.client.api.tokens import TokenProvider
from syncapi.client.errors import ApiError, Unreachable
from syncapi.client.retrying import RETRIED_STATUSES, RetryPolicy, unreachable

MakeRequest = Callable[[], httpx.Request]
"""Makes the request anew for each attempt, so that its body is sent from the start."""


class Sender:
    """Sends requests that may be repeated, which all of this API may."""

    def __init__(
        self, http: httpx.AsyncClient, tokens: TokenProvider | None, retry: RetryPolicy
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._retry = retry

    async def send(self, make: MakeRequest, *, streamed: bool = False) -> httpx.Response:
        """The answer, if it is no error; its body was read unless it is ``streamed``.

        Raises:
            Unreachable: there is no answer, after all attempts.
            ApiError: the server refused; or it could not serve it, after all attempts.
        """
        failures = 0
        while True:
            outcome = await self._attempt(make, streamed=streamed)
            if isinstance(outcome, httpx.Response):
                return outcome
            failures += 1
            if isinstance(outcome, ApiError):
                outcome.attempts = failures
            if failures >= self._retry.attempts or not _is_passing(outcome):
                raise outcome
            await self._retry.pause(failures, getattr(outcome, "retry_after", None))

    async def _attempt(
        self, make: MakeRequest, *, streamed: bool
    ) -> httpx.Response | ApiError | Unreachable:
        try:
            answer = await self._authorised(make)
            if answer.is_error or not streamed:
                await _read(answer)
        except httpx.RequestError as error:
            return unreachable(error)
        return refusal_of(answer) if answer.is_error else answer

    async def _authorised(self, make: MakeRequest) -> httpx.Response:
        """Ask for another token where the first one is refused, once."""
        if self._tokens is None:
            return await self._http.send(make(), stream=True)
        token = await self._tokens.token(refused=None)
        answer = await self._with_token(make, token)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            await _read(answer)
            other = await self._tokens.token(refused=token)
            if other != token:
                return await self._with_token(make, other)
        return answer

    async def _with_token(self, make: MakeRequest, token: str) -> httpx.Response:
        request = make()
        request.headers["Authorization"] = f"Bearer {token}"
        return await self._http.send(request, stream=True)


async def _read(answer: httpx.Response) -> None:
    try:
        await answer.aread()
    finally:
        await answer.aclose()


def _is_passing(failure: ApiError | Unreachable) -> bool:
    return isinstance(failure, Unreachable) or failure.problem.status in RETRIED_STATUSES
