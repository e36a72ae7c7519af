"""Tenants as their operator sees them."""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from syncapi.server.domain.access import Role
from syncapi.server.domain.errors import InvalidInput

MAX_NAME = 200
MAX_SLUG = 63
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer.

    Attributes:
        slug: a short name for people; unique, and never the form of a uuid.
        database: name of the tenant database that holds the tenant.
        feed_id: the feed there that is the tenant's; None where that is not known yet.
        is_active: False while it is suspended: to its members it does not exist.
    """

    id: UUID
    name: str
    slug: str
    database: str
    is_active: bool
    created_at: datetime
    settings: Mapping[str, Any]
    feed_id: UUID | None


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a tenant."""

    user_id: UUID
    role: Role


def checked_name(name: str) -> str:
    """A tenant's name without outer blanks.

    Raises:
        InvalidInput: it is empty, too long, or has characters that cannot be shown.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise InvalidInput.of("name", f"give 1 to {MAX_NAME} printable characters")
    return name


def slug_of(name: str) -> str:
    """A slug made of a name: ``Café Zürich`` → ``cafe-zurich``.

    Raises:
        InvalidInput: the name has no letter or digit that a slug may have.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:MAX_SLUG].strip("-")
    if not slug:
        raise InvalidInput.of("slug", f"none can be made of the name {name!r}: give one")
    return checked_slug(slug)


def checked_slug(slug: str) -> str:
    """The slug itself.

    Raises:
        InvalidInput: it is malformed, too long, or could be taken for an id.
    """
    if len(slug) > MAX_SLUG or not _SLUG.fullmatch(slug):
        raise InvalidInput.of(
            "slug", f"use up to {MAX_SLUG} of a-z and 0-9, with single hyphens between"
        )
    if _is_uuid(slug):
        raise InvalidInput.of("slug", "a slug must not look like a tenant's id")
    return slug


def _is_uuid(text: str) -> bool:
    with suppress(ValueError):
        UUID(text)
        return True
    return False
