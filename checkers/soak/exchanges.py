"""The last requests of an actor and what was answered, for the evidence of a miss."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

_KEPT = 100
LONGEST_TEXT = 2000
"""Characters that are kept of a request and of an answer."""


@dataclass(slots=True)
class Exchanges:
    """The last hundred requests of one actor, oldest first, as lines of text."""

    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def answered(
        self, method: str, path: str, arguments: Mapping[str, Any], answer: httpx.Response
    ) -> None:
        """Note a request with its answer."""
        self.note(f"{_request(method, path, arguments)} -> {abridged(answer)}")

    def failed(
        self, method: str, path: str, arguments: Mapping[str, Any], error: Exception
    ) -> None:
        """Note a request that had no answer."""
        self.note(f"{_request(method, path, arguments)} -> {type(error).__name__}: {error}")

    def note(self, what: str) -> None:
        """Note what the actor did between two requests, such as a crash."""
        at = datetime.fromtimestamp(time.time(), UTC)
        self._lines.append(f"{at:%H:%M:%S.%f} {what}")

    def write(self, path: Path) -> None:
        """Write the lines to a file."""
        path.write_text("\n".join([*self._lines, ""]))


def _request(method: str, path: str, arguments: Mapping[str, Any]) -> str:
    parts = [method, path]
    if "params" in arguments:
        parts.append("&".join(f"{name}={value}" for name, value in arguments["params"].items()))
    if "json" in arguments:
        parts.append(str(arguments["json"])[:LONGEST_TEXT])
    return " ".join(parts)


def abridged(answer: httpx.Response) -> str:
    """The status, and of a page only where it begins and ends: it may have 500 rows."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    data = answer.json().get("data") if is_json else None
    if answer.status_code == HTTPStatus.OK and isinstance(data, dict) and "sync_token" in data:
        return f"{answer.status_code} {_page(data)}"
    return f"{answer.status_code} {answer.text[:LONGEST_TEXT]}"


def _page(data: Mapping[str, Any]) -> str:
    rows = sorted((row["updated_at"], row["id"]) for row in (*data["added"], *data["modified"]))
    span = f" {' '.join(rows[0])} to {' '.join(rows[-1])}" if rows else ""
    deleted = " ".join(row["id"] for row in data["deleted"][:20])
    rest = {name: data[name] for name in ("has_more", "next_page", "server_time", "sync_token")}
    return f"{len(rows)} rows{span}, {len(data['deleted'])} deleted {deleted} {rest}"
