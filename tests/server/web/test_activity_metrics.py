"""The work of the use cases in ``/metrics``: read before and after."""

from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fixtures.faulty_s3 import Break, Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.pushing import create, push, send, update
from fixtures.sending import Content, complete, content_of, declare, pending
from fixtures.sending import send as send_parts
from fixtures.uploads import upload
from syncapi.server.redis.page_positions import FIRST_DRAWN

Samples = dict[str, float]


async def scrape(client: httpx.AsyncClient) -> Samples:
    """Our samples, as ``name{label values}``, in the order of the labels' names."""
    answer = await client.get(str(client.base_url.copy_with(path="/metrics")))
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("syncapi_") and not sample.name.endswith(("_created", "_bucket"))
    }


class Difference:
    """What has been counted since."""

    def __init__(self, client: httpx.AsyncClient, before: Samples) -> None:
        self._client = client
        self._before = before

    async def __call__(self, *prefixes: str) -> Samples:
        after = await scrape(self._client)
        return {
            name.removeprefix("syncapi_"): value - self._before.get(name, 0)
            for name, value in after.items()
            if value != self._before.get(name, 0)
            and name.removeprefix("syncapi_").startswith(prefixes)
        }


@pytest.fixture
async def counted(ground: Ground) -> Difference:
    return Difference(ground.client, await scrape(ground.client))


async def post(ground: Ground, part: str) -> int:
    """The status of a form with one part."""
    return (await ground.client.post("/documents", files={part: ("a", b"x")})).status_code


async def test_uploads_by_form(ground: Ground, counted: Difference) -> None:
    await upload(ground.client, b"12345")
    ground.s3.rule(Refuse(), "^PUT ")
    assert await post(ground, "file") == 503
    await ground.s3.mend()
    assert await post(ground, "wrong") == 400
    assert await counted("upload") == {
        "uploads_begun_total{form}": 3,
        "uploads_completed_total{form}": 1,
        "uploads_failed_total{unavailable,form}": 1,
        "uploads_failed_total{invalid_request,form}": 1,
        "upload_bytes_total{form}": 5,
    }


async def test_uploads_straight_to_s3(ground: Ground, counted: Difference) -> None:
    """What is repeated is counted once."""
    content = Content(8 * MIB, uuid4().hex)
    state = await declare(ground.client, content.declaration())
    await declare(ground.client, content.declaration())
    assert (await complete(ground.client, state.id)).status_code == 409
    invitation = pending(state)
    await send_parts(invitation, invitation.parts, content.slice)
    for _ in range(2):
        assert (await complete(ground.client, state.id)).status_code == 200
    await declare(ground.client, content_of(b"begun and left"))
    assert await counted("upload") == {
        "uploads_begun_total{direct}": 2,
        "uploads_completed_total{direct}": 1,
        "uploads_failed_total{upload_incomplete,direct}": 1,
        "upload_bytes_total{direct}": 8 * MIB,
    }


async def test_archives(
    ground: Ground, counted: Difference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncapi.server.usecases.archives.prefetch._PATIENCE", 0.0)
    made = await upload(ground.client, b"a" * 12 * MIB)
    body = {"document_ids": [made["id"]], "format": "tar"}
    whole = await ground.client.post("/documents/batch-download", json=body)
    ground.s3.rule(Refuse(), "^GET ", times=3)
    refused = await ground.client.post("/documents/batch-download", json=body)
    assert (whole.status_code, refused.status_code) == (200, 503)
    ground.s3.rule(Break("reset", after=9 * MIB), "^GET ")
    with pytest.raises(httpx.RemoteProtocolError):
        await ground.client.post("/documents/batch-download", json={**body, "format": "zip"})
    found = await counted("archive")
    assert found["archives_total{tar,complete}"] == 1
    assert found["archives_total{tar,refused}"] == 1
    assert found["archives_total{zip,cut}"] == 1
    assert found["archive_bytes_total{tar}"] == len(whole.content)
    assert 8 * MIB < found["archive_bytes_total{zip}"] < 12 * MIB
    assert found["archive_duration_seconds_count{tar}"] == 2
    assert found["archive_duration_seconds_count{zip}"] == 1


async def test_pushes(ground: Ground, counted: Difference) -> None:
    file_id = UUID((await upload(ground.client))["file"]["id"])
    changes = [create(file_id) for _ in range(3)]
    (first, *_) = await push(ground.client, *changes)
    await push(ground.client, *changes)
    stale = update(first.id, "2001-01-01T00:00:00.000000Z", filename="b.txt")
    await push(ground.client, stale, create(uuid4()))
    refused = await send(ground.client, changes[0], changes[0])
    assert refused.status_code == 400
    assert await counted("push", "pushes") == {
        "pushed_changes_total{applied}": 3,
        "pushed_changes_total{unchanged}": 3,
        "pushed_changes_total{conflict}": 1,
        "pushed_changes_total{rejected}": 1,
        "push_group_pushes_count{}": 3,
        "push_group_pushes_sum{}": 3,
        "push_group_changes_count{}": 3,
        "push_group_changes_sum{}": 8,
    }


async def test_pulls(ground: Ground, counted: Difference) -> None:
    async def pull(etag: str = "", **query: str | int) -> httpx.Response:
        headers = {"If-None-Match": etag} if etag else {}
        return await ground.client.get("/documents/sync", params=query, headers=headers)

    await upload(ground.client)
    everything = await pull(since="1970-01-01T00:00:00Z")
    cursor = everything.json()["data"]["sync_token"]
    etag = (await pull(cursor=cursor)).headers["ETag"]
    assert (await pull(cursor=cursor, etag=etag)).status_code == 304
    assert (await pull(since="1970-01-01T00:00:00Z", page=FIRST_DRAWN)).status_code == 410
    assert await counted("idle", "pages", "rows", "cursors") == {
        "idle_polls_total{}": 1,
        "pages_total{}": 2,
        "rows_total{added}": 1,
        "cursors_expired_total{}": 1,
    }


async def test_no_label_names_a_tenant_or_a_user(ground: Ground) -> None:
    await upload(ground.client)
    answer = await ground.client.get(str(ground.client.base_url.copy_with(path="/metrics")))
    assert str(ground.tenant.id) not in answer.text
    for user_id in ground.tenant.members.values():
        assert str(user_id) not in answer.text
