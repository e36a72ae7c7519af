"""Checks of a server and an account: reachable, clock, token, membership, role, signed URLs."""

import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx

from syncapi.cli.client.accounts import Account, find_account
from syncapi.cli.client.credentials import token_of
from syncapi.cli.client.findings import Finding, Level
from syncapi.cli.exit_codes import CommandFailed, ExitCode
from syncapi.client.api.client import Client
from syncapi.client.errors import ApiError, Forbidden, NotFound, SyncError, Unreachable
from syncapi.client.retrying import RetryPolicy
from syncapi.client.transfer.contents import BytesContent, digest_of
from syncapi.client.transfer.uploads import Uploader
from syncapi.protocol.documents import DocumentChanges
from syncapi.protocol.versions import NO_VERSION

_FEW = RetryPolicy(attempts=2)  # a person is waiting
_CLOCK_SECONDS = 60
_TOKEN_SECONDS = 3600
_PROBE = b"syncapi doctor\n"


async def look_at_server(account_name: str) -> list[Finding]:
    """Check the server of an account, up to the first failure."""
    try:
        account = find_account(account_name)
        token = token_of(account)
    except CommandFailed as failure:
        return [Finding.of_failure("account", failure)]
    findings = await _reach(account)
    if findings[-1].level is Level.FAIL:
        return findings
    try:
        findings.append(_expiry(await token.token(refused=None)))
        async with Client(account.url, account.tenant, token, retry=_FEW) as client:
            findings += await _inside(client)
    except SyncError as error:
        findings.append(Finding.of_failure("token", error))
    return findings


async def _reach(account: Account) -> list[Finding]:
    begun = time.monotonic()
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            answer = await http.get(f"{account.url}/readyz")
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        failure = Unreachable(
            f"no answer from {account.url}: {reason}",
            hint="check the network, the URL and whether a proxy or firewall is in the way",
        )
        return [Finding.of_failure("server", failure)]
    said = f"{account.url} answers in {1000 * (time.monotonic() - begun):.0f} ms"
    return (
        [_readiness(answer, said), _clock(answer)]
        if answer.is_success
        else [_readiness(answer, said)]
    )


def _readiness(answer: httpx.Response, said: str) -> Finding:
    try:
        down = [error["field"] for error in answer.json().get("errors", ())]
    except (ValueError, AttributeError, KeyError, TypeError):
        down = None
    if down is None or answer.status_code not in {200, 503}:
        said = f"{said}, but not as syncapi does (status {answer.status_code})"
        return Finding(Level.FAIL, "server", said, "check the URL: syncapi login --url URL")
    if answer.is_success:
        return Finding.ok("server", said)
    said = f"{said}, but is not ready: {', '.join(down) or f'status {answer.status_code}'}"
    return Finding(
        Level.FAIL, "server", said, "tell those who run the server", ExitCode.UNREACHABLE
    )


def _clock(answer: httpx.Response) -> Finding:
    try:
        there = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return Finding.warning("clock", "the server sends no time", "nothing: it does no harm")
    apart = (datetime.now(UTC) - there).total_seconds()
    if abs(apart) <= _CLOCK_SECONDS:
        return Finding.ok("clock", f"within {_CLOCK_SECONDS} s of the server's")
    which = "ahead of" if apart > 0 else "behind"
    said = f"this machine is {abs(apart):.0f} s {which} the server"
    return Finding.warning("clock", said, "set the clock: tokens may seem expired, times are off")


def _expiry(token: str) -> Finding:
    """When a token expires, if it is a JWT that says so (RFC 7519 §4.1.4)."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        left = float(claims["exp"]) - time.time()
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return Finding.ok("token", "it does not say when it expires")
    if left < 0:
        said = f"it expired {_span(-left)} ago"
        return Finding(Level.FAIL, "token", said, "syncapi login", ExitCode.UNAUTHORISED)
    said = f"it expires in {_span(left)}"
    if left < _TOKEN_SECONDS:
        return Finding.warning("token", said, "syncapi login, or --token-command for fresh ones")
    return Finding.ok("token", said)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


async def _inside(client: Client) -> list[Finding]:
    try:
        await client.documents(page=1, per_page=1)
    except NotFound as error:
        said = f"there is no tenant {client.tenant_id}, or you are no member ({error.request_id})"
        hint = "ask an admin of the tenant to add you, or log in to another tenant"
        return [Finding(Level.FAIL, "membership", said, hint, ExitCode.UNAUTHORISED)]
    may_write = await _may(lambda: _touch(client))
    may_delete = await _may(lambda: client.delete_document(uuid4(), if_match=NO_VERSION))
    findings = [_permission(may_write=may_write, may_delete=may_delete)]
    findings.append(await _try("signed URL, down", lambda: _download(client)))
    if may_write:
        findings.append(await _try("signed URL, up", lambda: _upload(client)))
    return findings


async def _touch(client: Client) -> object:
    return await client.change_document(
        uuid4(), DocumentChanges(filename="doctor"), if_match=NO_VERSION
    )


async def _may(act: Callable[[], Awaitable[object]]) -> bool:
    """Whether the role permits an act, which is tried on a document that does not exist."""
    try:
        await act()
    except Forbidden:
        return False
    except ApiError as error:
        if not isinstance(error, NotFound):
            raise
    return True


def _permission(*, may_write: bool, may_delete: bool) -> Finding:
    if may_delete:
        return Finding.ok("permission", "you may read, write and delete")
    if may_write:
        said = "you may read and write, but not delete: files deleted here stay on the server"
        return Finding.warning("permission", said, "ask for the role `admin` if that is not meant")
    said = "you may read only"
    return Finding.warning("permission", said, "use `syncapi pull`, or ask for the role `user`")


async def _try(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding.ok(what, await look())
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        said = f"the object store does not answer from here: {reason}"
        hint = "clients must reach it: the server names it by SYNCAPI_S3_PUBLIC_ENDPOINT_URL"
        return Finding(Level.FAIL, what, said, hint, ExitCode.UNREACHABLE)
    except SyncError as error:
        return Finding.of_failure(what, error)


async def _download(client: Client) -> str:
    found = (await client.documents(page=1, per_page=1)).documents
    if not found:
        return "not tried: there is no document yet"
    signed = await client.download_url(found[0].id)
    answer = await client.storage.get(signed.download_url, headers={"Range": "bytes=0-0"})
    if answer.status_code not in {200, 206, 416}:  # 416 is of an empty file
        raise CommandFailed(f"the object store answers {answer.status_code}", ExitCode.UNREACHABLE)
    return f"{httpx.URL(signed.download_url).host} gives bytes"


async def _upload(client: Client) -> str:
    content = BytesContent(_PROBE)
    await Uploader(client).send(content, digest_of(content), "text/plain")
    return f"the object store takes bytes ({len(_PROBE)} were sent; they are collected some day)"
