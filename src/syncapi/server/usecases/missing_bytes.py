"""Rows of files whose bytes are gone: a backup that is older than a collection has them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from syncapi.protocol.content import Digest
from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres import files
from syncapi.server.postgres.databases import Databases, TenantConnection
from syncapi.server.storage.s3 import ObjectStore

_AT_ONCE: Final = 8

Result = TypeVar("Result")


async def missing_path(
    databases: Databases, store: ObjectStore, scope: TenantScope, digest: Digest
) -> str | None:
    """The key at which a row says that some bytes are, though S3 has none there.

    None where no row says so, or the bytes are there.

    Raises:
        Unavailable: S3 or the database is down.
    """
    async with databases.reading(scope) as connection:
        path = await files.find_path(connection, digest)
    if path is None or await store.head(path) is not None:
        return None
    return path


class Unseen(Exception):  # noqa: N818 - no failure: something is to be looked at first
    """Files are to be referred to whose bytes may be gone. Nothing was done.

    Attributes:
        paths: where the bytes should be, by file.
        documents: those that have such a file, and would come back with it.
    """

    def __init__(self, paths: dict[UUID, str]) -> None:
        super().__init__("the bytes of files are to be looked for first")
        self.paths = paths
        self.documents: Collection[UUID] = ()


class Looks:
    """Looks for the bytes of files that are named long after they were promised.

    Nothing waits for S3 with a connection in hand: what is to be looked for is raised, and the
    work is done again when it has been seen.
    """

    def __init__(self, store: ObjectStore, age: timedelta) -> None:
        """Take the store; a promise of a file holds for ``age``."""
        self._store = store
        self._age = age
        self._is_there: dict[str, bool] = {}

    def doubtful(self, promised: Mapping[UUID, timedelta]) -> list[UUID]:
        """Those of some files whose promise, given so long ago, is over."""
        return [file_id for file_id, ago in promised.items() if ago >= self._age]

    async def lacking(self, tx: TenantConnection, file_ids: Collection[UUID]) -> set[UUID]:
        """Those of doubtful files that have no bytes.

        Raises:
            Unseen: some were not looked for yet.
        """
        paths = await files.unpromised(tx, file_ids, self._age) if file_ids else {}
        unseen = {file_id: path for file_id, path in paths.items() if path not in self._is_there}
        if unseen:
            raise Unseen(unseen)
        return {file_id for file_id, path in paths.items() if not self._is_there[path]}

    async def during(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work, again and again until all has been seen that it asks for.

        Raises:
            Unavailable: S3 is down.
        """
        while True:
            try:
                return await work()
            except Unseen as unseen:
                await self._look(unseen.paths.values())

    async def _look(self, paths: Iterable[str]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def look(path: str) -> None:
            async with slots:
                self._is_there[path] = await self._store.head(path) is not None

        await asyncio.gather(*map(look, paths))
