"""Contents: fetched where the replica lacks them, and taken away where nothing needs them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import anyio.to_thread

from syncapi.client.replica.failures import Failures, raise_what_ends_the_run
from syncapi.client.replica.records import Wanted
from syncapi.client.replica.results import Tally
from syncapi.client.replica.tables import Tables
from syncapi.client.transfer.downloads import Downloader, wanted_of
from syncapi.protocol.documents import Document

SETTLED_FOR: Final = timedelta(days=30)
"""How long the losing side of a settled conflict is kept."""

_AT_ONCE = 8
_BATCH = 500  # documents between two transactions


class Fetching:
    """Fetches by hash: bytes that the replica holds, of any document, are not fetched again."""

    def __init__(
        self,
        tables: Tables,
        downloader: Downloader,
        failures: Failures,
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._blobs = tables.store.blobs
        self._downloader = downloader
        self._failures = failures
        self._clock = clock
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def want(self, document: Document, *, is_new: bool) -> None:
        """Note what is missing of a document, in the transaction that stores it."""
        key, sha256 = str(document.id), document.file.sha256_hash
        if not self._blobs.has(sha256):
            self._tables.wanted.put(key, Wanted(sha256=sha256))
        elif not is_new:
            self._tables.wanted.delete(key)

    async def fetch(
        self, documents: Iterable[Document], urls: Mapping[UUID, str], tally: Tally
    ) -> None:
        """Fetch what is wanted of these documents. What fails is noted, and wanted still."""
        wanted = [document for document in documents if self._is_wanted(document)]
        for start in range(0, len(wanted), _BATCH):
            await self._fetch_batch(wanted[start : start + _BATCH], urls, tally)

    async def fetch_rest(self, tally: Tally) -> None:
        """Fetch whatever else is wanted, but for what has failed in this run."""
        failed = {str(id_) for id_, error in tally.errors.items() if error.what == "download"}
        keys = [key for key, _ in self._tables.wanted.items() if key not in failed]
        found = (self._tables.documents.get(key) for key in keys)
        await self.fetch([document for document in found if document], {}, tally)

    async def tidy(self) -> None:
        """Take away what nothing refers to; part of a run, whose documents stay as they are.

        The store is free meanwhile: what comes to be needed while this goes on stays.
        """
        await anyio.to_thread.run_sync(self._tidy)

    def _tidy(self) -> None:
        with self._tables.store.transaction():
            if not self._tables.begin_to_tidy():
                return
            self._forget_settled()
        kept = set(self._tables.contents_of_documents())
        if self._blobs.tidy(kept, self._needed):
            self._tables.end_tidying()

    def _needed(self) -> set[str]:
        with self._tables.store.transaction():  # resolving moves contents from table to table
            return set(self._tables.contents_of_edits())

    def _forget_settled(self) -> None:
        before = self._clock() - SETTLED_FOR
        for key, record in list(self._tables.settled.items()):
            if record.seen_at < before:
                self._tables.settled.delete(key)

    def _is_wanted(self, document: Document) -> bool:
        wanted = self._tables.wanted.get(str(document.id))
        return wanted is not None and wanted.sha256 == document.file.sha256_hash

    async def _fetch_batch(
        self, documents: list[Document], urls: Mapping[UUID, str], tally: Tally
    ) -> None:
        alike: dict[str, list[Document]] = defaultdict(list)
        for document in documents:
            alike[document.file.sha256_hash].append(document)
        fetches = [self._fetch_one(group[0], urls.get(group[0].id)) for group in alike.values()]
        outcomes = await asyncio.gather(*fetches, return_exceptions=True)
        raise_what_ends_the_run(outcomes)
        with self._tables.store.transaction():
            for group, outcome in zip(alike.values(), outcomes, strict=True):
                self._note(group, outcome, tally)

    async def _fetch_one(self, document: Document, url: str | None) -> None:
        async with self._slots:
            sha256 = wanted_of(document).sha256_hash
            if self._blobs.has(sha256):
                return
            sink = self._blobs.sink(sha256)
            try:
                await self._downloader.fetch(document, sink, url)
            except BaseException:
                sink.finish()  # what has come is for the next attempt
                raise
            if self._blobs.has(sha256):  # the same bytes were written here meanwhile
                sink.discard()
            else:
                await anyio.to_thread.run_sync(sink.place)

    def _note(self, group: list[Document], outcome: BaseException | None, tally: Tally) -> None:
        for document in group:
            if outcome is not None:
                self._failures.note(document.id, "download", outcome, tally)
            else:
                self._tables.wanted.delete(str(document.id))
                failure = self._tables.failures.get(str(document.id))
                if failure is not None and failure.what == "download":
                    self._failures.clear(document.id)
