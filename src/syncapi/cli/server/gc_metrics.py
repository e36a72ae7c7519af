"""The last run of ``syncapi gc``, for the textfile collector of Prometheus' node_exporter."""

import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from syncapi.cli.exit_codes import CommandFailed
from syncapi.server.domain.retention import Garbage
from syncapi.server.usecases.gc.run import TenantCollection


def write_metrics(path: Path, outcomes: Sequence[TenantCollection], seconds: float) -> None:
    """Replace the file of the last run, in one step.

    All metrics are gauges, since a run does not know those before it: alert on the last run's
        time.

    Raises:
        CommandFailed: it cannot be written.
    """
    try:
        write_to_textfile(str(path), _registry(outcomes, seconds))
    except OSError as error:
        raise CommandFailed(f"The metrics cannot be written: {error}") from error


def _registry(outcomes: Sequence[TenantCollection], seconds: float) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(f"syncapi_gc_{name}", text, registry=registry).set(value)

    gauge("last_run_timestamp_seconds", "When the last run ended.", time.time())
    gauge("duration_seconds", "Of the last run.", seconds)
    gauge("tenants", "Tenants of the last run.", len(outcomes))
    failed = sum(outcome.error is not None for outcome in outcomes)
    gauge("failed_tenants", "Those whose turn failed.", failed)
    freed = sum(outcome.collected.freed_bytes for outcome in outcomes)
    gauge("freed_bytes", "Bytes freed in the object store.", freed)
    collected = Gauge(
        "syncapi_gc_collected", "What the last run collected.", ("kind",), registry=registry
    )
    for kind in Garbage:
        collected.labels(kind.value).set(
            sum(outcome.collected.counts[kind] for outcome in outcomes)
        )
    return registry
