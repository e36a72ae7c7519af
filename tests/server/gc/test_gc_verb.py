"""``syncapi gc`` as an operator types it: every tenant, also where some fail."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from fixtures.process import environment_of
from fixtures.writing import SqlWriter
from syncapi.cli.app import app
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.web.logging import configure_logging

NOW = {"SYNCAPI_TOMBSTONE_RETENTION_DAYS": "0"}


@dataclass
class World:
    """Two databases of tenants, and a shell whose settings know them."""

    url: str
    other_url: str
    environment: dict[str, str]

    def gc(self, *words: str, **changes: str) -> Result:
        return self.run("gc", *words, **changes)

    def run(self, *words: str, **changes: str) -> Result:
        return CliRunner().invoke(app, words, env={**self.environment, **changes})

    def limits(self, *words: str, **changes: str) -> dict[str, tuple[float | None, str]]:
        """Those in force, and whose they are, after `syncapi tenant limits`."""
        result = self.run("tenant", "limits", *words, "--json", **changes)
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)["limits"]
        return {name: (limit["value"], limit["source"]) for name, limit in found.items()}

    def report(self, *words: str, **changes: str) -> dict[str, dict[str, Any]]:
        """By tenant."""
        records = json.loads(self.gc(*words, "--json", **changes).stdout)
        return {record["tenant"]: record for record in records}

    def make(self, slug: str, database: str = "default") -> None:
        """A tenant with two documents, one of them deleted."""
        asyncio.run(self._make(slug, database))

    async def _make(self, slug: str, database: str) -> None:
        urls = DatabaseUrls(self.url, named={"other": self.other_url})
        async with Databases(urls, PoolLimits(size=1)) as databases:
            control = ControlStore(databases.control)
            administration = TenantAdministration(control, databases, Invalidations(None))
            tenant = await administration.create(slug, slug=slug, database=database)
            connection = await asyncpg.connect(urls.tenant(database))
            try:
                writer = await SqlWriter.of(connection, tenant.id)
                await writer.insert_one()
                await writer.delete(await writer.insert_one())
            finally:
                await connection.close()

    def sql(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())


@pytest.fixture
def world(
    settings: Settings,
    create_migrated_database: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)  # no .env here
    url, other = create_migrated_database(), create_migrated_database()
    own = settings.model_copy(
        update={"database_url": SecretStr(url), "log_level": "error"},
    )
    named = json.dumps({"other": other})
    yield World(url, other, environment_of(own, tenant_database_urls=named))
    assert sys.__stderr__ is not None  # the verb's own stderr is closed now
    configure_logging(settings.log_level, settings.log_format, sys.__stderr__)


def test_every_tenant_of_every_database_has_its_turn(world: World) -> None:
    world.make("first")
    world.make("second", "other")
    dry = world.report("--dry-run", **NOW)
    assert {slug: one["tombstones"] for slug, one in dry.items()} == {"first": 1, "second": 1}
    assert world.report("--dry-run", **NOW) == dry
    real = world.report(**NOW)
    assert {slug: one["tombstones"] for slug, one in real.items()} == {"first": 1, "second": 1}
    assert real["second"]["database"] == "other"
    again = world.report(**NOW)
    assert {slug: one["tombstones"] for slug, one in again.items()} == {"first": 0, "second": 0}


def test_one_tenant_alone(world: World) -> None:
    world.make("first")
    world.make("second")
    assert set(world.report("--tenant", "second", **NOW)) == {"second"}
    assert world.report("--dry-run", **NOW)["first"]["tombstones"] == 1
    unknown = world.gc("--tenant", "third")
    assert unknown.exit_code == 1
    assert "syncapi tenant list" in unknown.stderr


def test_nothing_is_old_enough_by_default(world: World) -> None:
    world.make("first")
    (record,) = world.report().values()
    assert not any(
        count for name, count in record.items() if isinstance(count, int) and name != "error"
    )


def test_what_fails_is_named_and_stops_nobody(world: World) -> None:
    world.make("bad-limits")
    world.make("good")
    world.make("in-a-database-that-is-down", "other")
    world.make("nowhere")
    world.sql("UPDATE tenants SET settings = '{\"history_days\": 0}' WHERE slug = 'bad-limits'")
    world.sql("UPDATE tenants SET database = 'unheard-of' WHERE slug = 'nowhere'")
    down = json.dumps({"other": "postgresql://nobody:hush@127.0.0.1:1/none"})

    result = world.gc(**NOW, SYNCAPI_TENANT_DATABASE_URLS=down)

    assert result.exit_code == 1
    assert "3 of 4 tenants failed" in result.stderr
    for slug, word in (
        ("bad-limits", "settings.history_days"),
        ("in-a-database-that-is-down", "does not answer"),
        ("nowhere", "SYNCAPI_TENANT_DATABASE_URLS"),
    ):
        assert f"{slug} (" in result.stderr
        assert word in result.stderr
    assert "hush" not in result.stderr
    (line,) = result.stdout.splitlines()
    assert line.split("\t")[:2] == ["good", "1"]


def test_progress_is_told_a_line_for_each_tenant(world: World) -> None:
    for number in range(3):
        world.make(f"t{number}")
    result = world.gc(**NOW)
    assert result.exit_code == 0
    assert [line.split(" ")[:4] for line in result.stderr.splitlines()] == [
        [str(number + 1), "of", "3", f"t{number}:"] for number in range(3)
    ]
    assert all("1 tombstones" in line for line in result.stderr.splitlines())


def test_s3_that_is_down_is_told_and_the_rows_are_collected(world: World) -> None:
    world.make("first")
    result = world.gc(**NOW, SYNCAPI_S3_ENDPOINT_URL="http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "first (default): The object store" in result.stderr
    assert world.report(**NOW)["first"]["tombstones"] == 0


def test_ages_that_uploads_could_reach_are_refused(world: World) -> None:
    result = world.gc(SYNCAPI_UNREFERENCED_FILE_DAYS="0.01")
    assert result.exit_code == 2
    assert "SYNCAPI_UPLOAD_MAX_SECONDS" in result.stderr


async def test_more_than_a_page_of_objects(store: ObjectStore, tmp_path: Path) -> None:
    """S3 lists a thousand at a time; they are deleted while they are listed."""
    prefix = f"{tmp_path.name}/{id(store)}/"
    for start in range(0, 1100, 50):
        numbers = range(start, start + 50)
        await asyncio.gather(
            *(store._call("put_object", Key=f"{prefix}{n:05}", Body=b"1") for n in numbers)
        )
    seen = 0
    before = datetime.now(UTC) + timedelta(seconds=2)
    async for page in store.listing.objects(prefix, before):
        seen += len(page)
        await store.delete_many([listed.key for listed in page])
    assert seen == 1100
    async for page in store.listing.objects(prefix, before):
        assert page == []


SERVICE = {"SYNCAPI_HISTORY_VERSIONS": "7"}


def test_a_tenants_own_limits_are_set_shown_and_in_force_from_the_next_run_on(
    world: World,
) -> None:
    world.make("first")
    world.make("second")
    world.sql('UPDATE tenants SET settings = \'{"colour": "red"}\'')
    world.sql("UPDATE documents SET filename = 'again.txt' WHERE NOT is_deleted")
    service = {"history_days": (None, "service"), "history_versions": (7, "service")}
    assert world.limits("first", **SERVICE) == service

    set_ = world.limits("first", "--history-versions", "1", "--history-days", "30.5", **SERVICE)
    assert set_ == {"history_days": (30.5, "tenant"), "history_versions": (1, "tenant")}
    assert world.limits("first", **SERVICE) == set_
    assert world.limits("second", **SERVICE) == service
    dry = world.report("--dry-run", **SERVICE)
    assert {slug: one["versions"] for slug, one in dry.items()} == {"first": 2, "second": 0}

    free = world.limits("first", "--history-versions", "Unlimited", **SERVICE)
    assert free == {**set_, "history_versions": (None, "tenant")}
    assert world.report("--dry-run", **SERVICE)["first"]["versions"] == 0
    words = ("--history-versions", "default", "--history-days", "default")
    assert world.limits("first", *words, **SERVICE) == service
    shown = world.run("tenant", "limits", "second", **SERVICE).stdout.splitlines()
    assert shown == [
        "history_days\tunlimited\tSYNCAPI_HISTORY_DAYS",
        "history_versions\t7\tSYNCAPI_HISTORY_VERSIONS",
    ]
    colours = 'SELECT bool_and(settings = \'{"colour": "red"}\') FROM tenants'
    world.sql(f"DO $$ BEGIN ASSERT ({colours}); END $$")  # what is not a limit was left alone


@pytest.mark.parametrize(
    ("option", "value", "exit_code", "complaint"),
    [
        ("--history-days", "many", 2, "write a number, 'unlimited' or"),
        ("--history-versions", "1.5", 2, "a whole number"),
        ("--history-days", "0", 1, "settings.history_days: write a number above 0"),
        ("--history-days", "-3", 1, "settings.history_days"),
        ("--history-days", "nan", 1, "settings.history_days"),
        ("--history-days", "inf", 1, "settings.history_days"),
        ("--history-days", "1e9", 1, "up to 36525"),
        ("--history-versions", "0", 1, "settings.history_versions: write a whole number above 0"),
    ],
)
def test_a_limit_that_is_none_is_refused_and_changes_nothing(
    world: World, option: str, value: str, exit_code: int, complaint: str
) -> None:
    world.make("first")
    result = world.run("tenant", "limits", "first", option, value)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in result.stderr.replace("│ │", "").replace("\n", " ")
    assert {source for _, source in world.limits("first").values()} == {"service"}


def test_limits_that_gc_cannot_read_are_named_and_can_be_put_right(world: World) -> None:
    world.make("first")
    world.sql('UPDATE tenants SET settings = \'{"history_days": "many"}\'')
    result = world.run("tenant", "limits", "first")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "settings.history_days" in result.stderr
    assert world.limits("first", "--history-days", "9")["history_days"] == (9, "tenant")
    unknown = world.run("tenant", "limits", "nobody", "--history-days", "9")
    assert unknown.exit_code == 1
    assert "syncapi tenant list" in unknown.stderr


def test_what_it_came_to_as_a_textfile_for_prometheus(world: World, tmp_path: Path) -> None:
    """Written also where tenants fail, and in one step: a scrape never sees half of it."""
    path = tmp_path / "syncapi_gc.prom"
    path.write_text("of the last run")
    world.make("first")
    world.make("nowhere")
    world.sql("UPDATE tenants SET database = 'unheard-of' WHERE slug = 'nowhere'")
    started = time.time()

    result = world.gc("--metrics-file", str(path), **NOW)

    assert result.exit_code == 1
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }
    assert samples["syncapi_gc_tenants",] == 2
    assert samples["syncapi_gc_failed_tenants",] == 1
    assert samples["syncapi_gc_collected", "tombstones"] == 1
    assert samples["syncapi_gc_collected", "files"] == 0
    assert samples["syncapi_gc_freed_bytes",] == 0
    assert started <= samples["syncapi_gc_last_run_timestamp_seconds",] <= time.time()
    assert samples["syncapi_gc_duration_seconds",] > 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_textfile_that_cannot_be_written_is_told(world: World, tmp_path: Path) -> None:
    world.make("first")
    refused = world.gc("--metrics-file", str(tmp_path / "no" / "such.prom"), **NOW)
    assert refused.exit_code == 1
    assert "metrics" in refused.stderr
    assert world.gc("--dry-run", "--metrics-file", "a.prom").exit_code == 2
