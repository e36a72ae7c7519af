"""A request that failed leaves its ``Idempotency-Key`` free, whatever it failed of (G18)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from fixtures.faulty_s3 import Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.pulling import problem_of
from fixtures.sending import content_of, sent, state_of
from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.uploads import document_of, upload
from syncapi.server.main import create_app
from syncapi.server.settings import Settings

KEY = {"Idempotency-Key": "key"}

Spoil = Callable[[dict[str, object]], dict[str, object]]


async def declare(client: httpx.AsyncClient, declaration: dict[str, object]) -> httpx.Response:
    return await client.post("/files", json=declaration, headers=KEY)


SPOILS: dict[str, tuple[Spoil, int, str]] = {
    "another size": (lambda right: {**right, "file_size": 1}, 400, "invalid_request"),
    "too large": (lambda right: {**right, "file_size": 60 * 1024**3}, 413, "too_large"),
    "no media type": (lambda right: {**right, "mime_type": "text"}, 400, "invalid_request"),
    "no hash": (lambda right: {**right, "sha256_hash": "x"}, 400, "invalid_request"),
}


@pytest.mark.parametrize("what", SPOILS)
async def test_a_declaration_that_is_refused(tenant: TestTenant, what: str) -> None:
    text = uuid4().bytes
    file = await sent(tenant.user, text)
    right = content_of(text)
    spoil, status, code = SPOILS[what]
    problem_of(await declare(tenant.user, spoil(right)), status, code)
    assert state_of(await declare(tenant.user, right)).id == file
    problem_of(await declare(tenant.user, content_of(b"x")), 409, "idempotency_key_reused")


async def test_a_declaration_that_s3_fails(ground: Ground) -> None:
    """The upload in parts cannot be begun; what is declared then is another file."""
    large = {**content_of(uuid4().bytes), "file_size": 6 * MIB}
    ground.s3.rule(Refuse(), "^POST ")
    problem_of(await declare(ground.client, large), 503, "unavailable")
    await ground.s3.mend()
    other = content_of(uuid4().bytes)
    assert state_of(await declare(ground.client, other)).status == "pending"
    problem_of(await declare(ground.client, large), 409, "idempotency_key_reused")


async def test_of_two_declarations_with_one_key_one_is_carried_out(tenant: TestTenant) -> None:
    answers = await asyncio.gather(
        *(declare(tenant.user, content_of(uuid4().bytes)) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_an_upload_that_fails(ground: Ground) -> None:
    async def post(content: bytes, name: str = "a.txt") -> httpx.Response:
        return await ground.client.post("/documents", files={"file": (name, content)}, headers=KEY)

    ground.s3.rule(Refuse(), "^PUT ")
    problem_of(await post(b"S3 is down"), 503, "unavailable")
    await ground.s3.mend()
    problem_of(await post(b"a bad name", ".."), 400, "invalid_request")
    sha256 = hashlib.sha256(b"right").hexdigest()
    assert document_of(await post(b"right"))["file"]["sha256_hash"] == sha256


async def test_an_upload_that_is_too_large_or_of_a_type_not_taken(
    settings: Settings, tenant: TestTenant
) -> None:
    changes = {"upload_max_bytes": 10, "upload_allowed_types": ("text/plain",)}
    with serving(create_app(settings.model_copy(update=changes))) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        for name, content, status, code in (
            ("a.txt", b"more than ten bytes", 413, "too_large"),
            ("a.png", b"1", 415, "unsupported_type"),
        ):
            refused = await tenant.user.post(
                "/documents", files={"file": (name, content)}, headers=KEY
            )
            problem_of(refused, status, code)
        right = await tenant.user.post("/documents", files={"file": ("a.txt", b"1")}, headers=KEY)
        assert right.status_code == 201


async def test_a_restore_that_is_refused(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    path = f"/documents/{document['id']}"
    await tenant.user.patch(path, json={"filename": "b.txt"})

    async def restore(updated_at: str, at: str = path, **headers: str) -> httpx.Response:
        body = {"updated_at": updated_at}
        return await tenant.user.post(f"{at}/restore", json=body, headers={**KEY, **headers})

    version, never = document["updated_at"], "2001-01-01T00:00:00Z"
    refusals: list[tuple[Awaitable[httpx.Response], int, str]] = [
        (restore(never), 404, "not_found"),
        (restore(version, f"/documents/{uuid4()}"), 404, "not_found"),
        (restore(version, **{"If-Match": 'W/"1"'}), 412, "precondition_failed"),
        (restore("yesterday"), 400, "invalid_request"),
    ]
    for refused, status, code in refusals:
        problem_of(await refused, status, code)
    assert document_of(await restore(version))["filename"] == "a.txt"
