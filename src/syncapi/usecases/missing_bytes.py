"""Rows of files whose bytes are gone: a backup that is older than a collection has them."""

from syncapi.domain.access import TenantScope
from syncapi.domain.content import Digest
from syncapi.postgres import files
from syncapi.postgres.databases import Databases
from syncapi.storage.s3 import ObjectStore


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
