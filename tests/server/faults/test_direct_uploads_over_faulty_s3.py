"""Uploads straight to S3 while what the service asks of S3 fails."""

from uuid import uuid4

import httpx
import pytest

from fixtures.collecting import AT_ONCE, Collector
from fixtures.faulty_s3 import Act, Break, Refuse
from fixtures.faulty_service import MIB, Ground
from fixtures.pulling import problem_of
from fixtures.sending import Content, complete, declare, follow, pending, send, state_of
from syncapi.protocol.files import FileState
from syncapi.server.domain.retention import Retention

FAULTS: dict[str, Act] = {
    "slow down": Refuse(503, "SlowDown"),
    "internal error": Refuse(500, "InternalError"),
    "error in a 200": Refuse(200, "InternalError"),
    "garbage": Refuse(500, text="<Error><Code>Inter"),
    "lost answer": Break(),
    "half an answer": Break("close", after=100),
    "silence": Break("stop"),
    "silence amid": Break("stop", after=3 * MIB),
    "closed amid": Break("close", after=3 * MIB),
    "reset amid": Break("reset", after=3 * MIB),
    "drip amid": Break("drip", after=3 * MIB, pause=0.2),
}
CREATE, LIST = r"^POST .*\?uploads", r"^GET .*uploadId="
MERGE, HEAD, READ = r"^POST .*uploadId=", r"^HEAD [^?]*/[^?]*/", r"^GET [^?]*/[^?]*/[^?]*$"
NAMES = {MERGE: "merge", HEAD: "head", LIST: "list", READ: "read"}
STEPS = {
    MERGE: ("slow down", "error in a 200", "lost answer", "half an answer"),
    HEAD: ("slow down", "lost answer", "silence"),
    LIST: ("slow down", "garbage", "half an answer"),
    READ: (
        "slow down",
        "garbage",
        "silence",
        "silence amid",
        "closed amid",
        "reset amid",
        "drip amid",
    ),
}
CASES = [(step, fault) for step, faults in STEPS.items() for fault in faults]
STAYING = [
    (MERGE, "slow down"),
    (MERGE, "lost answer"),
    (HEAD, "silence"),
    (LIST, "garbage"),
    (READ, "slow down"),
    (READ, "silence amid"),
    (READ, "closed amid"),
    (READ, "drip amid"),
]


def name(case: object) -> str:
    return NAMES.get(str(case), str(case))


@pytest.fixture
def content() -> Content:
    return Content(8 * MIB, uuid4().hex)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncapi.server.usecases.verification._PATIENCE", 1.0)
    monkeypatch.setattr("syncapi.server.storage.reading._SLOW_SECONDS", 3.0)
    monkeypatch.setattr("syncapi.server.storage.reading._PROGRESS", 64 * 1024)


async def all_sent(ground: Ground, content: Content) -> FileState:
    state = await declare(ground.client, content.declaration())
    upload = pending(state)
    await send(upload, upload.parts, content.slice)
    return state


async def assert_file(ground: Ground, answer: httpx.Response, content: Content) -> None:
    done = state_of(answer)
    assert (done.status, done.file and done.file.file_size) == ("complete", content.size)
    assert (await ground.rows(), await ground.objects(), await ground.multiparts()) == (1, 1, 0)


def assert_unavailable(answer: httpx.Response) -> None:
    problem_of(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("fault", ["slow down", "garbage", "lost answer", "silence"])
async def test_a_declaration_that_cannot_begin(
    ground: Ground, collect: Collector, content: Content, fault: str
) -> None:
    rule = ground.s3.rule(FAULTS[fault], CREATE)
    assert_unavailable(await ground.client.post("/files", json=content.declaration()))
    assert rule.hits > 0
    assert await ground.rows() == 0
    await ground.s3.mend()
    await collect(ground.tenant, Retention(files=AT_ONCE))
    assert await ground.multiparts() == 0
    state = await all_sent(ground, content)
    await assert_file(ground, await complete(ground.client, state.id), content)


@pytest.mark.parametrize(("step", "fault"), CASES, ids=name)
async def test_a_fault_that_passes_is_got_over_at_once_or_by_a_repeat(
    ground: Ground, content: Content, step: str, fault: str
) -> None:
    state = await all_sent(ground, content)
    rule = ground.s3.rule(FAULTS[fault], step, times=1)
    answer = await complete(ground.client, state.id)
    assert rule.hits == 1, ground.s3.seen
    if answer.status_code != 200:
        assert_unavailable(answer)
        assert await ground.rows() == 0
        answer = await complete(ground.client, state.id)
    await assert_file(ground, answer, content)


@pytest.mark.parametrize(("step", "fault"), STAYING, ids=name)
async def test_a_fault_that_stays_is_a_503_and_the_upload_goes_on_after_it(
    ground: Ground, content: Content, step: str, fault: str
) -> None:
    state = await all_sent(ground, content)
    rule = ground.s3.rule(FAULTS[fault], step)
    answer = await complete(ground.client, state.id)
    assert rule.hits > 0, ground.s3.seen
    if answer.status_code != 200:
        assert_unavailable(answer)
        assert await ground.rows() == 0
    await ground.s3.mend()
    assert (await follow(ground.client, state.id)).id == state.id
    await assert_file(ground, await complete(ground.client, state.id), content)
