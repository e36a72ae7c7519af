"""Downloads: bounded, resumed, verified."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final
from uuid import UUID

import httpx

from syncapi.client.errors import (
    ContentMismatch,
    ContentMissing,
    ContentReplaced,
    InvalidDigest,
    TransferError,
)
from syncapi.client.transfer.partial_download import Arrival
from syncapi.client.transfer.service import TransferService
from syncapi.client.transfer.sinks import Sink
from syncapi.client.transfer.storage_responses import REFUSED, PassingError, failure_of, reaching
from syncapi.protocol.content import Digest, is_sha256
from syncapi.protocol.documents import Document

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")  # RFC 9110 §14.4
_NOT_FOUND: Final = HTTPStatus.NOT_FOUND.value

OnDocumentBytes = Callable[[UUID, int], None]


def wanted_of(document: Document) -> Digest:
    """The digest that a download must have, checked before a path is made of it.

    Raises:
        InvalidDigest: no bytes can have this SHA-256: the row of the file was altered.
    """
    file = document.file
    if not is_sha256(file.sha256_hash):
        raise InvalidDigest(
            f"The server has hashes of document {document.id} that no bytes can have.",
            hint="give the document its content anew, or mend the row of its file",
        )
    return Digest(file.md5_hash, file.sha256_hash, file.file_size)


class Downloader:
    """Fetches the bytes of documents from the object store."""

    def __init__(
        self,
        service: TransferService,
        *,
        parallel: int = 8,
        on_bytes: OnDocumentBytes | None = None,
    ) -> None:
        """Prepare downloads.

        Args:
            service: signs URLs.
            parallel: how many downloads run at once; further ones wait.
            on_bytes: called with a document and how many more bytes of it there are now, including
                those of an earlier attempt; negative if the download began anew.
        """
        self._service = service
        self._slots = asyncio.Semaphore(parallel)
        self._on_bytes = on_bytes or (lambda _document, _bytes: None)

    async def fetch(
        self,
        document: Document,
        sink: Sink,
        url: str | None = None,
        *,
        is_lasting: bool = True,
    ) -> None:
        """Have the bytes of a document in ``sink``, verified.

        Args:
            document: says which bytes.
            sink: goes on with what it holds. If this fails, it keeps what has come for the next
                time, unless that was wrong.
            url: as a pull brought it; without it, or once it has expired, one is asked for.
            is_lasting: whether they are on the disk when this returns. If not, `Sink.finish` is
                left to the caller, who may have many to finish at once.

        Raises:
            InvalidDigest: no bytes can have the SHA-256 that the server has.
            ContentMismatch: other bytes came, twice.
            ContentMissing: the object store has lost them.
            ContentReplaced: the document has others by now.
            TransferError: the object store refuses or cannot serve them.
            ApiError: no URL could be had; `NotFound` if the document was deleted meanwhile.
            Unreachable: the service or the object store gives no answer.
            OSError: the sink cannot take them.
        """
        wanted = wanted_of(document)
        async with self._slots:
            arrival = Arrival(sink, wanted, partial(self._on_bytes, document.id))
            await _Download(self._service, document.id, arrival, url, is_lasting=is_lasting).run()


class _WrongBytesError(Exception):
    """What the object store has under the URL is not what was wanted."""


class _Download:
    """One document on its way.

    The URL is fresh from its signing until it has brought bytes: if it does not work then, that
    is not because it is old.
    """

    def __init__(
        self,
        service: TransferService,
        document_id: UUID,
        arrival: Arrival,
        url: str | None,
        *,
        is_lasting: bool,
    ) -> None:
        self._service = service
        self._document_id = document_id
        self._arrival = arrival
        self._url = url
        self._is_lasting = is_lasting
        self._is_fresh = False
        self._furthest = 0

    async def run(self) -> None:
        await self._arrival.resume()
        try:
            await self._have()
        except (_WrongBytesError, FileNotFoundError):
            # Bytes of an earlier attempt or the network may be wrong, or the part was removed by
            # another program: try once more.
            await self._arrival.restart()
            await self._have_at_last()

    async def _have_at_last(self) -> None:
        try:
            await self._have()
        except _WrongBytesError as wrong:
            await self._arrival.discard()
            raise self._mismatch() from wrong

    async def _have(self) -> None:
        """Get all bytes and verify them."""
        self._furthest = self._arrival.size
        await self._fill()
        if not self._arrival.is_right:
            raise _WrongBytesError
        await self._arrival.finish(is_lasting=self._is_lasting)

    async def _fill(self) -> None:
        """Ask until all bytes are there; attempts that brought the end nearer do not count."""
        failures = 0
        while not self._arrival.is_whole:
            try:
                await self._ask()
            except PassingError as passing:
                failures = 1 if self._arrival.size > self._furthest else failures + 1
                if failures >= self._service.retry.attempts:
                    raise passing.failure from passing.__cause__
                await self._service.retry.pause(failures)
            finally:
                self._furthest = max(self._furthest, self._arrival.size)

    async def _ask(self) -> None:
        """Get what is missing, or some of it."""
        url, before = await self._signed(), self._arrival.size
        headers = {"Accept-Encoding": "identity"}
        if before:
            headers["Range"] = f"bytes={before}-"
        storage = self._service.storage
        async with (
            reaching(),
            storage.stream("GET", url, headers=headers, follow_redirects=True) as answer,
        ):
            if answer.is_success:
                await self._take(answer)
            else:
                await self._fail(answer)

    async def _signed(self) -> str:
        if self._url is None:
            signed = await self._service.download_url(self._document_id)
            if signed.sha256_hash != self._arrival.wanted.sha256_hash:
                raise ContentReplaced(
                    f"Document {self._document_id} has other bytes by now.", hint="sync again"
                )
            self._url, self._is_fresh = signed.download_url, True
        return self._url

    async def _take(self, answer: httpx.Response) -> None:
        start, total = _place_of(answer)
        if total not in {None, self._arrival.wanted.file_size}:
            raise _WrongBytesError
        if start == 0 and self._arrival.size:  # the store cannot go on in the middle
            await self._arrival.restart()
        if start != self._arrival.size:
            raise PassingError(TransferError("The object store sent another range than asked."))
        await self._arrival.take(answer.aiter_raw())
        if not self._arrival.is_whole and self._arrival.size <= self._furthest:
            raise PassingError(TransferError("The object store sent less than there is."))
        self._is_fresh = False

    async def _fail(self, answer: httpx.Response) -> None:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _WrongBytesError  # there are fewer than there should be
        is_refused = answer.status_code in REFUSED
        if (is_refused or answer.status_code == _NOT_FOUND) and self._url is not None:
            self._url = None
            if not self._is_fresh:
                return
        if answer.status_code == _NOT_FOUND:
            raise ContentMissing(
                f"The object store has lost the bytes of document {self._document_id}.",
                hint="restore the object, or give the document its content anew",
            )
        raise await failure_of(answer, f"the download of document {self._document_id}")

    def _mismatch(self) -> ContentMismatch:
        return ContentMismatch(
            f"The bytes that came for document {self._document_id} are not its own: their "
            f"SHA-256 should be {self._arrival.wanted.sha256_hash}. None of them was kept.",
            hint="repeat it; if it stays so, the object store or a proxy alters bytes",
        )


def _place_of(answer: httpx.Response) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how many there are in all, if the answer says so."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status_code == HTTPStatus.PARTIAL_CONTENT and found:
        return int(found[1]), int(found[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None
