"""The fixtures that all other tests stand on."""

import os
import subprocess
import sys
from collections.abc import Callable

import asyncpg
from redis.asyncio import Redis

from syncapi.embedded import ServiceAddresses


async def test_the_database_has_both_trees_of_tables(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for table in ("tenants", "memberships", "documents", "files", "feed_entries"):
            assert await connection.fetchval("SELECT to_regclass($1)", table) == table
    finally:
        await connection.close()


async def test_a_created_database_is_empty(create_database: Callable[[], str]) -> None:
    connection = await asyncpg.connect(create_database())
    try:
        assert await connection.fetchval("SELECT to_regclass('documents')") is None
    finally:
        await connection.close()


def test_created_databases_differ(
    create_database: Callable[[], str], create_migrated_database: Callable[[], str]
) -> None:
    urls = {create_database(), create_database()}
    urls |= {create_migrated_database(), create_migrated_database()}
    assert len(urls) == 4


async def test_redis_answers(services: ServiceAddresses) -> None:
    async with Redis.from_url(services.redis_url) as redis:
        assert await redis.ping()


def test_no_setting_of_the_developer_leaks_in() -> None:
    assert {name for name in os.environ if name.startswith("SYNCAPI_")} <= {"SYNCAPI_TEST_SEED"}


def test_a_fresh_seed_is_that_of_the_environment(fresh_seed: int) -> None:
    assert str(fresh_seed) == os.environ.get("SYNCAPI_TEST_SEED", str(fresh_seed))


def test_a_run_is_repeated_by_its_seed() -> None:
    """Though other settings of the environment are hidden from tests."""
    test = f"{__file__}::test_a_fresh_seed_is_that_of_the_environment"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        env=os.environ | {"SYNCAPI_TEST_SEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ": 4711 (passed)" in run.stdout
