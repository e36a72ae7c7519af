"""URLs to download with."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fixtures.service import TestTenant
from fixtures.uploads import Json, assert_problem, upload


async def url_of(tenant: TestTenant, document: Json, **query: int) -> Json:
    answer = await tenant.viewer.get(f"/documents/{document['id']}/download-url", params=query)
    assert answer.status_code == 200, answer.text
    data: Json = answer.json()["data"]
    return data


@pytest.mark.parametrize("name", ["plain.txt", 'quote"back%41.txt', "ü 文件 😀.html", "a;b=c.txt"])
async def test_the_url_saves_the_bytes_under_their_name(tenant: TestTenant, name: str) -> None:
    document = await upload(
        tenant.user, b"<script>", fields={"filename": name, "mime_type": "text/html"}
    )
    data = await url_of(tenant, document)
    async with httpx.AsyncClient() as s3:
        answer = await s3.get(data["download_url"])
    assert answer.content == b"<script>"
    assert answer.headers["Content-Type"] == "text/html"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; ")
    extended = httpx.QueryParams("n=" + disposition.rpartition("UTF-8''")[2])["n"]
    assert extended == name
    assert {key: data[key] for key in ("md5_hash", "sha256_hash", "file_size")} == {
        key: document["file"][key] for key in ("md5_hash", "sha256_hash", "file_size")
    }


@pytest.mark.parametrize("seconds", [60, 3600, 86_400])
async def test_the_url_says_when_it_ends(tenant: TestTenant, seconds: int) -> None:
    document = await upload(tenant.user)
    before = datetime.now(UTC).replace(microsecond=0)
    data = await url_of(tenant, document, expires_in=seconds)
    expires_at = datetime.fromisoformat(data["expires_at"])
    lifetime = timedelta(seconds=seconds)
    assert before + lifetime <= expires_at <= datetime.now(UTC) + lifetime
    query = parse_qs(urlsplit(data["download_url"]).query)
    signed_at = datetime.strptime(query["X-Amz-Date"][0] + "+0000", "%Y%m%dT%H%M%SZ%z")
    assert signed_at + timedelta(seconds=int(query["X-Amz-Expires"][0])) == expires_at


@pytest.mark.parametrize("seconds", ["59", "86401", "x", "-1"])
async def test_an_end_out_of_bounds_is_refused(tenant: TestTenant, seconds: str) -> None:
    document = await upload(tenant.user)
    answer = await tenant.viewer.get(
        f"/documents/{document['id']}/download-url", params={"expires_in": seconds}
    )
    assert_problem(answer, 400, "invalid_request", "expires_in")
