"""Calls of the S3 client, whose every failure becomes one of ours."""

import asyncio
from typing import Any, Final

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from structlog import get_logger

from syncapi.server.domain.errors import Unavailable

log = get_logger(__name__)

RETRY_AFTER: Final = 5.0
"""Seconds that a client is asked to wait when S3 fails."""

BROKEN: Final = (
    BotoCoreError,
    ResponseParserError,  # half of a page of XML, or a proxy's page of HTML
    aiohttp.ClientError,  # not wrapped where the body of an error breaks off
    OSError,  # TimeoutError is one
)
"""What the client raises when there is no answer, or none that can be read."""

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})


class Absent(Exception):  # noqa: N818 - an answer, not an accident
    """There is no such object or upload."""


class S3Calls:
    """The operations of one bucket, each with a deadline.

    Args:
        client: of aiobotocore.
        bucket: its name.
        deadline: seconds for one call with its retries, waiting for a connection included.
    """

    def __init__(self, client: Any, bucket: str, deadline: float) -> None:  # noqa: ANN401 - untyped
        self._client = client
        self._bucket = bucket
        self._deadline = deadline

    async def __call__(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Call ``operation``, in snake case, on the bucket.

        Raises:
            Absent: S3 knows no such object or upload.
            Unavailable: everything else that can go wrong.
        """
        call = getattr(self._client, operation)
        try:
            async with asyncio.timeout(self._deadline):
                answer: dict[str, Any] = await call(Bucket=self._bucket, **parameters)
        except ClientError as error:
            raise _refusal(operation, error) from error
        except BROKEN as error:
            log.warning("s3_failed", operation=operation, error=type(error).__name__)
            raise unavailable() from error
        return answer


def _refusal(operation: str, error: ClientError) -> Absent | Unavailable:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _ABSENT:
        return Absent(code)
    log.warning("s3_refused", operation=operation, code=code)
    return unavailable()


def unavailable() -> Unavailable:
    return Unavailable(
        "The object store does not answer as it should. Nothing was changed; try again.",
        retry_after=RETRY_AFTER,
    )
