"""``syncapi feed`` as an operator types it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from fixtures.process import environment_of
from fixtures.raw_tenant import RawTenant
from fixtures.writing import SqlWriter
from soak.session import session
from syncapi.cli.app import app
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import DatabaseUrls, PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.settings import Settings
from syncapi.server.usecases.tenants import TenantAdministration


@dataclass
class Place:
    """Two databases with a tenant each, and a shell whose settings know them."""

    urls: dict[str, str]
    tenants: dict[str, Tenant]
    environment: dict[str, str]

    async def run(self, *words: str) -> Result:
        runner = CliRunner()
        return await asyncio.to_thread(runner.invoke, app, words, env=self.environment)

    async def clock(self, slug: str) -> asyncpg.Record:
        tenant = self.tenants[slug]
        async with session(self.urls[tenant.database]) as db:
            return await RawTenant(tenant.id, uuid4(), db).clock()


@pytest.fixture
async def place(
    settings: Settings,
    create_migrated_database: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.chdir(tmp_path)  # no .env here
    urls = {name: create_migrated_database() for name in ("default", "far")}
    known = DatabaseUrls(urls["default"], named={"far": urls["far"]})
    async with Databases(known, PoolLimits(size=1)) as databases:
        control = ControlStore(databases.control)
        administration = TenantAdministration(control, databases, Invalidations(None))
        tenants = {
            slug: await administration.create(slug, slug=slug, database=database)
            for slug, database in (("near", "default"), ("away", "far"))
        }
    named = json.dumps({"far": urls["far"]})
    environment = environment_of(
        settings, database_url=urls["default"], tenant_database_urls=named
    )
    return Place(urls, tenants, environment)


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.stderr
    return result.stdout


async def test_void_mends_and_says_how_much(place: Place) -> None:
    tenant = place.tenants["away"]
    async with session(place.urls["far"]) as db:
        writer = await SqlWriter.of(db, tenant.id)
        await db.execute("SET session_replication_role = replica")
        await writer.insert(uuid4(), uuid4())
    (record,) = json.loads(ok(await place.run("feed", "void", "--tenant", "away", "--json")))
    assert record["mended"] == 2


async def test_void_takes_all_tenants_of_all_databases(place: Place) -> None:
    before = {slug: await place.clock(slug) for slug in place.tenants}
    records = json.loads(ok(await place.run("feed", "void", "--json")))
    assert [(record["tenant"], record["database"]) for record in records] == [
        ("away", "far"),
        ("near", "default"),
    ]
    for record in records:
        clock = await place.clock(record["tenant"])
        assert clock["lineage"] != before[record["tenant"]]["lineage"]
        assert record["server_time"] == f"{clock['last']:%Y-%m-%dT%H:%M:%S.%fZ}"
        assert (record["mended"], record["error"]) == (0, None)


@pytest.mark.parametrize("words", [("--tenant", "away"), ("--database", "far")])
async def test_void_takes_some_alone(place: Place, words: tuple[str, ...]) -> None:
    before = {slug: await place.clock(slug) for slug in place.tenants}
    said = ok(await place.run("feed", "void", *words))
    assert said.startswith("away\tfar\t0\t")
    assert said.count("\n") == 1
    assert await place.clock("near") == before["near"]
    assert await place.clock("away") != before["away"]


async def test_one_that_fails_is_named_and_stops_no_other(place: Place) -> None:
    before = await place.clock("near")
    async with session(place.urls["far"]) as db:
        await db.execute("DELETE FROM tenant_clock")
    result = await place.run("feed", "void")
    assert result.exit_code == 1
    assert "1 of 2 tenants failed" in result.stderr
    assert "away (far): The tenant has no feed in the database 'far'" in result.stderr
    assert "Traceback" not in result.stderr
    assert await place.clock("near") != before


async def test_open(place: Place) -> None:
    async with session(place.urls["far"]) as db:
        await db.execute("DELETE FROM tenant_clock")
    refused = await place.run("feed", "open", "away")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--empty" in refused.stderr
    said = ok(await place.run("feed", "open", "away", "--empty"))
    assert "'away' is that in the database 'far'" in said
    assert (await place.clock("away"))["feed_id"] != place.tenants["away"].feed_id
    ok(await place.run("feed", "void", "--tenant", "away"))


async def test_migrate_says_which_feed_is_a_tenants(place: Place) -> None:
    async with session(place.urls["default"]) as db:
        await db.execute("UPDATE tenants SET feed_id = NULL WHERE slug = 'near'")
        behind = await place.run("migrate", "--check")
        assert behind.exit_code == 1
        assert "near: is not known yet" in behind.stderr
        ok(await place.run("migrate"))
        ok(await place.run("migrate", "--check"))
        found = await db.fetchval("SELECT feed_id FROM tenants WHERE slug = 'near'")
        assert found == place.tenants["near"].feed_id
        async with session(place.urls["far"]) as far:
            await far.execute("SELECT feed.open($1, $2)", place.tenants["near"].id, uuid4())
        await db.execute("UPDATE tenants SET feed_id = NULL WHERE slug = 'near'")
    torn = await place.run("migrate")
    assert torn.exit_code == 1
    assert "near: is not known: its row names 'default'" in torn.stderr
    assert "default, far" in torn.stderr
