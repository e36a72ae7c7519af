"""Uploads straight to the real object store, and all that can come between."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import httpx
import pytest
from typing_extensions import override

from fixtures.client_faults import (
    Fault,
    FaultyTransport,
    PassOn,
    Seen,
    WatchedRetries,
    all_together,
    answer_lost,
    answered,
    not_connected,
)
from fixtures.client_service import MakeClient
from fixtures.flaky import FlakyRelay
from fixtures.server import serving
from fixtures.service import TestTenant
from syncapi.client import (
    BytesContent,
    Client,
    Content,
    FileContent,
    Forbidden,
    SourceChanged,
    TooLarge,
    TransferError,
    Unreachable,
    Uploader,
    digest_of,
)
from syncapi.client.transfer import uploads
from syncapi.client.transfer.contents import BLOCK
from syncapi.protocol.content import Digest
from syncapi.protocol.documents import DocumentChanges, FileInfo
from syncapi.protocol.files import FileDeclaration, FileState
from syncapi.server.domain.access import Role
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.storage.signing import UrlSigner

PART = 5 * BLOCK
SIZE = 2 * PART + 12_345
PARTED = {"direct_upload_single_bytes": BLOCK, "direct_upload_part_bytes": PART}


class Ground:
    """An uploader whose requests are broken.

    Attributes:
        service: the requests to the service; `store` those to the object store.
        told: what the uploader told of its progress.
    """

    def __init__(self, client: Client, service: FaultyTransport, store: FaultyTransport) -> None:
        self.client = client
        self.service = service
        self.store = store
        self.told: list[int] = []

    async def send(
        self, content: Content, digest: Digest | None = None, *, parallel: int = 4
    ) -> FileInfo:
        def tell(_digest: Digest, size: int) -> None:
            self.told.append(size)

        uploader = Uploader(self.client, parallel=parallel, on_bytes=tell)
        return await uploader.send(content, digest or digest_of(content), "application/x-test")

    @property
    def parts(self) -> list[int]:
        """The parts that were sent, in order; 0 for a whole file."""
        return [_part(seen) for seen in self.store.seen]

    async def back(self, file: FileInfo) -> bytes:
        """The bytes that the file has."""
        document = await self.client.upload_document(b"old", "a.bin")
        await self.client.change_document(document.id, DocumentChanges(file_id=file.id))
        url = (await self.client.download_url(document.id)).download_url
        async with httpx.AsyncClient() as stranger:
            return (await stranger.get(url)).content


def _part(seen: Seen) -> int:
    return int(seen.url.params.get("partNumber", 0))


def part(number: int) -> Callable[[httpx.Request], bool]:
    return lambda request: request.url.params.get("partNumber") == str(number)


def path_ends(with_: str) -> Callable[[httpx.Request], bool]:
    return lambda request: request.url.path.endswith(with_)


@pytest.fixture(scope="module")
def parted_url(settings: Settings) -> Iterator[str]:
    """A service that takes files of more than a mebibyte in parts of five."""
    with serving(create_app(settings.model_copy(update=PARTED))) as url:
        yield url


MakeGround = Callable[..., Ground]


@pytest.fixture
def make_ground(make_client: MakeClient, tenant: TestTenant, parted_url: str) -> MakeGround:
    def make(role: Role = Role.USER, url: str | None = None) -> Ground:
        service, store = FaultyTransport(), FaultyTransport()
        client = make_client(
            tenant,
            role,
            url or parted_url,
            transport=service,
            storage_transport=store,
            retry=WatchedRetries(),
        )
        return Ground(client, service, store)

    return make


@pytest.fixture
def ground(make_ground: MakeGround) -> Ground:
    return make_ground()


@pytest.fixture
def small() -> BytesContent:
    return BytesContent(os.urandom(1000))


@pytest.fixture
def large() -> BytesContent:
    return BytesContent(os.urandom(SIZE))


@pytest.mark.parametrize("md5", ["0" * 32, "A" * 32, "X"])
async def test_an_md5_that_a_server_told_is_no_condition(
    ground: Ground, small: BytesContent, md5: str
) -> None:
    right = digest_of(small)
    file = await ground.send(small, replace(right, md5_hash=md5))
    assert Digest(file.md5_hash, file.sha256_hash, file.file_size) == right


async def test_a_small_file_is_one_request(ground: Ground, small: BytesContent) -> None:
    file = await ground.send(small)
    assert Digest(file.md5_hash, file.sha256_hash, file.file_size) == digest_of(small)
    assert ground.parts == [0]
    assert sum(ground.told) == 1000
    headers = ground.store.seen[0].headers
    assert "authorization" not in headers
    assert "transfer-encoding" not in headers
    assert headers["content-length"] == "1000"
    assert await ground.back(file) == small.data


async def test_an_empty_file(ground: Ground) -> None:
    file = await ground.send(BytesContent(b""))
    assert file.file_size == 0
    assert await ground.back(file) == b""


async def test_a_large_file_is_sent_in_parts(ground: Ground, large: BytesContent) -> None:
    file = await ground.send(large)
    assert sorted(ground.parts) == [1, 2, 3]
    assert sum(ground.told) == SIZE
    assert await ground.back(file) == large.data


async def test_a_file_of_the_disk(ground: Ground, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(2 * PART))
    assert await ground.back(await ground.send(FileContent(path))) == path.read_bytes()


async def test_bytes_that_are_there_are_not_sent(ground: Ground, large: BytesContent) -> None:
    first = await ground.send(large)
    ground.store.seen.clear()
    ground.told.clear()
    assert await ground.send(large) == first
    assert ground.parts == []
    assert ground.told == [SIZE]


async def test_parts_that_have_arrived_are_not_sent_again(
    make_ground: MakeGround, large: BytesContent
) -> None:
    """A client that died is followed by another one."""
    dying, next_one = make_ground(), make_ground()
    dying.store.break_next(*[not_connected] * 6, which=part(3))
    with pytest.raises(Unreachable):
        await dying.send(large, parallel=1)
    assert [_part(seen) for seen in dying.store.seen if seen.status == 200] == [1, 2]

    file = await next_one.send(large)
    assert next_one.parts == [3]
    assert next_one.told[0] == 2 * PART
    assert sum(next_one.told) == SIZE
    assert await next_one.back(file) == large.data


async def test_a_crash_before_the_end_is_followed_by_the_end_alone(
    make_ground: MakeGround, large: BytesContent
) -> None:
    dying, next_one = make_ground(), make_ground()
    dying.service.break_next(*[not_connected] * 6, which=path_ends("/complete"))
    with pytest.raises(Unreachable):
        await dying.send(large)
    await next_one.send(large)
    assert next_one.parts == []


@pytest.mark.parametrize(
    "fault", [not_connected, answered(403), answered(500), answered(503), answered(408)]
)
async def test_a_part_that_failed_is_sent_again(
    ground: Ground, large: BytesContent, fault: Fault
) -> None:
    ground.store.break_next(fault, fault, which=part(2))
    file = await ground.send(large)
    assert sorted(ground.parts) == [1, 2, 2, 2, 3]
    assert sum(ground.told) == SIZE
    assert await ground.back(file) == large.data


async def test_a_part_whose_answer_was_lost_is_not_sent_again(
    ground: Ground, large: BytesContent
) -> None:
    ground.store.break_next(answer_lost, which=part(2))
    file = await ground.send(large)
    assert sorted(ground.parts) == [1, 2, 3]
    assert sum(ground.told) == SIZE
    assert await ground.back(file) == large.data


async def test_a_small_file_whose_answer_was_lost_is_not_sent_again(
    ground: Ground, small: BytesContent
) -> None:
    ground.store.break_next(answer_lost)
    await ground.send(small)
    assert ground.parts == [0]
    assert sum(ground.told) == 1000


async def test_urls_that_really_expired_are_signed_anew(
    ground: Ground, bucket: Bucket, large: BytesContent
) -> None:
    async def late(request: httpx.Request, pass_on: PassOn) -> httpx.Response:
        """By a URL that was signed an hour ago, for a minute."""
        key, upload = request.url.path.removeprefix(f"/{bucket.name}/"), request.url.params
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        (old,) = UrlSigner(bucket).sign_parts(key, upload["uploadId"], [2], long_ago, 60)
        request.url = httpx.URL(old)
        return await pass_on(request)

    ground.store.break_next(late, which=part(2))
    file = await ground.send(large)
    assert [seen.status for seen in ground.store.seen if _part(seen) == 2] == [403, 200]
    assert await ground.back(file) == large.data


async def test_a_store_that_takes_nothing(ground: Ground, small: BytesContent) -> None:
    refused = answered(403, b"<Code>SignatureDoesNotMatch</Code>")
    ground.store.break_next(*[refused] * 6)
    with pytest.raises(TransferError, match="403 SignatureDoesNotMatch") as raised:
        await ground.send(small)
    assert len(ground.store.seen) == 6
    assert "Signature=" not in str(raised.value)
    ground.store.break_next(answered(413, b"<Code>EntityTooLarge</Code>"))
    with pytest.raises(TransferError, match="EntityTooLarge"):
        await ground.send(small)
    assert len(ground.store.seen) == 7


async def test_the_first_failure_ends_the_other_parts(ground: Ground, large: BytesContent) -> None:
    ground.store.break_next(answered(413), which=part(1))
    with pytest.raises(TransferError, match="413"):
        await ground.send(large, parallel=1)
    assert 3 not in ground.parts


async def test_no_more_at_once_than_was_said(ground: Ground) -> None:
    uploader = Uploader(ground.client, parallel=2)
    ground.store.break_next(*[all_together(2)] * 8)
    contents = [BytesContent(os.urandom(PART + BLOCK)) for _ in range(4)]
    await asyncio.gather(
        *(uploader.send(content, digest_of(content), "text/plain") for content in contents)
    )
    assert len(ground.store.seen) == 8
    assert ground.store.most_at_once == 2


class Changing:
    """A content that is other bytes each time it is opened."""

    def __init__(self, *versions: bytes) -> None:
        self._versions = list(versions)
        self.size = len(versions[0])

    def open(self) -> BinaryIO:
        return BytesIO(self._versions.pop(0) if len(self._versions) > 1 else self._versions[0])


@pytest.mark.parametrize("size", [1000, SIZE])
async def test_a_file_that_changes_is_not_taken(ground: Ground, size: int) -> None:
    before, after = os.urandom(size), os.urandom(size)
    digest = digest_of(BytesContent(before))
    with pytest.raises(SourceChanged):
        await ground.send(Changing(after), digest)
    file = await ground.send(BytesContent(before), digest)
    assert await ground.back(file) == before


@pytest.mark.parametrize("size", [1000, SIZE])
async def test_a_file_that_shrinks_is_not_taken(ground: Ground, size: int) -> None:
    data = os.urandom(size)
    with pytest.raises(SourceChanged, match="shorter"):
        await ground.send(BytesContent(data[:-1]), digest_of(BytesContent(data)))


async def test_a_file_that_goes_away_is_not_taken(ground: Ground, tmp_path: Path) -> None:
    digest = digest_of(BytesContent(b"abc"))
    with pytest.raises(SourceChanged, match="gone"):
        await ground.send(FileContent(tmp_path / "gone"), digest)


async def test_a_file_that_cannot_be_read_is_said(ground: Ground, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        await ground.send(FileContent(tmp_path), digest_of(BytesContent(b"abc")))


async def _altered(request: httpx.Request, pass_on: PassOn) -> httpx.Response:
    """A proxy that breaks the first byte on its way."""
    assert isinstance(request.stream, httpx.AsyncByteStream)
    body = bytearray(b"".join([block async for block in request.stream]))
    body[0] ^= 0xFF
    bent = httpx.Request(request.method, request.url, headers=request.headers, content=bytes(body))
    return await pass_on(bent)


@pytest.mark.parametrize("size", [1000, SIZE])
async def test_bytes_that_are_altered_on_their_way_are_sent_again(
    ground: Ground, size: int
) -> None:
    content = BytesContent(os.urandom(size))
    ground.store.break_next(_altered)
    file = await ground.send(content)
    assert await ground.back(file) == content.data
    assert sum(ground.told) == size


async def test_bytes_that_are_altered_every_time(ground: Ground, large: BytesContent) -> None:
    ground.store.break_next(*[_altered] * 3, which=part(1))
    with pytest.raises(TransferError, match="never arrived as they were sent"):
        await ground.send(large)
    await ground.send(large)


async def test_parts_that_the_store_loses_are_sent_again(
    ground: Ground, large: BytesContent
) -> None:
    """The store says that it has a part, and has not."""
    ground.store.break_next(answered(200), which=part(2))
    file = await ground.send(large)
    assert sorted(ground.parts) == [1, 2, 2, 3]
    assert sum(ground.told) == SIZE
    assert await ground.back(file) == large.data


async def test_an_upload_that_was_given_up_begins_anew(
    ground: Ground, large: BytesContent, bucket: Bucket, tenant: TestTenant
) -> None:
    async def lost(request: httpx.Request, pass_on: PassOn) -> httpx.Response:
        async with ObjectStore(bucket) as objects:
            listed = await objects._call("list_multipart_uploads", Prefix=f"{tenant.id}/")
            for upload in listed["Uploads"]:
                await objects.multipart.abort(upload["Key"], upload["UploadId"])
        return await pass_on(request)

    ground.store.break_next(lost, which=part(3))
    file = await ground.send(large, parallel=1)
    assert await ground.back(file) == large.data
    assert sum(ground.told) == SIZE


async def test_the_same_bytes_by_two_at_once_are_one_file(
    make_ground: MakeGround, large: BytesContent
) -> None:
    one, other = make_ground(), make_ground()
    files = await asyncio.gather(one.send(large), other.send(large))
    assert files[0] == files[1]


async def test_more_parts_than_are_named_at_once(
    ground: Ground, large: BytesContent, tenant: TestTenant
) -> None:
    """The service names a hundred at a time; here, one."""

    class OneByOne(Client):
        @override
        async def declare(self, declared: FileDeclaration) -> FileState:
            return await self.file((await super().declare(declared)).id)

        @override
        async def file(
            self, file_id: UUID, after: int | None = None, per_page: int | None = None
        ) -> FileState:
            return await super().file(file_id, after, 1)

    token = tenant.tokens[Role.USER]
    async with OneByOne(
        ground.client.base_url, tenant.id, token, storage_transport=ground.store
    ) as client:
        done = await Uploader(client).send(large, digest_of(large), "text/plain")
    assert ground.parts == [1, 2, 3]
    assert await ground.back(done) == large.data


async def test_a_verification_that_outlasts_the_time_out_is_waited_for(
    ground: Ground, large: BytesContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_VERIFIED_MEANWHILE", PART)  # as if it were a huge file
    lost = [answer_lost] * 17  # three times the attempts of one request, less one
    ground.service.break_next(*lost, which=path_ends("/complete"))
    file = await ground.send(large)
    assert file.file_size == SIZE


async def test_a_verification_that_never_ends_is_given_up(
    ground: Ground, large: BytesContent
) -> None:
    ground.service.break_next(*[answer_lost] * 6, which=path_ends("/complete"))
    with pytest.raises(Unreachable, match="the answer was lost"):
        await ground.send(large)


async def test_what_the_service_refuses_is_raised_as_it_is(
    make_ground: MakeGround, small: BytesContent, settings: Settings
) -> None:
    with pytest.raises(Forbidden):
        await make_ground(Role.VIEWER).send(small)
    own = settings.model_copy(update={"direct_upload_max_bytes": 999})
    with serving(create_app(own)) as url, pytest.raises(TooLarge):
        await make_ground(url=url).send(small)


async def test_connections_that_break_off(
    make_client: MakeClient, tenant: TestTenant, settings: Settings, large: BytesContent
) -> None:
    """Over real sockets: reset in the middle of parts, and frozen until the time-out."""
    async with FlakyRelay.to(settings.s3_endpoint_url or "") as (relay, store_url):
        own = settings.model_copy(update={**PARTED, "s3_public_endpoint_url": store_url})
        with serving(create_app(own)) as url:
            retry = WatchedRetries(attempts=12, meanwhile=relay.restore)
            client = make_client(tenant, Role.USER, url, retry=retry, timeout=2)
            troubles = [relay.break_connections, relay.freeze, relay.break_connections]
            had = most = 0

            def trouble(_digest: Digest, size: int) -> None:
                nonlocal had, most
                had += size
                if troubles and had > most + 3 * BLOCK // 2:
                    most = had
                    troubles.pop(0)()

            file = await Uploader(client, parallel=2, on_bytes=trouble).send(
                large, digest_of(large), "text/plain"
            )
    assert troubles == []
    assert had == SIZE
    assert file.sha256_hash == digest_of(large).sha256_hash
