"""What a token must say once its signature is known to be good (RFC 7519 §4.1)."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from syncapi.server.domain.errors import Unauthenticated

_LAST_TIME = 2**53  # beyond it a float no longer counts seconds


@dataclass(frozen=True, slots=True)
class Identity:
    """Who bears a verified token.

    Attributes:
        expires_at: the token's ``exp``, in seconds since 1970 UTC.
    """

    user_id: UUID
    issuer: str
    expires_at: float


def identity_of(
    claims: Mapping[str, object], *, issuer: str, audience: str, leeway: float, now: float
) -> Identity:
    """Check every claim that a request stands on.

    Args:
        claims: of a token whose signature was verified with a key of ``issuer``.
        issuer: what ``iss`` must be.
        audience: what ``aud`` must be or have.
        leeway: clock skew forgiven on ``exp`` and ``nbf``, in seconds.
        now: seconds since 1970 UTC.

    Raises:
        Unauthenticated: a claim is missing, malformed, or not for here and now.
    """
    if claims.get("iss") != issuer:
        raise Unauthenticated("The token's issuer is not accepted here.")
    if audience not in _audiences(claims):
        raise Unauthenticated("The token was issued for another audience ('aud').")
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise Unauthenticated("The token has no expiry ('exp').")
    if expires_at + leeway <= now:
        raise Unauthenticated("The token has expired. Get a new one.")
    not_before = _time(claims, "nbf")
    if not_before is not None and not_before - leeway > now:
        raise Unauthenticated("The token is not valid yet ('nbf').")
    return Identity(_user_id(claims), issuer, expires_at)


def _audiences(claims: Mapping[str, object]) -> tuple[object, ...]:
    audience = claims.get("aud")
    return tuple(audience) if isinstance(audience, list) else (audience,)


def _time(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2). JSON as Python reads it also has NaN and Infinity."""
    value = claims.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= _LAST_TIME
    ):
        raise Unauthenticated(f"The token's '{name}' is not a number of seconds since 1970.")
    return float(value)


def _user_id(claims: Mapping[str, object]) -> UUID:
    subject = claims.get("sub")
    if isinstance(subject, str):
        with suppress(ValueError):
            return UUID(subject)
    raise Unauthenticated("The token's subject ('sub') is not a user's uuid.")
