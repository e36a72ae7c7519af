"""Presigned S3 URLs: AWS Signature Version 4 in the query string, without any I/O.

The rules are those of "Authenticating Requests: Using Query Parameters" in the S3 API reference.
An SDK spends about half a millisecond on a URL, most of it on what all URLs of a page share;
here that is computed once, and a URL costs two to five microseconds.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from syncapi.server.storage.bucket import Bucket, address_of

ALGORITHM: Final = "AWS4-HMAC-SHA256"
LONGEST_EXPIRY: Final = 604_800
"""Seconds: seven days, the most that S3 takes."""

# Our own keys are ids: looking costs a fifth of quoting.
_is_plain = re.compile(r"[A-Za-z0-9/_.~-]*").fullmatch
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_BLOCK = 64  # bytes in a block of SHA-256, for HMAC by hand (RFC 2104)
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class UrlSigner:
    """Signs URLs of one bucket.

    ``now`` must be aware, and may lie in the past; ``expires`` is in seconds, 1…604800. A URL is
    bound to the host it was signed for, so clients must see the endpoint under the same name.
    """

    def __init__(self, bucket: Bucket) -> None:
        """Prepare what never changes.

        Raises:
            ValueError: the endpoint is not a plain http or https URL.
        """
        self._bucket = bucket
        self._address = address_of(bucket)
        self._day_key = ("", b"")

    def sign_get(
        self,
        key: str,
        now: datetime,
        expires: int,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """A URL that downloads ``key``, answered with these headers where they are given."""
        asked = {
            "response-content-disposition": content_disposition,
            "response-content-type": content_type,
        }
        query = {name: value for name, value in asked.items() if value is not None}
        return self._signature_of("GET", now, expires, query)(key)

    def sign_many(self, keys: Iterable[str], now: datetime, expires: int) -> list[str]:
        """URLs that download ``keys``, in their order; each equals ``sign_get(key, …)``."""
        return list(map(self._signature_of("GET", now, expires), keys))

    def sign_put(
        self,
        key: str,
        now: datetime,
        expires: int,
        *,
        headers: Mapping[str, str] = _NOTHING,
    ) -> str:
        """A URL that uploads ``key``; the upload must carry exactly these ``headers``."""
        return self._signature_of("PUT", now, expires, headers=headers)(key)

    def sign_parts(
        self, key: str, upload_id: str, numbers: Iterable[int], now: datetime, expires: int
    ) -> list[str]:
        """URLs that upload the parts ``numbers`` of a multipart upload, in their order."""
        signed = {"host": self._address.host}
        terms = self._terms(now, expires, signed)
        path = self._address.prefix + quote(key, safe="/~")
        upload = f"&uploadId={_encode(upload_id)}"
        # Parameters are signed in the order of their names, in which capitals come first.
        head = f"PUT\n{path}\n{_join(sorted(terms.parameters))}&partNumber="
        tail = f"{upload}{_canonical_headers(signed)}"
        url, rest = f"{self._address.origin}{path}?partNumber=", _join(terms.parameters)
        return [
            f"{url}{number}{upload}&{rest}&X-Amz-Signature={terms.sign(f'{head}{number}{tail}')}"
            for number in numbers
        ]

    def _signature_of(
        self,
        method: str,
        now: datetime,
        expires: int,
        query: Mapping[str, str] = _NOTHING,
        *,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Callable[[str], str]:
        """Compute all that URLs of one moment share, and return what signs a key."""
        signed = _signed_headers({**headers, "host": self._address.host})
        terms = self._terms(now, expires, signed)
        given = [(_encode(name), _encode(value)) for name, value in query.items()]
        parameters = given + terms.parameters
        address, sign = self._address, terms.sign
        head = f"{method}\n"
        tail = f"\n{_join(sorted(parameters))}{_canonical_headers(signed)}"
        url_tail = f"?{_join(parameters)}&X-Amz-Signature="

        def url(key: str) -> str:
            path = address.prefix + (key if _is_plain(key) else quote(key, safe="/~"))
            return address.origin + path + url_tail + sign(head + path + tail)

        return url

    def _terms(self, now: datetime, expires: int, signed: Mapping[str, str]) -> "_Terms":
        if not 1 <= expires <= LONGEST_EXPIRY:
            raise ValueError(f"expires must lie in 1…{LONGEST_EXPIRY} seconds, not {expires}")
        time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        day = time[:8]
        to_sign = f"{ALGORITHM}\n{time}\n{day}/{self._bucket.region}/s3/aws4_request\n"
        return _Terms(
            self._own_parameters(time, expires, ";".join(signed)),
            _signature(self._signing_key(day), to_sign),
        )

    def _own_parameters(self, time: str, expires: int, signed: str) -> list[tuple[str, str]]:
        scope = f"{self._bucket.access_key_id}/{time[:8]}/{self._bucket.region}/s3/aws4_request"
        parameters = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": scope,
            "X-Amz-Date": time,
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": signed,
        }
        if self._bucket.session_token is not None:
            parameters["X-Amz-Security-Token"] = self._bucket.session_token
        return [(name, _encode(value)) for name, value in parameters.items()]

    def _signing_key(self, day: str) -> bytes:
        known, key = self._day_key
        if known != day:
            key = f"AWS4{self._bucket.secret_access_key}".encode()
            for part in (day, self._bucket.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = (day, key)
        return key


@dataclass(frozen=True, slots=True)
class _Terms:
    """What URLs of one moment have in common.

    Attributes:
        parameters: those of the signature itself, encoded.
        sign: the signature of a canonical request.
    """

    parameters: list[tuple[str, str]]
    sign: Callable[[str], str]


def _signature(signing_key: bytes, to_sign: str) -> Callable[[str], str]:
    """The part that runs once for a URL: one SHA-256 of the canonical request, one HMAC.

    HMAC is spelt out because the inner hash over the key's pad and the first three lines is the
    same for all URLs; a copy of it halves the cost.
    """
    block = signing_key.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(block.translate(_INNER_PAD) + to_sign.encode())
    outer = hashlib.sha256(block.translate(_OUTER_PAD))

    def sign(canonical_request: str) -> str:
        request = hashlib.sha256(canonical_request.encode())
        first, second = inner.copy(), outer.copy()
        first.update(request.hexdigest().encode())
        second.update(first.digest())
        return second.hexdigest()

    return sign


def _signed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names in order, values with single spaces."""
    return dict(
        sorted((name.strip().lower(), " ".join(value.split())) for name, value in headers.items())
    )


def _canonical_headers(signed: Mapping[str, str]) -> str:
    """The canonical request from behind the query on."""
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    return f"\n{lines}\n{';'.join(signed)}\nUNSIGNED-PAYLOAD"


def _join(query: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in query)


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")
