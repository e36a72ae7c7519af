"""What deploy/ says holds for the service as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.checkout import CHECKOUT
from syncapi.server.settings import Settings

DEPLOY = CHECKOUT / "deploy"


def test_the_example_names_every_setting() -> None:
    command = [sys.executable, "-m", "syncapi", "config", "example"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (DEPLOY / "syncapi.env.example").read_text() == printed


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []


def test_the_example_needs_only_its_open_lines_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (DEPLOY / "syncapi.env.example").read_text().splitlines()
    names = [line.removesuffix("=") for line in lines if line and not line.startswith("#")]
    filled = dict.fromkeys(names, "0123456789abcdef0123456789abcdef")
    filled["SYNCAPI_DATABASE_URL"] = "postgresql://syncapi@db.example/syncapi"
    filled["SYNCAPI_JWT_SECRET"] = "fedcba9876543210fedcba9876543210"
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in filled.items()))
    monkeypatch.chdir(tmp_path)
    assert Settings(_env_file=env_file).port == 4999
