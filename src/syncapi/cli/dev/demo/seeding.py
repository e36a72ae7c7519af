"""Make the demo tenant: its members by the operator's acts, its documents through the API."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from uuid import UUID

import httpx
import typer

from syncapi.cli.dev.demo.catalogue import DemoFile, demo_files
from syncapi.cli.server.operation import administer
from syncapi.cli.server.settings_loading import load_settings
from syncapi.embedded.folder import ServerFolder
from syncapi.server.domain.access import Role
from syncapi.server.domain.tenancy import Tenant
from syncapi.server.identity.tokens import SecretIssuer, issue
from syncapi.server.usecases.tenants import TenantAdministration

_SLUG = "demo"
_TOKEN_SECONDS = 30 * 86_400
_SEEDED = "demo_is_seeded"


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo tenant and a token of each member, by role."""

    tenant_id: UUID
    tokens: Mapping[Role, str]


def seeded(url: str, memory: ServerFolder) -> Demo:
    """The demo tenant; made, and its documents uploaded, unless `memory` knows of it.

    A seeding that was interrupted is gone on with.
    """
    tenant = administer(_tenant_with_members)
    demo = Demo(tenant.id, {role: _token(role) for role in Role})
    if not memory.remembered().get(_SEEDED):
        with _client(url, demo) as client:
            _upload_all(client, demo)
        memory.remember(**{_SEEDED: 1})
    return demo


async def _tenant_with_members(operator: TenantAdministration) -> Tenant:
    found = [tenant for tenant in await operator.all() if tenant.slug == _SLUG]
    tenant = found[0] if found else await operator.create("Demo", slug=_SLUG, database="default")
    for role in Role:
        await operator.add_member(_SLUG, _user(role), role)
    return tenant


def _user(role: Role) -> UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"urn:syncapi:demo:{role}")


def _token(role: Role) -> str:
    settings = load_settings()
    assert settings.jwt_secret is not None  # noqa: S101 - `dev` sets it
    secret = settings.jwt_secret.get_secret_value()
    issuer = SecretIssuer(settings.jwt_issuer, settings.jwt_audience, secret)
    return issue(issuer, _user(role), lifetime=_TOKEN_SECONDS)


def _client(url: str, demo: Demo) -> httpx.Client:
    base = f"{url}/api/tenants/{demo.tenant_id}"
    return httpx.Client(base_url=base, timeout=60, trust_env=False)


def _upload_all(client: httpx.Client, demo: Demo) -> None:
    present = set(_filenames(client, demo))
    files = [file for file in demo_files() if file.filename not in present]
    tokens = cycle((demo.tokens[Role.ADMIN], demo.tokens[Role.USER]))
    typer.echo(f"Uploading {len(files)} demo documents")
    for file in files:
        _upload(client, file, next(tokens))
    _change_some(client, demo)


def _filenames(client: httpx.Client, demo: Demo) -> Iterator[str]:
    answer = client.get("/documents", params={"per_page": 100}, headers=_bearer(demo))
    answer.raise_for_status()
    return (document["filename"] for document in answer.json()["data"]["documents"])


def _upload(client: httpx.Client, file: DemoFile, token: str) -> UUID:
    answer = client.post(
        "/documents",
        files={"file": (file.filename, file.content, file.mime_type)},
        headers={"Authorization": f"Bearer {token}"},
    )
    answer.raise_for_status()
    return UUID(answer.json()["data"]["document"]["id"])


def _change_some(client: httpx.Client, demo: Demo) -> None:
    """A document renamed and one deleted, so that there is every kind of change to see."""
    draft = DemoFile("draft.txt", "text/plain", b"A plan, still without a name.\n")
    renamed = _upload(client, draft, demo.tokens[Role.USER])
    name = {"filename": "plan.txt"}
    client.patch(f"/documents/{renamed}", json=name, headers=_bearer(demo)).raise_for_status()
    obsolete = DemoFile("obsolete.txt", "text/plain", b"Nobody needs this any more.\n")
    deleted = _upload(client, obsolete, demo.tokens[Role.USER])
    client.delete(f"/documents/{deleted}", headers=_bearer(demo)).raise_for_status()


def _bearer(demo: Demo) -> dict[str, str]:
    return {"Authorization": f"Bearer {demo.tokens[Role.ADMIN]}"}
