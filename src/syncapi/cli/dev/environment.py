"""The environment variables of the service of ``syncapi dev``, and those for a person's shell."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from syncapi.cli.dev.demo.seeding import Demo
from syncapi.embedded import EmbeddedServices
from syncapi.embedded.folder import ServerFolder, write_private
from syncapi.server.domain.access import Role

DATABASE = "syncapi"

_PREFIX = "SYNCAPI_"
# What a developer may tune. Never what names a place: `dev` must not touch real databases that
# happen to be in the environment.
_TUNABLE = (
    *("LOG_LEVEL", "LOG_FORMAT", "RATE_LIMIT", "POOL_SIZE", "STATEMENT_TIMEOUT"),
    *("URL_EXPIRES_SECONDS", "UPLOAD_MAX_BYTES", "UPLOAD_ALLOWED_TYPES", "REQUEST_MAX_BYTES"),
    *("CORS_ORIGINS", "MEMBERSHIP_CACHE_SECONDS"),
)


def adopt(environment: Mapping[str, str]) -> None:
    """Make `environment` the settings of this process and of those that it starts."""
    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        if name.removeprefix(_PREFIX) not in _TUNABLE:
            del os.environ[name]
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def service_environment(services: EmbeddedServices, secrets: ServerFolder) -> dict[str, str]:
    """The settings of a service on the embedded servers."""
    addresses = services.addresses
    return {
        "SYNCAPI_DATABASE_URL": services.postgres.url(DATABASE),
        "SYNCAPI_REDIS_URL": addresses.redis_url,
        "SYNCAPI_S3_ENDPOINT_URL": addresses.s3_endpoint_url,
        "SYNCAPI_S3_BUCKET": addresses.s3_bucket,
        "SYNCAPI_S3_ACCESS_KEY_ID": addresses.s3_access_key_id,
        "SYNCAPI_S3_SECRET_ACCESS_KEY": addresses.s3_secret_access_key,
        "SYNCAPI_JWT_SECRET": secrets.secret("jwt_secret"),
        "SYNCAPI_CURSOR_KEY": secrets.secret("cursor_key"),
        "SYNCAPI_LOG_FORMAT": "console",
        "SYNCAPI_SHUTDOWN_SECONDS": "3",
    }


def write_env_file(folder: Path, url: str, services: EmbeddedServices, demo: Demo) -> Path:
    """Write ``dev.env``, to be sourced by a shell; only its owner may read it."""
    addresses = services.addresses
    values = {
        "SYNCAPI_URL": url,
        "SYNCAPI_TENANT": str(demo.tenant_id),
        "SYNCAPI_TOKEN": demo.tokens[Role.ADMIN],
        "SYNCAPI_TOKEN_USER": demo.tokens[Role.USER],
        "SYNCAPI_TOKEN_VIEWER": demo.tokens[Role.VIEWER],
        "SYNCAPI_DATABASE_URL": services.postgres.url(DATABASE),
        "SYNCAPI_REDIS_URL": addresses.redis_url,
        "SYNCAPI_S3_ENDPOINT_URL": addresses.s3_endpoint_url,
        "SYNCAPI_S3_BUCKET": addresses.s3_bucket,
        "SYNCAPI_S3_ACCESS_KEY_ID": addresses.s3_access_key_id,
        "SYNCAPI_S3_SECRET_ACCESS_KEY": addresses.s3_secret_access_key,
    }
    path = folder / "dev.env"
    write_private(path, "".join(f"{name}={shlex.quote(v)}\n" for name, v in values.items()))
    return path
