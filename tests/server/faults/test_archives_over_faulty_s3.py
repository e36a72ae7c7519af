"""Archives while S3 fails: a problem before the first byte, a whole archive, or a cut one."""

import asyncio
import hashlib
import io
import tarfile
import zipfile
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fixtures.faulty_s3 import Act, Break, Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.pulling import problem_of
from fixtures.sending import Content
from fixtures.uploads import upload

PATH = "/documents/batch-download"
SIZE = 12 * MIB
GET = r"^GET [^?]*/[^?]*/[^?]*$"
AMID: dict[str, Act] = {
    "stop": Break("stop", after=9 * MIB),
    "close": Break("close", after=9 * MIB),
    "reset": Break("reset", after=9 * MIB),
    "drip": Break("drip", after=9 * MIB, pause=0.2),
}
BEFORE: dict[str, Act] = {
    "slow down": Refuse(503, "SlowDown"),
    "internal error": Refuse(500, "InternalError"),
    "garbage": Refuse(500, text="<Error><Code>Inter"),
    "proxy": Refuse(502, text="<html><body>Bad gateway</body></html>"),
    "silence": Break("stop"),
    "reset": Break("reset"),
    "head alone": Break("close", after=0),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncapi.server.usecases.archives.prefetch._PATIENCE", 1.0)
    monkeypatch.setattr("syncapi.server.storage.reading._SLOW_SECONDS", 3.0)
    monkeypatch.setattr("syncapi.server.storage.reading._PROGRESS", 64 * 1024)


async def documents(ground: Ground, number: int) -> dict[str, Any]:
    """So many documents, as the body of a request for them."""
    contents = [Content(SIZE, uuid4().hex, block=MIB).slice(0, SIZE) for _ in range(number)]
    made = [await upload(ground.client, content, "a.bin") for content in contents]
    return {"document_ids": [document["id"] for document in made]}


async def read(ground: Ground, body: dict[str, Any]) -> httpx.Response:
    return await ground.client.post(PATH, json=body)


def members(answer: httpx.Response) -> list[str]:
    """The SHA-256 of every file of a whole archive."""
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[-1] == "manifest.json"
        return [hashlib.sha256(archive.read(name)).hexdigest() for name in names[:-1]]


@pytest.mark.parametrize("fault", BEFORE)
async def test_before_the_first_byte_it_is_a_problem(ground: Ground, fault: str) -> None:
    body = await documents(ground, 1)
    ground.s3.rule(BEFORE[fault], GET)
    refused = await read(ground, body)
    problem_of(refused, 503, "unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    await ground.s3.mend()
    assert len(members(await read(ground, body))) == 1


@pytest.mark.parametrize(
    "fault", ["slow down", "garbage", "reset", *(f"{how} amid" for how in AMID)]
)
async def test_what_passes_in_the_middle_is_not_noticed(ground: Ground, fault: str) -> None:
    body = await documents(ground, 2)
    act = AMID[fault.removesuffix(" amid")] if fault.endswith(" amid") else BEFORE[fault]
    rule = ground.s3.rule(act, GET, skip=1, times=1)
    assert len(set(members(await read(ground, body)))) == 2
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("how", "format_"), [("stop", "zip"), ("close", "tar"), ("reset", "zip"), ("drip", "tar")]
)
async def test_what_stays_cuts_the_connection(ground: Ground, how: str, format_: str) -> None:
    """No reader takes what has come for a whole archive."""
    body = {**await documents(ground, 2), "format": format_}
    ground.s3.rule(AMID[how], GET, skip=1, times=1)
    ground.s3.rule(Refuse(), GET, skip=1)
    got = await read_until_cut(ground, body)
    assert got  # of one document or nearly two: both are asked for at once
    assert not is_whole(got, format_)
    await ground.s3.mend()
    assert len(members(await read(ground, {**body, "format": "zip"}))) == 2


async def read_until_cut(ground: Ground, body: dict[str, Any]) -> bytes:
    got = bytearray()

    async def read_on(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            got.extend(piece)

    async with ground.client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await read_on(answer)
    return bytes(got)


def is_whole(raw: bytes, format_: str) -> bool:
    try:
        if format_ == "zip":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                return "manifest.json" in archive.namelist()
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            return "manifest.json" in tar.getnames()
    except (zipfile.BadZipFile, tarfile.ReadError):
        return False


async def test_an_s3_that_is_slow_is_read_at_its_pace(ground: Ground) -> None:
    """Slow is not dead: what trickles, if faster than a floor, comes to its end."""
    body = await documents(ground, 1)
    ground.s3.rule(Trickle(), GET)
    assert len(members(await read(ground, body))) == 1


class Trickle:
    """A quarter of a second for each MiB."""

    async def __call__(self, exchange: Any) -> bool:  # noqa: ANN401
        answer = await exchange.answer()
        await exchange.send(answer.head.raw)
        async for piece in answer.body:
            await exchange.send(piece)
            await asyncio.sleep(0.25 * len(piece) / MIB)
        answer.connection.transport.abort()
        return True
