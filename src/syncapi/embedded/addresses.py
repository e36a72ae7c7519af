"""Where embedded servers are, and the secrets that open them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceAddresses:
    """What a client of the three servers needs."""

    postgres_admin_url: str
    redis_url: str
    s3_endpoint_url: str
    s3_bucket: str
    s3_access_key_id: str
    s3_secret_access_key: str
