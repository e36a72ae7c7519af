"""Key sets from an issuer that rotates, fails, dawdles and misbehaves, over real sockets."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fixtures.server import serving
from syncapi.server.domain.errors import Unavailable
from syncapi.server.identity.key_sources import FileKeySource, UrlKeySource

CACHE_SECONDS = 600.0
MIN_INTERVAL = 5.0
MODULUS = base64.urlsafe_b64encode(b"\xff" * 256).decode()


def key_set(*key_ids: str) -> bytes:
    keys = [{"kty": "RSA", "kid": kid, "n": MODULUS, "e": "AQAB"} for kid in key_ids]
    return json.dumps({"keys": keys}).encode()


@dataclass
class Issuer:
    """What the issuer's server answers, and how often it was asked."""

    url: str = ""
    body: bytes = field(default_factory=lambda: key_set("old"))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    requests: int = 0
    was_asked: threading.Event = field(default_factory=threading.Event)

    async def answer(self, request: Request) -> Response:
        self.requests += 1
        self.was_asked.set()
        while self.hangs and (await request.receive())["type"] != "http.disconnect":
            pass
        return Response(self.body, self.status, self.headers)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    routes = [Route(path, issuer.answer) for path in ("/keys", "/elsewhere")]
    with serving(Starlette(routes=routes)) as url:
        issuer.url = f"{url}/keys"
        yield issuer


@dataclass
class Clock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(issuer: Issuer, clock: Clock) -> AsyncIterator[UrlKeySource]:
    async with httpx.AsyncClient() as client:
        yield UrlKeySource(
            issuer.url,
            "RS256",
            client,
            cache_seconds=CACHE_SECONDS,
            timeout=30,
            min_interval=MIN_INTERVAL,
            now=clock,
        )


async def found(source: UrlKeySource | FileKeySource, key_id: str | None) -> list[str | None]:
    return [key.key_id for key in await source.find(key_id)]


async def test_many_at_once_fetch_once(source: UrlKeySource, issuer: Issuer) -> None:
    assert await asyncio.gather(*(found(source, "old") for _ in range(20))) == [["old"]] * 20
    assert issuer.requests == 1


async def test_keys_are_kept_for_a_while(
    source: UrlKeySource, issuer: Issuer, clock: Clock
) -> None:
    await source.find("old")
    issuer.body = key_set("new")
    clock.time += CACHE_SECONDS - 1
    assert await found(source, "old") == ["old"]
    assert issuer.requests == 1
    clock.time += 1
    assert await found(source, "old") == []
    assert await found(source, "new") == ["new"]


async def test_a_rotated_key_works_at_once(
    source: UrlKeySource, issuer: Issuer, clock: Clock
) -> None:
    await source.find("old")
    issuer.body = key_set("old", "new")
    clock.time += MIN_INTERVAL
    assert await asyncio.gather(*(found(source, "new") for _ in range(10))) == [["new"]] * 10
    assert issuer.requests == 2
    assert await found(source, None) == ["old", "new"]


async def test_made_up_key_ids_do_not_flood_the_issuer(
    source: UrlKeySource, issuer: Issuer, clock: Clock
) -> None:
    await source.find("old")
    for number in range(50):
        assert await found(source, f"forged{number}") == []
    assert issuer.requests == 1
    clock.time += MIN_INTERVAL
    for number in range(50):
        assert await found(source, f"forged{number}") == []
    assert issuer.requests == 2


BAD_ANSWERS = {
    "an error": {"status": 500},
    "a redirect": {"status": 302, "headers": {"location": "/elsewhere"}},
    "no JSON": {"body": b"<html>"},
    "no key set": {"body": b'{"keys": {}}'},
    "a list": {"body": b"[]"},
    "too many keys": {"body": key_set(*("k" * 65))},
    "endless nesting": {"body": b"[" * 100_000},
    "a flood": {"body": b" " * 1_000_000 + key_set("old")},
    "silence": {"hangs": True},
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
async def test_without_keys_the_issuer_is_unavailable_and_left_in_peace(
    issuer: Issuer, clock: Clock, answer: dict[str, object]
) -> None:
    vars(issuer).update(answer)
    async with httpx.AsyncClient() as client:
        timeout = 0.3 if issuer.hangs else 30
        source = UrlKeySource(
            issuer.url, "RS256", client, cache_seconds=600, timeout=timeout, now=clock
        )
        for _ in range(3):
            with pytest.raises(Unavailable) as refusal:
                await source.find("old")
            assert refusal.value.retry_after
        assert issuer.requests <= 1


async def test_after_a_failure_it_tries_again_when_the_pause_is_over(
    source: UrlKeySource, issuer: Issuer, clock: Clock
) -> None:
    issuer.status = 503
    with pytest.raises(Unavailable):
        await source.find("old")
    issuer.status = 200
    with pytest.raises(Unavailable):
        await source.find("old")
    clock.time += MIN_INTERVAL
    assert await found(source, "old") == ["old"]


async def test_old_keys_stay_in_force_while_the_issuer_fails(
    source: UrlKeySource, issuer: Issuer, clock: Clock
) -> None:
    await source.find("old")
    issuer.status = 500
    for _ in range(3):
        clock.time += CACHE_SECONDS
        assert await found(source, "old") == ["old"]
        assert await found(source, "forged") == []
    assert issuer.requests == 4


async def test_an_issuer_that_is_not_there_is_unavailable(clock: Clock) -> None:
    async with httpx.AsyncClient() as client:
        source = UrlKeySource("http://127.0.0.1:1/", "RS256", client, cache_seconds=1, now=clock)
        with pytest.raises(Unavailable):
            await source.find("old")


async def test_a_caller_that_hangs_up_leaves_the_fetch_to_the_next(
    source: UrlKeySource, issuer: Issuer
) -> None:
    issuer.hangs = True
    first = asyncio.create_task(source.find("old"))
    assert await asyncio.to_thread(issuer.was_asked.wait, 30)
    second = asyncio.create_task(found(source, "old"))
    issuer.hangs = False
    first.cancel()
    assert await second == ["old"]


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    source = FileKeySource(path, "RS256")
    with pytest.raises(Unavailable):
        await source.find("old")
    write(path, key_set("old"))
    assert await found(source, "old") == ["old"]
    write(path, key_set("old", "new"))
    assert await found(source, "new") == ["new"]


async def test_a_broken_file_leaves_the_old_keys_in_force(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    source = FileKeySource(path, "RS256")
    write(path, key_set("old"))
    await source.find("old")
    write(path, b"{")
    assert await found(source, "old") == ["old"]
    path.unlink()
    assert await found(source, "old") == ["old"]


def write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
