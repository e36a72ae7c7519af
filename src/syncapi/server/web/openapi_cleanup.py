"""What FastAPI's description needs before generators of clients like it."""

import re
from typing import Any

import orjson

Json = dict[str, Any]

_ENVELOPE = re.compile(rb"\bSuccess_(\w+?)(?:Data)?_(?=[\"/])")


def named(document: Json) -> Json:
    """Call ``Success_DocumentData_`` ``DocumentResponse``."""
    renamed: Json = orjson.loads(_ENVELOPE.sub(rb"\1Response", orjson.dumps(document)))
    return renamed


def without_titles(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Drop the titles that Pydantic makes of names: generators make type names of them."""
    if isinstance(node, list):
        return [without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A property that is named "title" is a schema; a title is a text.
    return {
        key: without_titles(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def with_plain_booleans(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Describe a boolean that is always true, or always false, as a boolean.

    openapi-generator's Python clients compare it with the text "true", and refuse every answer.
    """
    if isinstance(node, list):
        return [with_plain_booleans(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: with_plain_booleans(value)
        for key, value in node.items()
        if not (key == "const" and isinstance(value, bool))
    }


def plain_parameter(parameter: Json) -> None:
    """A parameter may be left out, but it cannot be null; its description is given once."""
    schema = parameter["schema"]
    if schema.get("description") == parameter.get("description"):
        schema.pop("description", None)
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        parameter["schema"] = {**kinds[0], **schema}
