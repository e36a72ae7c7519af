"""Every route against every kind of caller who must not see or change what is another's.

The matrix is made from the application's own routes: a new route without a row in it fails.
"""

import secrets
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from fixtures.access_matrix import (
    ROUTES,
    ROWS,
    Row,
    Things,
    declaration,
    is_archive,
    manifest_of,
    words_of,
)
from fixtures.pulling import BEGINNING, problem_of, pull
from fixtures.pushing import create, delete, push_one
from fixtures.service import MakeTenant, TestTenant, token_of
from syncapi.server.domain.access import Role
from syncapi.server.domain.cursor import Cursor, CursorCodec, CursorKind, Position
from syncapi.server.settings import Settings
from syncapi.server.usecases.tenants import TenantAdministration
from syncapi.server.web.app import build_app
from syncapi.server.web.openapi import TENANT_PREFIX

OPEN = {"/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/{asset}"}
"""What is there for everyone, and holds nothing of a tenant."""


each_row = pytest.mark.parametrize("row", ROWS, ids=str)
each_alien_row = pytest.mark.parametrize("row", [row for row in ROWS if row.alien], ids=str)


@dataclass(frozen=True)
class Side:
    """A tenant with a document, and what of it nobody else may ever read."""

    tenant: TestTenant
    content: bytes
    things: Things
    secrets: frozenset[str]

    async def state(self) -> Any:  # noqa: ANN401 - any JSON
        """All that is to be seen of the tenant, versions included."""
        page = await pull(self.tenant.admin, since=BEGINNING, include_urls=False)
        history = await self.tenant.admin.get(f"/documents/{self.things.document}/history")
        listed = await self.tenant.admin.get("/documents")
        return page.model_dump(mode="json"), history.json()["data"], listed.json()["data"]


def test_every_route_of_a_tenant_has_a_row() -> None:
    assert {row.operation for row in ROWS} == set(ROUTES)


def test_every_route_that_names_a_thing_is_tried_with_an_alien_one() -> None:
    naming = {name for name, route in ROUTES.items() if route.path.count("{") > 1}
    assert naming <= {row.operation for row in ROWS if row.alien}


def test_nothing_else_is_open() -> None:
    paths = {getattr(route, "path", "?") for route in build_app().routes}
    assert {path for path in paths if not path.startswith(TENANT_PREFIX)} == OPEN


async def _side(tenant: TestTenant) -> Side:
    marker = secrets.token_hex(8)
    answer = await tenant.user.post(
        "/documents", files={"file": (f"secret-{marker}.txt", marker.encode(), "text/plain")}
    )
    document = answer.json()["data"]["document"]
    file = document["file"]
    page = await pull(tenant.viewer, since=BEGINNING)
    declared = await tenant.user.post("/files", json=declaration(secrets.token_bytes(8)))
    upload = declared.json()["data"]["id"]
    return Side(
        tenant,
        marker.encode(),
        Things(document["id"], document["updated_at"], file["id"], upload, page.sync_token),
        frozenset(
            {marker, file["md5_hash"], file["sha256_hash"], document["created_by"], str(tenant.id)}
        ),
    )


@pytest.fixture
async def mine(make_tenant: MakeTenant) -> Side:
    return await _side(await make_tenant())


@pytest.fixture
async def theirs(make_tenant: MakeTenant) -> Side:
    return await _side(await make_tenant())


@pytest.fixture
def nowhere(settings: Settings) -> Things:
    """Things that never were, well-formed all the same."""
    codec = CursorCodec([settings.cursor_key.get_secret_value()])
    cursor = Cursor(CursorKind.TOKEN, 1, bytes(8), 0, 0, 0, Position(0, uuid4()))
    return Things(
        document=str(uuid4()),
        version="2001-02-03T04:05:06.000007Z",
        file=str(uuid4()),
        upload=str(uuid4()),
        cursor=codec.encode(cursor, uuid4()),
    )


@each_row
async def test_strangers(
    service_url: str, settings: Settings, mine: Side, theirs: Side, row: Row
) -> None:
    """With everything right but the token, and as if there were nothing."""
    before = await theirs.state()
    where, things = theirs.tenant.id, theirs.things
    members = theirs.tenant.members
    for token in (None, "x", token_of(settings, members[Role.ADMIN], lifetime=-100)):
        answer = row.send(service_url, token, where, things)
        problem_of(answer, 401, "unauthenticated")
        _reveals_nothing(answer, theirs)
    for token in mine.tenant.tokens.values():
        answer = row.send(service_url, token, where, things)
        problem_of(answer, 404, "not_found")
        ghost = row.send(service_url, token, uuid4(), things)
        assert words_of(answer) == words_of(ghost)
        _reveals_nothing(answer, theirs)
    assert await theirs.state() == before


@each_alien_row
async def test_things_of_another_tenant(
    service_url: str,
    administration: TenantAdministration,
    mine: Side,
    theirs: Side,
    nowhere: Things,
    row: Row,
) -> None:
    """Through my own path they are not there, even if I am a member of the other tenant too."""
    me = mine.tenant.members[Role.ADMIN]
    await administration.add_member(str(theirs.tenant.id), me, Role.ADMIN)
    before = await theirs.state()
    token, where = mine.tenant.tokens[Role.ADMIN], mine.tenant.id
    answers = []
    for other in (theirs.things, nowhere):
        things = replace(mine.things, **{name: getattr(other, name) for name in row.alien})
        answers.append(row.send(service_url, token, where, things))
        row.refused(answers[-1])
    assert words_of(answers[0]) == words_of(answers[1])
    _reveals_nothing(answers[0], theirs)
    assert await theirs.state() == before


@each_row
async def test_roles(service_url: str, mine: Side, row: Row) -> None:
    """Who may, can: the requests above were refused for the one reason that is shown."""
    before = await mine.state()
    for role in (Role.VIEWER, Role.USER, Role.ADMIN):
        answer = row.send(service_url, mine.tenant.tokens[role], mine.tenant.id, mine.things)
        if row.permission in role.permissions:
            assert answer.status_code == row.succeeds, answer.text
        else:
            assert "This needs the permission" in problem_of(answer, 403, "forbidden").detail
            assert await mine.state() == before


async def test_a_pushed_deletion_needs_the_permission_to_delete(mine: Side) -> None:
    before = await mine.state()
    things = mine.things
    result = await push_one(mine.tenant.user, delete(UUID(things.document), things.version))
    assert result.problem is not None
    assert result.problem.code == "forbidden"
    assert await mine.state() == before
    result = await push_one(mine.tenant.admin, delete(UUID(things.document), things.version))
    assert result.status == "applied"


async def test_an_id_that_another_tenant_uses_is_free(mine: Side, theirs: Side) -> None:
    before = await theirs.state()
    change = create(UUID(mine.things.file), document=UUID(theirs.things.document))
    change |= {"filename": "mine.txt"}
    assert (await push_one(mine.tenant.user, change)).status == "applied"
    assert await theirs.state() == before


async def test_the_change_id_of_another_tenant_says_nothing(mine: Side, theirs: Side) -> None:
    """Else one could learn what the other tenant pushed, or keep it from being pushed."""
    change = create(UUID(theirs.things.file))
    assert (await push_one(theirs.tenant.user, change)).status == "applied"
    change["file_id"] = mine.things.file
    assert (await push_one(mine.tenant.user, change)).status == "applied"


async def test_the_idempotency_key_of_another_tenant_says_nothing(
    mine: Side, theirs: Side
) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    made = []
    for side, content in ((theirs, b"theirs"), (mine, b"mine"), (mine, b"mine")):
        part = {"file": ("a.txt", content)}
        answer = await side.tenant.user.post("/documents", files=part, headers=key)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["data"]["document"]["id"])
    assert made[1] != made[0]
    assert made[2] == made[1]


async def test_declaring_the_bytes_of_another_tenant_says_nothing(
    mine: Side, theirs: Side
) -> None:
    """Else one could ask whether somebody else has a certain file."""
    for side, status in ((theirs, "complete"), (mine, "pending")):
        answer = await side.tenant.user.post("/files", json=declaration(theirs.content))
        assert answer.json()["data"]["status"] == status


async def test_a_suspended_tenant_is_none(
    service_url: str, administration: TenantAdministration, settings: Settings, theirs: Side
) -> None:
    latecomer = uuid4()  # nothing is remembered of this member
    tenant = theirs.tenant.id
    await administration.add_member(str(tenant), latecomer, Role.ADMIN)
    await administration.set_active(str(tenant), is_active=False)
    token = token_of(settings, latecomer)
    for row in ROWS:
        answer = row.send(service_url, token, tenant, theirs.things)
        problem_of(answer, 404, "not_found")
        assert words_of(answer) == words_of(row.send(service_url, token, uuid4(), theirs.things))


async def test_a_signed_url_opens_no_other_object(mine: Side, theirs: Side) -> None:
    own = (await pull(mine.tenant.viewer, since=BEGINNING)).added[0].download_url
    other = (await pull(theirs.tenant.viewer, since=BEGINNING)).added[0].download_url
    assert own
    assert other
    async with httpx.AsyncClient() as client:
        assert (await client.get(own)).status_code == 200
        for path in (urlsplit(other).path, urlsplit(own).path.rsplit("/", 1)[0] + "/"):
            assert (
                await client.get(urlsplit(own)._replace(path=path).geturl())
            ).status_code == 403
        assert (await client.get(urlsplit(other)._replace(query="").geturl())).status_code == 403


def _reveals_nothing(answer: httpx.Response, side: Side) -> None:
    told = answer.content + repr(answer.headers).encode()
    if is_archive(answer):
        told += repr(manifest_of(answer)).encode()
    found = [secret for secret in side.secrets if secret.encode() in told]
    assert not found


def test_times_are_told_apart_fromwords_of() -> None:
    """A guard of the guard: a normaliser that dropped everything would pass all of the above."""
    one, other = (
        httpx.Response(404, json={"detail": f"{uuid4()} {moment} {word}"})
        for moment, word in (("2001-02-03T04:05:06.000007Z", "x"), ("2002-02-03T04:05:06Z", "y"))
    )
    assert words_of(one) != words_of(other)
    assert "<id> <time> x" in words_of(one)[1]
