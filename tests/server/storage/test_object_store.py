"""The object store on a real S3: what is stored, and what is left when storing fails."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fixtures.flaky import FlakyRelay
from fixtures.until import until
from syncapi.server.domain.errors import TooLarge, Unavailable
from syncapi.server.storage.bucket import Bucket
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.storage.signing import UrlSigner

PART = 5 * 1024**2
PLENTY = 10 * PART

NewKey = Callable[[], str]


@pytest.fixture
def new_key() -> NewKey:
    prefix = uuid4()
    return lambda: f"{prefix}/{uuid4()}"


@pytest.fixture(scope="module")
async def parted(bucket: Bucket) -> AsyncIterator[ObjectStore]:
    async with ObjectStore(bucket, part_size=PART) as store:
        yield store


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def pieces(content: bytes, size: int = 65_536) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def is_clean(store: ObjectStore, key: str) -> bool:
    """Whether neither an object nor a begun upload has this key."""
    uploads = await store._call("list_multipart_uploads", Prefix=key)
    return await store.head(key) is None and not uploads.get("Uploads")


async def is_touched(store: ObjectStore, key: str) -> bool:
    return not await is_clean(store, key)


async def test_a_begun_upload_would_be_seen(store: ObjectStore, new_key: NewKey) -> None:
    """The other tests trust `is_clean`."""
    key = new_key()
    upload = await store._call("create_multipart_upload", Key=key)
    assert not await is_clean(store, key)
    await store._call("abort_multipart_upload", Key=key, UploadId=upload["UploadId"])
    assert await is_clean(store, key)


@pytest.mark.parametrize("size", [0, 1, 70_000, PART - 1, PART, PART + 1, 2 * PART + 77])
async def test_what_is_stored_is_what_came(
    parted: ObjectStore, bucket: Bucket, http: httpx.AsyncClient, new_key: NewKey, size: int
) -> None:
    key, content = new_key(), some_bytes(size)
    digest = await parted.upload(key, pieces(content, 99_999), limit=PLENTY)
    assert digest.file_size == size
    assert digest.md5_hash == hashlib.md5(content).hexdigest()
    assert digest.sha256_hash == hashlib.sha256(content).hexdigest()
    answer = await http.get(UrlSigner(bucket).sign_get(key, datetime.now(UTC), 60))
    assert answer.content == content
    head = await parted.head(key)
    assert head is not None
    assert head.size == size
    assert not (await parted._call("list_multipart_uploads", Prefix=key)).get("Uploads")


async def test_chunks_larger_than_parts_are_cut(parted: ObjectStore, new_key: NewKey) -> None:
    content = some_bytes(3 * PART + 5)
    digest = await parted.upload(new_key(), pieces(content, len(content)), limit=PLENTY)
    assert digest.sha256_hash == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["plain", "ü ñ 文件", "a+b%20c&d=e", "~'()*!;:@,?#[]\"<>"])
async def test_s3_agrees_with_signatures_of_odd_keys(
    store: ObjectStore, bucket: Bucket, http: httpx.AsyncClient, new_key: NewKey, name: str
) -> None:
    key, signer, now = new_key() + name, UrlSigner(bucket), datetime.now(UTC)
    headers = {"Content-Type": "text/x-odd"}
    put = await http.put(
        signer.sign_put(key, now, 60, headers=headers), content=name.encode(), headers=headers
    )
    assert put.status_code == 200
    assert (await store.head(key)) is not None
    url = signer.sign_get(
        key, now, 60, content_disposition="attachment; filename*=UTF-8''%C3%BC", content_type="a/b"
    )
    answer = await http.get(url)
    assert answer.text == name
    assert answer.headers["Content-Type"] == "a/b"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC"


async def test_s3_holds_a_url_to_its_key_its_time_and_its_headers(
    store: ObjectStore, bucket: Bucket, http: httpx.AsyncClient, new_key: NewKey
) -> None:
    key, other, signer, now = new_key(), new_key(), UrlSigner(bucket), datetime.now(UTC)
    for name in (key, other):
        await store.upload(name, pieces(b"content"), limit=PLENTY)
    good = signer.sign_get(key, now, 60)
    forged = good.replace(key, other)
    expired = signer.sign_get(key, now - timedelta(minutes=2), 60)
    unsigned = signer.sign_put(key, now, 60, headers={"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    assert (await http.get(good)).status_code == 200
    assert (await http.get(forged)).status_code == 403
    assert (await http.get(expired)).status_code == 403
    assert (await http.put(unsigned, content=b"content")).status_code == 403


@pytest.mark.parametrize("limit", [0, 10, PART + 10, 2 * PART + 10])
async def test_a_limit_is_felt_as_soon_as_it_is_passed(
    parted: ObjectStore, new_key: NewKey, limit: int
) -> None:
    key, drawn = new_key(), 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1000
            yield bytes(1000)

    with pytest.raises(TooLarge, match=str(limit)):
        await parted.upload(key, endless(), limit=limit)
    assert limit < drawn <= limit + 1000
    assert await is_clean(parted, key)


async def test_exactly_the_limit_is_admitted(parted: ObjectStore, new_key: NewKey) -> None:
    digest = await parted.upload(new_key(), pieces(bytes(1000)), limit=1000)
    assert digest.file_size == 1000


@pytest.mark.parametrize("size", [10, PART + 10, 2 * PART + 10])
async def test_a_source_that_breaks_leaves_nothing(
    parted: ObjectStore, new_key: NewKey, size: int
) -> None:
    key = new_key()

    async def broken() -> AsyncGenerator[bytes]:
        async for chunk in pieces(bytes(size)):
            yield chunk
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        await parted.upload(key, broken(), limit=PLENTY)
    assert await is_clean(parted, key)


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_cancelled_upload_leaves_nothing(
    parted: ObjectStore, new_key: NewKey, steps: int
) -> None:
    """Cancelled at one turn of the event loop after another."""
    key = new_key()
    upload = asyncio.create_task(
        parted.upload(key, pieces(bytes(2 * PART + 10), PART), limit=PLENTY)
    )
    for _ in range(steps):
        await asyncio.sleep(0.002)
    upload.cancel()
    done, _ = await asyncio.wait([upload])
    if upload in done and upload.cancelled():
        assert await is_clean(parted, key)
    else:
        assert (await upload).file_size == 2 * PART + 10


async def test_an_upload_through_a_line_that_is_cut_is_cleaned_up_later(
    bucket: Bucket, store: ObjectStore, new_key: NewKey
) -> None:
    """Without a connection nothing can be aborted; when it is back, that is made up for."""
    key = new_key()
    assert bucket.endpoint_url is not None
    async with FlakyRelay.to(bucket.endpoint_url) as (relay, url):

        async def cut_half_way() -> AsyncGenerator[bytes]:
            yield bytes(PART)
            await until(lambda: is_touched(store, key))
            await relay.cut()
            yield bytes(PART)

        async with ObjectStore(replace(bucket, endpoint_url=url), part_size=PART) as through:
            with pytest.raises(Unavailable) as refused:
                await through.upload(key, cut_half_way(), limit=PLENTY)
            assert refused.value.retry_after
            assert not await is_clean(store, key)
            await relay.restore()
            await until(lambda: is_clean(store, key))


async def test_a_frozen_s3_does_not_hold_a_caller_for_ever(bucket: Bucket) -> None:
    assert bucket.endpoint_url is not None
    async with FlakyRelay.to(bucket.endpoint_url) as (relay, url):
        relay.freeze()
        place = replace(bucket, endpoint_url=url)
        async with ObjectStore(place, call_seconds=0.3) as store:
            for call in (store.head("k"), store.delete("k"), store.check()):
                with pytest.raises(Unavailable):
                    await call


async def test_deleting_is_idempotent(store: ObjectStore, new_key: NewKey) -> None:
    keys = [new_key() for _ in range(3)]
    for key in keys:
        await store.upload(key, pieces(b"x"), limit=1)
    await store.delete(keys[0])
    await store.delete(keys[0])
    await store.delete_many([*keys, *(new_key() for _ in range(1000))])
    assert [await store.head(key) for key in keys] == [None, None, None]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"endpoint_url": "http://127.0.0.1:1"},
        {"name": "no-such-bucket"},
        {"secret_access_key": "wrong"},
    ],
    ids=str,
)
async def test_a_store_that_is_not_there_is_not_ready(
    bucket: Bucket, elsewhere: dict[str, Any]
) -> None:
    async with ObjectStore(replace(bucket, **elsewhere)) as store:
        with pytest.raises(Unavailable) as refused:
            await store.check()
    assert all(value not in refused.value.detail for value in elsewhere.values())


async def test_a_store_that_lets_nobody_in_takes_nothing(bucket: Bucket, new_key: NewKey) -> None:
    async with ObjectStore(replace(bucket, secret_access_key="wrong")) as store:
        with pytest.raises(Unavailable):
            await store.upload(new_key(), pieces(b"x"), limit=1)


async def test_a_store_that_is_there_is_ready(store: ObjectStore) -> None:
    await store.check()


def test_secrets_are_not_shown(bucket: Bucket) -> None:
    assert bucket.secret_access_key not in repr(bucket)
