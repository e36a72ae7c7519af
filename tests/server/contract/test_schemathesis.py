"""The description put to the test where it matters: on real documents, files and cursors.

Requests at random, as `tests/server/web/test_contract.py` sends them, mostly end at a 404. Here
what is right by the description also names things that exist, and one request goes on from
another.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

from fixtures.pulling import BEGINNING, pull
from fixtures.service import TestTenant, token_of
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.web.app import build_app

Case = schemathesis.Case[Any]

# Also of requests that are right by the description, a condition may fail (412), and a size be
# over the limit that the settings say (413).
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "412", "413", "429"]
CONFIG = {"checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}}
DOCUMENTS = 12
TIMES = ("1970-01-01T00:00:00Z", "2001-02-03T04:05:06.789Z", "2026-01-01T01:00:00+01:00")
CONDITIONS = ("If-Match", "If-None-Match")
NAMES_NOTHING = ["listDocuments", "createDocument", "declareFile", "getLiveness", "getReadiness"]

schema = schemathesis.openapi.from_dict(
    build_app().openapi(), config=SchemathesisConfig.from_dict(CONFIG)
)
QUICKLY = examples(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Things:
    """A tenant's documents, files and cursors, handed out in turn."""

    tenant: TestTenant
    url: str
    documents: Iterator[str]
    files: Iterator[str]
    cursors: Iterator[str]
    times: Iterator[str] = field(default_factory=lambda: itertools.cycle(TIMES))

    def call_options(self, case: Case) -> dict[str, Any]:
        token = {"Authorization": f"Bearer {self.tenant.tokens[Role.ADMIN]}"}
        is_wrong = _is_wrong(case, ParameterLocation.HEADER)
        return {"base_url": self.url, "headers": {} if is_wrong else token}

    def put_into(self, case: Case) -> None:
        """Have the case name things that exist, in those parts that are right."""
        for name in CONDITIONS:
            if case.headers.get(name) == "0":  # the tool's first case overlooks a header's pattern
                del case.headers[name]
        if not _is_wrong(case, ParameterLocation.PATH):
            self._into_path(case)
        if case.operation.definition.raw["operationId"] == "pullChanges":
            self._into_pull(case)
        if isinstance(case.body, dict) and not _is_wrong(case, ParameterLocation.BODY):
            self._into_body(case.body)

    def _into_path(self, case: Case) -> None:
        case.path_parameters["tenant_id"] = str(self.tenant.id)
        for name, things in (("document_id", self.documents), ("file_id", self.files)):
            if name in case.path_parameters:
                case.path_parameters[name] = next(things)

    def _into_pull(self, case: Case) -> None:
        """Either a cursor, which has its filters and its place, or a time that has been."""
        if _is_wrong(case, ParameterLocation.QUERY):
            return
        case.query.pop("page", None)
        if case.query.pop("cursor", None) is None:
            case.query["since"] = next(self.times)
            return
        case.query.pop("since", None)
        case.query.pop("include_deleted", None)
        case.query["cursor"] = next(self.cursors)

    def _into_body(self, body: dict[str, Any]) -> None:
        changes = body.get("changes", ())
        for part in (body, *changes):
            if part.get("file_id") is not None:
                part["file_id"] = next(self.files)
        for number, change in enumerate(changes):
            self._into_change(change, is_known=number < DOCUMENTS and change["op"] != "create")

    def _into_change(self, change: dict[str, Any], *, is_known: bool) -> None:
        """No document and no change stands twice in a push, and an update names a field."""
        change["change_id"] = str(uuid4())
        change["id"] = next(self.documents) if is_known else str(uuid4())
        if change["op"] == "update":
            change["filename"] = change.get("filename") or "named.txt"


@pytest.fixture
async def things(tenant: TestTenant, service_url: str) -> Things:
    documents, files, cursors = [], [], []
    for number in range(DOCUMENTS):
        part = {"file": (f"{number}.txt", f"{number}".encode(), "text/plain")}
        created = (await tenant.user.post("/documents", files=part)).json()["data"]["document"]
        documents.append(created["id"])
        files.append(created["file"]["id"])
        for per_page in (number + 1, 500):  # inside of a run, and at its end
            page = await pull(tenant.viewer, since=BEGINNING, per_page=per_page)
            cursors.append(page.sync_token)
    return Things(tenant, service_url, *map(itertools.cycle, (documents, files, cursors)))


@schema.exclude(operation_id=NAMES_NOTHING).parametrize()
@examples(QUICKLY, max_examples=8)
def test_of_things_that_exist(case: Case, things: Things) -> None:
    things.put_into(case)
    case.call_and_validate(**things.call_options(case))


@pytest.fixture
async def fresh_tenants(administration: TenantAdministration) -> tuple[UUID, Iterator[UUID]]:
    """A user who is admin of many tenants, so that no scenario finds what another one left."""
    user = uuid4()
    tenants = [(await administration.create(f"Scenario {uuid4()}")).id for _ in range(40)]
    for tenant in tenants:
        await administration.add_member(str(tenant), user, Role.ADMIN)
    return user, itertools.cycle(tenants)


def test_one_request_after_another(
    settings: Settings, service_url: str, fresh_tenants: tuple[UUID, Iterator[UUID]]
) -> None:
    """Chains that the tool finds in the description: create, read, change, delete, read …"""
    user, tenants = fresh_tenants
    headers = {"Authorization": f"Bearer {token_of(settings, user)}"}
    answered: Counter[tuple[str, int]] = Counter()

    class Chain(schema.as_state_machine()):  # type: ignore[misc]  # a class made at run time
        def setup(self) -> None:
            self.tenant = str(next(tenants))
            url = f"{service_url}/api/tenants/{self.tenant}/documents"
            part = {"file": ("a.txt", b"a")}
            created = httpx.post(url, files=part, headers=headers).json()
            self.file = created["data"]["document"]["file"]["id"]

        def before_call(self, case: Case) -> None:
            case.path_parameters["tenant_id"] = self.tenant
            case.headers.pop("If-Match", None)  # at random it would hold up every change
            if isinstance(case.body, dict) and case.body.get("file_id") is not None:
                case.body["file_id"] = self.file

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            is_wrong = _is_wrong(case, ParameterLocation.HEADER)
            return {"base_url": service_url, "headers": {} if is_wrong else headers}

        def after_call(self, response: schemathesis.Response, case: Case) -> None:
            super().after_call(response, case)
            answered[case.operation.definition.raw["operationId"], response.status_code] += 1

    Chain.run(settings=examples(QUICKLY, max_examples=20, stateful_step_count=8))
    reached = {operation for operation, status in answered if status < 300}
    assert "createDocument" in reached
    assert len(reached) > 5  # else the tool has found no chains, and this proves nothing


def _is_wrong(case: Case, part: ParameterLocation) -> bool:
    """Whether this part of the request is wrong on purpose."""
    found = case.meta.components.get(part) if case.meta else None
    return found is not None and found.mode.is_negative
