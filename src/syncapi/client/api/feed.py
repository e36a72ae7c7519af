"""Pull, poll and push."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from syncapi.client.api.requests import TenantRequests, Value
from syncapi.client.api.responses import data_of
from syncapi.protocol.base import Success
from syncapi.protocol.push import OnConflict, PushedChange, PushMode, PushOutcome, PushRequest
from syncapi.protocol.sync import SyncPage
from syncapi.protocol.versions import EPOCH


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll found.

    Attributes:
        page: None if nothing has changed since the poll that brought the `etag`.
        etag: for the next poll with the same cursor; None if that is no use, since the page has
            changes.
    """

    page: SyncPage | None
    etag: str | None


class FeedRequests(TenantRequests):
    """Keeps a copy in step."""

    async def pull(
        self,
        *,
        cursor: str | None,
        since: datetime = EPOCH,
        per_page: int = 500,
        include_urls: bool = True,
        include_deleted: bool = True,
    ) -> SyncPage:
        """A page of what changed since ``cursor``; without one, since ``since``.

        A ``since`` from before the first document brings no tombstones, since a client that holds
        nothing has nothing to delete.

        Raises:
            CursorExpired: start again without a cursor; of a ``since``: tombstones after it are
                collected.
            InvalidCursor: it is another tenant's, or was altered.
        """
        query = _feed(cursor, per_page, urls=include_urls, deleted=include_deleted)
        if cursor is None:
            query["since"] = since
        make = self._request("GET", "/documents/sync", query=query)
        return await self._ask(make, Success[SyncPage])

    async def poll(
        self,
        cursor: str,
        etag: str | None = None,
        *,
        per_page: int = 500,
        include_urls: bool = True,
        include_deleted: bool = True,
    ) -> Polled:
        """Ask whether anything is new behind ``cursor``, at next to no cost if nothing is.

        Args:
            cursor: where the last run ended.
            etag: of the last poll with this cursor.
            per_page: as in `pull`, like the others.
            include_urls: whether to have URLs signed.
            include_deleted: must be as it was in the run.

        Raises:
            CursorExpired: start again with a `pull` without a cursor.
        """
        query = _feed(cursor, per_page, urls=include_urls, deleted=include_deleted)
        headers = {"If-None-Match": etag} if etag else {}
        make = self._request("GET", "/documents/sync", query=query, headers=headers)
        answer = await self._sender.send(make)
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            return Polled(None, etag)
        return Polled(data_of(answer, Success[SyncPage]), answer.headers.get("ETag"))

    async def push(
        self,
        changes: Sequence[PushedChange],
        *,
        mode: PushMode = "partial",
        on_conflict: OnConflict = "reject",
    ) -> PushOutcome:
        """Send 1 to 500 changes; conflicts are results, not errors."""
        body = PushRequest(changes=list(changes), mode=mode, on_conflict=on_conflict)
        make = self._request("POST", "/documents/sync", body=body)
        return await self._ask(make, Success[PushOutcome])


def _feed(cursor: str | None, per_page: int, *, urls: bool, deleted: bool) -> dict[str, Value]:
    return {
        "cursor": cursor,
        "per_page": per_page,
        "include_urls": urls,
        "include_deleted": deleted,
    }
