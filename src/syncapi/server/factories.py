"""What settings mean to the parts that the service and the command line both use."""

import math
from datetime import timedelta

from syncapi.server.domain.retention import Retention
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.settings import Settings
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import MAX_CONNECTIONS, ObjectStore


def database_urls(settings: Settings) -> DatabaseUrls:
    """Where each database is."""
    control, template = settings.control_database_url, settings.tenant_database_url_template
    named = settings.tenant_database_urls
    return DatabaseUrls(
        default=settings.database_url.get_secret_value(),
        control=control.get_secret_value() if control else None,
        named={name: url.get_secret_value() for name, url in named.items()},
        template=template.get_secret_value() if template else None,
    )


def pool_limits(settings: Settings) -> PoolLimits:
    """How many connections the service holds, and for how long."""
    return PoolLimits(
        size=settings.pool_size,
        wait=settings.pool_timeout,
        idle=settings.pool_idle_seconds,
        statement_timeout=settings.statement_timeout,
        prepared_statements=settings.prepared_statements,
    )


def bucket(settings: Settings) -> Bucket:
    """Where bytes are, as the service reaches it."""
    return Bucket(
        name=settings.s3_bucket,
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        addressing_style=settings.s3_addressing_style,
    )


def retention(settings: Settings) -> Retention:
    """For how long what is kept, where a tenant has no limits of its own."""
    age = settings.history_days
    return Retention(
        tombstones=timedelta(days=settings.tombstone_retention_days),
        uploads=timedelta(days=settings.abandoned_upload_days),
        files=timedelta(days=settings.unreferenced_file_days),
        idempotency_keys=timedelta(hours=settings.idempotency_key_hours),
        history_age=None if age is None else timedelta(days=age),
        history_versions=settings.history_versions,
    )


def object_store(
    settings: Settings,
    *,
    most_call_seconds: float = math.inf,
    max_connections: int = MAX_CONNECTIONS,
) -> ObjectStore:
    """The bucket, with connections of its own."""
    return ObjectStore(
        bucket(settings),
        read_seconds=settings.s3_read_seconds,
        call_seconds=min(settings.s3_call_seconds, most_call_seconds),
        max_connections=max_connections,
    )
