"""Swagger UI asks nobody else; browsers elsewhere may call only where the settings say so."""

import base64
import hashlib
import re

import httpx
import pytest

from syncapi.server.web.app import Application, WebOptions, build_app


def _client(app: Application, root_path: str = "") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
async def test_everything_on_the_page_is_ours(root_path: str) -> None:
    async with _client(build_app(), root_path) as client:
        page = await client.get(root_path + "/docs")
        links = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
        paths = [one or other for one, other in links]
        assert len(paths) == 4
        assert all(path.startswith(f"{root_path}/") for path in paths)
        for path in paths:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.content
        policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    script = page.text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert '"persistAuthorization": true' in page.text
    assert '"validatorUrl": null' in page.text


async def test_assets_are_kept_and_typed() -> None:
    async with _client(build_app()) as client:
        script = await client.get("/docs/swagger-ui-bundle.js")
        missing = await client.get("/docs/__init__.py")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "public, max-age=86400"
    assert missing.status_code == 404


async def test_the_description_is_served_with_this_service_as_its_server() -> None:
    async with _client(build_app(), "/behind") as client:
        document = (await client.get("/behind/openapi.json")).json()
    assert [server["url"] for server in document["servers"]] == ["/behind"]


async def test_other_origins_are_let_in_by_setting_only() -> None:
    headers = {"Origin": "https://app.example.org"}
    async with _client(build_app()) as client:
        answer = await client.get("/livez", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
    options = WebOptions(cors_origins=("https://app.example.org",))
    async with _client(build_app(options)) as client:
        answer = await client.get("/livez", headers=headers)
        problem = await client.get("/nowhere", headers=headers)
        other = await client.get("/livez", headers={"Origin": "https://evil.example.org"})
        asked = await client.options(
            "/livez",
            headers={
                **headers,
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization, if-match",
            },
        )
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert problem.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "access-control-allow-origin" not in other.headers
    assert asked.status_code == 200
    assert "PATCH" in asked.headers["access-control-allow-methods"]
