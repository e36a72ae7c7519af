"""One download: what has arrived of it, and the hashes of that."""

import errno
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import anyio.to_thread

from syncapi.client.transfer.contents import BLOCK, Hasher
from syncapi.client.transfer.sinks import Sink
from syncapi.protocol.content import Digest

_WORTH_A_THREAD = 256 * 1024  # bytes; a hop to a thread takes as long as hashing some 50 KiB


class Arrival:
    """Takes bytes into a sink, and hashes them on the way.

    Args:
        on_bytes: called with each change of `size`, in bytes; negative if the sink was emptied.
    """

    def __init__(self, sink: Sink, wanted: Digest, on_bytes: Callable[[int], None]) -> None:
        self._sink = sink
        self._on_bytes = on_bytes
        self._hasher = Hasher()
        self.wanted = wanted

    @property
    def size(self) -> int:
        """Bytes that are in the sink and hashed."""
        return self._hasher.size

    @property
    def is_whole(self) -> bool:
        """Whether there are as many bytes as there should be, if not more."""
        return self.size >= self.wanted.file_size

    @property
    def is_right(self) -> bool:
        """Whether they are the bytes that were wanted. Their MD5 says nothing more."""
        return self._hasher.digest().is_of_same_bytes(self.wanted)

    async def resume(self) -> None:
        """Begin with what the sink holds of an earlier attempt."""
        if not 0 < self._sink.held() <= self.wanted.file_size:
            await self.restart()
            return
        await anyio.to_thread.run_sync(self._hash_held)
        self._on_bytes(self.size)

    async def restart(self) -> None:
        """Begin with nothing."""
        if self.wanted.file_size < _WORTH_A_THREAD:
            self._sink.restart()
        else:
            await anyio.to_thread.run_sync(self._sink.restart)
        self._on_bytes(-self.size)
        self._hasher = Hasher()

    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        """Take bytes up to the end, or until there are too many.

        Whatever ends it early, what has come until then is kept: a connection that never lives
        for long gets on nevertheless.
        """
        waiting = bytearray()
        try:
            async for piece in pieces:
                waiting += piece
                if self.size + len(waiting) > self.wanted.file_size:
                    break
                if len(waiting) >= BLOCK:
                    block, waiting = waiting, bytearray()
                    await self._keep(block)
        except BaseException:
            # A part that is gone is no reason to forget why it ended, such as that it was called
            # off: who goes on misses the part soon enough.
            with suppress(FileNotFoundError):
                await self._keep_rest(waiting)
            raise
        await self._keep_rest(waiting)

    async def finish(self, *, is_lasting: bool) -> None:
        """See that all of it is in the sink.

        Args:
            is_lasting: whether it is on the disk when this returns.

        Raises:
            FileNotFoundError: the sink lacks bytes. The hash is of the bytes that came, and
                another program may have removed some of them from the sink.
        """
        if is_lasting:
            await anyio.to_thread.run_sync(self._sink.finish)
        if self._sink.held() != self.size:
            raise FileNotFoundError(errno.ENOENT, "the part was altered while it was downloaded")

    async def discard(self) -> None:
        await anyio.to_thread.run_sync(self._sink.discard)

    async def _keep_rest(self, waiting: bytearray) -> None:
        if waiting:
            with anyio.CancelScope(shield=True):
                await self._keep(waiting)

    async def _keep(self, block: bytearray) -> None:
        if len(block) < _WORTH_A_THREAD:
            self._write(block)
        else:
            await anyio.to_thread.run_sync(self._write, block)
        self._on_bytes(len(block))

    def _write(self, block: bytearray) -> None:
        self._sink.write(bytes(block))
        self._hasher.update(block)

    def _hash_held(self) -> None:
        for block in self._sink.read_held():
            self._hasher.update(block)
