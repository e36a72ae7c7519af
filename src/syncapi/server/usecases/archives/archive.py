"""Archives of many documents, streamed from S3 while the client reads."""

import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, closing, suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Final
from uuid import UUID

from structlog import get_logger

from syncapi.protocol.archives import (
    MANIFEST_NAME,
    ArchiveFormat,
    ArchiveRequest,
    ManifestEntry,
    MemberFault,
)
from syncapi.server.domain.access import TenantScope
from syncapi.server.domain.archive_names import archive_paths
from syncapi.server.domain.errors import Unavailable
from syncapi.server.postgres import documents
from syncapi.server.postgres.databases import Databases
from syncapi.server.storage.reading import OpenObject
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.access import Rights
from syncapi.server.usecases.archives.archive_format import ArchiveMember, ArchiveWriter
from syncapi.server.usecases.archives.manifest import Found, Wanted, entry_of, manifest_of
from syncapi.server.usecases.archives.prefetch import open_in_order
from syncapi.server.usecases.archives.slots import Slots
from syncapi.server.usecases.archives.tar import TarWriter
from syncapi.server.usecases.archives.zip import ZipWriter
from syncapi.server.usecases.telemetry import UNCOUNTED, Activity

log = get_logger(__name__)

WRITERS: Final[Mapping[ArchiveFormat, type[ArchiveWriter]]] = {
    "zip": ZipWriter,
    "tar": TarWriter,
}

CONFIRM_SECONDS = 5.0
"""How often it is checked that the reader may still read."""

_LEAST_PIECE: Final = 64 * 1024
"""How many bytes are sent at a time at least; small files and headers are joined."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Archives:
    """Makes archives for members who may read."""

    def __init__(
        self,
        databases: Databases,
        rights: Rights,
        store: ObjectStore,
        slots: Slots,
        *,
        stall_seconds: float,
        activity: Activity = UNCOUNTED,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Take the parts.

        Args:
            databases: hold the documents.
            rights: reads whether the reader may still read.
            store: used for nothing else, so that slow readers cannot keep others from S3.
            slots: bounds how many archives are made at once.
            stall_seconds: how long a reader may read nothing before the connection is cut.
            activity: receives a report of how each archive ended.
            now: gives the time for the manifest.
        """
        self._databases = databases
        self._rights = rights
        self._store = store
        self._slots = slots
        self._activity = activity
        self._now = now
        self.stall_seconds = stall_seconds

    async def pieces(self, scope: TenantScope, request: ArchiveRequest) -> AsyncGenerator[bytes]:
        """The bytes of the archive, made as fast as they are asked for. Close it after use.

        The manifest says what is wrong with a document. If S3 fails for good, the archive is cut,
        since a member that has begun cannot be ended. A reader who may not read any more gets no
        further document.

        Raises:
            RateLimited: too many archives of the tenant are being made.
            Unavailable: too many of this process, or a dependency is down.
            NotFound: an object was deleted while it was being read, or the reader is no member
                any more.
        """
        sent, started = 0, monotonic()
        failure: BaseException | None = None
        try:
            with self._slots.taken(scope.tenant_id), closing(WRITERS[request.format]()) as writer:
                wanted = await self._snapshot(scope, request.document_ids)
                still_allowed = partial(self._rights.confirmed, scope)
                archive = _Archive(self._store, writer, self._now(), still_allowed)
                async with (
                    aclosing(archive.pieces(wanted)) as small,
                    aclosing(_join_small(small)) as pieces,
                ):
                    async for piece in pieces:
                        sent += len(piece)
                        yield piece
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds = monotonic() - started
            self._activity.archive_ended(request.format, error=failure, sent=sent, seconds=seconds)

    async def _snapshot(self, scope: TenantScope, ids: Sequence[UUID]) -> list[Wanted]:
        """All documents as of one moment, in the order of the ids, with their paths."""
        async with self._databases.reading(scope) as connection:
            kept = await documents.find_live(connection, ids)
        there = [kept[id_] for id_ in ids if id_ in kept]
        places = [(one.document.folder, one.document.filename) for one in there]
        names = archive_paths(places, taken=[MANIFEST_NAME])
        found = {
            one.document.id: Found(one.document, one.s3_path, name)
            for one, name in zip(there, names, strict=True)
        }
        return [Wanted(id_, found.get(id_)) for id_ in ids]


class _Archive:
    """One archive in the making."""

    def __init__(
        self,
        store: ObjectStore,
        writer: ArchiveWriter,
        created_at: datetime,
        still_allowed: Callable[[], Awaitable[object]],
    ) -> None:
        self._still_allowed = still_allowed
        self._allowed_at = monotonic()
        self._store = store
        self._writer = writer
        self._created_at = created_at
        self._entries: list[ManifestEntry] = []

    async def pieces(self, wanted: Sequence[Wanted]) -> AsyncGenerator[bytes]:
        keys = [(one, one.s3_path) for one in wanted]
        async with aclosing(open_in_order(self._store, keys)) as opened:
            async for one, content in opened:
                async with aclosing(self._document(one, content)) as pieces:
                    async for piece in pieces:
                        yield piece
                if monotonic() - self._allowed_at >= CONFIRM_SECONDS:
                    # A reader whose right has ended gets no further. If the control database does
                    # not answer, the archive goes on, since the reader was admitted at its start.
                    with suppress(Unavailable):
                        await self._still_allowed()
                    self._allowed_at = monotonic()
        manifest = manifest_of(self._entries, self._created_at)
        writer, member = (
            self._writer,
            ArchiveMember(MANIFEST_NAME, len(manifest), self._created_at),
        )
        yield writer.begin(member) + writer.add(manifest) + writer.end() + writer.finish()

    async def _document(self, one: Wanted, content: OpenObject | None) -> AsyncGenerator[bytes]:
        if one.found is None:
            self._note(one, "not_found")
        elif content is None:
            self._note(one, "missing")
        elif content.size != one.found.document.file.file_size:
            content.close()
            self._note(one, "wrong_size")
        else:
            document, sha256 = one.found.document, hashlib.sha256()
            with closing(content):
                member = ArchiveMember(one.found.name, content.size, document.updated_at)
                yield self._writer.begin(member)
                async with aclosing(content.pieces()) as pieces:
                    async for piece in pieces:
                        sha256.update(piece)
                        yield self._writer.add(piece)
                yield self._writer.end()
            is_right = sha256.hexdigest() == document.file.sha256_hash
            self._note(one, None if is_right else "wrong_content")

    def _note(self, one: Wanted, fault: MemberFault | None) -> None:
        self._entries.append(entry_of(one, fault))
        if fault is not None and one.found is not None:
            log.error(
                "document_damaged", fault=fault, document_id=one.id, s3_path=one.found.s3_path
            )


async def _join_small(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _LEAST_PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
