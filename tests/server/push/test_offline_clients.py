"""Clients that work offline, a step at a time, and the proof that their audit finds what is wrong.

The clients and the audit are those of the randomised checker (`checkers/soak`), where they run
side by side and under failures.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from fixtures.server import serving
from fixtures.service import TestTenant
from fixtures.uploads import upload
from fixtures.writing import MakeWriter, SqlWriter
from soak.device import Device
from soak.reader import Reader
from soak.replica import ByCursor, Disk
from soak.tally import Tally
from soak.truth import Miss
from soak.verdict import verify_pushes
from soak.world import Member, World
from syncapi.protocol.merging import Fields, Merged
from syncapi.protocol.push import OnConflict, PushRequest
from syncapi.server.domain import conflict_rules
from syncapi.server.domain.access import Role, TenantScope
from syncapi.server.domain.conflict_rules import (
    Change,
    Decision,
    Version,
    decide,
)
from syncapi.server.main import create_app
from syncapi.server.postgres import push as store
from syncapi.server.settings import Settings
from syncapi.server.usecases import push as usecase
from syncapi.server.usecases.json_encoding import Json
from syncapi.server.usecases.push import Outcome
from syncapi.server.usecases.push_changes import Push
from syncapi.server.usecases.push_results import Judged

DEVICES = 4
ROUNDS = 100
PATIENCE_SECONDS = 120

Play = Callable[[int], Awaitable[tuple[Sequence[Miss], Tally]]]


@pytest.fixture
async def world(settings: Settings, service_url: str, tenant: TestTenant) -> AsyncIterator[World]:
    """The tenant, and two processes of the service in one."""
    contents = [await upload(tenant.user, f"{n}".encode()) for n in range(4)]
    async with httpx.AsyncClient(timeout=60) as client:
        with serving(create_app(settings)) as second:
            urls, files = [service_url, second], [content["file"]["id"] for content in contents]
            yield World(urls, settings, client, [tenant.id], {tenant.id: files})


@pytest.fixture
def play(world: World, tenant: TestTenant, make_writer: MakeWriter) -> Play:
    """Let devices and a person at psql take turns, come to rest, and audit them."""

    async def play(seed: int) -> tuple[Sequence[Miss], Tally]:
        rng, tally = random.Random(seed), Tally()
        member = Member(tenant.id, tenant.tokens[Role.ADMIN])
        devices = [_device(world, member, rng, tally, number) for number in range(DEVICES)]
        writer = await make_writer(tenant.id)
        for _ in range(ROUNDS):
            await rng.choice(devices).act()
            if rng.random() < 0.2:
                await _write(writer, rng)
        rest = asyncio.gather(*(device.come_to_rest() for device in devices))
        await asyncio.wait_for(rest, PATIENCE_SECONDS)
        for device in devices:
            await device.pull_run()
            await device.reader.verify(writer.connection)
        await verify_pushes(writer.connection, devices, is_trail_kept=False)
        return [miss for device in devices for miss in device.reader.misses], tally

    return play


def _device(world: World, member: Member, rng: random.Random, tally: Tally, number: int) -> Device:
    start = ByCursor()
    reader = Reader(
        f"device {number}",
        world,
        member,
        Disk(start, start),
        rng,
        tally,
        is_crash_prone=False,
        is_checked_under_way=False,
        largest_page=500,
    )
    return Device.of(reader, world.files[member.tenant_id], rng, is_eager=number % 2 == 0)


async def _write(writer: SqlWriter, rng: random.Random) -> None:
    live = sorted(await writer.live())
    chosen = rng.sample(live, min(2, len(live)))
    await rng.choice((writer.touch, writer.touch, writer.delete, writer.erase))(*chosen)


MOST_RUNS = 8
"""Devices come to rest side by side, so a run of a seed is not always the same: what is rare is
waited for over several."""


async def test_nothing_is_lost_and_no_conflict_is_swallowed(play: Play) -> None:
    wanted = (
        "pushed: reject, applied",
        "pushed: reject, conflict",
        "pushed: last_write_wins, applied",
        "pushed: first_write_wins, conflict",
        "pushed: merge, applied",
        "pushed: merge, unchanged",
        "pushed: hung up, request answered",
        "pushed: twice at once",
        "pushed: a new change settles a conflict",
        "checked: pushed changes that were written",
    )
    seen: Counter[str] = Counter()
    for seed in range(1, 1 + MOST_RUNS):
        misses, tally = await play(seed)
        assert not misses, "\n".join(map(str, misses))
        seen.update(tally.counts)
        if seed > 1 and all(seen[what] for what in wanted):
            return
    pytest.fail(f"the runs prove nothing of {[what for what in wanted if not seen[what]]}")


def _deciding(monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Decision]) -> None:
    def judged(
        change: Change, server: Version | None, base: Fields | None, strategy: OnConflict
    ) -> Decision:
        return judge(change, server, base, strategy)

    monkeypatch.setattr(usecase, "decide", judged)


def _telling(monkeypatch: pytest.MonkeyPatch, tell: Callable[[list[Json]], list[Json]]) -> None:
    def told(results: list[Json]) -> Outcome:
        return Outcome(tell(results))

    monkeypatch.setattr(usecase, "Outcome", told)


def drop_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    read = store.read

    async def forgetful(*given: Any, **asked: Any) -> store.Known:  # noqa: ANN401 - passed through
        return replace(await read(*given, **asked), applied={})

    monkeypatch.setattr(store, "read", forgetful)


def overwrite_on_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(change: Change, server: Version | None, base: Fields | None, _: object) -> Decision:
        return decide(change, server, base, "last_write_wins")

    _deciding(monkeypatch, judge)


def swallow_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(*given: object) -> Decision:
        decision = decide(*given)  # type: ignore[arg-type]  # passed through
        return Decision("unchanged") if decision.status == "conflict" else decision

    _deciding(monkeypatch, judge)


def tell_without_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(change: Change, server: Version | None, *given: object) -> Decision:
        decision = decide(change, server, *given)  # type: ignore[arg-type]  # passed through
        return decision if server is None else replace(decision, write=None)

    _deciding(monkeypatch, judge)


def overwrite_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(*given: object) -> Decision:
        decision = decide(*given)  # type: ignore[arg-type]  # passed through
        return replace(decision, disagreement=None) if decision.write else decision

    _deciding(monkeypatch, judge)


def merge_what_does_not_join(monkeypatch: pytest.MonkeyPatch) -> None:
    def merge(base: Fields, mine: Fields, theirs: Fields) -> Merged:
        return Merged({k: v if v != base[k] else theirs[k] for k, v in mine.items()}, ())

    monkeypatch.setattr(conflict_rules, "merge", merge)


def lose_a_side_of_a_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    def merge(_: Fields, mine: Fields, __: Fields) -> Merged:
        return Merged(dict(mine), ())

    monkeypatch.setattr(conflict_rules, "merge", merge)


def hide_the_servers_side(monkeypatch: pytest.MonkeyPatch) -> None:
    _telling(
        monkeypatch,
        lambda results: [
            one | {"conflict": one["conflict"] and one["conflict"] | {"server": None}}
            for one in results
        ],
    )


def apply_atomic_pushes_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    make = Push.of

    def of(scope: TenantScope, request: PushRequest) -> Push:
        return replace(make(scope, request), is_atomic=False)

    monkeypatch.setattr(Push, "of", of)


def mix_up_results(monkeypatch: pytest.MonkeyPatch) -> None:
    _telling(monkeypatch, lambda results: results[::-1])


def take_bytes_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find_lost(_: object, judged: Sequence[Sequence[Judged]], __: object) -> set[UUID]:
        states = [one.state for judgements in judged for one in judgements]
        return {state.row["reference"] for state in states if state is not None and state.row}

    monkeypatch.setattr(usecase, "_find_lost", find_lost)


@pytest.mark.parametrize(
    ("plant", "finding"),
    [
        (drop_the_ledger, "after it had been applied"),
        (overwrite_on_conflict, "which the client had not seen"),
        (swallow_conflicts, "told unchanged"),
        (tell_without_writing, "told applied, and is neither in the history nor in the ledger"),
        (overwrite_without_a_word, "without a word of"),
        (merge_what_does_not_join, "which the client had not seen"),
        (lose_a_side_of_a_merge, "wrote {"),
        (hide_the_servers_side, "without the server's document"),
        (apply_atomic_pushes_in_part, "an atomic push was applied in part"),
        (mix_up_results, "not those of the changes, in their order"),
        (take_bytes_for_lost, "rejected for its content, which the tenant has"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_the_audit_finds_a_planted_defect(
    play: Play,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    finding: str,
) -> None:
    plant(monkeypatch)
    found: list[Miss] = []
    for seed in range(1, 1 + MOST_RUNS):
        misses, _ = await play(seed)
        found += misses
        if any(finding in miss.what for miss in misses):
            return
    pytest.fail("\n".join(map(str, found)) or "none")
