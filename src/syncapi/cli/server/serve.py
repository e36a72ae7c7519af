"""``syncapi serve``: the service behind uvicorn, in one process or several."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import structlog
import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from syncapi.cli.exit_codes import CommandFailed
from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.settings import Settings
from syncapi.server.web.logging import configure_logging

app = typer.Typer()

_BACKLOG = 2048
_KEEP_ALIVE = 75  # seconds: longer than load balancers keep an idle connection
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: SYNCAPI_HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port, 0 for a free one. Default: SYNCAPI_PORT."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that serve.")] = 1,
) -> None:
    """Run the service until SIGTERM or Ctrl-C; requests under way are finished first."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    listener = _listen(host or settings.host, settings.port if port is None else port)
    _give_up_stalled(listener, settings.archive_stall_seconds)
    config = _config(settings, workers)
    with listener, suppress(KeyboardInterrupt):
        _announce(listener, workers)
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            with _shared_metrics():
                Multiprocess(config, sockets=[listener]).run()


def _config(settings: Settings, workers: int) -> uvicorn.Config:
    return uvicorn.Config(
        "syncapi.server.main:app_from_environment",
        factory=True,
        workers=workers,
        lifespan="on",
        root_path=settings.root_path,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CommandFailed(
            f"cannot listen on {host}:{port}: {error.strerror}. "
            "Choose another with --port or SYNCAPI_PORT, or stop what listens there."
        ) from error
    listener.set_inheritable(True)
    return listener


def _give_up_stalled(listener: socket.socket, seconds: float) -> None:
    """Make the kernel cut connections whose client reads nothing, which would stay for ever.

    A server that closes such a connection first sends what it has buffered, and waits for the
    client (the user timeout of RFC 9293 ends this; accepted connections inherit it).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = max(1, int(seconds * 1000))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _announce(listener: socket.socket, workers: int) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    structlog.get_logger(__name__).info("serving", url=url, docs=f"{url}/docs", workers=workers)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Share a folder through which a scrape of one worker reports the metrics of all."""
    if _METRICS_FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="syncapi-metrics-") as folder:
        os.environ[_METRICS_FOLDER] = folder
        yield
