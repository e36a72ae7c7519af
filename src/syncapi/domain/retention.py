"""For how long things are kept that nobody needs any more."""

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from syncapi.domain.errors import InvalidInput


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
        if "history_days" in settings:
            days = _positive("history_days", settings["history_days"], float)
            own = replace(own, history_age=None if days is None else timedelta(days=days))
        if "history_versions" in settings:
            most = _positive("history_versions", settings["history_versions"], int)
            own = replace(own, history_versions=None if most is None else int(most))
        return own


class Kind(enum.StrEnum):
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

    counts: Counter[Kind] = field(default_factory=Counter)
    freed_bytes: int = 0

    def add(self, kind: Kind, count: int, freed_bytes: int = 0) -> None:
        self.counts[kind] += count
        self.freed_bytes += freed_bytes

    def __iadd__(self, other: "Collected") -> "Collected":
        self.counts += other.counts
        self.freed_bytes += other.freed_bytes
        return self


def _positive(name: str, value: object, kind: type[float]) -> float | None:
    is_number = isinstance(value, int | kind) and not isinstance(value, bool)
    if value is None or (is_number and value > 0):  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise InvalidInput.of(f"settings.{name}", f"write a positive number, or null, not {value!r}")
