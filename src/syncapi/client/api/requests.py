"""The requests of one tenant: addresses, bodies, and the connections they go by."""

from datetime import datetime
from typing import Self, TypeVar
from urllib.request import getproxies
from uuid import UUID, uuid4

import httpx

from syncapi import __version__
from syncapi.client.api.responses import data_of
from syncapi.client.api.sender import MakeRequest, Sender
from syncapi.client.api.tokens import TokenProvider, provider_of
from syncapi.client.retrying import RetryPolicy
from syncapi.client.transfer.storage_transport import StorageTransport
from syncapi.protocol.base import Success, WireModel, format_time
from syncapi.protocol.versions import version_tag

Data = TypeVar("Data", bound=WireModel)
Value = str | int | datetime | None
"""Of a query: a time is written as the API reads it; None leaves the parameter out."""


class TenantRequests:
    """Speaks to a service as one user of one tenant.

    Attributes:
        base_url: of the service, without a slash at its end.
        tenant_id: whose documents they are.
        storage: for presigned URLs: it never sends a token.
        retry: how failed requests are repeated.
    """

    def __init__(  # noqa: PLR0913 - each has a default that fits
        self,
        base_url: str,
        tenant_id: UUID,
        token: str | TokenProvider,
        *,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        storage_transport: httpx.AsyncBaseTransport | None = None,
        user_agent: str | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            base_url: of the service, such as ``https://sync.example.com``.
            tenant_id: whose documents they are.
            token: a bearer token, or what provides tokens.
            retry: how failed requests are repeated.
            timeout: seconds to connect, and without a byte sent or received.
            transport: for requests to the service, in place of httpx's own.
            storage_transport: for presigned URLs, in place of `StorageTransport`. Where the
                environment names a proxy, both are httpx's own by default.
            user_agent: names the program in the server's logs, in front of the library's name.

        Raises:
            ValueError: the address is no http or https URL, or the token is none.
        """
        self.base_url = _address(base_url)
        self.tenant_id = tenant_id
        self.retry = retry or RetryPolicy()
        agent = " ".join(filter(None, [user_agent, f"syncapi-client/{__version__}"]))
        # A busy pool is no failure: a request waits for a connection without a time-out.
        limits = httpx.Timeout(timeout, pool=None)
        authorities = httpx.create_ssl_context()  # reading them takes a while: once for both
        if storage_transport is None and not getproxies():
            storage_transport = StorageTransport(authorities)
        self._http, self.storage = (
            httpx.AsyncClient(
                transport=way, timeout=limits, headers={"User-Agent": agent}, verify=authorities
            )
            for way in (transport, storage_transport)
        )
        self._sender = Sender(self._http, provider_of(token), self.retry)
        self._once = Sender(self._http, None, RetryPolicy(attempts=1))
        self._tenant_url = f"{self.base_url}/api/tenants/{tenant_id}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        try:
            await self._http.aclose()
        finally:
            await self.storage.aclose()

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Value] | None = None,
        body: WireModel | None = None,
        headers: dict[str, str] | None = None,
    ) -> MakeRequest:
        """What makes a request, as often as it must be sent."""
        params = {
            name: format_time(value) if isinstance(value, datetime) else value
            for name, value in (query or {}).items()
            if value is not None
        }
        # What is None was not given. Older servers refuse fields that they do not know.
        content = body.model_dump_json(exclude_none=True) if body is not None else None
        sent = dict(headers or {})
        if content is not None:
            sent["Content-Type"] = "application/json"
        url = self._tenant_url + path
        return lambda: self._http.build_request(
            method, url, params=params, content=content, headers=sent
        )

    async def _ask_openly(self, path: str, envelope: type[Success[Data]]) -> Data:
        """Ask what needs no token, and is asked to learn how things are: once."""
        url = self.base_url + path
        return data_of(
            await self._once.send(lambda: self._http.build_request("GET", url)), envelope
        )

    async def _ask(self, make: MakeRequest, envelope: type[Success[Data]]) -> Data:
        return data_of(await self._sender.send(make), envelope)


def condition(version: datetime | None) -> dict[str, str]:
    """The header that makes a request go by a version; none without one."""
    return {} if version is None else {"If-Match": f'W/"{version_tag(version)}"'}


def key_header(given: str | None) -> dict[str, str]:
    """The header that has a request carried out once; with a new key if none is given."""
    return {"Idempotency-Key": given or str(uuid4())}


def _address(base_url: str) -> str:
    url = httpx.URL(base_url)
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"write the address as https://sync.example.com, not {base_url!r}")
    return str(url.copy_with(query=None, fragment=None)).rstrip("/")
