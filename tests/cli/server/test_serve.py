"""``syncapi serve`` as a process: several workers, a quick end, clear failures, discreet logs."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from fixtures.process import ServiceProcess, environment_of, service_process
from fixtures.service import TestTenant
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings


def _get(url: str, path: str) -> httpx.Response:
    return httpx.get(url + path, timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with service_process(environment, tmp_path) as service:
        ready = _get(service.url, "/readyz")
        assert ready.json()["data"]["status"] == "ready"
        assert "server" not in ready.headers
        _stop(service, number)


def test_several_workers_share_a_port_and_their_metrics(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with service_process(environment, tmp_path, "--workers", "2") as service:
        for _ in range(20):  # each by a connection of its own, so by either worker
            assert _get(service.url, "/livez").status_code == 200
        text = _get(service.url, "/metrics").text
        _stop(service, signal.SIGTERM)
    assert 'http_requests_total{handler="/livez",method="GET",status="2xx"} 20.0' in text


def _stop(service: ServiceProcess, number: signal.Signals) -> None:
    service.process.send_signal(number)
    assert service.process.wait(30) in {0, -number}
    with pytest.raises(httpx.ConnectError):
        _get(service.url, "/livez")
    assert not [line for line in service.lines() if line["level"] in {"warning", "error"}]


def test_a_taken_port_is_a_clear_message(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "syncapi", "serve", "--port", port]
        ended = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_starts_while_everything_is_down(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nothing = f"127.0.0.1:{listener.getsockname()[1]}"
    down = environment_of(
        settings,
        database_url=f"postgresql://u:p@{nothing}/none",
        redis_url=f"redis://{nothing}/0",
        s3_endpoint_url=f"http://{nothing}",
    )
    with service_process(down, tmp_path) as service:
        assert _get(service.url, "/livez").status_code == 200
        answer = _get(service.url, "/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert {error["field"] for error in answer.json()["errors"]} == {
        "database",
        "storage",
        "redis",
    }


def test_redis_is_something_to_do_without(settings: Settings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nothing = f"127.0.0.1:{listener.getsockname()[1]}"
    with service_process(environment_of(settings, redis_url=f"redis://{nothing}"), tmp_path) as s:
        answer = _get(s.url, "/readyz")
    assert answer.status_code == 200
    assert answer.json()["data"] == {
        "status": "degraded",
        "checks": {"database": "up", "storage": "up", "redis": "down"},
    }


async def test_the_logs_of_a_day_tell_no_secret(
    settings: Settings, environment: dict[str, str], tenant: TestTenant, tmp_path: Path
) -> None:
    """Upload, read, pull, sign and fail; then look for everything that was secret in it."""
    token, name = tenant.tokens[Role.ADMIN], f"private-{uuid4().hex}.txt"
    with service_process(environment, tmp_path) as service:
        base = f"{service.url}/api/tenants/{tenant.id}"
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
            made = await client.post("/documents", files={"file": (name, b"hello")})
            assert made.status_code == 201
            path = f"/documents/{made.json()['data']['document']['id']}"
            signed = (await client.get(f"{path}/download-url")).json()["data"]["download_url"]
            page = await client.get("/documents/sync", params={"since": "1970-01-01T00:00:00Z"})
            cursor = page.json()["data"]["sync_token"]
            await client.get("/documents/sync", params={"cursor": cursor})
            await client.get("/documents", params={"filename": name})
            await client.get("/documents", params={"filename": name, "nonsense": name})
            await client.patch(path, json={"filename": name + "\0"})
            await client.get(f"/{name}")
            await client.get("/documents", headers={"Authorization": f"Bearer {token}x"})
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)
    log = service.log.read_text()
    requests = [line for line in service.lines() if line["event"] == "request"]
    assert len(requests) == 9
    assert all(line["request_id"] and line["duration_ms"] > 0 for line in requests)
    members = [line for line in requests if line["tenant_id"] == str(tenant.id)]
    assert {line["user_id"] for line in members} == {str(tenant.members[Role.ADMIN])}
    assert settings.jwt_secret is not None
    secrets = [
        token,
        token.split(".")[2],
        name,
        cursor,
        "X-Amz",
        signed.rpartition("=")[2],
        settings.jwt_secret.get_secret_value(),
        settings.cursor_key.get_secret_value(),
        settings.s3_secret_access_key.get_secret_value(),
        settings.database_url.get_secret_value(),
    ]
    assert [secret for secret in secrets if secret in log] == []
