"""Downloads from the real object store, and all that can come between."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
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
    altered_at,
    answered,
    cut_after,
    ended_after,
    not_connected,
)
from fixtures.client_service import MakeClient
from fixtures.flaky import FlakyRelay
from fixtures.server import serving
from fixtures.service import TestTenant
from syncapi.client import (
    Client,
    ContentMismatch,
    ContentMissing,
    ContentReplaced,
    Downloader,
    NotFound,
    PartFile,
    TransferError,
    Unreachable,
)
from syncapi.client.transfer.contents import BLOCK
from syncapi.client.transfer.storage_transport import StorageTransport
from syncapi.protocol.documents import Document, DocumentChanges
from syncapi.server.main import create_app
from syncapi.server.settings import Settings
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.storage.signing import UrlSigner

SIZE = 3 * BLOCK + 12_345


class Ground:
    """A document of random bytes, and a client whose downloads are broken.

    Attributes:
        target: where the bytes go, in a folder of its own.
        told: what the downloader told of its progress.
    """

    def __init__(self, client: Client, transport: FaultyTransport, target: Path) -> None:
        self.client = client
        self.transport = transport
        self.target = target
        self.data = b""
        self.document: Document
        self.told: list[tuple[UUID, int]] = []

    async def make(self, size: int = SIZE) -> Document:
        self.data = os.urandom(size)
        self.document = await self.client.upload_document(self.data, "a.bin")
        return self.document

    @property
    def part(self) -> PartFile:
        return PartFile.beside(self.target, self.document.file.sha256_hash)

    async def fetch(self, *faults: Fault, url: str | None = None) -> None:
        """Download it as a mirror does: fetch, then place."""
        self.transport.break_next(*faults)
        downloader = Downloader(self.client, on_bytes=lambda *told: self.told.append(told))
        await downloader.fetch(self.document, self.part, url)
        self.part.place(self.target)

    async def url(self) -> str:
        return (await self.client.download_url(self.document.id)).download_url

    @property
    def requests(self) -> list[Seen]:
        """To the object store."""
        return self.transport.seen

    @property
    def asked(self) -> list[tuple[str | None, int]]:
        """The range of each request, and how many bytes came for it."""
        return [(seen.headers.get("Range"), seen.received) for seen in self.requests]

    def holds_all(self) -> bool:
        """Whether the file is there as it should be, and nothing else."""
        is_alone = list(self.target.parent.iterdir()) == [self.target]
        return is_alone and self.target.read_bytes() == self.data

    @property
    def received(self) -> int:
        return sum(seen.received for seen in self.requests)


MakeGround = Callable[..., Awaitable[Ground]]


@pytest.fixture
def make_ground(make_client: MakeClient, tenant: TestTenant, tmp_path: Path) -> MakeGround:
    async def make(size: int = SIZE, **options: Any) -> Ground:  # noqa: ANN401 - of `Client`
        transport = FaultyTransport(StorageTransport(httpx.create_ssl_context()))
        options = {"retry": WatchedRetries(), **options}
        client = make_client(tenant, storage_transport=transport, **options)
        ground = Ground(client, transport, tmp_path / "a.bin")
        await ground.make(size)
        return ground

    return make


@pytest.fixture
async def ground(make_ground: MakeGround) -> Ground:
    return await make_ground()


async def test_bytes_come_whole(ground: Ground) -> None:
    await ground.fetch()
    assert ground.holds_all()
    assert ground.asked == [(None, SIZE)]
    assert "Authorization" not in ground.requests[0].headers
    assert sum(size for _, size in ground.told) == SIZE
    assert {document for document, _ in ground.told} == {ground.document.id}


async def test_the_url_of_a_pull_will_do(ground: Ground) -> None:
    page = await ground.client.pull(cursor=None)
    await ground.fetch(url=page.added[0].download_url)
    assert ground.holds_all()
    assert str(ground.requests[0].url) == page.added[0].download_url


async def test_an_empty_file_is_not_asked_for(make_ground: MakeGround) -> None:
    ground = await make_ground(0)
    await ground.fetch()
    assert ground.holds_all()
    assert ground.requests == []


@pytest.mark.parametrize("fault", [cut_after(BLOCK + 50_000), ended_after(BLOCK + 50_000)])
async def test_what_has_come_is_not_asked_for_again(ground: Ground, fault: Fault) -> None:
    await ground.fetch(fault, fault)
    assert ground.holds_all()
    assert [first for first, _ in ground.asked] == [
        None,
        f"bytes={BLOCK + 50_000}-",
        f"bytes={2 * (BLOCK + 50_000)}-",
    ]
    assert ground.received == SIZE
    assert sum(size for _, size in ground.told) == SIZE


async def test_connections_that_never_live_long_bring_it_nevertheless(
    make_ground: MakeGround,
) -> None:
    ground = await make_ground(200_000)
    await ground.fetch(*[cut_after(10_000)] * 19)
    assert ground.holds_all()
    assert ground.received == 200_000


async def test_no_progress_at_all_is_given_up(ground: Ground) -> None:
    with pytest.raises(Unreachable, match="nobody there"):
        await ground.fetch(*[not_connected] * 6)
    assert len(ground.requests) == 6
    with pytest.raises(Unreachable, match="connection reset"):
        await ground.fetch(*[cut_after(0)] * 6)
    assert not ground.target.exists()


async def test_an_answer_that_brings_nothing_is_no_progress(ground: Ground) -> None:
    empty = answered(206, content_range=f"bytes 0-0/{SIZE}")
    with pytest.raises(TransferError, match="less than there is"):
        await ground.fetch(*[empty] * 6)
    assert len(ground.requests) == 6


async def test_another_run_goes_on_where_the_last_one_ended(ground: Ground) -> None:
    with pytest.raises(Unreachable):
        await ground.fetch(cut_after(2 * BLOCK), *[not_connected] * 5)
    assert not ground.target.exists()
    assert ground.part.held() == 2 * BLOCK
    ground.requests.clear()
    ground.told.clear()
    await ground.fetch()
    assert ground.holds_all()
    assert ground.asked == [(f"bytes={2 * BLOCK}-", SIZE - 2 * BLOCK)]
    assert sum(size for _, size in ground.told) == SIZE


async def test_what_is_held_whole_is_only_verified(ground: Ground) -> None:
    ground.part.write(ground.data)
    await ground.fetch()
    assert ground.holds_all()
    assert ground.requests == []


@pytest.mark.parametrize("held", [b"something else", bytes(SIZE), bytes(SIZE + 1)])
async def test_what_is_held_and_wrong_is_fetched_anew(ground: Ground, held: bytes) -> None:
    ground.part.write(held)
    await ground.fetch()
    assert ground.holds_all()
    assert ground.asked[-1] == (None, SIZE)
    assert sum(size for _, size in ground.told) == SIZE


async def test_an_altered_byte_is_noticed_and_fetched_anew(ground: Ground) -> None:
    await ground.fetch(altered_at(BLOCK))
    assert ground.holds_all()
    assert ground.asked == [(None, SIZE), (None, SIZE)]
    assert [size for _, size in ground.told if size < 0] == [-SIZE]


async def test_bytes_that_stay_wrong_are_not_placed(ground: Ground) -> None:
    ground.target.write_bytes(b"what was there")
    with pytest.raises(ContentMismatch, match=ground.document.file.sha256_hash) as raised:
        await ground.fetch(altered_at(0), altered_at(SIZE - 1))
    assert raised.value.hint
    assert len(ground.requests) == 2
    assert ground.target.read_bytes() == b"what was there"
    assert list(ground.target.parent.iterdir()) == [ground.target], "nothing wrong is kept"


@pytest.mark.parametrize("body", [b"too short", bytes(SIZE + 1)])
async def test_an_object_of_another_size_is_not_taken(ground: Ground, body: bytes) -> None:
    with pytest.raises(ContentMismatch):
        await ground.fetch(*[answered(200, body)] * 2)
    assert len(ground.requests) == 2
    assert not ground.target.exists()
    assert not ground.part.part.exists()


async def test_more_bytes_than_announced_are_not_kept(ground: Ground) -> None:
    async def endless(_request: httpx.Request, _pass_on: object) -> httpx.Response:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield bytes(BLOCK)

        return httpx.Response(200, content=pieces())

    with pytest.raises(ContentMismatch):
        await ground.fetch(endless, endless)
    assert not ground.part.part.exists()


async def test_a_store_without_ranges_gives_it_whole(ground: Ground) -> None:
    async def ranges_ignored(
        request: httpx.Request, pass_on: Callable[[httpx.Request], Awaitable[httpx.Response]]
    ) -> httpx.Response:
        del request.headers["Range"]
        return await pass_on(request)

    ground.part.write(ground.data[:BLOCK])
    await ground.fetch(ranges_ignored)
    assert ground.holds_all()
    assert ground.received == SIZE


async def test_a_range_that_was_not_asked_for_is_not_taken(ground: Ground) -> None:
    wrong = answered(206, b"xyz", content_range=f"bytes 5-7/{SIZE}")
    await ground.fetch(wrong)
    assert ground.holds_all()


async def test_an_object_that_became_shorter_is_noticed(ground: Ground) -> None:
    ground.part.write(ground.data[:BLOCK])
    await ground.fetch(answered(416))
    assert ground.holds_all()
    assert ground.asked[-1] == (None, SIZE)


async def test_an_expired_url_is_signed_anew(ground: Ground) -> None:
    url = await ground.url()
    await ground.fetch(answered(403, b"<Code>AccessDenied</Code>"), url=url)
    assert ground.holds_all()
    assert len(ground.requests) == 2
    assert isinstance(ground.client.retry, WatchedRetries)
    assert ground.client.retry.waits == [], "that is no failure"


async def test_a_url_that_really_expired_is_signed_anew(ground: Ground, bucket: Bucket) -> None:
    key = httpx.URL(await ground.url()).path.removeprefix(f"/{bucket.name}/")
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await ground.fetch(url=UrlSigner(bucket).sign_get(key, long_ago, 60))
    assert [seen.status for seen in ground.requests] == [403, 200]
    assert ground.holds_all()


async def test_a_url_that_expires_in_the_middle_is_signed_anew(ground: Ground) -> None:
    await ground.fetch(cut_after(BLOCK), answered(403), url=await ground.url())
    assert ground.holds_all()
    assert ground.received == SIZE


async def test_a_store_that_believes_no_signature(ground: Ground) -> None:
    refused = answered(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
    with pytest.raises(TransferError, match="403 SignatureDoesNotMatch") as raised:
        await ground.fetch(*[refused] * 7, url=await ground.url())
    assert len(ground.requests) == 7, "one with the old URL, then every attempt"
    assert "X-Amz-Signature" not in str(raised.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_what_passes_at_the_store_is_waited_for(ground: Ground, status: int) -> None:
    await ground.fetch(*[answered(status, b"<Code>SlowDown</Code>")] * 3)
    assert ground.holds_all()
    assert isinstance(ground.client.retry, WatchedRetries)
    assert len(ground.client.retry.waits) == 3


async def test_what_does_not_pass_is_said(ground: Ground) -> None:
    with pytest.raises(TransferError, match="answered 501 Not Implemented to the download"):
        await ground.fetch(answered(501))
    assert len(ground.requests) == 1


async def test_an_object_that_is_lost(ground: Ground, bucket: Bucket, tenant: TestTenant) -> None:
    url = await ground.url()
    async with ObjectStore(bucket) as objects:
        listed = await objects._call("list_objects_v2", Prefix=f"{tenant.id}/")
        for entry in listed["Contents"]:
            await objects._call("delete_object", Key=entry["Key"])
    with pytest.raises(ContentMissing, match=str(ground.document.id)):
        await ground.fetch(url=url)
    assert [seen.status for seen in ground.requests] == [404, 404], "the URL may have been old"


async def test_a_document_that_has_other_bytes_by_now(ground: Ground) -> None:
    other = await ground.client.upload_document(b"newer", "b.bin")
    await ground.client.change_document(ground.document.id, DocumentChanges(file_id=other.file.id))
    with pytest.raises(ContentReplaced):
        await ground.fetch()
    assert ground.requests == []


async def test_a_document_that_was_deleted_meanwhile(ground: Ground) -> None:
    await ground.client.delete_document(ground.document.id)
    with pytest.raises(NotFound):
        await ground.fetch()


async def test_no_more_at_once_than_was_said(make_ground: MakeGround, tmp_path: Path) -> None:
    ground = await make_ground(50_000)
    downloader = Downloader(ground.client, parallel=3)
    ground.transport.break_next(*[all_together(3)] * 12)
    parts = [PartFile(tmp_path / f"part-{number}") for number in range(12)]
    await asyncio.gather(*(downloader.fetch(ground.document, part) for part in parts))
    assert {part.part.read_bytes() for part in parts} == {ground.data}
    assert ground.transport.most_at_once == 3


async def test_a_download_that_is_called_off_keeps_what_has_come(ground: Ground) -> None:
    begun = asyncio.Event()

    async def stuck(request: httpx.Request, pass_on: PassOn) -> httpx.Response:
        answer: httpx.Response = await pass_on(request)

        async def pieces() -> AsyncIterator[bytes]:
            yield (await answer.aread())[:500_000]
            begun.set()
            await asyncio.Event().wait()

        return httpx.Response(200, content=pieces(), headers=answer.headers)

    running = asyncio.create_task(ground.fetch(stuck))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ground.part.held() == 500_000
    await ground.fetch()
    assert ground.holds_all()


def _meddling(ground: Ground, meddle: Callable[[Path], None]) -> Fault:
    """Somebody meddles with the part when some of it has come."""

    async def fault(request: httpx.Request, pass_on: PassOn) -> httpx.Response:
        data = await (await pass_on(request)).aread()

        async def pieces() -> AsyncIterator[bytes]:
            yield data[:BLOCK]
            meddle(ground.part.part)
            yield data[BLOCK:]

        return httpx.Response(200, content=pieces())

    return fault


def _shorten(part: Path) -> None:
    os.truncate(part, 100)


@pytest.mark.parametrize("meddle", [Path.unlink, _shorten])
async def test_a_part_that_somebody_alters_is_fetched_anew(
    ground: Ground, meddle: Callable[[Path], None]
) -> None:
    await ground.fetch(_meddling(ground, meddle))
    assert ground.holds_all()
    assert len(ground.requests) == 2


@pytest.mark.parametrize("meddle", [Path.unlink, _shorten])
async def test_a_part_that_is_altered_again_and_again_is_not_placed(
    ground: Ground, meddle: Callable[[Path], None]
) -> None:
    with pytest.raises(FileNotFoundError):
        await ground.fetch(*[_meddling(ground, meddle)] * 2)
    assert not ground.target.exists()
    await ground.fetch()
    assert ground.holds_all()


async def test_a_disk_that_is_full_is_said(ground: Ground) -> None:
    class Full(PartFile):
        @override
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await Downloader(ground.client).fetch(ground.document, Full(ground.part.part))


async def test_a_store_that_stalls_and_one_that_breaks_off(
    make_client: MakeClient, tenant: TestTenant, settings: Settings, tmp_path: Path
) -> None:
    """Over real sockets: frozen until the time-out, reset twice, cut for a while."""
    async with FlakyRelay.to(settings.s3_endpoint_url or "") as (relay, store_url):
        own = settings.model_copy(update={"s3_public_endpoint_url": store_url})
        with serving(create_app(own)) as url:
            retry = WatchedRetries(meanwhile=relay.restore)
            data = os.urandom(20 * BLOCK)
            document = await make_client(tenant).upload_document(data, "a.bin")
            client = make_client(tenant, url=url, retry=retry, timeout=2)
            had, troubles = 0, [relay.freeze, relay.break_connections, relay.break_connections]

            def trouble(_document: UUID, size: int) -> None:
                nonlocal had
                had += size
                if troubles and had > (4 - len(troubles)) * 4 * BLOCK:
                    troubles.pop(0)()

            part = PartFile(tmp_path / "part")
            await Downloader(client, on_bytes=trouble).fetch(document, part)
    assert troubles == []
    assert retry.waits
    assert part.part.read_bytes() == data


async def test_a_whole_file_or_none_is_seen(ground: Ground) -> None:
    """`Client.download` places the file when it is right, and not before."""
    ground.transport.break_next(cut_after(BLOCK), *[not_connected] * 5)
    ground.target.write_bytes(b"old")
    with pytest.raises(Unreachable):
        await ground.client.download(ground.document.id, ground.target)
    assert ground.target.read_bytes() == b"old"
    ground.requests.clear()
    await ground.client.download(ground.document.id, ground.target)
    assert ground.holds_all()
    assert ground.received == SIZE - BLOCK


async def test_nothing_of_the_token_goes_to_the_store(ground: Ground, tenant: TestTenant) -> None:
    await ground.client.upload(os.urandom(10), "b.bin")
    await ground.fetch()
    assert len(ground.requests) == 2
    for seen in ground.requests:
        assert "authorization" not in seen.headers
        assert all(token not in str(seen.url) for token in tenant.tokens.values())


async def test_documents_that_share_bytes_share_nothing_else(ground: Ground) -> None:
    """A part is known by its content, so that what one document has begun another may end."""
    twin = await ground.client.upload_document(ground.data, "twin.bin")
    assert twin.id != ground.document.id
    with pytest.raises(Unreachable):
        await ground.fetch(cut_after(BLOCK), *[not_connected] * 5)
    ground.document = twin
    ground.requests.clear()
    await ground.fetch()
    assert ground.asked == [(f"bytes={BLOCK}-", SIZE - BLOCK)]
