"""The committed description is a document of OpenAPI 3.1, by the specification's own schema."""

import json

from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from fixtures.checkout import CHECKOUT

DOCUMENT = json.loads((CHECKOUT / "openapi.json").read_text())


def test_it_is_valid() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert list(OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)) == []


def test_the_validator_finds_faults() -> None:
    assert list(OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT | {"paths": []})) != []
