"""Which tokens are believed. The tokens are made here by hand, without the library under test."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from syncapi.server.domain.errors import Unauthenticated
from syncapi.server.identity.key_sources import FileKeySource
from syncapi.server.identity.tokens import (
    Issuer,
    PublicKeyIssuer,
    SecretIssuer,
    TokenVerifier,
    issue,
)

NOW = 1_800_000_000.0
USER = uuid.UUID("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
SECRET = "a secret of more than thirty-two bytes"
LOCAL = SecretIssuer("local", "syncapi", SECRET)
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())

Claims = dict[str, Any]
Signer = Callable[[bytes], bytes]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, length: int) -> str:
    return b64(value.to_bytes(length))


def hs256(secret: bytes) -> Signer:
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def rs256(data: bytes) -> bytes:
    return RSA_KEY.sign(data, padding.PKCS1v15(), SHA256())


def es256(data: bytes) -> bytes:
    r, s = decode_dss_signature(EC_KEY.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def compact(header: Claims, claims: object, sign: Signer) -> str:
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def claims_of(issuer: str, **changes: object) -> Claims:
    claims = {"iss": issuer, "aud": "syncapi", "sub": str(USER), "exp": NOW + 60, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def local_token(**changes: object) -> str:
    return compact({"alg": "HS256"}, claims_of("local", **changes), hs256(SECRET.encode()))


def rsa_jwk(key: rsa.RSAPrivateKey = RSA_KEY, **extra: object) -> Claims:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "r1", "e": "AQAB", "n": number(numbers.n, 256), **extra}


def ec_jwk(**extra: object) -> Claims:
    numbers = EC_KEY.public_key().public_numbers()
    x, y = number(numbers.x, 32), number(numbers.y, 32)
    return {"kty": "EC", "kid": "e1", "crv": "P-256", "x": x, "y": y, **extra}


def publish(path: Path, *keys: object) -> None:
    path.write_text(json.dumps({"keys": keys}))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    publish(path, rsa_jwk(), ec_jwk())
    return path


@pytest.fixture
def verifier(key_file: Path) -> TokenVerifier:
    issuers: list[Issuer] = [
        LOCAL,
        PublicKeyIssuer("rsa", "syncapi", "RS256", FileKeySource(key_file, "RS256")),
        PublicKeyIssuer("ec", "syncapi", "ES256", FileKeySource(key_file, "ES256")),
    ]
    return TokenVerifier(issuers, leeway=30, remember_seconds=600, now=lambda: NOW)


ACCEPTED = {
    "HS256": local_token(),
    "RS256": compact({"alg": "RS256", "kid": "r1"}, claims_of("rsa"), rs256),
    "ES256": compact({"alg": "ES256", "kid": "e1"}, claims_of("ec"), es256),
    "RS256 without kid": compact({"alg": "RS256"}, claims_of("rsa"), rs256),
    "ours among the audiences": local_token(aud=["other", "syncapi"]),
    "expired within the leeway": local_token(exp=NOW - 29),
    "early within the leeway": local_token(nbf=NOW + 30),
}


@pytest.mark.parametrize("token", ACCEPTED.values(), ids=ACCEPTED)
async def test_a_good_token_names_its_user(verifier: TokenVerifier, token: str) -> None:
    assert (await verifier.verify(token)).user_id == USER


def public_pem() -> bytes:
    return RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


GOOD_SIGNATURE = hs256(SECRET.encode())
LOCAL_PARTS = local_token().split(".")
REFUSED = {
    "empty": ("", "not a signed JSON Web Token"),
    "no token at all": ("Bearer", "not a signed JSON Web Token"),
    "two parts": (".".join(LOCAL_PARTS[:2]), "not a signed JSON Web Token"),
    "five parts": ("a.b.c.d.e", "not a signed JSON Web Token"),
    "outside of base64url": (f"{local_token()}\n", "not a signed JSON Web Token"),
    "padded": (f"{local_token()}=", "not a signed JSON Web Token"),
    "not ASCII": ("é.é.é", "not a signed JSON Web Token"),
    "too long": (local_token(extra="x" * 9000), "not a signed JSON Web Token"),
    "header is no JSON": (f"{b64(b'{')}.{LOCAL_PARTS[1]}.AA", "not a signed JSON Web Token"),
    "header is no object": (f"{b64(b'[]')}.{LOCAL_PARTS[1]}.AA", "not a signed JSON Web Token"),
    "claims are no object": (
        compact({"alg": "HS256"}, [1], GOOD_SIGNATURE),
        "not a signed JSON Web Token",
    ),
    "claims nested without end": (
        f"{LOCAL_PARTS[0]}.{b64(b'[' * 5000)}.AA",
        "not a signed JSON Web Token",
    ),
    "alg none": (
        compact({"alg": "none"}, claims_of("local"), lambda _: b"x"),
        "algorithm",
    ),
    "alg none without signature": (
        compact({"alg": "none"}, claims_of("local"), lambda _: b""),
        "not a signed JSON Web Token",
    ),
    "no alg": (compact({}, claims_of("local"), GOOD_SIGNATURE), "algorithm"),
    "alg is a list": (
        compact({"alg": ["HS256"]}, claims_of("local"), GOOD_SIGNATURE),
        "algorithm",
    ),
    "RS256 claimed of the secret's issuer": (
        compact({"alg": "RS256"}, claims_of("local"), rs256),
        "algorithm",
    ),
    "HMAC with the public key's text": (
        compact({"alg": "HS256"}, claims_of("rsa"), hs256(public_pem())),
        "algorithm",
    ),
    "HMAC with the public key's text, said to be RS256": (
        compact({"alg": "RS256"}, claims_of("rsa"), hs256(public_pem())),
        "signature",
    ),
    "HMAC with the local secret for another issuer": (
        compact({"alg": "HS256"}, claims_of("rsa"), GOOD_SIGNATURE),
        "algorithm",
    ),
    "ES256 of an RS256 issuer": (
        compact({"alg": "ES256", "kid": "e1"}, claims_of("rsa"), es256),
        "algorithm",
    ),
    "signed by another issuer's key": (
        compact({"alg": "RS256", "kid": "e1"}, claims_of("rsa"), es256),
        "signature",
    ),
    "crit": (
        compact({"alg": "HS256", "crit": ["exp"]}, claims_of("local"), GOOD_SIGNATURE),
        "crit",
    ),
    "kid is a number": (compact({"alg": "RS256", "kid": 1}, claims_of("rsa"), rs256), "kid"),
    "unknown kid": (compact({"alg": "RS256", "kid": "r2"}, claims_of("rsa"), rs256), "signature"),
    "a key brought along": (
        compact({"alg": "RS256", "jwk": rsa_jwk()}, claims_of("ec"), rs256),
        "algorithm",
    ),
    "wrong secret": (
        compact({"alg": "HS256"}, claims_of("local"), hs256(b"x" * 32)),
        "signature",
    ),
    "claims changed": (
        ".".join(
            [LOCAL_PARTS[0], b64(json.dumps(claims_of("local", a=1)).encode()), LOCAL_PARTS[2]]
        ),
        "signature",
    ),
    "unknown issuer": (local_token(iss="elsewhere"), "'iss'"),
    "no issuer": (local_token(iss=None), "'iss'"),
    "issuer is a list": (local_token(iss=["local"]), "'iss'"),
    "another audience": (local_token(aud="other"), "'aud'"),
    "other audiences": (local_token(aud=["other", "more"]), "'aud'"),
    "no audience": (local_token(aud=None), "'aud'"),
    "audience is an object": (local_token(aud={"syncapi": 1}), "'aud'"),
    "expired": (local_token(exp=NOW - 30), "expired"),
    "no expiry": (local_token(exp=None), "'exp'"),
    "expiry is text": (local_token(exp=str(NOW + 60)), "'exp'"),
    "expiry is true": (local_token(exp=True), "'exp'"),
    "expiry is infinite": (local_token(exp=float("inf")), "'exp'"),
    "expiry is not a number": (local_token(exp=float("nan")), "'exp'"),
    "expiry is beyond floats": (local_token(exp=10**400), "'exp'"),
    "not yet valid": (local_token(nbf=NOW + 31), "'nbf'"),
    "not before is text": (local_token(nbf="soon"), "'nbf'"),
    "no subject": (local_token(sub=None), "'sub'"),
    "subject is no uuid": (local_token(sub="alice"), "'sub'"),
    "subject is a number": (local_token(sub=1), "'sub'"),
}


@pytest.mark.parametrize(("token", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_bad_token_is_refused_with_its_reason(
    verifier: TokenVerifier, token: str, reason: str
) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(token)
    assert reason in refusal.value.detail
    assert verifier.cached(token) is None


async def test_refusals_quote_nothing_of_the_token(verifier: TokenVerifier) -> None:
    for token, _ in REFUSED.values():
        with pytest.raises(Unauthenticated) as refusal:
            await verifier.verify(token)
        for secret in ("elsewhere", "alice", "r2", str(USER), SECRET):
            assert secret not in str(refusal.value)


UNUSABLE_KEYS = {
    "for encryption": rsa_jwk(use="enc"),
    "for another algorithm": rsa_jwk(alg="RS512"),
    "not for verifying": rsa_jwk(key_ops=["encrypt"]),
    "too short": rsa_jwk(n=number(RSA_KEY.public_key().public_numbers().n >> 1100, 256)),
    "not base64": rsa_jwk(n="!é"),
    "an exponent that is none": rsa_jwk(e="AA"),
    "without exponent": rsa_jwk(e=None),
    "a number for a kid": rsa_jwk(kid=1),
    "no object": "r1",
}


@pytest.mark.parametrize("key", UNUSABLE_KEYS.values(), ids=UNUSABLE_KEYS)
async def test_an_unusable_key_verifies_nothing_and_harms_no_other(
    key_file: Path, verifier: TokenVerifier, key: object
) -> None:
    token = compact({"alg": "RS256"}, claims_of("rsa"), rs256)
    publish(key_file, key)
    with pytest.raises(Unauthenticated, match="signature"):
        await verifier.verify(token)
    publish(key_file, key, rsa_jwk())
    assert (await verifier.verify(token)).user_id == USER


async def test_a_point_off_the_curve_is_no_key(key_file: Path, verifier: TokenVerifier) -> None:
    publish(key_file, ec_jwk(x=b64(bytes(32)), y=b64(bytes(32))))
    with pytest.raises(Unauthenticated, match="signature"):
        await verifier.verify(ACCEPTED["ES256"])


async def test_the_cache_ends_with_the_token() -> None:
    clock = [NOW]
    verifier = TokenVerifier([LOCAL], leeway=30, remember_seconds=600, now=lambda: clock[0])
    token = local_token(exp=NOW + 60)
    await verifier.verify(token)
    clock[0] = NOW + 59
    assert verifier.cached(token) is not None
    clock[0] = NOW + 60
    assert verifier.cached(token) is None
    await verifier.verify(token)  # by the leeway
    assert verifier.cached(token) is None
    clock[0] = NOW + 90
    with pytest.raises(Unauthenticated, match="expired"):
        await verifier.verify(token)


async def test_a_withdrawn_key_ends_what_is_remembered(key_file: Path) -> None:
    clock = [NOW]
    issuer = PublicKeyIssuer("rsa", "syncapi", "RS256", FileKeySource(key_file, "RS256"))
    verifier = TokenVerifier([issuer], leeway=0, remember_seconds=10, now=lambda: clock[0])
    token = compact({"alg": "RS256", "kid": "r1"}, claims_of("rsa"), rs256)
    await verifier.verify(token)
    publish(key_file)
    assert verifier.cached(token) == await verifier.verify(token)
    clock[0] = NOW + 10
    with pytest.raises(Unauthenticated, match="signature"):
        await verifier.verify(token)


async def test_what_we_issue_we_accept() -> None:
    verifier = TokenVerifier([LOCAL], leeway=0, remember_seconds=600, now=lambda: NOW)
    token = issue(LOCAL, USER, lifetime=90, now=lambda: NOW)
    identity = await verifier.verify(token)
    assert (identity.user_id, identity.issuer, identity.expires_at) == (USER, "local", NOW + 90)


def test_two_issuers_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="same name"):
        TokenVerifier([LOCAL, LOCAL], leeway=0, remember_seconds=600)


@pytest.mark.parametrize("secret", ["short", public_pem().decode()])
def test_a_weak_or_misplaced_secret_is_a_mistake(secret: str) -> None:
    with pytest.raises(ValueError, match="HS256 secret"):
        SecretIssuer("local", "syncapi", secret)


def test_the_secret_is_not_in_the_representation() -> None:
    assert SECRET not in repr(LOCAL)
