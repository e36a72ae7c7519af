"""Where an issuer's public keys come from: a URL, or a file."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx
import structlog

from syncapi.server.domain.errors import Unavailable
from syncapi.server.identity.jwks import (
    InvalidKeySetError,
    PublicAlgorithm,
    PublicKey,
    matching,
    parse_key_set,
)

_MAX_BYTES = 512 * 1024

_log = structlog.get_logger(__name__)


class KeySource(Protocol):
    """The current public keys of one issuer."""

    async def find(self, key_id: str | None) -> tuple[PublicKey, ...]:
        """The keys that may have signed a token whose header says ``key_id``.

        Raises:
            Unavailable: the keys could not be read yet, not even once.
        """


class UrlKeySource:
    """A key set from an issuer's URL, fetched when it is needed and kept for a while.

    A ``key_id`` it does not know makes it fetch again, so that a rotated key works at once; but
    not within ``min_interval`` of the last attempt, so that made-up ones do not turn this service
    into a flood upon the issuer. A failed fetch leaves the old keys in force.
    """

    def __init__(
        self,
        url: str,
        algorithm: PublicAlgorithm,
        client: httpx.AsyncClient,
        *,
        cache_seconds: float,
        timeout: float = 5,
        min_interval: float = 5,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch ``url`` with ``client``, which stays the caller's to close. Times in seconds."""
        self._url = url
        self._algorithm = algorithm
        self._client = client
        self._cache_seconds = cache_seconds
        self._timeout = timeout
        self._min_interval = min_interval
        self._now = now
        self._keys: tuple[PublicKey, ...] | None = None
        self._attempts = 0
        self._attempted_at = float("-inf")
        self._turn = asyncio.Lock()

    async def find(self, key_id: str | None) -> tuple[PublicKey, ...]:
        keys = self._keys
        if keys is None or self._older_than(max(self._cache_seconds, self._min_interval)):
            keys = await self._refresh()
        found = matching(keys, key_id)
        if not found:
            found = matching(await self._refresh(), key_id)
        return found

    def _older_than(self, seconds: float) -> bool:
        return self._now() - self._attempted_at >= seconds

    async def _refresh(self) -> tuple[PublicKey, ...]:
        """The keys after a fetch by this caller, or by the one that it waited for."""
        seen = self._attempts
        async with self._turn:
            if self._attempts == seen and self._older_than(self._min_interval):
                await self._fetch()
        if self._keys is None:
            raise Unavailable(
                "The keys of the token's issuer cannot be fetched. Try again later.",
                retry_after=self._min_interval,
            )
        return self._keys

    async def _fetch(self) -> None:
        # A cancelled fetch does not count as an attempt: the next request that waits fetches
        # again.
        try:
            async with asyncio.timeout(self._timeout):
                self._keys = parse_key_set(await self._download(), self._algorithm)
        except (httpx.HTTPError, httpx.InvalidURL, InvalidKeySetError, TimeoutError) as error:
            _log.warning(
                "jwks_fetch_failed", url=self._url, error=f"{type(error).__name__}: {error}"
            )
        self._attempts += 1
        self._attempted_at = self._now()

    async def _download(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url, follow_redirects=False) as response:
            if response.status_code != httpx.codes.OK:
                raise InvalidKeySetError(f"the issuer answered {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise InvalidKeySetError(f"it is larger than {_MAX_BYTES} bytes")
        return bytes(body)


class FileKeySource:
    """A key set from a file, read again when it has changed."""

    def __init__(self, path: Path, algorithm: PublicAlgorithm) -> None:
        self._path = path
        self._algorithm = algorithm
        self._keys: tuple[PublicKey, ...] | None = None
        self._version: tuple[int, int, int] | None = None

    async def find(self, key_id: str | None) -> tuple[PublicKey, ...]:
        try:
            await asyncio.to_thread(self._reread_if_changed)
        except (OSError, InvalidKeySetError) as error:
            _log.warning("jwks_file_unreadable", path=str(self._path), error=str(error))
        if self._keys is None:
            raise Unavailable(
                "The keys of the token's issuer cannot be read. Try again later.", retry_after=5
            )
        return matching(self._keys, key_id)

    def _reread_if_changed(self) -> None:
        status = self._path.stat()
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if version != self._version:
            self._keys = parse_key_set(self._path.read_bytes(), self._algorithm)
            self._version = version
