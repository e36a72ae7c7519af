"""Uploads straight to the object store: bounded, resumed, verified by the service."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

import anyio
import anyio.to_thread
import httpx

from syncapi.client.errors import (
    Conflict,
    InvalidDigest,
    NotFound,
    ServerError,
    SourceChanged,
    SyncError,
    TransferError,
    Unreachable,
)
from syncapi.client.transfer.concurrency import all_of
from syncapi.client.transfer.contents import Content, digest_of
from syncapi.client.transfer.parts import PartSending
from syncapi.client.transfer.service import TransferService
from syncapi.client.transfer.storage_responses import PassingError
from syncapi.protocol.content import Digest, is_sha256
from syncapi.protocol.documents import FileInfo
from syncapi.protocol.files import FileDeclaration, FileState, PendingUpload, UploadPart

_MOST_ROUNDS: Final = 3
"""For what must not happen twice in a row: bytes that arrived and are gone, or were altered."""

_TICK: Final = 1.0
"""Seconds. The clock of some object stores: of a part that they took twice within one, as after a
connection that broke, they cannot tell which counts, and none does."""

_VERIFIED_MEANWHILE: Final = 1024**3
"""Bytes that the service has verified at least while one request and its retries wait for it."""

OnContentBytes = Callable[[Digest, int], None]


class Uploader:
    """Sends content to the object store, and has the service make files of it."""

    def __init__(
        self,
        service: TransferService,
        *,
        parallel: int = 4,
        on_bytes: OnContentBytes | None = None,
    ) -> None:
        """Prepare uploads.

        Args:
            service: signs URLs.
            parallel: how many contents are sent at once, and how many parts of all of them.
            on_bytes: called with a digest and how many more bytes of it the store has, including
                those that it had before; negative if some must be sent again.
        """
        self._service = service
        self._contents = asyncio.Semaphore(parallel)
        self._parts = asyncio.Semaphore(parallel)
        self._on_bytes = on_bytes or (lambda _digest, _bytes: None)

    async def send(self, content: Content, digest: Digest, mime_type: str) -> FileInfo:
        """Have a content as a file of the tenant; what is there already is not sent.

        After a failure or a crash, the same call goes on where the last one ended.

        Args:
            content: is read while it is sent.
            digest: of all of it; `digest_of` computes it.
            mime_type: for the object store; documents have their own.

        Raises:
            SourceChanged: the content has not, or no longer, this digest.
            InvalidDigest: no bytes can have this digest, which came from a server.
            TransferError: the object store does not accept it.
            ApiError: the service refuses it: it is too large, its type is not allowed, or the user
                may not upload.
            Unreachable: the service or the object store gives no answer.
            OSError: the content cannot be read.
        """
        async with self._contents:
            on_bytes = partial(self._on_bytes, digest)
            upload = _Upload(self._service, self._parts, content, digest, on_bytes)
            return await upload.run(mime_type)


class _AlteredError(Exception):
    """The service was given other bytes than were declared, and has dropped them."""


class _Upload:
    """One content on its way."""

    def __init__(
        self,
        service: TransferService,
        parts: asyncio.Semaphore,
        content: Content,
        digest: Digest,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._service = service
        self._slots = parts
        self._content = content
        self._digest = digest
        self._on_bytes = on_bytes
        self._there = 0

    async def run(self, mime_type: str) -> FileInfo:
        if not is_sha256(self._digest.sha256_hash):
            raise InvalidDigest("No bytes can have the hashes that are to be uploaded.")
        if not self._digest.has_md5:
            self._digest = await self._read()
        for _ in range(_MOST_ROUNDS):
            state = await self._service.declare(self._declaration(mime_type))
            try:
                return await self._brought_to_its_end(state)
            except NotFound:  # it was given up meanwhile, since it had rested for too long
                self._tell(-self._there)
            except _AlteredError:
                self._digest = await self._read()
                self._tell(-self._there)
        raise TransferError(
            "The upload was begun several times, and its bytes never arrived as they were sent.",
            hint="repeat it; if it stays so, the object store or a proxy alters bytes",
        )

    def _declaration(self, mime_type: str) -> FileDeclaration:
        return FileDeclaration(
            sha256_hash=self._digest.sha256_hash,
            md5_hash=self._digest.md5_hash,
            file_size=self._digest.file_size,
            mime_type=mime_type,
        )

    async def _brought_to_its_end(self, state: FileState) -> FileInfo:
        for _ in range(_MOST_ROUNDS):
            if state.file is None:
                await self._send_missing(state)
                state = await self._completed(state.id)
            if state.file is not None:
                self._tell(self._digest.file_size - self._there)
                return state.file
            await anyio.sleep(_TICK)
        raise TransferError(
            "The object store loses the parts of the upload.", hint="repeat it later"
        )

    async def _completed(self, upload_id: UUID) -> FileState:
        """The file; or, if parts are missing, the upload as it stands.

        Large files take longer to verify than an answer may: the work goes on meanwhile.
        """
        rounds = 1 + self._digest.file_size // _VERIFIED_MEANWHILE
        while True:
            rounds -= 1
            try:
                return await self._service.complete(upload_id)
            except Conflict as conflict:
                if conflict.code == "content_mismatch":
                    raise _AlteredError from conflict
                if conflict.code != "upload_incomplete":
                    raise
                return await self._service.file(upload_id)
            except (Unreachable, ServerError) as failure:
                if not (rounds and _is_patience_asked(failure)):
                    raise

    async def _send_missing(self, state: FileState) -> None:
        upload = state.upload
        while upload is not None:
            self._tell(_received(upload, self._digest.file_size) - self._there)
            await all_of(self._send(state.id, upload, part) for part in upload.parts)
            if upload.next_after is None:
                return
            upload = (await self._service.file(state.id, after=upload.next_after)).upload

    async def _send(self, upload_id: UUID, upload: PendingUpload, part: UploadPart) -> None:
        """Send a part. Before it is sent again, look whether it has arrived after all."""
        async with self._slots:
            failures = 0
            while True:
                failure = await self._put(upload, part)
                if failure is None:
                    return
                failures += 1
                if failures >= self._service.retry.attempts:
                    raise failure
                if failures > 1:  # the first time it is most likely an old URL
                    await self._service.retry.pause(failures - 1)
                renewed = await self._renewed(upload_id, part.number)
                if renewed is None:
                    self._tell(part.size)
                    return
                upload, part = renewed

    async def _put(self, upload: PendingUpload, part: UploadPart) -> SyncError | None:
        """Send a part; return what went wrong, if that may pass."""
        storage = self._service.storage
        try:
            await PartSending(self._content, part, self._tell).send(storage, upload.headers)
        except PassingError as passing:
            if passing.is_of_the_bytes and await self._read() != self._digest:  # in their MD5
                raise _AlteredError from passing
            return passing.failure
        except FileNotFoundError as error:
            raise SourceChanged("The file is gone.", hint="repeat it") from error
        return None

    async def _renewed(
        self, upload_id: UUID, number: int
    ) -> tuple[PendingUpload, UploadPart] | None:
        """A part with a new URL; None if it has arrived."""
        state = await self._service.file(upload_id, after=number - 1, per_page=1)
        if state.upload is None:
            return None
        found = [part for part in state.upload.parts if part.number == number]
        return (state.upload, found[0]) if found else None

    async def _read(self) -> Digest:
        """The digest of the bytes. Their MD5 may differ from the one that a server has.

        Raises:
            SourceChanged: they are other bytes by now.
        """
        try:
            found = await anyio.to_thread.run_sync(digest_of, self._content)
        except FileNotFoundError as error:
            raise SourceChanged("The file is gone.", hint="repeat it") from error
        if not found.is_of_same_bytes(self._digest):
            raise SourceChanged("The file changed while it was uploaded.", hint="repeat it")
        return found

    def _tell(self, size: int) -> None:
        if size:
            self._there += size
            self._on_bytes(size)


def _received(upload: PendingUpload, size: int) -> int:
    """Bytes that the object store has."""
    return sum(
        min(run.last * upload.part_size, size) - (run.first - 1) * upload.part_size
        for run in upload.received
    )


def _is_patience_asked(failure: Unreachable | ServerError) -> bool:
    """Whether the service was reached and has not answered yet."""
    if isinstance(failure, Unreachable):
        return isinstance(failure.__cause__, httpx.ReadTimeout)
    return failure.problem.status in {503, 504}
