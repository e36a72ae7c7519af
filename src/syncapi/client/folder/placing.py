"""Bytes on their way into the folder: from a file that has them already, or from the server."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import anyio.to_thread

from syncapi.client.folder.actions import Download
from syncapi.client.folder.disk import Disk, Identity, MovedOn
from syncapi.client.folder.rounds import Round
from syncapi.client.transfer.contents import BLOCK, Hasher
from syncapi.client.transfer.downloads import Downloader
from syncapi.client.transfer.sinks import PartFile
from syncapi.wire.documents import Document

_NANOSECONDS: Final = 10**9


class Placing:
    """Fetches what the server has, and gives it its name.

    Args:
        urls: where the bytes of a document are, as far as the pull told.
    """

    def __init__(self, disk: Disk, downloader: Downloader, urls: Mapping[UUID, str]) -> None:
        self._disk = disk
        self._downloader = downloader
        self._urls = urls

    async def place(self, action: Download, current: Round) -> Path:
        """Have the bytes at the path of a download; return where that is.

        Raises:
            MovedOn: the path is not as it was seen. What was fetched is kept for the next round.
            SyncError, OSError: the bytes did not come, or cannot be written.
        """
        document = current.documents[action.id]
        over = None if action.replaces_sha256 is None else current.identity(action.path)
        self._disk.expect(action.path, over)
        # Of each document its own: many may have the same bytes, and are fetched at once. And not
        # that of `Client.download`: a script may fetch the same into the same folder.
        key = f"mirror-{action.sha256}-{action.id}"
        part = PartFile.beside(self._disk.make_room(action.path), key)
        if not await self._copied(action, current, part):
            before = part.held()
            await self._downloader.fetch(document, part, self._urls.get(action.id))
            current.report.bytes_down += action.size - before
        return await anyio.to_thread.run_sync(self._put, part, action.path, over, document)

    async def _copied(self, action: Download, current: Round, part: PartFile) -> bool:
        """Whether a file of the folder had the bytes."""
        for path in current.having(action.sha256):
            source = self._disk.place(path)
            if await anyio.to_thread.run_sync(_copy, source, part, action.sha256):
                current.progress.advance(action.size)
                return True
        return False

    def _put(self, part: PartFile, path: str, over: Identity | None, document: Document) -> Path:
        if part.held() != document.file.file_size:
            raise MovedOn(f"somebody took of what was fetched for {path}")
        # The time of the version. A file that is as old as that is told from one that was
        # written just now, and need not be hashed again.
        moment = int(document.updated_at.timestamp() * _NANOSECONDS)
        os.utime(part.part, ns=(moment, moment))
        self._disk.put(part.part, path, over)
        return self._disk.place(path)


def _copy(source: Path, part: PartFile, sha256: str) -> bool:
    """Copy a file and see whether it was the right one."""
    hasher = Hasher()
    part.restart()
    for block in _readable(source):
        part.write(block)
        hasher.update(block)
    if hasher.digest().sha256_hash == sha256:
        part.finish()
        return True
    part.restart()
    return False


def _readable(source: Path) -> Iterator[bytes]:
    """The bytes of a file up to where it cannot be read: the server has them in any case.

    Errors of whoever writes them are not caught here.
    """
    with suppress(OSError), source.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block
