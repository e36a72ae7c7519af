"""Presigned S3 URLs: AWS Signature Version 4 in the query string, without any I/O.

The rules are those of "Authenticating Requests: Using Query Parameters" in the S3 API reference.
An SDK spends about half a millisecond on a URL, most of it on what all URLs of a page share;
here that is computed once, and a URL costs two to five microseconds.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from syncapi.storage.bucket import Bucket, BucketAddress, address_of

ALGORITHM: Final = "AWS4-HMAC-SHA256"
LONGEST_EXPIRY: Final = 604_800
"""Seconds: seven days, the most that S3 takes."""

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
        if not 1 <= expires <= LONGEST_EXPIRY:
            raise ValueError(f"expires must lie in 1…{LONGEST_EXPIRY} seconds, not {expires}")
        time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        day = time[:8]
        signed = _signed_headers({**headers, "host": self._address.host})
        given = [(_encoded(name), _encoded(value)) for name, value in query.items()]
        own = self._own_parameters(time, expires, ";".join(signed))
        return _key_signer(
            method=method,
            address=self._address,
            query=_joined(given + own),
            canonical_tail=_canonical_tail(sorted(given + own), signed),
            to_sign=f"{ALGORITHM}\n{time}\n{day}/{self._bucket.region}/s3/aws4_request\n",
            signing_key=self._signing_key(day),
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
        return [(name, _encoded(value)) for name, value in parameters.items()]

    def _signing_key(self, day: str) -> bytes:
        known, key = self._day_key
        if known != day:
            key = f"AWS4{self._bucket.secret_access_key}".encode()
            for part in (day, self._bucket.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = (day, key)
        return key


def _key_signer(
    *,
    method: str,
    address: BucketAddress,
    query: str,
    canonical_tail: str,
    to_sign: str,
    signing_key: bytes,
) -> Callable[[str], str]:
    """The part that runs once for a URL: one SHA-256 of the request, one HMAC.

    HMAC is spelt out because the inner hash over the key's pad and the first three lines is the
    same for all URLs; a copy of it halves the cost.
    """
    block = signing_key.ljust(_BLOCK, b"\0")
    inner = hashlib.sha256(block.translate(_INNER_PAD) + to_sign.encode())
    outer = hashlib.sha256(block.translate(_OUTER_PAD))
    canonical_head = f"{method}\n"
    url_tail = f"?{query}&X-Amz-Signature="

    def sign(key: str) -> str:
        path = address.prefix + quote(key, safe="/~")
        request = hashlib.sha256((canonical_head + path + canonical_tail).encode())
        first, second = inner.copy(), outer.copy()
        first.update(request.hexdigest().encode())
        second.update(first.digest())
        return address.origin + path + url_tail + second.hexdigest()

    return sign


def _signed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Lower-case names in order, values with single spaces."""
    return dict(
        sorted((name.strip().lower(), " ".join(value.split())) for name, value in headers.items())
    )


def _canonical_tail(query: Iterable[tuple[str, str]], signed: Mapping[str, str]) -> str:
    """The canonical request from behind the path on."""
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    return f"\n{_joined(query)}\n{lines}\n{';'.join(signed)}\nUNSIGNED-PAYLOAD"


def _joined(query: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in query)


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
