"""Bytes in S3 that no row may point at."""

from functools import partial

from syncapi.server.domain.access import TenantScope
from syncapi.server.postgres import files
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.files import StoredFile
from syncapi.server.storage.s3 import ObjectStore


class ObjectCleanup:
    """Deletes bytes once it is certain that no row keeps them."""

    def __init__(self, databases: Databases, store: ObjectStore) -> None:
        self._databases = databases
        self._store = store

    async def settle(self, scope: TenantScope, file: StoredFile) -> None:
        """Delete the bytes of ``file`` unless a row points at them.

        It asks the database even after a COMMIT that failed: the server may have carried it out.
        While the database or S3 is down, it goes on in the background.
        """
        await self._store.clean_up(file.s3_path, partial(self._settle, scope, file))

    async def _settle(self, scope: TenantScope, file: StoredFile) -> None:
        if not await self._databases.writing(scope, partial(files.is_kept, file=file)):
            await self._store.delete(file.s3_path)
