"""Uploads by form while S3 refuses, loses answers or stands still."""

import hashlib

import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector
from fixtures.faulty_s3 import Act, Break, Hang, Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.pulling import problem_of
from fixtures.until import until
from fixtures.uploads import Json, document_of
from syncapi.server.domain.retention import Retention

SMALL, LARGE = b"s" * MIB, b"l" * 20 * MIB
STEPS = {
    "put": (r"^PUT [^?]*$", SMALL),
    "create": (r"^POST .*\?uploads", LARGE),
    "part": (r"^PUT .*partNumber=2", LARGE),
    "last part": (r"^PUT .*partNumber=3", LARGE),
    "complete": (r"^POST .*uploadId=", LARGE),
}
FAULTS: dict[str, Act] = {
    "slow down": Refuse(503, "SlowDown"),
    "internal error": Refuse(500, "InternalError"),
    "half way": Refuse(503, "SlowDown", after=100_000),
    "error in a 200": Refuse(200, "InternalError"),
    "proxy": Refuse(502, text="<html><body>Bad gateway</body></html>"),
    "garbage": Refuse(500, text="<Error><Code>Inter"),
    "lost answer": Break(),
    "half an answer": Break("close", after=20),
    "silence": Break("stop"),
    "drip": Break("drip", after=0, pause=0.5),
}
PASSING = [
    *((step, fault) for step in STEPS for fault in ("slow down", "lost answer")),
    ("put", "internal error"),
    ("create", "proxy"),
    ("create", "garbage"),
    ("create", "drip"),
    ("part", "half way"),
    ("part", "silence"),
    ("complete", "error in a 200"),
    ("complete", "half an answer"),
]
STAYING = [
    ("put", "slow down"),
    ("put", "silence"),
    ("create", "garbage"),
    ("create", "lost answer"),
    ("part", "half way"),
    ("last part", "silence"),
    ("complete", "error in a 200"),
    ("complete", "drip"),
    ("complete", "lost answer"),
]


async def post(ground: Ground, content: bytes) -> httpx.Response:
    return await ground.client.post("/documents", files={"file": ("a.bin", content)})


async def bytes_of(ground: Ground, document: Json) -> str:
    """The SHA-256 of what its signed URL gives."""
    answer = await ground.client.get(f"/documents/{document['id']}/download-url")
    async with httpx.AsyncClient() as stranger:
        body = await stranger.get(answer.json()["data"]["download_url"])
    assert body.status_code == 200
    return hashlib.sha256(body.content).hexdigest()


async def assert_kept(ground: Ground, answer: httpx.Response, content: bytes) -> None:
    document = document_of(answer)
    assert await bytes_of(ground, document) == hashlib.sha256(content).hexdigest()
    assert (await ground.rows(), await ground.objects(), await ground.multiparts()) == (2, 1, 0)


async def assert_clean(ground: Ground, collect: Collector, step: str) -> None:
    """Nothing is left; of uploads whose beginning was never told, once garbage is collected."""
    assert await ground.rows() == 0
    if step == "create":
        await until_no_objects(ground)
        await collect(ground.tenant, Retention(files=AT_ONCE))
        assert await ground.is_clean()
    else:
        await until(ground.is_clean)


async def until_no_objects(ground: Ground) -> None:
    async def has_none() -> bool:
        return not await ground.objects()

    await until(has_none)


@pytest.mark.parametrize(("step", "fault"), PASSING)
async def test_a_fault_that_passes_leaves_all_or_nothing(
    ground: Ground, collect: Collector, step: str, fault: str
) -> None:
    where, content = STEPS[step]
    rule = ground.s3.rule(FAULTS[fault], where, times=1)
    answer = await post(ground, content)
    assert rule.hits == 1, ground.s3.seen
    if answer.status_code != 201:
        problem_of(answer, 503, "unavailable")
        assert "Retry-After" in answer.headers
        await assert_clean(ground, collect, step)
        answer = await post(ground, content)
    await collect(ground.tenant, Retention(files=AT_ONCE))
    await assert_kept(ground, answer, content)


@pytest.mark.parametrize(("step", "fault"), STAYING)
async def test_a_fault_that_stays_is_a_503_and_leaves_nothing(
    ground: Ground, collect: Collector, step: str, fault: str
) -> None:
    where, content = STEPS[step]
    rule = ground.s3.rule(FAULTS[fault], where)
    answer = await post(ground, content)
    problem_of(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert rule.hits > 0
    await assert_clean(ground, collect, step)
    await ground.s3.mend()
    await assert_kept(ground, await post(ground, content), content)


async def test_an_s3_that_fails_altogether_half_way_leaves_nothing_when_it_is_back(
    ground: Ground,
) -> None:
    """The clean-up fails as well; it goes on in the background."""
    ground.s3.rule(Refuse(), skip=2)
    answer = await post(ground, LARGE)
    problem_of(answer, 503, "unavailable")
    assert await ground.multiparts() == 1
    await ground.s3.mend()
    await until(ground.is_clean)
    assert await ground.rows() == 0


async def test_the_answer_does_not_wait_for_a_clean_up_that_hangs(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncapi.server.storage.cleanup._WAIT", 0.1)
    hanging = ground.s3.rule(Hang(), "^DELETE ")
    ground.s3.rule(Refuse(), r"^PUT .*partNumber=2")
    problem_of(await post(ground, LARGE), 503, "unavailable")
    assert hanging.hits == 1
    assert await ground.multiparts() == 1, "the clean-up hangs still"
    await ground.s3.mend()
    await until(ground.is_clean)
