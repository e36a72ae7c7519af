"""``syncapi migrate`` as an operator runs it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.feed_schema import schema
from fixtures.process import environment_of
from soak.session import session
from syncapi.embedded.psql import psql
from syncapi.server.postgres.migrations import Target, Tree, current, head
from syncapi.server.settings import Settings

CreateDatabase = Callable[[], str]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


class Operator:
    """Runs the verb with a default database and further ones by name."""

    def __init__(self, settings: Settings, folder: Path, default: str, **named: str) -> None:
        urls = {"database_url": default, "tenant_database_urls": json.dumps(named)}
        self._environment = environment_of(settings, **urls)
        self._folder = folder

    async def migrate(self, *options: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "syncapi", "migrate", *options),
            env=self._environment,
            cwd=self._folder,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err
        return Done(process.returncode, out.decode(), err.decode())


async def reached(url: str, tree: Tree = Tree.TENANT) -> str | None:
    return await current(Target(tree, "", url))


def newest(tree: Tree = Tree.TENANT) -> str:
    return head(Target(tree, "", ""))


@pytest.mark.slow
async def test_several_databases_at_once(
    settings: Settings, create_database: CreateDatabase, tmp_path: Path
) -> None:
    urls = [create_database() for _ in range(3)]
    operator = Operator(settings, tmp_path, urls[0], europe=urls[1], asia=urls[2])
    behind = await operator.migrate("--check")
    assert behind.code == 1
    for label in ("control (control)", "default (tenant)", "europe (tenant)", "asia (tenant)"):
        assert f"{label} failed: is at nothing, not at" in behind.err
    assert [await reached(url) for url in urls] == [None] * 3

    done = await operator.migrate()
    assert done.code == 0, done.err
    assert "europe (tenant) upgraded from nothing" in done.out
    assert [await reached(url) for url in urls] == [newest()] * 3
    assert await reached(urls[0], Tree.CONTROL) == newest(Tree.CONTROL)

    again = await operator.migrate("--check")
    assert (again.code, again.err) == (0, "")
    assert again.out.count("is up to date") == 4


@pytest.mark.slow
async def test_a_dry_run_prints_sql_that_makes_the_same(
    settings: Settings, create_database: CreateDatabase, tmp_path: Path
) -> None:
    by_verb, by_hand = create_database(), create_database()
    operator = Operator(settings, tmp_path, by_verb)
    printed = await operator.migrate("--dry-run")
    assert printed.code == 0, printed.err
    assert await reached(by_verb) is None
    # The tenants' databases are known once the control tables are there: here it is the default.
    psql(by_hand, printed.out)
    assert (await operator.migrate()).code == 0
    assert await schema(by_hand) == await schema(by_verb)
    assert await reached(by_hand) == newest()
    assert "CREATE TABLE" not in (await operator.migrate("--dry-run")).out


@pytest.mark.slow
async def test_one_that_fails_stops_no_other_and_is_named_at_the_end(
    settings: Settings, create_database: CreateDatabase, tmp_path: Path
) -> None:
    good, clashing = create_database(), create_database()
    psql(clashing, "CREATE TABLE files (id int)")
    nowhere = "postgresql://nobody:secret-word@127.0.0.1:1/none"
    operator = Operator(settings, tmp_path, good, a_clash=clashing, b_nowhere=nowhere)
    done = await operator.migrate("--jobs", "1")
    assert done.code == 1
    assert [await reached(url) for url in (good, clashing)] == [newest(), None]
    assert 'relation "files" already exists' in done.err
    assert "b_nowhere (tenant) failed: cannot be reached" in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.endswith("2 of 4 failed: a_clash (tenant), b_nowhere (tenant)")
    assert "secret-word" not in done.out + done.err


@pytest.mark.slow
async def test_one_that_waits_for_a_lock_gives_up_and_says_what_to_do(
    settings: Settings, create_database: CreateDatabase, tmp_path: Path
) -> None:
    url = create_database()
    operator = Operator(settings, tmp_path, url)
    async with session(url) as db:
        await db.execute("BEGIN; CREATE TABLE documents (id int)")  # and then to lunch
        done = await operator.migrate()
    assert done.code == 1
    assert "default (tenant) failed: another session kept it waiting for a lock for 5s" in done.err
    assert "pg_stat_activity" in done.err
    assert await reached(url) is None
    assert (await operator.migrate()).code == 0
    assert await reached(url) == newest()


@pytest.mark.slow
async def test_two_at_once_do_no_harm(
    settings: Settings, create_database: CreateDatabase, tmp_path: Path
) -> None:
    url = create_database()
    operator = Operator(settings, tmp_path, url)
    both = await asyncio.gather(operator.migrate(), operator.migrate())
    assert [done.code for done in both] == [0, 0], [done.err for done in both]
    assert await reached(url) == newest()


@pytest.mark.slow
@pytest.mark.parametrize("tree", Tree)
async def test_a_database_of_another_release_is_left_alone_and_named(
    settings: Settings, create_migrated_database: CreateDatabase, tmp_path: Path, tree: Tree
) -> None:
    url = create_migrated_database()
    psql(url, f"UPDATE alembic_version_{tree} SET version_num = '9999'")
    operator = Operator(settings, tmp_path, url)
    for options in ((), ("--check",), ("--dry-run",)):
        done = await operator.migrate(*options)
        assert done.code == 1, options
        assert f"({tree}) failed: is at 9999, which this release does not know" in done.err
        assert "Run the release that migrated it" in done.err
    assert await reached(url, tree) == "9999"
