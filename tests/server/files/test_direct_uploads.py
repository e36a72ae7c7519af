"""Uploads that go straight to S3: declared, sent, completed, and what can come between."""

import hashlib
from collections.abc import Iterator
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.pulling import problem_of
from fixtures.pushing import create, push_one
from fixtures.sending import (
    Content,
    complete,
    content_of,
    declare,
    follow,
    pending,
    put,
    send,
    sent,
    state_of,
)
from fixtures.server import serving
from fixtures.service import MakeTenant, TestTenant
from fixtures.until import until
from fixtures.uploads import upload
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore

MIB = 1024**2


@pytest.fixture(scope="module")
def parted_url(settings: Settings) -> Iterator[str]:
    """A service that takes files of more than a mebibyte in parts of five."""
    small = {"direct_upload_single_bytes": MIB, "direct_upload_part_bytes": 5 * MIB}
    with serving(create_app(settings.model_copy(update=small))) as url:
        yield url


@pytest.fixture
async def parted(parted_url: str, tenant: TestTenant) -> httpx.AsyncClient:
    """The user's client at that service."""
    tenant.user.base_url = httpx.URL(f"{parted_url}/api/tenants/{tenant.id}")
    return tenant.user


async def keys(store: ObjectStore, tenant: TestTenant) -> set[str]:
    answer = await store._call("list_objects_v2", Prefix=f"{tenant.id}/")
    return {entry["Key"] for entry in answer.get("Contents", [])}


async def multiparts(store: ObjectStore, tenant: TestTenant) -> int:
    answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
    return len(answer.get("Uploads", []))


async def test_a_small_file_is_one_put(tenant: TestTenant) -> None:
    text = b"straight to the store"
    state = await declare(tenant.user, content_of(text, "text/x-note"))
    invitation = pending(state)
    assert (invitation.kind, invitation.part_count, invitation.received) == ("single", 1, [])
    assert set(invitation.headers) == {"content-type", "content-md5", "x-amz-checksum-sha256"}
    await send(invitation, invitation.parts, lambda *_: text)
    assert pending(await follow(tenant.user, state.id)).parts == []

    done = state_of(await complete(tenant.user, state.id))
    assert done.status == "complete"
    assert done.file is not None
    assert done.file.sha256_hash == hashlib.sha256(text).hexdigest()
    assert done.file.file_size == len(text)
    assert state_of(await complete(tenant.user, state.id)) == done
    assert await follow(tenant.user, state.id) == done
    assert await declare(tenant.user, content_of(text)) == done

    made = await push_one(tenant.user, create(done.file.id))
    assert made.status == "applied"
    url = (await tenant.user.get(f"/documents/{made.id}/download-url")).json()["data"]
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(url["download_url"])).content == text


async def test_an_empty_file(tenant: TestTenant) -> None:
    file_id = await sent(tenant.user, b"")
    assert (await push_one(tenant.user, create(file_id))).status == "applied"


async def test_no_other_bytes_and_headers_are_taken(tenant: TestTenant) -> None:
    text = b"the declared bytes"
    invitation = pending(await declare(tenant.user, content_of(text)))
    (part,) = invitation.parts
    assert (await put(invitation, part, b"some other bytes!!")).status_code == 400
    bare = invitation.model_copy(update={"headers": {}})
    assert (await put(bare, part, text)).status_code == 403
    assert (await put(invitation, part, text)).status_code == 200


async def test_bytes_that_are_known_need_not_be_sent(tenant: TestTenant) -> None:
    document = await upload(tenant.user, b"uploaded by a form")
    state = await declare(tenant.user, content_of(b"uploaded by a form"))
    assert state.status == "complete"
    assert str(state.id) == document["file"]["id"]
    assert await follow(tenant.user, state.id) == state
    assert state_of(await complete(tenant.user, state.id)) == state


async def test_a_declaration_that_contradicts_the_file_is_refused(tenant: TestTenant) -> None:
    await upload(tenant.user, b"uploaded by a form")
    wrong = {**content_of(b"uploaded by a form"), "file_size": 3}
    problem = problem_of(await tenant.user.post("/files", json=wrong), 400, "invalid_request")
    assert [error.field for error in problem.errors] == ["body.file_size"]


async def test_a_declaration_of_another_md5_than_the_file_has(tenant: TestTenant) -> None:
    """The row may be wrong, so the bytes decide: here they are not of the declared MD5."""
    text = b"uploaded by a form"
    document = await upload(tenant.user, text)
    state = await declare(tenant.user, {**content_of(text), "md5_hash": "0" * 32})
    (part,) = pending(state).parts
    assert (await put(pending(state), part, text)).status_code == 400
    problem_of(await complete(tenant.user, state.id), 409, "upload_incomplete")
    right = await declare(tenant.user, content_of(text))
    assert right.file is not None
    assert right.file.model_dump(mode="json") == document["file"]


async def test_a_large_file_is_sent_in_parts(
    parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    content = Content(12 * MIB + 5, uuid4().hex)
    state = await declare(parted, content.declaration())
    invitation = pending(state)
    assert (invitation.kind, invitation.part_size) == ("multipart", 5 * MIB)
    assert [(part.number, part.offset, part.size) for part in invitation.parts] == [
        (1, 0, 5 * MIB),
        (2, 5 * MIB, 5 * MIB),
        (3, 10 * MIB, 2 * MIB + 5),
    ]
    await send(invitation, reversed(invitation.parts), content.slice)
    done = state_of(await complete(parted, state.id))
    assert done.file is not None
    assert (done.id, done.file.file_size) == (state.id, content.size)
    assert await multiparts(store, tenant) == 0
    (key,) = await keys(store, tenant)
    assert key.startswith(f"{tenant.id}/")
    refused = await put(invitation, invitation.parts[0], bytes(5 * MIB))
    assert refused.status_code == 404, "the URLs of parts end with their upload"


async def test_an_interrupted_upload_goes_on(parted: httpx.AsyncClient) -> None:
    content = Content(22 * MIB, uuid4().hex)
    declaration = content.declaration()
    state = await declare(parted, declaration)
    invitation = pending(state)
    await send(invitation, [invitation.parts[1], invitation.parts[3]], content.slice)

    again = await declare(parted, declaration)  # a client that lost its memory
    assert again.id == state.id
    assert [part.number for part in pending(again).parts] == [1, 3, 5]
    assert [(run.first, run.last) for run in pending(again).received] == [(2, 2), (4, 4)]

    first = pending(await follow(parted, state.id, per_page=2))
    assert [part.number for part in first.parts] == [1, 3]
    assert first.next_after == 3
    last = pending(await follow(parted, state.id, after=3, per_page=2))
    assert ([part.number for part in last.parts], last.next_after) == ([5], None)

    refused = problem_of(await complete(parted, state.id), 409, "upload_incomplete")
    assert [error.field for error in refused.errors] == ["parts.1", "parts.3", "parts.5"]
    await send(first, [*first.parts, *last.parts], content.slice)
    assert state_of(await complete(parted, state.id)).status == "complete"


async def test_a_part_of_another_length_is_named_and_sent_again(
    parted: httpx.AsyncClient,
) -> None:
    content = Content(6 * MIB, uuid4().hex)
    state = await declare(parted, content.declaration())
    invitation = pending(state)
    await send(invitation, invitation.parts, lambda offset, size: content.slice(offset, size)[1:])
    refused = problem_of(await complete(parted, state.id), 409, "upload_incomplete")
    assert [error.field for error in refused.errors] == ["parts.1", "parts.2"]
    assert "not 5242880" in refused.errors[0].message

    while upload_again := pending(await follow(parted, state.id)).parts:
        await send(invitation, upload_again, content.slice)
    assert state_of(await complete(parted, state.id)).status == "complete"


async def test_nothing_sent_is_incomplete(tenant: TestTenant) -> None:
    state = await declare(tenant.user, content_of(uuid4().bytes))
    problem_of(await complete(tenant.user, state.id), 409, "upload_incomplete")
    assert (await follow(tenant.user, state.id)).status == "pending"


async def test_wrong_bytes_are_deleted_and_named(
    parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    content = Content(6 * MIB, uuid4().hex)
    declaration = content.declaration()
    state = await declare(parted, declaration)
    invitation = pending(state)
    await send(invitation, invitation.parts, Content(6 * MIB, "another").slice)
    refused = problem_of(await complete(parted, state.id), 409, "content_mismatch")
    assert [error.field for error in refused.errors] == ["sha256_hash", "md5_hash"]
    assert declaration["sha256_hash"] in refused.errors[0].message
    assert await keys(store, tenant) == set()
    problem_of(await complete(parted, state.id), 404, "not_found")
    problem_of(await parted.get(f"/files/{state.id}"), 404, "not_found")
    assert (await declare(parted, declaration)).id != state.id


async def test_a_wrong_hash_in_the_declaration_is_found_out(
    tenant: TestTenant, store: ObjectStore, settings: Settings
) -> None:
    """The SHA-256 alone is wrong, of a file in one part, at a store without checksums."""
    text = b"honest bytes"
    lie = {**content_of(text), "sha256_hash": hashlib.sha256(b"others").hexdigest()}
    plain = settings.model_copy(update={"s3_checksums": False})
    with serving(create_app(plain)) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        state = await declare(tenant.user, lie)
        invitation = pending(state)
        assert (invitation.kind, invitation.headers) == ("multipart", {})
        await send(invitation, invitation.parts, lambda *_: text)
        refused = problem_of(await complete(tenant.user, state.id), 409, "content_mismatch")
        assert [error.field for error in refused.errors] == ["sha256_hash"]
        truth = await sent(tenant.user, text)
        assert (await declare(tenant.user, content_of(text))).id == truth
    assert len(await keys(store, tenant)) == 1


async def test_a_wrong_declaration_hinders_no_right_one(tenant: TestTenant) -> None:
    text = uuid4().bytes
    wrong = await declare(tenant.user, {**content_of(text), "file_size": 5})
    right = await declare(tenant.admin, content_of(text))
    assert wrong.id != right.id
    invitation = pending(right)
    await send(invitation, invitation.parts, lambda *_: text)
    assert state_of(await complete(tenant.admin, right.id)).status == "complete"


async def test_no_document_refers_to_a_pending_file(tenant: TestTenant) -> None:
    document = await upload(tenant.user)
    state = await declare(tenant.user, content_of(uuid4().bytes))
    pushed = await push_one(tenant.user, create(state.id))
    assert pushed.problem is not None
    assert pushed.problem.code == "invalid_file"
    patched = await tenant.user.patch(
        f"/documents/{document['id']}", json={"file_id": str(state.id)}
    )
    problem_of(patched, 400, "invalid_request")


async def test_expired_urls_are_signed_anew(tenant: TestTenant, settings: Settings) -> None:
    text = uuid4().bytes
    with serving(create_app(settings.model_copy(update={"upload_url_seconds": 1}))) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        state = await declare(tenant.user, content_of(text))
        stale = pending(state)

        async def is_expired() -> bool:
            return (await put(stale, stale.parts[0], text)).status_code == 403

        await until(is_expired)
    with serving(create_app(settings)) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        fresh = pending(await follow(tenant.user, state.id))
        assert fresh.expires_at > stale.expires_at
        await send(fresh, fresh.parts, lambda *_: text)
        assert state_of(await complete(tenant.user, state.id)).status == "complete"


async def test_an_upload_that_s3_gave_up_is_begun_anew(
    parted: httpx.AsyncClient, tenant: TestTenant, store: ObjectStore
) -> None:
    """As a life-cycle rule of the bucket does."""
    content = Content(6 * MIB, uuid4().hex)

    async def given_up() -> UUID:
        state = await declare(parted, content.declaration())
        answer = await store._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
        for entry in answer["Uploads"]:
            await store.multipart.abort(entry["Key"], entry["UploadId"])
        return state.id

    first = await given_up()
    second = await given_up()
    assert first != second
    problem_of(await complete(parted, second), 404, "not_found")
    third = await given_up()
    problem_of(await parted.get(f"/files/{third}"), 404, "not_found")
    problem_of(await parted.get(f"/files/{third}"), 404, "not_found")


async def test_what_cannot_be_taken_is_refused(tenant: TestTenant, settings: Settings) -> None:
    strict = {"direct_upload_max_bytes": 10, "upload_allowed_types": ("image/*",)}
    with serving(create_app(settings.model_copy(update=strict))) as url:
        tenant.user.base_url = httpx.URL(f"{url}/api/tenants/{tenant.id}")
        big = await tenant.user.post("/files", json=content_of(b"12345678901", "image/png"))
        assert [error.field for error in problem_of(big, 413, "too_large").errors] == [
            "body.file_size"
        ]
        text = await tenant.user.post("/files", json=content_of(b"1", "text/plain"))
        problem_of(text, 415, "unsupported_type")
        state = await declare(tenant.user, content_of(b"1234567890", "image/png"))
        assert state.status == "pending"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sha256_hash": "A" * 64}, "body.sha256_hash"),
        ({"md5_hash": "0" * 31}, "body.md5_hash"),
        ({"file_size": -1}, "body.file_size"),
        ({"file_size": 6 * 1024**4}, "body.file_size"),
        ({"mime_type": "nothing"}, "body.mime_type"),
        ({"name": "a.txt"}, "body.name"),
    ],
)
async def test_wrong_fields_are_named(
    tenant: TestTenant, change: dict[str, object], field: str
) -> None:
    answer = await tenant.user.post("/files", json={**content_of(b"1"), **change})
    problem = problem_of(answer, 400, "invalid_request")
    assert [error.field for error in problem.errors] == [field]


async def test_a_viewer_uploads_nothing(tenant: TestTenant) -> None:
    state = await declare(tenant.user, content_of(uuid4().bytes))
    for answer in (
        await tenant.viewer.post("/files", json=content_of(b"1")),
        await tenant.viewer.get(f"/files/{state.id}"),
        await complete(tenant.viewer, state.id),
    ):
        problem_of(answer, 403, "forbidden")


async def test_uploads_and_bytes_are_their_tenants_alone(
    tenant: TestTenant, make_tenant: MakeTenant
) -> None:
    other = await make_tenant()
    text = uuid4().bytes
    file_id = await sent(tenant.user, text)
    state = await declare(other.user, content_of(text))
    assert state.status == "pending", "the same bytes are not shared"
    for stranger, known in ((other, file_id), (tenant, state.id)):
        problem_of(await stranger.admin.get(f"/files/{known}"), 404, "not_found")
        problem_of(await complete(stranger.admin, known), 404, "not_found")
    assert (await push_one(other.user, create(file_id))).status == "rejected"
