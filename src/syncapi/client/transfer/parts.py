"""A part of an upload on its way: its bytes are read while they are sent."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio.to_thread
import httpx

from syncapi.client.errors import SourceChanged
from syncapi.client.transfer.contents import BLOCK, Content
from syncapi.client.transfer.storage_responses import failure_of, reaching
from syncapi.protocol.files import UploadPart

OnBytes = Callable[[int], None]


async def read_blocks(content: Content, offset: int, size: int) -> AsyncGenerator[bytes, None]:
    """Bytes of a content, block by block, read off the event loop.

    Raises:
        SourceChanged: there are fewer than there should be.
        OSError: they cannot be read.
    """
    stream = await anyio.to_thread.run_sync(content.open)
    try:
        await anyio.to_thread.run_sync(stream.seek, offset)
        left = size
        while left:
            block = await anyio.to_thread.run_sync(stream.read, min(BLOCK, left))
            if not block:
                raise SourceChanged("The file became shorter while it was read.", hint="repeat it")
            left -= len(block)
            yield block
    finally:
        stream.close()


class PartSending:
    """One attempt to send a part.

    Args:
        on_bytes: called with the number of bytes sent; negative if they have to be sent again.
    """

    def __init__(self, content: Content, part: UploadPart, on_bytes: OnBytes) -> None:
        self._content = content
        self._part = part
        self._on_bytes = on_bytes
        self._sent = 0

    async def send(self, storage: httpx.AsyncClient, headers: dict[str, str]) -> None:
        """Send it, with the headers that were signed and no token.

        Raises:
            SourceChanged: there are fewer bytes than there should be.
            PassingError: it may be tried again.
            TransferError: the object store will not have it.
            OSError: the bytes cannot be read.
        """
        try:
            await self._put(storage, headers)
        except BaseException:
            self._on_bytes(-self._sent)
            raise

    async def _put(self, storage: httpx.AsyncClient, headers: dict[str, str]) -> None:
        part = self._part
        # With the length known httpx sends no chunks, which S3 does not take.
        framed = {**headers, "Content-Length": str(part.size)}
        async with (
            aclosing(self._body()) as body,
            reaching(),
            storage.stream("PUT", part.url, content=body, headers=framed) as answer,
        ):
            if not answer.is_success:
                raise await failure_of(answer, f"the upload of part {part.number}")

    async def _body(self) -> AsyncGenerator[bytes, None]:
        part = self._part
        async with aclosing(read_blocks(self._content, part.offset, part.size)) as blocks:
            async for block in blocks:
                yield block
                self._sent += len(block)
                self._on_bytes(len(block))
