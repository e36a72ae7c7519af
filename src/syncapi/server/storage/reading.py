"""Reading an object piece by piece, over connections that break."""

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from typing import Any, Final, cast

from structlog import get_logger

from syncapi.protocol.backoff import backoff
from syncapi.server.domain.errors import NotFound, Unavailable
from syncapi.server.storage.calls import BROKEN, Absent, S3Calls, unavailable

log = get_logger(__name__)

_PIECE: Final = 128 * 1024
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_PROGRESS: Final = 1024**2
"""Bytes that count as progress: an S3 that gives fewer in so many seconds of waiting fails."""

_SLOW_SECONDS: Final = 60.0


class Patience:
    """Waits longer and longer while nothing succeeds, and not for ever.

    Args:
        seconds: from the first failure on; 0 for none.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Something succeeded."""
        self._failing_since: float | None = None
        self._failures = 0

    async def bear(self, failure: Unavailable) -> None:
        """Wait a little; raise ``failure`` when it has gone on for too long."""
        now = monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self._seconds:
            raise failure
        self._failures += 1
        await asyncio.sleep(backoff(self._failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE))


class _Pace:
    """Distinguishes an S3 that gives from one that drips."""

    def __init__(self) -> None:
        self._bytes, self._seconds = 0, 0.0

    def is_progress(self, size: int, seconds: float) -> bool:
        """Whether enough has come since the last time that it had.

        Raises:
            Unavailable: it takes too long.
        """
        self._bytes += size
        self._seconds += seconds
        if self._bytes < _PROGRESS and self._seconds < _SLOW_SECONDS:
            return False
        is_enough = self._bytes >= _PROGRESS
        self._bytes, self._seconds = 0, 0.0
        if not is_enough:
            log.warning("s3_drips")
            raise unavailable()
        return True


class OpenObject:
    """An object whose first bytes are on their way; read it once, and close it.

    Between two reads nothing but the connection's own buffer fills, so memory is bounded by it,
    and S3 waits for a reader that is slow.

    Attributes:
        size: in bytes.
    """

    def __init__(self, call: S3Calls, key: str, answer: dict[str, Any], patience: float) -> None:
        self.size: int = answer["ContentLength"]
        self._call = call
        self._key = key
        self._etag: str = answer["ETag"]
        self._body: Any = answer["Body"]
        self._offset = 0
        self._patience = Patience(patience)
        self._pace = _Pace()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Exactly `size` bytes; where a connection breaks, the next goes on at that byte.

        Raises:
            Unavailable: for longer than its patience no byte could be had, or next to none.
            NotFound: it was deleted or replaced in the meantime.
        """
        while self._offset < self.size:
            try:
                piece = await self._read_in_time()
            except Unavailable as failure:
                self.close()
                await self._patience.bear(failure)
            else:
                self._offset += len(piece)
                yield piece

    def close(self) -> None:
        """Give back the connection; one with bytes still to come is closed."""
        if self._body is not None:
            self._body.close()
            self._body = None

    async def _read_in_time(self) -> bytes:
        started = monotonic()
        piece = await self._read()
        # The reader's own time does not count: S3 is not to blame for it.
        if self._pace.is_progress(len(piece), monotonic() - started):
            self._patience.renew()
        return piece

    async def _read(self) -> bytes:
        if self._body is None:
            self._body = await self._reopen()
        try:
            piece = cast("bytes", await self._body.read(_PIECE))
        except BROKEN as error:
            log.warning("s3_broke_off", error=type(error).__name__, offset=self._offset)
            raise unavailable() from error
        if not piece:
            raise unavailable()
        return piece

    async def _reopen(self) -> Any:  # noqa: ANN401 - aiobotocore has no types
        try:
            answer = await self._call(
                "get_object", Key=self._key, Range=f"bytes={self._offset}-", IfMatch=self._etag
            )
        except Absent as absent:
            raise _vanished() from absent
        if answer["ETag"] != self._etag or answer["ContentLength"] != self.size - self._offset:
            answer["Body"].close()
            raise _vanished()
        return answer["Body"]


async def open_object(
    call: S3Calls, key: str, *, opening: float, reading: float
) -> OpenObject | None:
    """Begin to read ``key``; None when it is not there.

    Args:
        call: the operations of the bucket.
        key: of the object.
        opening: seconds that S3 may fail now.
        reading: seconds that S3 may fail whenever it breaks off later.

    Raises:
        Unavailable: S3 fails for longer.
    """
    patience = Patience(opening)
    while True:
        try:
            return OpenObject(call, key, await call("get_object", Key=key), reading)
        except Absent:
            return None
        except Unavailable as failure:
            await patience.bear(failure)


def _vanished() -> NotFound:
    return NotFound("The object was deleted or replaced while it was being read.")
