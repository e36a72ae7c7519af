"""The version of a document: the time of its last change, in microseconds."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NO_VERSION = EPOCH
"""A version that no document ever had."""


def version_tag(updated_at: datetime) -> str:
    """The version as the opaque part of an entity tag: microseconds since 1970."""
    return str((updated_at - EPOCH) // timedelta(microseconds=1))
