"""``syncapi config show`` tells the settings in force, and nothing secret of them."""

import json

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from syncapi.cli.server.config import app, visible
from syncapi.server.settings import IssuerSettings, Settings


def _show(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *arguments: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False).stdout


def test_it_tells_what_is_in_force(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: Settings
) -> None:
    shown = _show(monkeypatch, {**environment, "SYNCAPI_PORT": "4711"})
    assert "SYNCAPI_PORT=4711\n" in shown
    assert f"SYNCAPI_S3_BUCKET={settings.s3_bucket}\n" in shown
    assert "SYNCAPI_CONTROL_DATABASE_URL=\n" in shown
    assert 'SYNCAPI_UPLOAD_ALLOWED_TYPES=["*/*"]\n' in shown


def test_json_has_every_setting(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    shown = json.loads(_show(monkeypatch, environment, "--json"))
    assert list(shown) == list(Settings.model_fields)
    assert shown["port"] == 4999


def test_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: Settings
) -> None:
    shown = _show(monkeypatch, environment) + _show(monkeypatch, environment, "--json")
    for _, value in settings:
        if isinstance(value, SecretStr):
            assert value.get_secret_value() not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hunter2@db:5432/app", "postgresql://app:********@db:5432/app"),
        ("postgresql://app@db/app?password=hunter2", "postgresql://app@db/app?********"),
        ("postgres://[::1]:5432/app", "postgres://[::1]:5432/app"),
        ("postgresql://app:hun/ter2@db/app", "********"),
        ("postgresql://app:hun#ter2@db/app", "********"),
        ("postgresql://app:hun@ter2@db/app", "postgresql://app:********@db/app"),
    ],
)
def test_a_url_is_shown_without_its_password(settings: Settings, url: str, shown: str) -> None:
    changed = settings.model_copy(
        update={
            "database_url": SecretStr(url),
            "tenant_database_urls": {"big": SecretStr(url)},
        }
    )
    assert visible(changed)["database_url"] == shown
    assert visible(changed)["tenant_database_urls"] == {"big": shown}


def test_secrets_in_lists_and_urls_without_a_type(settings: Settings) -> None:
    issuer = IssuerSettings(issuer="a", audience="b", jwks_url="https://u:hunter2@idp/keys?k=hid")
    changed = settings.model_copy(
        update={"cursor_previous_keys": (SecretStr("https://x"),), "issuers": (issuer,)}
    )
    assert visible(changed)["cursor_previous_keys"] == ["********"]
    assert visible(changed)["issuers"][0]["jwks_url"] == "https://u:********@idp/keys?********"
