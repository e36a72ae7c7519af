"""The object store: bytes in, bytes gone, and whether it is there at all."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final, Self

import aioboto3
from aiobotocore.config import AioConfig

from syncapi.protocol.content import Digest
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.calls import Absent, S3Calls, unavailable
from syncapi.server.storage.cleanup import Act, CleanUps
from syncapi.server.storage.listing import BucketListing
from syncapi.server.storage.multipart import MultipartUploads
from syncapi.server.storage.parts import ContentHasher, parts_of
from syncapi.server.storage.reading import OpenObject, open_object
from syncapi.server.storage.transfer import Transfer

MAX_CONNECTIONS: Final = 50

_PART_SIZE: Final = 8 * 1024**2
_MOST_PARTS: Final = 10_000
_MOST_DELETES: Final = 1000
_CHECK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What S3 says of an object; the entity tag is quoted, as in HTTP.

    Attributes:
        sha256_hash: of all its bytes, in hex, where S3 has verified one.
    """

    size: int
    etag: str
    sha256_hash: str | None


class ObjectStore:
    """One bucket, with one client kept open for the process: ``async with ObjectStore(…)``.

    Every method raises `Unavailable` when S3 fails, refuses, or takes longer than a call may.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        connect_seconds: float = 3,
        read_seconds: float = 30,
        call_seconds: float = 120,
        max_connections: int = MAX_CONNECTIONS,
        part_size: int = _PART_SIZE,
    ) -> None:
        """Say how long to wait, and how much to use.

        Args:
            bucket: which one, and its keys.
            connect_seconds: until a connection stands.
            read_seconds: between two pieces of an answer.
            call_seconds: for a whole call with its retries, and the wait for a connection.
            max_connections: in the pool; further calls wait.
            part_size: bytes of one part of a multipart upload; S3 takes no less than 5 MiB.
        """
        self._bucket = bucket
        self._call_seconds = call_seconds
        self._part_size = part_size
        self._config = AioConfig(
            signature_version="s3v4",
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            max_pool_connections=max_connections,
            retries={"mode": "standard", "total_max_attempts": 3},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Content-MD5 guards the parts; the SDK would hash them again on the event loop.
            s3={
                "addressing_style": bucket.addressing_style,
                "payload_signing_enabled": False,
                "us_east_1_regional_endpoint": "regional",
            },
        )
        self._stack = AsyncExitStack()
        self._clean_ups = CleanUps()

    async def __aenter__(self) -> Self:
        session = aioboto3.Session(
            aws_access_key_id=self._bucket.access_key_id,
            aws_secret_access_key=self._bucket.secret_access_key,
            aws_session_token=self._bucket.session_token,
            region_name=self._bucket.region,
        )
        client = await self._stack.enter_async_context(
            session.client("s3", endpoint_url=self._bucket.endpoint_url, config=self._config)
        )
        self._stack.push_async_callback(self._clean_ups.close)
        self._call = S3Calls(client, self._bucket.name, self._call_seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def upload(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        limit: int,
        content_type: str = "application/octet-stream",
    ) -> Digest:
        """Store ``chunks`` under ``key``, which must be new, hashing them on the way.

        A body of less than one part is a single PUT, a longer one a multipart upload; memory is
        bounded by three parts. Whatever fails, also a cancellation or ``chunks`` itself, leaves
        nothing in the bucket; while S3 is down the clean-up goes on in the background.

        Raises:
            TooLarge: as soon as more than ``limit`` bytes have come.
            Unavailable: S3 failed.
        """
        transfer = Transfer(self._call, key, content_type)
        try:
            return await self._send(transfer, chunks, limit)
        except BaseException as failure:
            await self._clean_ups.run(key, transfer.undo)
            if isinstance(failure, Absent):  # another hand aborted the upload
                raise unavailable() from failure
            raise

    async def delete(self, key: str) -> None:
        """Delete ``key``; that it is not there is no error."""
        await self._call("delete_object", Key=key)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Delete ``keys``, a thousand per call.

        Raises:
            Unavailable: S3 failed or kept some of them; call again, it is idempotent.
        """
        for start in range(0, len(keys), _MOST_DELETES):
            batch: list[dict[str, str]] = [
                {"Key": key} for key in keys[start : start + _MOST_DELETES]
            ]
            answer = await self._call("delete_objects", Delete={"Objects": batch, "Quiet": True})
            if answer.get("Errors"):
                raise unavailable()

    async def head(self, key: str) -> StoredObject | None:
        """Look at ``key``; None when it is not there."""
        try:
            answer = await self._call("head_object", Key=key, ChecksumMode="ENABLED")
        except Absent:
            return None
        return StoredObject(answer["ContentLength"], answer["ETag"], _whole_sha256(answer))

    @property
    def multipart(self) -> MultipartUploads:
        """The uploads whose parts clients send."""
        return MultipartUploads(self._call)

    @property
    def listing(self) -> BucketListing:
        """What is in the bucket."""
        return BucketListing(self._call)

    async def open(self, key: str, *, opening: float = 0, reading: float = 0) -> OpenObject | None:
        """Begin to read ``key``; None when it is not there. The caller closes it.

        Args:
            key: of the object.
            opening: seconds that S3 may fail now.
            reading: seconds that S3 may fail whenever it breaks off later.
        """
        return await open_object(self._call, key, opening=opening, reading=reading)

    async def check(self) -> None:
        """See that the bucket is there and may be used, within three seconds.

        Raises:
            Unavailable: it is not.
        """
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._call("head_bucket")
        except (Absent, TimeoutError) as error:
            raise unavailable() from error

    async def clean_up(self, key: str, act: Act) -> None:
        """Run ``act``, which cleans up after ``key``, to its end, whatever becomes of the caller.

        While it raises `Unavailable`, it is tried again in the background as long as the store
        is open; so what ``act`` uses must be closed after the store.
        """
        await self._clean_ups.run(key, act)

    async def _send(self, transfer: Transfer, chunks: AsyncIterator[bytes], limit: int) -> Digest:
        hasher = ContentHasher()
        size = max(self._part_size, -(-limit // _MOST_PARTS))
        async with aclosing(parts_of(chunks, size, limit)) as parts:
            first = await anext(parts)
            if len(first) < size:
                await transfer.send_whole(first, await hasher.add(first))
            else:
                await transfer.send_parts(first, parts, hasher)
        return hasher.digest()


def _whole_sha256(answer: dict[str, Any]) -> str | None:
    """The checksum of an object that came in one piece; one of parts is of their checksums."""
    checksum = answer.get("ChecksumSHA256")
    is_composite = answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT"
    if checksum is None or is_composite or "-" in answer["ETag"]:
        return None
    return b64decode(checksum).hex()
