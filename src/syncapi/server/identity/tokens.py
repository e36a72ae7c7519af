"""Bearer tokens (RFC 7519): whose they are, and whether to believe them. Only this names `jose`.

The ``iss`` that a token claims before it is verified chooses whose rules apply, and nothing
more: the algorithm and the key then come from that issuer's rules, never from the token.
"""

import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from jose import jwk, jws, jwt
from jose.backends.base import Key
from jose.exceptions import JOSEError

from syncapi.server.domain.errors import Unauthenticated
from syncapi.server.domain.expiring_cache import ExpiringCache
from syncapi.server.identity.claims import Identity, identity_of
from syncapi.server.identity.jwks import PublicAlgorithm, PublicKey
from syncapi.server.identity.key_sources import KeySource

_MAX_TOKEN_CHARACTERS = 8192
_COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SECRET_ALGORITHM = "HS256"  # noqa: S105 - an algorithm's name
_MIN_SECRET_BYTES = 32  # RFC 7518 §3.2
_CACHED_TOKENS = 20_000


@dataclass(frozen=True, slots=True)
class SecretIssuer:
    """Ourselves: HS256 tokens made with a secret of at least 32 bytes."""

    issuer: str
    audience: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret.encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"an HS256 secret has at least {_MIN_SECRET_BYTES} bytes")
        try:
            _secret_key(self.secret)
        except JOSEError as error:
            raise ValueError("an HS256 secret is not a PEM or SSH key") from error

    @property
    def algorithm(self) -> str:
        return _SECRET_ALGORITHM

    async def keys(self, key_id: str | None) -> Sequence[Key]:  # noqa: ARG002 - it has one key
        return (_secret_key(self.secret),)


@dataclass(frozen=True, slots=True)
class PublicKeyIssuer:
    """Someone else, whose public keys verify RS256 or ES256 tokens."""

    issuer: str
    audience: str
    algorithm: PublicAlgorithm
    source: KeySource

    async def keys(self, key_id: str | None) -> Sequence[Key]:
        found = await self.source.find(key_id)
        built = (_public_key(key, self.algorithm) for key in found)
        return [key for key in built if key is not None]


Issuer = SecretIssuer | PublicKeyIssuer


class TokenVerifier:
    """Turns bearer tokens into identities, and remembers those it has verified."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        *,
        leeway: float,
        remember_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Trust some issuers.

        Args:
            issuers: each known by another ``iss``.
            leeway: clock skew forgiven on ``exp`` and ``nbf``, in seconds.
            remember_seconds: how long a verified token is believed without looking again, and so
                how long a key that its issuer withdrew may still be good.
            now: seconds since 1970 UTC.
        """
        trusted = tuple(issuers)
        self._issuers = {issuer.issuer: issuer for issuer in trusted}
        if len(self._issuers) != len(trusted):
            raise ValueError("two issuers have the same name: each needs an 'iss' of its own")
        self._leeway = leeway
        self._remember_seconds = remember_seconds
        self._now = now
        self._verified: ExpiringCache[bytes, Identity] = ExpiringCache(_CACHED_TOKENS)

    def cached(self, token: str) -> Identity | None:
        """The identity of a token that was verified a short while ago: no I/O, about 2 µs."""
        return self._verified.get(_fingerprint(token), self._now())

    async def verify(self, token: str) -> Identity:
        """Whose token this is.

        Raises:
            Unauthenticated: it does not verify; the detail says why and quotes nothing of it.
            Unavailable: its issuer's keys could not be had.
        """
        known = self.cached(token)
        if known is not None:
            return known
        identity = await self._verify(token)
        until = min(identity.expires_at, self._now() + self._remember_seconds)
        self._verified.put(_fingerprint(token), identity, until)
        return identity

    async def _verify(self, token: str) -> Identity:
        header, unverified = _peek(token)
        name = unverified.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise Unauthenticated("The token's issuer ('iss') is not accepted here.")
        key_id = _check_header(header, issuer.algorithm)
        claims = _verify_claims(token, await issuer.keys(key_id), issuer.algorithm)
        return identity_of(
            claims,
            issuer=issuer.issuer,
            audience=issuer.audience,
            leeway=self._leeway,
            now=self._now(),
        )


def issue(
    issuer: SecretIssuer,
    user_id: UUID,
    *,
    lifetime: float,
    now: Callable[[], float] = time.time,
) -> str:
    """A token for ``user_id`` that is good for ``lifetime`` seconds."""
    issued_at = int(now())
    claims = {
        "iss": issuer.issuer,
        "aud": issuer.audience,
        "sub": str(user_id),
        "iat": issued_at,
        "exp": issued_at + int(lifetime),
    }
    return str(jwt.encode(claims, _secret_key(issuer.secret), algorithm=issuer.algorithm))


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not to be believed yet."""
    # The decoder skips characters that are not base64; the form is checked before it can.
    if len(token) > _MAX_TOKEN_CHARACTERS or not _COMPACT_FORM.fullmatch(token):
        raise Unauthenticated("The bearer token is not a signed JSON Web Token.")
    try:
        return jwt.get_unverified_header(token), jwt.get_unverified_claims(token)
    except (JOSEError, ValueError, RecursionError) as error:
        raise Unauthenticated("The bearer token is not a signed JSON Web Token.") from error


def _check_header(header: dict[str, Any], algorithm: str) -> str | None:
    """The header's ``kid``, once the header asks for nothing that its issuer does not do."""
    if header.get("alg") != algorithm:
        raise Unauthenticated("The token's algorithm ('alg') is not the one its issuer uses.")
    if "crit" in header:
        raise Unauthenticated("The token demands extensions ('crit') that are not known here.")
    key_id = header.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise Unauthenticated("The token's key id ('kid') is not a string.")
    return key_id


def _verify_claims(token: str, keys: Sequence[Key], algorithm: str) -> dict[str, Any]:
    for key in keys:
        try:
            claims = json.loads(jws.verify(token, key, algorithms=[algorithm]))
        except JOSEError:
            continue
        return dict(claims)
    raise Unauthenticated("The token's signature does not verify.")


def _secret_key(secret: str) -> Key:
    return jwk.construct(secret, _SECRET_ALGORITHM)


@functools.lru_cache(maxsize=256)
def _public_key(key: PublicKey, algorithm: PublicAlgorithm) -> Key | None:
    """The key as `jose` wants it; None where its numbers are no key."""
    try:
        return jwk.construct(dict(key.members), algorithm)
    except (JOSEError, ValueError, TypeError):
        return None
