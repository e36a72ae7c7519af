"""The application: routes, middleware and errors, put together in one place."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Lifespan
from typing_extensions import override

from syncapi import __version__
from syncapi.server.web import docs, metrics, openapi
from syncapi.server.web.errors import install_error_handlers
from syncapi.server.web.logging import AccessLog
from syncapi.server.web.middleware.body_limit import BodyLimit
from syncapi.server.web.middleware.compression import Compression
from syncapi.server.web.middleware.idle_poll import IdlePoll
from syncapi.server.web.middleware.request_context import RequestContext
from syncapi.server.web.query import declared_query
from syncapi.server.web.routes import archives, documents, files, health, history, sync, uploads

ROUTERS: tuple[APIRouter, ...] = (
    sync.router,  # before documents: its path is not the id of one
    uploads.router,
    archives.router,
    documents.router,
    files.router,
    history.router,
    health.router,
    metrics.router,
    openapi.router,
    docs.router,
)

STREAMING: frozenset[Callable[..., Any]] = frozenset({uploads.create_document})
"""Endpoints that read their body as a stream, under a limit of their own."""

_EXPOSED_HEADERS = ("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the settings say of the web alone.

    Attributes:
        request_max_bytes: of a body that is not an upload.
        cors_origins: those that browsers may call from; ``*`` for all.
    """

    request_max_bytes: int = 8 * 1024**2
    cors_origins: tuple[str, ...] = ()


class Application(FastAPI):
    """FastAPI with our description of the API."""

    @override
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self)
        return self.openapi_schema


def build_app(
    options: WebOptions | None = None, lifespan: Lifespan[FastAPI] | None = None
) -> Application:
    """Put the application together.

    Args:
        options: the defaults are those of the settings.
        lifespan: puts the parts of the service on ``app.state.service``. Without it the
            application can be described, but not served.
    """
    counted = metrics.Metrics()
    app = Application(
        title="syncapi",
        version=__version__,
        lifespan=lifespan,
        middleware=_middleware(options or WebOptions(), counted),
        redirect_slashes=False,
        telemetry=_telemetry(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    # Not include_router: that matches a path in every router again, 20 µs for each request.
    app.router.routes.extend(route for router in ROUTERS for route in router.routes)
    app.state.metrics = counted
    app.state.query_names = declared_query(app.routes)
    install_error_handlers(app)
    return app


def _telemetry() -> TelemetryConfig:
    """OpenTelemetry where its own variables ask for it: else looking for it costs each request."""
    is_wanted = any(name.startswith(("OTEL_", "FASTAPI_OTEL_")) for name in os.environ)
    return TelemetryConfig(tracing=is_wanted, metrics=is_wanted, logs=is_wanted)


def _middleware(options: WebOptions, counted: metrics.Metrics) -> list[Middleware]:
    """From the outside in."""
    return [
        *_cors(options),  # outermost: a browser needs its headers on every answer
        Middleware(IdlePoll),
        Middleware(RequestContext, observers=(counted.observe, AccessLog())),
        Middleware(BodyLimit, max_bytes=options.request_max_bytes, streaming=STREAMING),
        Middleware(Compression),
    ]


def _cors(options: WebOptions) -> list[Middleware]:
    if not options.cors_origins:
        return []
    cors = Middleware(
        CORSMiddleware,
        allow_origins=options.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=_EXPOSED_HEADERS,
        max_age=600,
    )
    return [cors]
