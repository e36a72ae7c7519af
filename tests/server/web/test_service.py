"""The whole service on real parts: who gets in, and what every route has in common."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.service import MakeTenant, TestTenant, token_of
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings
from syncapi.server.web.app import build_app

DOCUMENT = build_app().openapi()
OPERATIONS = [
    (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
]
TENANT_OPERATIONS = [(m, p) for m, p in OPERATIONS if "{tenant_id}" in p]
every_operation = pytest.mark.parametrize(("method", "path"), OPERATIONS)
every_tenant_operation = pytest.mark.parametrize(("method", "path"), TENANT_OPERATIONS)


def _filled(path: str, tenant_id: UUID | str) -> str:
    path = path.replace("{tenant_id}", str(tenant_id))
    return re.sub(r"\{\w+_id\}", lambda _: str(uuid4()), path)


def _client(url: str, token: str | None = None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


def _code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@every_tenant_operation
async def test_nobody_gets_in_without_a_token(
    service_url: str, settings: Settings, tenant: TestTenant, method: str, path: str
) -> None:
    wrong = [
        None,
        "x",
        tenant.tokens[Role.ADMIN][:-4] + "AAAA",
        token_of(settings, uuid4(), lifetime=-100),
    ]
    for token in wrong:
        async with _client(service_url, token) as client:
            answer = await client.request(method, _filled(path, tenant.id))
            assert _code(answer) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")


@every_tenant_operation
async def test_a_tenant_that_is_not_yours_looks_like_none(
    service_url: str, make_tenant: MakeTenant, method: str, path: str
) -> None:
    mine, other = await make_tenant(), await make_tenant()
    problems: list[dict[str, Any]] = []
    async with _client(service_url, mine.tokens[Role.ADMIN]) as client:
        for tenant_id in (other.id, uuid4(), UUID(int=0), "not-an-id", mine.id.hex):
            answer = await client.request(method, _filled(path, tenant_id))
            assert _code(answer) == (404, "not_found")
            problems.append({**answer.json(), "request_id": ""})
    assert all(problem == problems[0] for problem in problems)


@every_operation
async def test_a_misspelt_parameter_is_named_on_every_route(
    service_url: str, tenant: TestTenant, method: str, path: str
) -> None:
    async with _client(service_url, tenant.tokens[Role.ADMIN]) as client:
        url = _filled(path, tenant.id)
        answer = await client.request(method, url, params={"nonsense": 1})
    assert _code(answer) == (400, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["nonsense"]


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json", "/docs/swagger-ui.css"])
async def test_so_it_is_outside_of_the_description(service_url: str, path: str) -> None:
    async with _client(service_url) as client:
        answer = await client.get(path, params={"nonsense": 1})
    assert _code(answer) == (400, "invalid_request")


async def test_a_near_miss_is_guessed(tenant: TestTenant) -> None:
    answer = await tenant.viewer.get("/documents/sync", params={"sinse": "2026-01-01"})
    assert answer.json()["errors"] == [
        {"field": "sinse", "message": "There is no such parameter. Did you mean 'since'?"}
    ]


async def test_the_quota_is_told(tenant: TestTenant) -> None:
    start = {"since": "1970-01-01T00:00:00Z"}
    answer = await tenant.user.get("/documents/sync", params=start)
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"member";q=3000;w=60'
    assert answer.headers["ratelimit"].startswith('"member";r=2999;t=')


async def test_readiness_names_each_dependency(service_url: str) -> None:
    async with _client(service_url) as client:
        answer = await client.get("/readyz")
    assert answer.json()["data"] == {
        "status": "ready",
        "checks": {"database": "up", "storage": "up", "redis": "up"},
    }


async def test_metrics_count_by_template_and_never_by_tenant(
    service_url: str, tenant: TestTenant
) -> None:
    await tenant.user.get("/documents/sync", params={"since": "1970-01-01T00:00:00Z"})
    async with _client(service_url) as client:
        await client.get(f"/nowhere/{tenant.id}")
        await client.request("PROPFIND", "/livez")
        text = (await client.get("/metrics")).text
    path = "/api/tenants/{tenant_id}/documents/sync"
    assert f'http_requests_total{{handler="{path}",method="GET",status="2xx"}}' in text
    assert 'http_requests_total{handler="none",method="GET",status="4xx"}' in text
    assert 'method="other"' in text
    assert "PROPFIND" not in text
    assert str(tenant.id) not in text
    assert str(tenant.members[Role.USER]) not in text
    assert "process_resident_memory_bytes" in text
