"""What use cases do, as Prometheus metrics."""

from asyncio import CancelledError
from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.requests import ClientDisconnect
from typing_extensions import override

from syncapi.protocol.archives import ArchiveFormat
from syncapi.server.domain.errors import Refusal
from syncapi.server.usecases.telemetry import Activity, Way

_ARCHIVE_SECONDS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
_GROUP_PUSHES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_GROUP_CHANGES: Final = (1, 5, 10, 50, 100, 250, 500, 1000)
_GONE: Final = (ClientDisconnect, CancelledError, GeneratorExit)


class ActivityMetrics(Activity):
    """Counts the work of use cases. Labels are kinds, statuses and codes of problems."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"syncapi_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"syncapi_{name}", text, labels, registry=registry, buckets=buckets)

        self._idle_polls = counter("idle_polls", "Polls that found nothing new.")
        self._pages = counter("pages", "Pages of pulls served.")
        self._rows = counter("rows", "Rows served in pages.", "kind")
        self._cursors_expired = counter("cursors_expired", "Pulls whose cursor had expired.")
        self._begun = counter("uploads_begun", "Uploads begun.", "way")
        self._completed = counter("uploads_completed", "Uploads whose bytes are kept.", "way")
        self._failed = counter("uploads_failed", "Uploads that failed.", "way", "reason")
        self._upload_bytes = counter("upload_bytes", "Bytes of completed uploads.", "way")
        self._archives = counter("archives", "Archives, by how they ended.", "format", "outcome")
        self._archive_bytes = counter("archive_bytes", "Bytes of archives made.", "format")
        self._archive_seconds = histogram(
            "archive_duration_seconds", "From request to end.", _ARCHIVE_SECONDS, "format"
        )
        self._changes = counter("pushed_changes", "Changes answered.", "status")
        self._pushes_failed = counter("pushes_failed", "Pushes not carried out.", "reason")
        self._group_pushes = histogram(
            "push_group_pushes", "Pushes that shared a transaction.", _GROUP_PUSHES
        )
        self._group_changes = histogram(
            "push_group_changes", "Changes of one transaction.", _GROUP_CHANGES
        )

    @override
    def poll_idle(self) -> None:
        self._idle_polls.inc()

    @override
    def page_served(self, *, added: int, modified: int, deleted: int) -> None:
        self._pages.inc()
        self._rows.labels("added").inc(added)
        self._rows.labels("modified").inc(modified)
        self._rows.labels("deleted").inc(deleted)

    @override
    def cursor_expired(self) -> None:
        self._cursors_expired.inc()

    @override
    def upload_begun(self, way: Way) -> None:
        self._begun.labels(way).inc()

    @override
    def upload_completed(self, way: Way, size: int) -> None:
        self._completed.labels(way).inc()
        self._upload_bytes.labels(way).inc(size)

    @override
    def upload_failed(self, way: Way, error: BaseException) -> None:
        self._failed.labels(way, _reason(error)).inc()

    @override
    def archive_ended(
        self, format_: ArchiveFormat, *, error: BaseException | None, sent: int, seconds: float
    ) -> None:
        self._archives.labels(format_, _outcome(error, sent)).inc()
        self._archive_bytes.labels(format_).inc(sent)
        self._archive_seconds.labels(format_).observe(seconds)

    @override
    def group_committed(self, pushes: int, changes: int) -> None:
        self._group_pushes.observe(pushes)
        self._group_changes.observe(changes)

    @override
    def pushed(self, statuses: Mapping[str, int]) -> None:
        for status, count in statuses.items():
            self._changes.labels(status).inc(count)

    @override
    def push_failed(self, error: BaseException) -> None:
        self._pushes_failed.labels(_reason(error)).inc()


def _reason(error: BaseException) -> str:
    """The code of the problem that the client receives, where there is one."""
    if isinstance(error, Refusal):
        return error.code
    return "abandoned" if isinstance(error, _GONE) else "internal_error"


def _outcome(error: BaseException | None, sent: int) -> str:
    if error is None:
        return "complete"
    if isinstance(error, _GONE):
        return "abandoned"
    return "cut" if sent else "refused"
