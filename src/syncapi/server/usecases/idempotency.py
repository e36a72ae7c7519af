"""Writes of documents that are carried out once, however often their request is repeated."""

from collections.abc import Awaitable, Callable

from syncapi.protocol.documents import Document
from syncapi.server.domain.errors import Conflict
from syncapi.server.domain.idempotency import KeyedRequest
from syncapi.server.postgres import idempotency
from syncapi.server.postgres.databases import TenantConnection
from syncapi.server.postgres.idempotency import Earlier


async def once(
    tx: TenantConnection, request: KeyedRequest | None, act: Callable[[], Awaitable[Document]]
) -> Document:
    """Carry out ``act``, unless ``request`` was carried out before: then give its answer.

    Raises:
        IdempotencyKeyReused: the key came with another request before.
        Conflict: the document of the answer was erased since.
    """
    if request is None:
        return await act()
    earlier = await idempotency.claim(tx, request)
    if earlier is not None:
        return answer_of(earlier)
    document = await act()
    await idempotency.keep(tx, request.key, document.model_dump_json())
    return document


def answer_of(earlier: Earlier) -> Document:
    """The answer that the first request was given.

    Raises:
        Conflict: its document was erased since.
    """
    if earlier.answer is None:
        raise Conflict(
            "The document that the first request with this Idempotency-Key answered was erased. "
            "Send a new key with what is a new request."
        )
    # An answer that was kept before there were folders names none.
    return Document.model_validate({"folder": "", **earlier.answer})
