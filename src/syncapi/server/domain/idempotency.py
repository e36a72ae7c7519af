"""Requests that say which of them are repeats (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key of its sender's.

    Attributes:
        key: of one user of one tenant.
        fingerprint: the same for repeats, another for every other request.
    """

    key: str
    fingerprint: bytes


def keyed(key: str | None, operation: str, *parts: object) -> KeyedRequest | None:
    """Make a request of its key and of all that it asks for; None where it has no key."""
    if key is None:
        return None
    said = json.dumps([operation, *map(str, parts)], ensure_ascii=False)
    return KeyedRequest(key, hashlib.sha256(said.encode()).digest())
