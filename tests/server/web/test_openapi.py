"""The description is reviewed, valid, and fit for generators of clients."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from fixtures.checkout import CHECKOUT
from syncapi.cli.server.openapi import app as command
from syncapi.server.web.app import build_app

COMMITTED = CHECKOUT / "openapi.json"
DOCUMENT: dict[str, Any] = build_app().openapi()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
each_operation = pytest.mark.parametrize(
    "operation",
    [pytest.param(operation, id=name) for name, operation in OPERATIONS],
)


def _nodes(node: Any = DOCUMENT) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from _nodes(child)


def test_a_change_of_the_description_is_reviewed() -> None:
    printed = CliRunner().invoke(command, catch_exceptions=False).stdout
    assert printed == COMMITTED.read_text(), (
        "The API's description has changed. If that is meant: "
        "`syncapi openapi --output openapi.json`, and say so in CHANGELOG.md."
    )


def test_it_can_be_written_to_a_file(tmp_path: Path) -> None:
    CliRunner().invoke(command, ["--output", str(tmp_path / "api.json")], catch_exceptions=False)
    assert (tmp_path / "api.json").read_bytes() == COMMITTED.read_bytes()


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in _nodes() if "$ref" in node}
    assert references
    for reference in references:
        target: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_every_schema_is_one() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert re.fullmatch("[A-Z][A-Za-z]+", name)
        jsonschema_rs.Draft202012Validator(
            {**schema, "components": DOCUMENT["components"]}, validate_formats=True
        )


def test_operation_ids_are_short_and_unique() -> None:
    ids = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not re.fullmatch("[a-z]+([A-Z][a-z]+){1,3}", name)] == []


@each_operation
def test_an_operation_is_explained(operation: dict[str, Any]) -> None:
    assert len(operation["tags"]) == 1
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert operation["summary"]
    assert operation["description"]
    assert all(parameter["description"] for parameter in operation.get("parameters", ()))


@each_operation
def test_every_error_is_a_problem(operation: dict[str, Any]) -> None:
    statuses = {int(status) for status in operation["responses"]}
    assert {400, 500} <= statuses
    assert 422 not in statuses
    for status in statuses:
        response = operation["responses"][str(status)]
        assert "X-Request-ID" in response["headers"]
        if status >= 400:
            schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert response["content"] == {"application/problem+json": schema}
    if "requestBody" in operation:
        assert {413, 415} <= statuses


@each_operation
def test_nothing_but_health_is_open(operation: dict[str, Any]) -> None:
    if operation["tags"] == ["health"]:
        assert "security" not in operation
    else:
        assert operation["security"] == [{"bearerToken": []}]
        assert {"401", "403", "404", "429", "503"} <= set(operation["responses"])
        assert "Retry-After" in operation["responses"]["429"]["headers"]


@each_operation
def test_answers_are_typed(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        if 200 <= int(status) < 300 and "application/json" in response.get("content", {}):
            schema = response["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith("Response")


def test_answers_have_no_optional_fields() -> None:
    """A generator would make of them fields that may be undefined, though they are always sent."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name.endswith("Response"):
            assert schema["required"] == list(schema["properties"])


def test_no_title_makes_up_a_type() -> None:
    titles = [node["title"] for node in _nodes(DOCUMENT["paths"]) if "title" in node]
    assert titles == []


def test_the_same_bytes_every_time() -> None:
    assert json.dumps(build_app().openapi()) == json.dumps(build_app().openapi())


def test_no_boolean_is_an_enumeration() -> None:
    """openapi-generator's Python clients compare it with a text, and refuse every answer."""
    booleans = [node for node in _nodes() if node.get("type") == "boolean"]
    assert booleans
    assert [node for node in booleans if "const" in node or "enum" in node] == []


def test_unions_that_clients_build_have_names() -> None:
    named = DOCUMENT["components"]["schemas"].values()
    unions = [node for node in _nodes() if "oneOf" in node]
    assert unions
    assert [union for union in unions if union not in named or "discriminator" not in union] == []
