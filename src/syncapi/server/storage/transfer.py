"""One object on its way into the bucket."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from io import BytesIO
from typing import Any, TypeVar

from syncapi.server.storage.calls import Absent, S3Calls
from syncapi.server.storage.parts import ContentHasher

_Result = TypeVar("_Result")


class Transfer:
    """Sends one object to a key that is new, and can undo itself.

    A call to S3 that was begun is never abandoned, even when the upload is cancelled: S3 could
    still carry it out after the clean-up and leave an object behind. `undo` waits for such calls.
    """

    def __init__(self, call: S3Calls, key: str, content_type: str) -> None:
        self.key = key
        self._call = call
        self._content_type = content_type
        self._creation: asyncio.Task[Any] | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._begun = False

    async def send_whole(self, body: bytes, md5: str) -> None:
        await self._finish(
            self._call(
                "put_object",
                Key=self.key,
                Body=BytesIO(body),
                ContentMD5=md5,
                ContentType=self._content_type,
            )
        )

    async def send_parts(
        self, first: bytes, rest: AsyncGenerator[bytes], hasher: ContentHasher
    ) -> None:
        """Send ``first`` and ``rest`` as a multipart upload.

        While one part travels the next one is read, so three parts are in memory at most.
        """
        self._creation = self._begin(
            self._call("create_multipart_upload", Key=self.key, ContentType=self._content_type)
        )
        upload_id = str((await asyncio.shield(self._creation))["UploadId"])
        try:
            sent = await self._send_each(upload_id, first, rest, hasher)
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several
        await self._finish(
            self._call(
                "complete_multipart_upload",
                Key=self.key,
                UploadId=upload_id,
                MultipartUpload={"Parts": sent},
            )
        )

    async def undo(self) -> None:
        """Leave nothing of the object in the bucket.

        Raises:
            Unavailable: S3 does not answer; undo again later.
        """
        if not self._begun:
            return
        if self._calls:
            await asyncio.wait(self._calls)
        if self._creation is not None and self._creation.exception() is None:
            upload_id = str(self._creation.result()["UploadId"])
            with suppress(Absent):
                await self._call("abort_multipart_upload", Key=self.key, UploadId=upload_id)
        await self._call("delete_object", Key=self.key)

    async def _send_each(
        self, upload_id: str, part: bytes, rest: AsyncGenerator[bytes], hasher: ContentHasher
    ) -> list[dict[str, Any]]:
        free = asyncio.Semaphore(1)
        sent: list[asyncio.Task[dict[str, Any]]] = []
        async with asyncio.TaskGroup() as group:
            while part:
                md5 = await hasher.add(part)
                await free.acquire()
                one = self._send_part(upload_id, len(sent) + 1, part, md5, free)
                sent.append(group.create_task(one))
                part = await anext(rest, b"")
        return [task.result() for task in sent]

    async def _send_part(
        self, upload_id: str, number: int, part: bytes, md5: str, free: asyncio.Semaphore
    ) -> dict[str, Any]:
        try:
            answer = await self._finish(
                self._call(
                    "upload_part",
                    Key=self.key,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=BytesIO(part),
                    ContentMD5=md5,
                )
            )
        finally:
            free.release()
        return {"ETag": answer["ETag"], "PartNumber": number}

    def _begin(self, call: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        self._begun = True
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also where a cancelled caller no longer looks

    async def _finish(self, call: Coroutine[Any, Any, _Result]) -> _Result:
        return await asyncio.shield(self._begin(call))
