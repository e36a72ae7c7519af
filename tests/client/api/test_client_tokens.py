"""Where tokens come from, and when another one is asked for."""

import asyncio
import sys
from pathlib import Path

import pytest

from fixtures.client_faults import FaultyTransport
from fixtures.client_service import MakeClient
from fixtures.service import TestTenant, token_of
from syncapi.client import CommandToken, FunctionToken, StaticToken, Unauthenticated
from syncapi.server.domain.access import Role
from syncapi.server.settings import Settings


class Provider:
    """Gives one token after the other; remembers which were refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[str] = []

    async def token(self, *, refused: str | None) -> str:
        if refused is not None and refused == self.tokens[0]:
            self.refused.append(refused)
            if len(self.tokens) > 1:
                del self.tokens[0]
        return self.tokens[0]


@pytest.fixture
def expired(settings: Settings, tenant: TestTenant) -> str:
    return token_of(settings, tenant.members[Role.ADMIN], lifetime=-3600)


async def test_a_refused_token_is_replaced(
    make_client: MakeClient, tenant: TestTenant, expired: str
) -> None:
    good = tenant.tokens[Role.ADMIN]
    transport, provider = FaultyTransport(), Provider(expired, good)
    client = make_client(tenant, token=provider, transport=transport)
    document = await client.upload_document(b"sent again from the start" * 9999, "a.txt")
    assert document.file.file_size == 25 * 9999
    assert [seen.status for seen in transport.seen] == [401, 201]
    assert provider.refused == [expired]
    await client.documents()
    assert transport.seen[-1].headers["Authorization"] == f"Bearer {good}"


async def test_it_is_asked_for_once(
    make_client: MakeClient, tenant: TestTenant, expired: str
) -> None:
    transport, provider = FaultyTransport(), Provider(expired, "another", "a third")
    client = make_client(tenant, token=provider, transport=transport)
    with pytest.raises(Unauthenticated) as raised:
        await client.documents()
    assert raised.value.code == "unauthenticated"
    assert raised.value.request_id
    assert len(transport.seen) == 2
    assert provider.refused == [expired]


async def test_the_same_token_is_not_tried_again(
    make_client: MakeClient, tenant: TestTenant, expired: str
) -> None:
    transport = FaultyTransport()
    client = make_client(tenant, token=expired, transport=transport)
    with pytest.raises(Unauthenticated):
        await client.documents()
    assert len(transport.seen) == 1


async def test_many_that_are_refused_renew_it_once(
    make_client: MakeClient, tenant: TestTenant, expired: str
) -> None:
    tokens = [expired, tenant.tokens[Role.ADMIN], "too many"]

    async def make() -> str:
        return tokens.pop(0)

    client = make_client(tenant, token=FunctionToken(make))
    await asyncio.gather(*(client.documents() for _ in range(10)))
    assert tokens == ["too many"]


async def test_functions_may_block() -> None:
    provider = FunctionToken(lambda: "made")
    assert await provider.token(refused=None) == "made"
    assert await provider.token(refused="another") == "made"


async def test_what_can_be_called_and_awaited_will_do() -> None:
    class Maker:
        async def __call__(self) -> str:
            return "made"

    assert await FunctionToken(Maker()).token(refused=None) == "made"


async def test_a_command_prints_tokens(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    program = (
        f"import pathlib; p = pathlib.Path({str(count)!r}); n = int(p.read_text()) + 1;"
        "p.write_text(str(n)); print(f'token-{n}')"
    )
    provider = CommandToken([sys.executable, "-c", program])
    assert await provider.token(refused=None) == "token-1"
    assert await provider.token(refused=None) == "token-1"
    assert await provider.token(refused="token-1") == "token-2"


async def test_a_command_is_split_as_a_shell_would() -> None:
    provider = CommandToken("printf '%s' 'a$HOME'")
    assert await provider.token(refused=None) == "a$HOME"


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("false", "ended with 1"),
        ("/nonexistent/program", "cannot be run"),
        ("echo two words", "printed no token"),
        ("true", "printed no token"),
    ],
)
async def test_a_command_that_gives_none(command: str, word: str) -> None:
    with pytest.raises(Unauthenticated, match=word) as raised:
        await CommandToken(command).token(refused=None)
    assert raised.value.code == "no_token"
    assert raised.value.request_id == ""


@pytest.mark.parametrize("command", ["", [], "echo 'open"])
def test_no_command(command: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        CommandToken(command)


@pytest.mark.parametrize("text", ["", "  ", "two words", "naïve"])
def test_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        StaticToken(text)


async def test_a_line_break_at_its_end_is_no_part_of_it() -> None:
    assert await StaticToken("token\n").token(refused=None) == "token"
