"""The public keys in a JSON Web Key Set (RFC 7517), checked before anything is built of them."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

PublicAlgorithm = Literal["RS256", "ES256"]

_MEMBERS: Mapping[PublicAlgorithm, tuple[str, ...]] = {
    "RS256": ("kty", "n", "e"),
    "ES256": ("kty", "crv", "x", "y"),
}
_FIXED: Mapping[PublicAlgorithm, Mapping[str, str]] = {
    "RS256": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
}
_MIN_RSA_BITS = 2048  # RFC 7518 §3.3
_MAX_KEYS = 64


class InvalidKeySetError(ValueError):
    """The text is not a JSON Web Key Set."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One public key.

    Attributes:
        key_id: its ``kid``, if the issuer gave it one.
        members: the public members of the JWK and no others, by name.
    """

    key_id: str | None
    members: tuple[tuple[str, str], ...]


def parse_key_set(text: bytes, algorithm: PublicAlgorithm) -> tuple[PublicKey, ...]:
    """The keys of the set that may verify ``algorithm``; the others are passed over (§5).

    Raises:
        InvalidKeySetError: the text is no key set at all.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidKeySetError("it is not JSON") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise InvalidKeySetError("it is not a JSON object with a list of 'keys'")
    if len(keys) > _MAX_KEYS:
        raise InvalidKeySetError(f"it has more than {_MAX_KEYS} keys")
    return tuple(_public_key(key, algorithm) for key in keys if _is_usable(key, algorithm))


def matching(keys: Sequence[PublicKey], key_id: str | None) -> tuple[PublicKey, ...]:
    """The keys that a token's header names; all of them where it names none (RFC 7515 §4.1.4)."""
    return tuple(key for key in keys if key_id is None or key.key_id == key_id)


def _public_key(key: Mapping[str, str], algorithm: PublicAlgorithm) -> PublicKey:
    members = tuple((name, key[name]) for name in _MEMBERS[algorithm])
    return PublicKey(key.get("kid"), members)


def _is_usable(key: object, algorithm: PublicAlgorithm) -> bool:
    return (
        isinstance(key, dict)
        and all(isinstance(key.get(name), str) for name in _MEMBERS[algorithm])
        and all(key[name] == value for name, value in _FIXED[algorithm].items())
        and isinstance(key.get("kid", ""), str)
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and _allows_verifying(key.get("key_ops"))
        and (algorithm != "RS256" or _bits(key["n"]) >= _MIN_RSA_BITS)
    )


def _allows_verifying(operations: object) -> bool:
    return operations is None or (isinstance(operations, list) and "verify" in operations)


def _bits(number: str) -> int:
    """The length of a Base64urlUInt (RFC 7518 §2); 0 where it is none."""
    try:
        raw = base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))
    except ValueError:
        return 0
    return int.from_bytes(raw).bit_length()
