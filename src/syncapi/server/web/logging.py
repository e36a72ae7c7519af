"""Structured logs: one pipeline for structlog, the standard library and uvicorn."""

import logging
import re
import sys
from typing import Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from syncapi.server.web.context import Served, current_record

LogFormat = Literal["json", "console"]

_PROBES = frozenset({"/livez", "/readyz", "/metrics"})
# Their lines at info and debug show whole URLs, signatures and credentials.
_INDISCREET = (
    "httpx",
    "httpcore",
    "botocore",
    "aiobotocore",
    "boto3",
    "urllib3",
    "aiohttp",
    "sqlalchemy",
    "asyncio",
)
_SUSPECT = re.compile(r"(?i)bearer|eyj|://")
_SECRETS = (
    (re.compile(r"(?i)\bbearer\s+[\w.~+/=-]+"), "Bearer …"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "…"),
    (re.compile(r"(\b\w[\w+.-]*://[^\s:/@]*:)[^\s@/]+@"), r"\1…@"),
    (re.compile(r"(\bhttps?://[^\s?\"']+)\?[^\s\"']+"), r"\1?…"),
)


def configure_logging(level: str, log_format: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Send every log line of this process to `stream`, from `level` up, in `log_format`."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer = _JSON
    if log_format == "console":
        # Plain tracebacks: rich ones show local variables, and take seconds.
        renderer = structlog.dev.ConsoleRenderer(
            timestamp_key="time",
            colors=stream.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        )
    processors: list[Processor] = [structlog.processors.format_exc_info, _scrub, renderer]
    structlog.configure(
        processors=[*_common(), *processors],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_common(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    # Uvicorn's lines come to the root handler, and what says too much is quietened.
    for name, is_heard in (("uvicorn", True), ("uvicorn.error", True), ("uvicorn.access", False)):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = is_heard  # the access log shows query strings; ours does not
    for name in _INDISCREET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


class AccessLog:
    """Writes the one line that every request gets; probes get theirs at debug level."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("syncapi.access").bind()  # once: it takes 7 µs

    def __call__(self, served: Served) -> None:
        if served.status >= 500:  # noqa: PLR2004 - the class of server errors
            write = self._log.error
        elif served.route in _PROBES:
            write = self._log.debug
        else:
            write = self._log.info
        write(
            "request",
            method=served.method,
            route=served.route,
            status=served.status,
            duration_ms=round(served.seconds * 1000, 3),
        )


def _common() -> list[Processor]:
    return [
        _add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


def _add_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = current_record.get()
    if record is not None:
        event["request_id"] = record.request_id
        event["tenant_id"] = record.tenant_id
        event["user_id"] = record.user_id
    return event


def _scrub(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out what a foreign line or a traceback may have let slip."""
    for key in ("event", "exception"):
        text = event.get(key)
        if isinstance(text, str) and _SUSPECT.search(text):
            for pattern, replacement in _SECRETS:
                text = pattern.sub(replacement, text)
            event[key] = text
    return event


def _to_json(event: EventDict, **_kwargs: object) -> str:
    return orjson.dumps(event, default=str).decode()


_JSON: Processor = structlog.processors.JSONRenderer(serializer=_to_json)
