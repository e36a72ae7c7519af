"""The ground under every test: real servers, started once a run, and databases of one's own.

The process that steers the run starts PostgreSQL, S3 and Valkey in a fresh folder, with data that
need not survive a crash, as soon as a worker or a test needs them, and stops them at its end.
Fixtures of the service itself are in ``fixtures/``; every module there is loaded.
"""

import gc
import json
import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import structlog
from pydantic import SecretStr

from syncapi.embedded import EmbeddedServices, ServiceAddresses
from syncapi.embedded.psql import psql
from syncapi.server.postgres.migrations import Target, Tree, upgrade
from syncapi.server.settings import Settings

CreateDatabase = Callable[[], str]

pytest.register_assert_rewrite("fixtures")  # before one of them imports another
pytest_plugins = [f"fixtures.{path.stem}" for path in Path(__file__).parent.glob("fixtures/*.py")]

_TEMPLATE = "migrated"
_WORKER_INPUT = "services"
_steward = pytest.StashKey["Steward"]()


class Steward:
    """Starts the servers when first asked and stops them when the run ends."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._services: EmbeddedServices | None = None

    def addresses(self) -> ServiceAddresses:
        if self._services is None:
            self._folder = Path(tempfile.mkdtemp(prefix="syncapi-tests-"))
            self._services = EmbeddedServices(self._folder, durable=False)
            self._services.start()
            url = self._services.postgres.create_database(_TEMPLATE)
            for tree in Tree:
                upgrade(Target(tree, _TEMPLATE, url))
        return self._services.addresses

    def close(self) -> None:
        if self._services is not None:
            self._services.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-servers",
        action="store_true",
        help="only tests that need no server and are not marked as slow",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--no-servers"):
        quick: list[pytest.Item] = []
        others: list[pytest.Item] = []
        for item in items:
            needs_one = "services" in getattr(item, "fixturenames", ())
            is_other = needs_one or item.get_closest_marker("slow") is not None
            (others if is_other else quick).append(item)
        config.hook.pytest_deselected(items=others)
        items[:] = quick


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the garbage collector need not look through it."""
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in the background of a script. What tests start would inherit it, and ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _forget_the_environment()
    config.stash[_steward] = Steward()


def _forget_the_environment() -> None:
    """A developer's own settings and proxies are none of the tests' business."""
    for name in list(os.environ):
        is_setting = name.startswith("SYNCAPI_") and not name.startswith("SYNCAPI_TEST_")
        if is_setting or name.lower().endswith("_proxy"):
            del os.environ[name]
    # No test speaks TLS, and to read all authorities takes 40 ms for each HTTP client.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "fixtures" / "authority.pem")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_steward].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController has no types
    if node.config.getoption("--no-servers"):
        return
    addresses = node.config.stash[_steward].addresses()
    node.workerinput[_WORKER_INPUT] = json.dumps(asdict(addresses))


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> ServiceAddresses:
    """Where the servers of this run are. Each xdist worker has a Redis database of its own."""
    worker: dict[str, Any] | None = getattr(request.config, "workerinput", None)
    if worker is None:
        return request.config.stash[_steward].addresses()
    addresses = ServiceAddresses(**json.loads(worker[_WORKER_INPUT]))
    number = 1 + int(worker["workerid"].removeprefix("gw"))
    return replace(addresses, redis_url=f"{addresses.redis_url.removesuffix('/0')}/{number}")


def _create_database(admin_url: str, name: str, template: str = "template0") -> str:
    psql(admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def create_database(services: ServiceAddresses) -> CreateDatabase:
    """Makes empty databases; returns the URL of each."""
    return lambda: _create_database(
        services.postgres_admin_url, f"empty_{secrets.token_hex(6)}", "template0"
    )


@pytest.fixture(scope="session")
def create_migrated_database(services: ServiceAddresses) -> CreateDatabase:
    """Makes databases with both trees of tables and no rows; returns the URL of each."""
    return lambda: _create_database(
        services.postgres_admin_url, f"test_{secrets.token_hex(6)}", _TEMPLATE
    )


@pytest.fixture(scope="session")
def database_url(create_migrated_database: CreateDatabase) -> str:
    """This worker's database, shared by its tests: each makes tenants of its own."""
    return create_migrated_database()


@pytest.fixture(scope="session")
def settings(services: ServiceAddresses, database_url: str) -> Settings:
    """Settings of a service on the run's servers."""
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(services.redis_url),
        s3_endpoint_url=services.s3_endpoint_url,
        s3_bucket=services.s3_bucket,
        s3_access_key_id=services.s3_access_key_id,
        s3_secret_access_key=SecretStr(services.s3_secret_access_key),
        jwt_secret=SecretStr(secrets.token_hex(32)),
        cursor_key=SecretStr(secrets.token_hex(32)),
        log_level="warning",
    )


@pytest.fixture
def every_log() -> Iterator[None]:
    """For tests that look at logs: none is held back, whatever a service in this process set."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))
    yield
    structlog.configure(**before)
