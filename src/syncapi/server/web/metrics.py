"""Prometheus metrics: one registry per app, labels that cannot grow with tenants or users."""

import os

from fastapi import APIRouter, Depends, Request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_fastapi_instrumentator.metrics import Info, latency, requests
from starlette.responses import Response

from syncapi.server.web.context import Served
from syncapi.server.web.query import refuse_unknown_query
from syncapi.server.web.telemetry_metrics import ActivityMetrics

_MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """What the service counts. Labels are route templates, methods, statuses and kinds.

    Requests are counted by the instruments of prometheus-fastapi-instrumentator, so that
    dashboards made for it work. Its middleware is not used: it matches every route a second time,
    for 100 µs, where the router has already said which one it was.

    Attributes:
        activity: counts what the use cases report of their work.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._instruments = (
            requests(registry=registry),
            latency(registry=registry, should_include_status=False, buckets=_SECONDS),
        )
        self._bytes = Counter(
            "http_response_bytes",
            "Bytes of answers' bodies, as sent.",
            ("handler",),
            registry=registry,
        )
        self.activity = ActivityMetrics(registry)

    def observe(self, served: Served) -> None:
        """Count a request that is over."""
        handler = served.route or "none"
        info = Info(
            Request(served.scope),
            None,
            method=served.method if served.method in _METHODS else "other",
            modified_handler=handler,
            modified_status=f"{served.status // 100}xx",
            modified_duration=served.seconds,
        )
        for instrument in self._instruments:
            if instrument is not None:
                instrument(info)
        self._bytes.labels(handler).inc(served.body_bytes)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, those of all worker processes together."""
        if _MULTIPROCESS_FOLDER not in os.environ:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_unknown_query)])


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Answer a scrape, away from the event loop."""
    exposition = request.app.state.metrics.exposition()
    return Response(exposition, media_type=CONTENT_TYPE_LATEST)
