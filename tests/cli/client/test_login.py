"""``syncapi login``, ``logout``: a token is kept only if the server takes it, and never shown."""

import json
import shlex
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from fixtures.machine import Machine, terminal
from fixtures.service import MakeTenant, token_of
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings

# A back end that keeps what it is given, as those of desktops do.
KEYRING = """
import json, keyring.backend, os, pathlib
class Kept(keyring.backend.KeyringBackend):
    priority = 9
    file = pathlib.Path(os.environ["HOME"], "keyring.json")
    def read(self): return json.loads(self.file.read_text()) if self.file.exists() else {}
    def set_password(self, service, name, secret):
        self.file.write_text(json.dumps(self.read() | {service + name: secret}))
    def get_password(self, service, name): return self.read().get(service + name)
    def delete_password(self, service, name):
        kept = self.read()
        del kept[service + name]
        self.file.write_text(json.dumps(kept))
"""


def to(machine: Machine, *words: str) -> tuple[str, ...]:
    return ("login", "--url", machine.url, "--tenant", str(machine.tenant.id), *words)


def private_files(machine: Machine) -> list[Path]:
    return [path for path in machine.config.rglob("*") if path.is_file()]


def test_a_token_goes_to_a_file_where_there_is_no_keyring(machine: Machine) -> None:
    ran = machine(*to(machine, "--token-stdin"), stdin=machine.token + "\n")
    assert ran.code == 0
    (kept,) = (machine.config / "tokens").iterdir()
    assert kept.read_text().strip() == machine.token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert f"{kept} (no keyring can be used here" in ran.out
    assert machine.token not in (machine.config / "accounts.json").read_text()


def test_a_keyring_that_works_keeps_the_token(machine: Machine) -> None:
    (machine.home / "kept.py").write_text(KEYRING)
    desktop = machine.having(PYTHON_KEYRING_BACKEND="kept.Kept", PYTHONPATH=str(machine.home))
    ran = desktop(*to(machine, "--token-stdin"), stdin=machine.token)
    assert (ran.code, "the keyring" in ran.out) == (0, True)
    assert machine.token in (machine.home / "keyring.json").read_text()
    assert not [path for path in private_files(machine) if machine.token in path.read_text()]
    assert desktop("doctor").code == 0
    without = machine("doctor")
    assert (without.code, "keyring does not give" in without.out) == (6, True)
    assert desktop("logout").code == 0
    assert machine.token not in (machine.home / "keyring.json").read_text()


def test_a_keyring_that_forgets_is_not_trusted(machine: Machine) -> None:
    machine = machine.having(PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
    machine.log_in()
    assert len(list((machine.config / "tokens").iterdir())) == 1


def test_a_command_gives_the_token_whenever_it_is_needed(machine: Machine) -> None:
    secret = machine.home / "secret"
    secret.write_text(machine.token)
    command = f"cat {shlex.quote(str(secret))}"
    assert machine(*to(machine, "--token-command", command)).code == 0
    assert not [path for path in private_files(machine) if machine.token in path.read_text()]
    assert machine("doctor").code == 0
    secret.unlink()
    ran = machine("doctor")
    assert (ran.code, "ended with 1" in ran.out) == (6, True)


def test_the_environment_wins(machine: Machine) -> None:
    machine.log_in()
    assert machine("doctor").code == 0
    assert machine.having(SYNCAPI_TOKEN="no-token")("doctor").code == 6


def test_login_takes_all_from_the_environment(machine: Machine) -> None:
    set_up = machine.having(
        SYNCAPI_URL=machine.url,
        SYNCAPI_TENANT=str(machine.tenant.id),
        SYNCAPI_TOKEN=machine.token,
    )
    assert set_up("login").code == 0
    assert machine("doctor").code == 0


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
def test_a_token_that_the_server_refuses_is_not_kept(machine: Machine, token: str) -> None:
    ran = machine(*to(machine, "--token-stdin"), stdin=token)
    assert (ran.code, ran.out) == (6, "")
    assert "next: `syncapi login`" in ran.err
    assert "request id: " in ran.err
    assert token not in ran.err
    assert private_files(machine) == []


def test_an_expired_token_is_refused(machine: Machine, settings: Settings) -> None:
    old = token_of(settings, machine.tenant.members[Role.ADMIN], lifetime=-60)
    ran = machine(*to(machine, "--token-stdin"), stdin=old)
    assert (ran.code, "expired" in ran.err) == (6, True)


async def test_a_tenant_of_others_is_refused(machine: Machine, make_tenant: MakeTenant) -> None:
    other = await make_tenant()
    for tenant in (other.id, uuid4()):
        words = ("login", "--url", machine.url, "--tenant", str(tenant), "--token-stdin")
        ran = machine(*words, stdin=machine.token)
        assert ran.code == 6
        assert f"has no tenant {tenant}, or this token's user is no member" in ran.err


def test_a_server_that_is_not_there_ends_with_7(machine: Machine) -> None:
    words = ("login", "--url", "http://127.0.0.1:1", "--tenant", str(uuid4()), "--token-stdin")
    ran = machine(*words, stdin=machine.token)
    assert ran.code == 7
    assert "127.0.0.1:1" in ran.err
    assert "next: " in ran.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--url", "ftp://x", "--tenant", str(uuid4())), "no URL of a server"),
        (("--url", "example", "--tenant", str(uuid4())), "no URL of a server"),
        (("--url", "http://example.org", "--tenant", str(uuid4())), "not encrypted"),
        (("--url", "https://example.org", "--tenant", "x"), "UUID"),
        (("--tenant", str(uuid4())), "--url is missing"),
        (("--url", "https://example.org"), "--tenant is missing"),
        (
            ("--url", "https://x", "--tenant", str(uuid4()), "--token-command", "cat x"),
            "give one of",
        ),
    ],
    ids=["scheme", "no scheme", "no TLS", "tenant", "no url", "no tenant", "both"],
)
def test_wrong_usage_ends_with_2(machine: Machine, words: tuple[str, ...], complaint: str) -> None:
    ran = machine("login", "--token-stdin", *words, stdin=machine.token)
    assert (ran.code, complaint in ran.err) == (2, True), ran.err


def test_nothing_is_asked_where_there_is_no_terminal(machine: Machine) -> None:
    ran = machine(*to(machine))
    assert ran.code == 2
    assert "--token-stdin" in ran.err


def test_on_a_terminal_the_token_is_asked_for_without_echo(machine: Machine) -> None:
    with terminal(machine, *to(machine)) as shell:
        assert "Token" in shell.read_until("Token: ")
        shell.type(machine.token)
        seen = shell.read_until_end()
    assert "Logged in" in seen
    assert machine.token not in seen
    assert len(list((machine.config / "tokens").iterdir())) == 1


def test_json_tells_the_same(machine: Machine) -> None:
    ran = machine(*to(machine, "--token-stdin", "--json"), stdin=machine.token)
    assert ran.of("logged_in")[0]["token_place"] == "file"
    bad = machine(*to(machine, "--token-stdin", "--json"), stdin="x")
    assert bad.summary["exit_code"] == 6
    assert bad.of("error")[0]["request_id"]


def test_several_accounts_and_logging_out(machine: Machine) -> None:
    machine.log_in()
    machine.log_in("--account", "second")
    assert len(list((machine.config / "tokens").iterdir())) == 2
    machine.log_in("--account", "second")  # again: the old token goes
    assert len(list((machine.config / "tokens").iterdir())) == 2
    assert machine("logout", "--account", "second").code == 0
    assert list(json.loads((machine.config / "accounts.json").read_text())["accounts"]) == [
        "default"
    ]
    gone = machine("logout", "--account", "second")
    assert gone.code == 6
    assert "There are: default" in gone.err
    folder = machine.folder("notes")
    assert f"{folder} waits until you log in again" in machine("logout").out
    assert list((machine.config / "tokens").iterdir()) == []
    assert machine("sync", cwd=folder).code == 6


def test_a_broken_file_is_named(machine: Machine) -> None:
    machine.log_in()
    (machine.config / "accounts.json").write_text('{"accounts": {"x": 3}}')
    ran = machine("logout")
    assert ran.code == 2
    assert f"{machine.config / 'accounts.json'} cannot be read" in ran.err
    assert "next: mend the file" in ran.err
