"""Keys of requests, each kept in the transaction of what its request did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from syncapi.server.domain.errors import IdempotencyKeyReused
from syncapi.server.domain.idempotency import KeyedRequest
from syncapi.server.postgres.databases import TenantConnection

_CLAIM = """
INSERT INTO idempotency_keys (tenant_id, user_id, key, fingerprint) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING key
"""
_FIND = """
SELECT fingerprint, answer::text FROM idempotency_keys
WHERE tenant_id = $1 AND user_id = $2 AND key = $3
"""
_KEEP = """
UPDATE idempotency_keys SET answer = $4::jsonb
WHERE tenant_id = $1 AND user_id = $2 AND key = $3
"""
_FORGET = """
UPDATE idempotency_keys SET answer = NULL WHERE tenant_id = $1 AND answer->>'id' = $2
"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the first request with a key.

    Attributes:
        fingerprint: of what it asked for.
        answer: JSON; None if there is none to give, or none any more.
    """

    fingerprint: bytes
    answer: Mapping[str, Any] | None

    def require_same(self, request: KeyedRequest) -> None:
        """See that a request is a repeat.

        Raises:
            IdempotencyKeyReused: it asks for something else.
        """
        if self.fingerprint != request.fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key came with another request before. Send a new key with what "
                "is a new request, or the old request unchanged for its answer."
            )


async def claim(tx: TenantConnection, request: KeyedRequest) -> Earlier | None:
    """Take the key; None if this request is the first that has it.

    While the first request is under way this waits for its end. If that request fails, the key is
    free again.

    Raises:
        IdempotencyKeyReused: the first request asked for something else.
    """
    while True:
        who = (tx.tenant_id, tx.scope.user_id, request.key)
        if await tx.driver.fetchval(_CLAIM, *who, request.fingerprint) is not None:
            return None
        earlier = await find(tx, request.key)
        if earlier is not None:  # else it was collected between the two statements
            earlier.require_same(request)
            return earlier


async def find(connection: TenantConnection, key: str) -> Earlier | None:
    """The first request of the scope's user with this key, if it is over."""
    row = await connection.driver.fetchrow(
        _FIND, connection.tenant_id, connection.scope.user_id, key
    )
    if row is None:
        return None
    answer = row["answer"]
    return Earlier(row["fingerprint"], None if answer is None else orjson.loads(answer))


async def keep(tx: TenantConnection, key: str, answer: str) -> None:
    """Keep the answer, which is JSON, of a request that claimed its key in this transaction.

    No other transaction waits for the row, so this may be called after the clock was taken.
    """
    await tx.driver.execute(_KEEP, tx.tenant_id, tx.scope.user_id, key, answer)


async def forget_document(tx: TenantConnection, document_id: UUID) -> None:
    """Delete the kept answers that describe a document. Their keys stay taken."""
    await tx.driver.execute(_FORGET, tx.tenant_id, str(document_id))
