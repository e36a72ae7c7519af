"""``syncapi config``: the settings in force, with everything secret hidden, and all there are."""

import json
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer
from pydantic import BaseModel, SecretStr

from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.settings import Settings

app = typer.Typer(no_args_is_help=True)

_HIDDEN = "********"
_URLS = frozenset({"postgresql", "postgres", "redis", "rediss", "http", "https"})


@app.callback()
def config() -> None:
    """The settings of the service."""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Print the settings in force: defaults, .env and environment put together."""
    shown = visible(load_settings())
    if as_json:
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for name, value in shown.items():
        typer.echo(f"SYNCAPI_{name.upper()}={_as_text(value)}")


@app.command()
def example() -> None:
    """Print an environment file with every setting, what it means and its default."""
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() else _default(field.get_default())
        typer.echo(f"# {field.description}")
        typer.echo(f"{'' if field.is_required() else '# '}SYNCAPI_{name.upper()}={default}\n")


def _default(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict | tuple | bool) else _as_text(value)


def visible(settings: Settings) -> dict[str, Any]:
    """The settings as JSON values, without what must not be seen."""
    return _members(settings)


def _members(model: BaseModel) -> dict[str, Any]:
    return {name: _visible(value, is_url="url" in name) for name, value in model}


def _visible(value: object, *, is_url: bool) -> Any:  # noqa: ANN401, PLR0911 - any JSON
    match value:
        case SecretStr():
            return _hide(value.get_secret_value()) if is_url else _HIDDEN
        case BaseModel():
            return _members(value)
        case dict():
            return {name: _visible(inner, is_url=is_url) for name, inner in value.items()}
        case tuple():
            return [_visible(inner, is_url=is_url) for inner in value]
        case str() if is_url:
            return _hide(value)
        case None | str() | int() | float():
            return value
        case _:
            return str(value)


def _hide(secret: str) -> str:
    """Of a URL everything but its password and query; of other secrets all."""
    parts = urlsplit(secret)
    misread = secret.count("@") > parts.netloc.count("@")  # an unescaped / or # in a password
    if parts.scheme not in _URLS or not parts.netloc or misread:
        return _HIDDEN
    user, at, address = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{colon}{_HIDDEN if colon else ''}{at}{address}"
    return urlunsplit((parts.scheme, netloc, parts.path, _HIDDEN if parts.query else "", ""))


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
