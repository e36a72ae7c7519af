"""Garbage in the bucket, and the rows that point at it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from syncapi.server.domain.retention import Garbage
from syncapi.server.postgres import files as file_store
from syncapi.server.postgres import gc as store
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.files import StoredFile
from syncapi.server.usecases.gc.rows import BEFORE_ALL
from syncapi.server.usecases.gc.tenant_run import Turn


async def uploads(turn: Turn) -> None:
    """Uploads that were abandoned, and the rows of those that were completed."""
    age = turn.retention.uploads
    if turn.is_dry:
        async with turn.reading() as connection:
            found = await store.count_uploads(connection, age, is_cautious=turn.is_cautious)
            turn.note(Garbage.UPLOADS, found)
        return
    collect = partial(
        store.collect_uploads, age=age, most=turn.batch, is_cautious=turn.is_cautious
    )
    while True:
        count, abandoned = await turn.writing(collect)
        for upload in abandoned:
            if upload.s3_upload_id is not None:
                await turn.objects.multipart.abort(upload.s3_path, upload.s3_upload_id)
        await turn.objects.delete_many([upload.s3_path for upload in abandoned])
        turn.note(Garbage.UPLOADS, count)
        if count < turn.batch:
            return


async def files(turn: Turn) -> None:
    """Files that no document and no version refers to."""

    async def drop(tx: TenantConnection) -> Sequence[StoredFile]:
        return await file_store.drop_unreferenced(
            tx, page.ids, unpromised_for=turn.retention.files
        )

    after: UUID | None = BEFORE_ALL
    while after is not None:
        async with turn.reading() as connection:
            page = await store.unreferenced(
                connection, turn.retention.files, after, turn.batch, is_cautious=turn.is_cautious
            )
        if turn.is_dry:
            turn.note(Garbage.FILES, len(page.ids), page.file_bytes)
        elif page.ids:
            dropped = await turn.writing(drop)
            await turn.objects.delete_many([file.s3_path for file in dropped])
            turn.note(Garbage.FILES, len(dropped), sum(file.digest.file_size for file in dropped))
        after = page.last


async def orphans(turn: Turn) -> None:
    """Objects and multipart uploads that no row knows.

    An upload by form has no row until its bytes are there; the settings make sure that it is given
    up long before its object is old enough to be deleted.
    """
    before = datetime.now(UTC) - turn.retention.files
    async with aclosing(turn.objects.listing.objects(turn.prefix, before)) as pages:
        async for page in pages:
            written = {listed.key: listed.written_at for listed in page}
            known = await _find_known(turn, store.known_paths, written)
            unknown = [listed for listed in page if listed.key not in known]
            if not turn.is_dry:
                await turn.objects.delete_many([listed.key for listed in unknown])
            turn.note(Garbage.OBJECTS, len(unknown), sum(listed.size for listed in unknown))
    async with aclosing(turn.objects.listing.uploads(turn.prefix, before)) as upload_pages:
        async for upload_page in upload_pages:
            begun = {listed.upload_id: listed.begun_at for listed in upload_page}
            known = await _find_known(turn, store.known_uploads, begun)
            orphaned = [listed for listed in upload_page if listed.upload_id not in known]
            if not turn.is_dry:
                for listed in orphaned:
                    await turn.objects.multipart.abort(listed.key, listed.upload_id)
            turn.note(Garbage.MULTIPART_UPLOADS, len(orphaned))


async def _find_known(
    turn: Turn,
    ask: Callable[[TenantConnection, Sequence[str]], Awaitable[set[str]]],
    names: Mapping[str, datetime],
) -> set[str]:
    """The names that a row has, or may have where an older history goes on."""
    if not names:
        return set()
    async with turn.reading() as connection:
        known = await ask(connection, list(names))
        if turn.is_cautious:
            known |= await store.maybe_elsewhere(connection, names, turn.retention.files)
    return known
