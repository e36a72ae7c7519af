"""How long tombstones, versions, uploads and files are kept that are not needed any more."""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from syncapi.server.domain.errors import InvalidInput

HISTORY_DAYS: Final = "history_days"
HISTORY_VERSIONS: Final = "history_versions"

_MOST: Final = {HISTORY_DAYS: 36_525, HISTORY_VERSIONS: 1_000_000_000}
"""A century, and more versions than any document has; for more, there is no limit."""


@dataclass(frozen=True, slots=True)
class HistoryLimit:
    """A limit of a tenant's history that is in force.

    Attributes:
        name: `HISTORY_DAYS` or `HISTORY_VERSIONS`.
        value: None for no limit.
        is_own: whether the tenant's own settings say so, and not those of the service.
    """

    name: str
    value: float | None
    is_own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Ages that things must reach before they are collected.

    Attributes:
        tombstones: since the deletion; older cursors end with 410.
        uploads: since the last URL of an upload that was not completed has expired.
        files: since a file that nothing refers to was made or asked for last; also of objects
            and multipart uploads in the bucket that no row knows.
        idempotency_keys: since the first request.
        history_age: of versions; None for no limit.
        history_versions: of one document, the newest; None for no limit.
    """

    tombstones: timedelta = timedelta(days=90)
    uploads: timedelta = timedelta(days=1)
    files: timedelta = timedelta(days=1)
    idempotency_keys: timedelta = timedelta(days=1)
    history_age: timedelta | None = None
    history_versions: int | None = None

    def for_tenant(self, settings: Mapping[str, Any]) -> "Retention":
        """With the tenant's own limits of the history: ``history_days``, ``history_versions``.

        Raises:
            InvalidInput: they are no positive numbers.
        """
        own = self
        if HISTORY_DAYS in settings:
            days = checked_limit(HISTORY_DAYS, settings[HISTORY_DAYS])
            own = replace(own, history_age=None if days is None else timedelta(days=days))
        if HISTORY_VERSIONS in settings:
            most = checked_limit(HISTORY_VERSIONS, settings[HISTORY_VERSIONS])
            own = replace(own, history_versions=None if most is None else int(most))
        return own

    def history_limits(self, settings: Mapping[str, Any]) -> list[HistoryLimit]:
        """The limits of a tenant's history, and whose they are.

        Raises:
            InvalidInput: as `for_tenant`.
        """
        own = self.for_tenant(settings)
        age = own.history_age
        days = None if age is None else age / timedelta(days=1)
        return [
            HistoryLimit(HISTORY_DAYS, days, HISTORY_DAYS in settings),
            HistoryLimit(HISTORY_VERSIONS, own.history_versions, HISTORY_VERSIONS in settings),
        ]


def checked_limit(name: str, value: object) -> float | None:
    """A limit of the history as a tenant's settings have it; None for no limit.

    Raises:
        InvalidInput: it is no positive number, or too large a one.
    """
    kinds = int if name == HISTORY_VERSIONS else int | float
    if value is None:
        return None
    if not isinstance(value, kinds) or isinstance(value, bool) or not 0 < value <= _MOST[name]:
        what = "whole number" if name == HISTORY_VERSIONS else "number"
        message = f"write a {what} above 0 and up to {_MOST[name]}, or null, not {value!r}"
        raise InvalidInput.of(f"settings.{name}", message)
    return value


class Garbage(enum.StrEnum):
    """What is collected."""

    TOMBSTONES = "tombstones"
    VERSIONS = "versions"
    CHANGE_IDS = "change_ids"
    IDEMPOTENCY_KEYS = "idempotency_keys"
    UPLOADS = "uploads"
    FILES = "files"
    OBJECTS = "objects"
    MULTIPART_UPLOADS = "multipart_uploads"


@dataclass(slots=True)
class Collected:
    """How much was collected, or would be."""

    counts: Counter[Garbage] = field(default_factory=Counter)
    freed_bytes: int = 0

    def add(self, kind: Garbage, count: int, freed_bytes: int = 0) -> None:
        self.counts[kind] += count
        self.freed_bytes += freed_bytes

    def __iadd__(self, other: "Collected") -> "Collected":
        self.counts += other.counts
        self.freed_bytes += other.freed_bytes
        return self
