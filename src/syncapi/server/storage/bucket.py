"""A bucket: where it is, and with which keys it is entered."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

AddressingStyle = Literal["path", "virtual"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket and the right to use it.

    Attributes:
        endpoint_url: as ``https://s3.example.org:9000``; None for AWS itself.
        session_token: of temporary keys; None for lasting ones.
    """

    name: str
    endpoint_url: str | None
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    addressing_style: AddressingStyle = "path"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """The fixed parts of every URL of a bucket.

    Attributes:
        origin: scheme and authority, without a slash at the end.
        host: the value of the ``Host`` header, which a signature covers.
        prefix: what stands before a key in the path; begins and ends with a slash.
    """

    origin: str
    host: str
    prefix: str


def address_of(bucket: Bucket) -> BucketAddress:
    """Find the address of ``bucket``.

    Virtual addressing needs a host name that a bucket can be put in front of: on an IP address,
    or for a bucket that is no host label, the path is used, as the AWS SDKs do.

    Raises:
        ValueError: the endpoint is not a plain http or https URL.
    """
    endpoint = _endpoint(bucket.endpoint_url or _aws_endpoint(bucket.region))
    base = endpoint.path.rstrip("/")
    if bucket.addressing_style == "path" or not _can_be_virtual(endpoint, bucket.name):
        return BucketAddress(
            origin=f"{endpoint.scheme}://{endpoint.netloc}",
            host=_host_header(endpoint),
            prefix=f"{base}/{quote(bucket.name, safe='')}/",
        )
    return BucketAddress(
        origin=f"{endpoint.scheme}://{bucket.name}.{endpoint.netloc}",
        host=f"{bucket.name}.{_host_header(endpoint)}",
        prefix=f"{base}/",
    )


def _aws_endpoint(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{suffix}"


def _endpoint(url: str) -> SplitResult:
    parts = urlsplit(url)
    plain = parts.hostname and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or not plain:
        raise ValueError(f"not an S3 endpoint: {url!r}; write it as https://host:port")
    return parts


def _host_header(endpoint: SplitResult) -> str:
    name = endpoint.hostname or ""
    host = f"[{name}]" if ":" in name else name
    is_default = endpoint.port in {None, _DEFAULT_PORTS[endpoint.scheme]}
    return host if is_default else f"{host}:{endpoint.port}"


def _can_be_virtual(endpoint: SplitResult, name: str) -> bool:
    if _is_ip_address(endpoint.hostname or "") or _is_ip_address(name):
        return False
    # A certificate for *.host does not cover a bucket with dots.
    labels = name.split(".") if endpoint.scheme == "http" else [name]
    return all(map(_HOST_LABEL.fullmatch, labels))


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
