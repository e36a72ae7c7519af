"""The service keeps to its own description, whatever is sent to it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.core.parameters import ParameterLocation

from fixtures.service import TestTenant
from syncapi.server.domain.access import Role
from syncapi.server.web.app import build_app

# What these checks take from the schema alone, it cannot say: what a signed cursor is and that it
# excludes `since`; that an update names a field; that in a form every value is a text; how large
# a file the settings allow.
BEYOND_A_SCHEMA = {
    "pullChanges": [positive_data_acceptance],
    "pushChanges": [positive_data_acceptance],
    "declareFile": [positive_data_acceptance],
    "createDocument": [negative_data_rejection],
}
CONDITIONS = ("if-match", "if-none-match")

schema = schemathesis.openapi.from_dict(build_app().openapi())


@pytest.fixture
async def prepared(tenant: TestTenant) -> TestTenant:
    """A tenant with something in it."""
    for name in ("one.txt", "two.txt"):
        await tenant.user.post("/documents", files={"file": (name, name.encode())})
    return tenant


@schema.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_described(
    case: schemathesis.Case[Any], service_url: str, prepared: TestTenant
) -> None:
    if not _is_wrong(case, ParameterLocation.PATH):
        case.path_parameters["tenant_id"] = str(prepared.id)
    for name in CONDITIONS:
        if case.headers.get(name) == "0":  # the tool's first case overlooks a header's pattern
            del case.headers[name]
    token = {"Authorization": f"Bearer {prepared.tokens[Role.ADMIN]}"}
    case.call_and_validate(
        base_url=service_url,
        headers={} if _is_wrong(case, ParameterLocation.HEADER) else token,
        excluded_checks=BEYOND_A_SCHEMA.get(case.operation.definition.raw["operationId"], []),
    )


def _is_wrong(case: schemathesis.Case[Any], part: ParameterLocation) -> bool:
    """Whether this part of the request is wrong on purpose."""
    found = case.meta.components.get(part) if case.meta else None
    return found is not None and found.mode.is_negative
