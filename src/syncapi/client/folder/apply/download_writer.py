"""Bytes on their way into the folder: from a file that has them already, or from the server."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import anyio.to_thread

from syncapi.client.folder.apply.sync_pass import SyncPass
from syncapi.client.folder.disk.disk import Disk, Identity, MovedOn
from syncapi.client.folder.model import LocalFile
from syncapi.client.folder.observe.scanner import seen
from syncapi.client.folder.plan.actions import Download
from syncapi.client.transfer.contents import BLOCK, Hasher
from syncapi.client.transfer.downloads import Downloader, wanted_of
from syncapi.client.transfer.sinks import PartFile
from syncapi.protocol.documents import Document

_NANOSECONDS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes that have come, verified, beside the name that they are for.

    Attributes:
        over: the file that they take the place of, as it was seen.
    """

    action: Download
    document: Document
    part: PartFile
    over: Identity | None


class DownloadWriter:
    """Fetches what the server has, and gives it its name.

    Args:
        urls: where the bytes of a document are, as far as the pull has brought them.
    """

    def __init__(self, disk: Disk, downloader: Downloader, urls: Mapping[UUID, str]) -> None:
        self._disk = disk
        self._downloader = downloader
        self._urls = urls

    async def fetch(self, action: Download, current: SyncPass) -> Fetched:
        """Have the bytes of a download in a part of its file. They need not last yet.

        Raises:
            MovedOn: the path is not as it was seen.
            SyncError, OSError: the bytes did not come, or cannot be written.
        """
        document = current.documents[action.id]
        over = None if action.replaces_sha256 is None else current.identity(action.path)
        self._disk.expect(action.path, over)
        # Of each document its own: many may have the same bytes, and are fetched at once. And not
        # that of `Client.download`: a script may fetch the same into the same folder.
        key = f"mirror-{wanted_of(document).sha256_hash}-{action.id}"
        part = PartFile.beside(self._disk.make_room(action.path), key)
        if not await self._copied(action, current, part):
            before = part.held()
            url = self._urls.get(action.id)
            await self._downloader.fetch(document, part, url, is_lasting=False)
            current.report.bytes_down += action.size - before
        return Fetched(action, document, part, over)

    async def _copied(self, action: Download, current: SyncPass, part: PartFile) -> bool:
        """Whether a file of the folder had the bytes."""
        for path in current.having(action.sha256):
            source = self._disk.place(path)
            if await anyio.to_thread.run_sync(_copy, source, part, action.sha256):
                current.progress.advance(action.size)
                return True
        return False

    def put(self, fetched: Fetched) -> tuple[LocalFile, Path]:
        """Have the bytes on the disk and give them their name. It blocks.

        Returns:
            What the next scan will find, and the folder in which the name is to be made lasting.

        Raises:
            MovedOn: the path is not as it was seen; what was fetched is kept for the next round.
                Or the file was moved away at once.
            OSError: it cannot be written.
        """
        part, path, file = fetched.part, fetched.action.path, fetched.document.file
        with suppress(FileNotFoundError):
            part.finish()
        if part.held() != file.file_size:
            raise MovedOn(f"part of what was fetched for {path} is gone")
        # The time of the version: what else is written to the file gets the time of that.
        moment = int(fetched.document.updated_at.timestamp() * _NANOSECONDS)
        os.utime(part.part, ns=(moment, moment))
        self._disk.put(part.part, path, fetched.over)
        place = self._disk.place(path)
        try:
            found = seen(place, path, file.sha256_hash, file.md5_hash, written_ns=moment)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MovedOn(str(error)) from error
        if found.size != file.file_size:
            raise MovedOn(f"{path} was written to at once")
        return found, place.parent


def _copy(source: Path, part: PartFile, sha256: str) -> bool:
    """Copy a file and see whether it was the right one."""
    hasher = Hasher()
    part.restart()
    for block in _readable(source):
        part.write(block)
        hasher.update(block)
    if hasher.digest().sha256_hash == sha256:
        return True
    part.restart()
    return False


def _readable(source: Path) -> Iterator[bytes]:
    """The bytes of a file up to where it cannot be read: the server has them in any case.

    Errors of the code that writes them are not caught here.
    """
    with suppress(OSError), source.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block
