"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header)."""

from typing import Annotated, Final

from fastapi import Depends, Header

_LONGEST: Final = 255
_QUOTED: Final = 2


async def _idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Any text of the client's own, new for each request that is no repeat. A "
            "repeat with the same key does nothing more, and is answered as the first was. Kept "
            "for a day by default.",
            min_length=1,
            max_length=_LONGEST,
            pattern=r"^[\x21-\x7e]+$",
            examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
        ),
    ] = None,
) -> str | None:
    """The key; the draft's quotation marks make no other one of it."""
    if idempotency_key is None or len(idempotency_key) <= _QUOTED:
        return idempotency_key
    is_quoted = idempotency_key[0] == idempotency_key[-1] == '"'
    return idempotency_key[1:-1] if is_quoted else idempotency_key


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
