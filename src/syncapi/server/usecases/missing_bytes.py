"""Files whose bytes are lost: a backup from before a collection restores rows without bytes."""

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
    """The key that a row names for some bytes, if S3 has no object there.

    None if no row has these bytes, or the object is there.

    Raises:
        Unavailable: S3 or the database is down.
    """
    async with databases.reading(scope) as connection:
        path = await files.find_path(connection, digest)
    if path is None or await store.head(path) is not None:
        return None
    return path


class Unseen(Exception):  # noqa: N818 - no failure: S3 must be asked first
    """A write names files whose bytes may be lost. Nothing was done: look for them first.

    Attributes:
        paths: the keys of the bytes, by file.
        documents: the deleted documents that have such a file, and would come back with it.
    """

    def __init__(self, paths: dict[UUID, str]) -> None:
        super().__init__("the bytes of files are to be looked for first")
        self.paths = paths
        self.documents: Collection[UUID] = ()


class Looks:
    """Looks for the bytes of files that are named long after they were promised.

    No work waits for S3 while it holds a connection: it raises `Unseen`, and is run again when S3
    has been asked.
    """

    def __init__(self, store: ObjectStore, age: timedelta) -> None:
        """Take the store; a promise of a file holds for ``age``."""
        self._store = store
        self._age = age
        self._is_there: dict[str, bool] = {}

    def doubtful(self, promised: Mapping[UUID, timedelta]) -> list[UUID]:
        """The files whose promises have expired, by how long ago each was given."""
        return [file_id for file_id, ago in promised.items() if ago >= self._age]

    async def lacking(self, tx: TenantConnection, file_ids: Collection[UUID]) -> set[UUID]:
        """The doubtful files whose bytes are lost.

        Raises:
            Unseen: S3 was not asked for some of them yet.
        """
        paths = await files.unpromised(tx, file_ids, self._age) if file_ids else {}
        unseen = {file_id: path for file_id, path in paths.items() if path not in self._is_there}
        if unseen:
            raise Unseen(unseen)
        return {file_id for file_id, path in paths.items() if not self._is_there[path]}

    async def during(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Run the work, and run it again after each `Unseen`, when S3 has been asked.

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
