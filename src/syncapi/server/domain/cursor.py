"""Cursors: opaque, authenticated positions in a tenant's feed.

Layout before base64url (RFC 4648 §5, no padding), big-endian::

    version 1 | kind 1 | filters 1 | lineage 8 | base 8 | upper 8 | seen 8 | time 8 | id 16
    | MAC 16

The tenant is not written down but signed: the MAC (HMAC-SHA-256, RFC 2104, cut to 128 bits)
covers it, so that a cursor is void for every other tenant. Times are µs since the epoch, as
integers: no float ever touches a position.
"""

import base64
import binascii
import enum
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from syncapi.server.domain.errors import FieldError, InvalidCursor

_VERSION = 1
_BODY = struct.Struct(">BBB8sqqqq16s")
_MAC_BYTES = 16
_LENGTH = _BODY.size + _MAC_BYTES
CURSOR_LENGTH = -(-_LENGTH * 4 // 3)
"""Characters of a cursor."""

_REMEMBERED = 10_000

LAST_ID = UUID(int=2**128 - 1)


class CursorKind(enum.IntEnum):
    """PAGE goes on in a run; TOKEN starts the next one."""

    PAGE = 1
    TOKEN = 2


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the feed: everything up to and including it has been delivered.

    Attributes:
        time: µs since the epoch.
        id: of the last document delivered at that time; `LAST_ID` for all of them.
    """

    time: int
    id: UUID


@dataclass(frozen=True, slots=True)
class Cursor:
    """What the service remembers of a client, kept by the client.

    Attributes:
        lineage: stands for the history that the times belong to.
        filters: fingerprint of the filters that the run was begun with.
        base: µs; what appeared after it is *added*.
        upper: µs; the run ends there. Equal to ``position.time`` in a TOKEN.
        seen: µs; the head that the last page was read under. A document that was written again
            by then had left its place for one further on, so it is this that must not be lost.
    """

    kind: CursorKind
    filters: int
    lineage: bytes
    base: int
    upper: int
    seen: int
    position: Position


class CursorCodec:
    """Writes and reads cursors with the server's keys: the first signs, all verify."""

    def __init__(self, keys: Sequence[str]) -> None:
        # A key of its own purpose, so that the same secret may serve elsewhere.
        self._keys = [hmac.digest(key.encode(), b"syncapi cursor v1", "sha256") for key in keys]
        # A client in step polls with the same cursor again and again.
        self._known = lru_cache(maxsize=_REMEMBERED)(self._verify)

    def encode(self, cursor: Cursor, tenant: UUID) -> str:
        body = _BODY.pack(
            _VERSION,
            cursor.kind,
            cursor.filters,
            cursor.lineage,
            cursor.base,
            cursor.upper,
            cursor.seen,
            cursor.position.time,
            cursor.position.id.bytes,
        )
        signed = body + _mac(self._keys[0], body, tenant)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()

    def decode(self, token: str, tenant: UUID) -> Cursor:
        """Read a cursor of this tenant.

        Raises:
            InvalidCursor: not ours, altered, of another tenant, or of an unknown version.
        """
        return self._known(token, tenant)

    def _verify(self, token: str, tenant: UUID) -> Cursor:
        signed = _from_base64(token)
        body, mac = signed[: _BODY.size], signed[_BODY.size :]
        if not any(hmac.compare_digest(_mac(key, body, tenant), mac) for key in self._keys):
            raise invalid_cursor("It was altered, or belongs to another tenant or server.")
        _, kind, filters, lineage, base, upper, seen, moment, raw_id = _BODY.unpack(body)
        position = Position(moment, UUID(bytes=raw_id))
        return Cursor(CursorKind(kind), filters, lineage, base, upper, seen, position)


def invalid_cursor(why: str) -> InvalidCursor:
    """The refusal of a cursor, with the way out."""
    message = (
        f"{why} Send the `sync_token` of the last page as it was given, or start with `since`."
    )
    return InvalidCursor(
        f"The cursor is not valid. {message}", errors=[FieldError("cursor", message)]
    )


def _mac(key: bytes, body: bytes, tenant: UUID) -> bytes:
    return hmac.digest(key, tenant.bytes + body, "sha256")[:_MAC_BYTES]


def _from_base64(token: str) -> bytes:
    try:
        signed = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid_cursor("It is not base64url.") from error
    # The second test: base64 can spell the same bytes in several ways, and we accept one.
    if len(signed) != _LENGTH or base64.urlsafe_b64encode(signed).rstrip(b"=").decode() != token:
        raise invalid_cursor("It is cut short, or not one of ours.")
    return signed
