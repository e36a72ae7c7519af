"""Pydantic's complaints in a client's words: the fields as the client knows them."""

from collections.abc import Mapping, Sequence
from typing import Any

from syncapi.server.domain.errors import FieldError

_PLAIN = frozenset({"query", "path"})
_WORDS = {
    "missing": "It is required.",
    "extra_forbidden": "There is no such field or parameter. Check the spelling.",
}


def field_errors(errors: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """Name each wrong field: ``since``, ``body.filename``, ``header.If-Match``."""
    return [FieldError(_name(error), _message(error)) for error in errors]


def _name(error: Mapping[str, Any]) -> str:
    place, *path = error["loc"]
    if error["type"] == "json_invalid":
        return "body"
    if place in _PLAIN and path:
        return ".".join(map(str, path))
    if place == "header":
        path = [str(part).title() for part in path]
    return ".".join([str(place), *map(str, path)])


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        position = error["loc"][-1]
        return f"It is not valid JSON at character {position}: {error['ctx']['error']}."
    if error["type"] in _WORDS:
        return _WORDS[error["type"]]
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.endswith((".", "?", "!")) else f"{message}."
