"""The operator's verbs as a person types them, on a real database."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from syncapi.cli.app import app
from syncapi.server.domain.errors import Unauthenticated
from syncapi.server.identity.tokens import SecretIssuer, TokenVerifier
from syncapi.server.settings import Settings

USER = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
SECRET = "a secret of more than thirty-two bytes"
OWN_NAME = {"issuer": "syncapi", "audience": "x", "jwks_file": "/keys.json"}


@dataclass
class Shell:
    """A shell whose environment has the settings of a service."""

    environment: dict[str, str | None]

    def __call__(self, *words: str, **changes: str | None) -> Result:
        return CliRunner().invoke(app, words, env={**self.environment, **changes})


@pytest.fixture
def shell(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)  # no .env here
    assert settings.redis_url is not None
    return Shell(
        {
            "SYNCAPI_DATABASE_URL": settings.database_url.get_secret_value(),
            "SYNCAPI_REDIS_URL": settings.redis_url.get_secret_value(),
            "SYNCAPI_S3_BUCKET": settings.s3_bucket,
            "SYNCAPI_S3_ACCESS_KEY_ID": "key",
            "SYNCAPI_S3_SECRET_ACCESS_KEY": "secret",
            "SYNCAPI_JWT_SECRET": SECRET,
            "SYNCAPI_CURSOR_KEY": SECRET,
        }
    )


@pytest.fixture
def slug() -> str:
    return f"verbs-{uuid.uuid4().hex[:12]}"


def ok(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(result: Result, exit_code: int) -> str:
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_tenant_from_its_creation_to_its_suspension(shell: Shell, slug: str) -> None:
    assert f"Created the tenant '{slug}'" in ok(shell("tenant", "create", "ÄCME", "--slug", slug))
    listed = [
        row for row in json.loads(ok(shell("tenant", "list", "--json"))) if row["slug"] == slug
    ]
    assert [(row["name"], row["database"], row["is_active"]) for row in listed] == [
        ("ÄCME", "default", True)
    ]
    assert listed[0]["created_at"].endswith("Z")
    tenant_id = listed[0]["id"]
    assert json.loads(ok(shell("tenant", "suspend", tenant_id, "--json")))["is_active"] is False
    row = next(line for line in ok(shell("tenant", "list")).splitlines() if slug in line)
    assert row.split("\t")[:5] == [slug, tenant_id, "ÄCME", "default", "no"]
    assert f"Resumed the tenant '{slug}'" in ok(shell("tenant", "resume", slug))


def test_a_member_comes_changes_and_goes(shell: Shell, slug: str) -> None:
    ok(shell("tenant", "create", "Members", "--slug", slug))
    assert f"{USER} is now 'user'" in ok(shell("member", "add", slug, USER))
    ok(shell("member", "add", slug, USER, "--role", "admin"))
    assert json.loads(ok(shell("member", "list", slug, "--json"))) == [
        {"user_id": USER, "role": "admin"}
    ]
    assert ok(shell("member", "list", slug)) == f"{USER}\tadmin\n"
    assert "no longer" in ok(shell("member", "remove", slug, USER))
    assert ok(shell("member", "list", slug)) == ""
    assert "is no member" in refused(shell("member", "remove", slug, USER), 1)


def test_what_does_not_exist_or_exists_already_is_an_error(shell: Shell, slug: str) -> None:
    ok(shell("tenant", "create", "Once", "--slug", slug))
    assert "taken" in refused(shell("tenant", "create", "Twice", "--slug", slug), 1)
    for words in (("tenant", "suspend"), ("tenant", "resume"), ("member", "list")):
        assert "syncapi tenant list" in refused(shell(*words, f"no-{slug}"), 1)
    assert "slug:" in refused(shell("tenant", "create", "日本"), 1)


@pytest.mark.parametrize(
    "words",
    [
        ("tenant", "create"),
        ("tenant", "delete", "x"),
        ("member", "add", "x", "not-a-uuid"),
        ("member", "add", "x", USER, "--role", "owner"),
        ("token", "issue"),
        ("token", "issue", "--user", USER, "--expires", "soon"),
        ("token", "issue", "--user", USER, "--expires", "0"),
        ("token", "issue", "--user", USER, "--expires", "9999d"),
        ("tennant", "list"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(shell: Shell, words: tuple[str, ...]) -> None:
    assert refused(shell(*words), 2)


@pytest.mark.parametrize("words", [("tenant", "list"), ("tenant", "create", "x")], ids=" ".join)
def test_a_database_that_is_not_there_ends_with_7(shell: Shell, words: tuple[str, ...]) -> None:
    nowhere = "postgresql://nobody:hush@127.0.0.1:1/none"
    message = refused(shell(*words, SYNCAPI_DATABASE_URL=nowhere), 7)
    assert "does not answer" in message
    assert "hush" not in message


def test_a_database_that_is_not_migrated_says_how(
    shell: Shell, create_database: Callable[[], str]
) -> None:
    result = shell("tenant", "list", SYNCAPI_DATABASE_URL=create_database())
    assert "syncapi migrate" in refused(result, 7)


def test_redis_that_is_not_there_hinders_no_operator(shell: Shell, slug: str) -> None:
    ok(shell("tenant", "create", "x", "--slug", slug))
    result = shell("member", "add", slug, USER, SYNCAPI_REDIS_URL="redis://127.0.0.1:1/0")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("SYNCAPI_DATABASE_URL", None, "SYNCAPI_DATABASE_URL is missing: The default tenant"),
        ("SYNCAPI_DATABASE_URL", "mysql://u:hush@h/d", "SYNCAPI_DATABASE_URL: write it as"),
        ("SYNCAPI_PORT", "hush", "SYNCAPI_PORT: Input should be a valid integer"),
        ("SYNCAPI_CURSOR_KEY", "hush", "SYNCAPI_CURSOR_KEY must have at least 32 bytes"),
        ("SYNCAPI_JWT_SECRET", None, "SYNCAPI_JWT_SECRET or SYNCAPI_ISSUERS"),
        ("SYNCAPI_JWT_SECRET", f"-----BEGIN hush{SECRET}", "no place for a key pair"),
        ("SYNCAPI_ISSUERS", '[{"issuer": "hush"}]', "SYNCAPI_ISSUERS.0.audience is missing"),
        ("SYNCAPI_ISSUERS", "[hush", "write it as JSON"),
        ("SYNCAPI_ISSUERS", json.dumps([OWN_NAME]), "must name each issuer once"),
        ("SYNCAPI_RATE_LIMIT", "hush", "SYNCAPI_RATE_LIMIT: write it as 3000/minute"),
        ("SYNCAPI_RATE_LIMIT", "0/minute", "SYNCAPI_RATE_LIMIT: write it as 3000/minute"),
    ],
)
def test_settings_that_are_wrong_are_named_with_the_way_out(
    shell: Shell, variable: str, value: str | None, complaint: str
) -> None:
    message = refused(shell("tenant", "list", **{variable: value}), 2)
    assert complaint in message
    assert "hush" not in message


async def test_a_token_is_good_for_its_user_and_its_time(shell: Shell) -> None:
    token = ok(shell("token", "issue", "--user", USER, "--expires", "15m")).strip()
    issuer = SecretIssuer("syncapi", "syncapi", SECRET)
    identity = await TokenVerifier([issuer], leeway=0, remember_seconds=0).verify(token)
    assert identity.user_id == uuid.UUID(USER)
    late = TokenVerifier([issuer], leeway=0, remember_seconds=0, now=lambda: identity.expires_at)
    with pytest.raises(Unauthenticated, match="expired"):
        await late.verify(token)


@pytest.mark.parametrize(
    ("words", "seconds"), [("900", 900), ("90s", 90), ("8h", 28_800), ("30d", 2_592_000)]
)
def test_a_token_lasts_as_long_as_was_said(shell: Shell, words: str, seconds: int) -> None:
    answer = json.loads(ok(shell("token", "issue", "--user", USER, "--expires", words, "--json")))
    assert (answer["user_id"], answer["expires_in"]) == (USER, seconds)


def test_without_a_local_secret_there_are_no_tokens(shell: Shell) -> None:
    issuer = {"issuer": "https://id.example", "audience": "x", "jwks_file": "/keys.json"}
    message = refused(
        shell(
            "token",
            "issue",
            "--user",
            USER,
            SYNCAPI_JWT_SECRET=None,
            SYNCAPI_ISSUERS=json.dumps([issuer]),
        ),
        2,
    )
    assert "SYNCAPI_JWT_SECRET is not set" in message
