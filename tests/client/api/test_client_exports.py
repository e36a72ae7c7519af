"""What ``syncapi.client`` exports, and what importing it costs."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import syncapi.client

_HEAVY = {"anyio", "cryptography", "fastapi", "httpx", "keyring", "pydantic", "rich", "watchfiles"}


def _imported_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after a statement."""
    program = (
        f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return set(done.stdout.decode().split())


def _stubbed() -> dict[str, str]:
    """Name → module, as type checkers see it."""
    tree = ast.parse(Path(syncapi.client.__file__).with_suffix(".pyi").read_text())
    return {
        alias.name: f"{statement.module}"
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


@pytest.mark.parametrize("name", sorted(_stubbed()))
def test_a_name_is_what_type_checkers_think(name: str) -> None:
    there = getattr(importlib.import_module(_stubbed()[name]), name)
    assert getattr(syncapi.client, name) is there


def test_type_checkers_know_every_name() -> None:
    assert set(_stubbed()) == set(syncapi.client._PLACES)  # type: ignore[attr-defined] # its own table
    assert set(_stubbed()) <= set(dir(syncapi.client))


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        syncapi.client.Nothing  # type: ignore[attr-defined] # noqa: B018 - that there is none


def test_importing_it_costs_nothing() -> None:
    assert not _imported_by("import syncapi.client") & _HEAVY


def test_the_client_needs_nothing_of_the_server() -> None:
    unneeded = {"fastapi", "starlette", "sqlalchemy", "asyncpg", "redis", "aioboto3", "jose"}
    local = {"cryptography", "keyring", "watchfiles", "sqlite3"}
    found = _imported_by("from syncapi.client import BlockingClient, Client, Downloader, Uploader")
    assert not found & (unneeded | local)
