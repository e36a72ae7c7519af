"""The composition root: settings in, a running service out. The one place where parts are made.

Nothing here waits for a database, for S3 or for Redis: a service that starts while they are down
says so on ``/readyz`` and comes up with them, instead of dying and being started over and over.
"""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.types import Lifespan

from syncapi.server.domain.cursor import CursorCodec
from syncapi.server.domain.transfers import TransferRules
from syncapi.server.factories import bucket, database_urls, object_store, pool_limits, retention
from syncapi.server.identity.key_sources import FileKeySource, KeySource, UrlKeySource
from syncapi.server.identity.tokens import Issuer, PublicKeyIssuer, SecretIssuer, TokenVerifier
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.feed import Heads
from syncapi.server.redis.client import connect
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.redis.page_positions import PagePositions
from syncapi.server.redis.rate_limit import RateLimiter
from syncapi.server.settings import IssuerSettings, Settings
from syncapi.server.storage.s3 import ObjectStore
from syncapi.server.storage.signing import UrlSigner
from syncapi.server.usecases.access import AccessGate, Rights
from syncapi.server.usecases.archives.archive import Archives
from syncapi.server.usecases.archives.prefetch import AHEAD
from syncapi.server.usecases.archives.slots import Slots
from syncapi.server.usecases.direct_uploads import DirectUploads
from syncapi.server.usecases.documents import Documents
from syncapi.server.usecases.downloads import Downloads
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.history import History
from syncapi.server.usecases.missing_bytes import Looks
from syncapi.server.usecases.pull import Pull
from syncapi.server.usecases.telemetry import Activity
from syncapi.server.usecases.upload_completion import Completions
from syncapi.server.usecases.upload_instructions import UploadInstructions
from syncapi.server.usecases.uploads import UploadRules, Uploads
from syncapi.server.usecases.verification import Verifier
from syncapi.server.web.app import WebOptions, build_app
from syncapi.server.web.logging import configure_logging
from syncapi.server.web.readiness import Check, ReadinessChecks
from syncapi.server.web.service import Service

_NOBODY = UUID(int=0)
_OPENING_SECONDS = 30  # that S3 may take to begin with a document of an archive
_COLLECT_AFTER = 20_000  # objects; the default is 700


def create_app(settings: Settings) -> FastAPI:
    """The whole service as an ASGI application."""
    options = WebOptions(settings.request_max_bytes, settings.cors_origins)
    return build_app(options, _lifespan(settings))


def app_from_environment() -> FastAPI:
    """The factory of a server's worker process: reads the settings and sets up the logs.

    For ``uvicorn --factory syncapi.server.main:app_from_environment`` and its like.
    """
    settings = Settings()
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    _spare_the_collector()
    return app


def _spare_the_collector() -> None:
    """Let no collection look at what lives as long as the process, and make them rarer.

    A page or a push makes thousands of objects, which set off collections of everything: a third
    of a push of 500 went there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _lifespan(settings: Settings) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:  # closes in reverse, also after half a start
            app.state.service = await _open(settings, stack, app.state.metrics.activity)
            yield

    return lifespan


async def _open(settings: Settings, stack: AsyncExitStack, activity: Activity) -> Service:
    redis = _redis(settings, stack)
    invalidations = Invalidations(redis)
    databases = await stack.enter_async_context(
        Databases(database_urls(settings), pool_limits(settings))
    )
    store = await stack.enter_async_context(object_store(settings))
    control = ControlStore(databases.control)
    gate = await _gate(settings, control, invalidations, stack)
    # The bucket as clients see it: a signed URL is bound to its host.
    endpoint = settings.s3_public_endpoint_url or settings.s3_endpoint_url
    signer = UrlSigner(replace(bucket(settings), endpoint_url=endpoint))
    rules = UploadRules(
        settings.upload_max_bytes, settings.upload_allowed_types, settings.upload_max_seconds
    )
    positions = PagePositions(redis)
    stack.push_async_callback(positions.aclose)
    transfers = _transfer_rules(settings)
    looks = partial(Looks, store, retention(settings).files)
    completions = Completions(
        databases,
        gate,
        store,
        Verifier(store, trusts_checksums=transfers.binds_content),
        activity,
    )
    stack.push_async_callback(completions.close)
    return Service(
        gate=gate,
        pull=_pull(settings, databases, positions, signer, activity),
        pushes=GroupCommit(
            databases,
            gate,
            rules,
            activity,
            patience=settings.statement_timeout,
            looks=looks,
        ),
        documents=Documents(databases, gate, store, rules, unreferenced=retention(settings).files),
        history=History(databases, gate, looks),
        uploads=Uploads(databases, gate, store, rules, activity),
        downloads=Downloads(databases, signer),
        direct_uploads=DirectUploads(
            databases,
            gate,
            store,
            rules,
            transfers,
            UploadInstructions(signer, binds_content=transfers.binds_content),
            url_seconds=settings.upload_url_seconds,
            activity=activity,
        ),
        completions=completions,
        archives=await _archives(settings, databases, gate, stack, activity),
        limiter=RateLimiter(settings.rate_limit, redis) if settings.rate_limit else None,
        readiness=ReadinessChecks(_checks(databases, control, store, redis)),
    )


async def _gate(
    settings: Settings, control: ControlStore, invalidations: Invalidations, stack: AsyncExitStack
) -> AccessGate:
    verifier = _verifier(settings, await stack.enter_async_context(httpx.AsyncClient()))
    gate = AccessGate(
        verifier, control, invalidations, cache_seconds=settings.membership_cache_seconds
    )
    stack.push_async_callback(gate.close)
    await stack.enter_async_context(invalidations.listening())
    return gate


def _pull(
    settings: Settings,
    databases: Databases,
    positions: PagePositions,
    signer: UrlSigner,
    activity: Activity,
) -> Pull:
    keys = (settings.cursor_key, *settings.cursor_previous_keys)
    return Pull(
        databases,
        Heads(databases),
        CursorCodec([key.get_secret_value() for key in keys]),
        positions,
        signer,
        url_seconds=settings.url_expires_seconds,
        activity=activity,
    )


def _transfer_rules(settings: Settings) -> TransferRules:
    return TransferRules(
        max_bytes=settings.direct_upload_max_bytes,
        single_max_bytes=settings.direct_upload_single_bytes,
        part_size=settings.direct_upload_part_bytes,
        binds_content=settings.s3_checksums,
    )


async def _archives(
    settings: Settings,
    databases: Databases,
    rights: Rights,
    stack: AsyncExitStack,
    activity: Activity,
) -> Archives:
    """With connections to S3 of their own: slow readers must not keep uploads from it."""
    most = settings.archives_at_once
    store = object_store(
        settings, most_call_seconds=_OPENING_SECONDS, max_connections=most * (1 + AHEAD)
    )
    return Archives(
        databases,
        rights,
        await stack.enter_async_context(store),
        Slots(most),
        stall_seconds=settings.archive_stall_seconds,
        activity=activity,
    )


def _redis(settings: Settings, stack: AsyncExitStack) -> Redis | None:
    if settings.redis_url is None:
        return None
    redis = connect(settings.redis_url.get_secret_value())
    stack.push_async_callback(redis.aclose)
    return redis


def _verifier(settings: Settings, client: httpx.AsyncClient) -> TokenVerifier:
    issuers: list[Issuer] = [
        _public_issuer(issuer, client, settings.jwks_cache_seconds) for issuer in settings.issuers
    ]
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        issuers.append(SecretIssuer(settings.jwt_issuer, settings.jwt_audience, secret))
    return TokenVerifier(
        issuers, leeway=settings.jwt_leeway, remember_seconds=settings.jwks_cache_seconds
    )


def _public_issuer(
    issuer: IssuerSettings, client: httpx.AsyncClient, cache_seconds: float
) -> PublicKeyIssuer:
    source: KeySource
    if issuer.jwks_url is not None:
        source = UrlKeySource(
            issuer.jwks_url, issuer.algorithm, client, cache_seconds=cache_seconds
        )
    else:
        assert issuer.jwks_file is not None  # noqa: S101 - the settings see to it
        source = FileKeySource(issuer.jwks_file, issuer.algorithm)
    return PublicKeyIssuer(issuer.issuer, issuer.audience, issuer.algorithm, source)


def _checks(
    databases: Databases, control: ControlStore, store: ObjectStore, redis: Redis | None
) -> list[Check]:
    async def database() -> None:
        await control.membership(_NOBODY, _NOBODY)
        await databases.check()

    checks = [Check("database", database), Check("storage", store.check)]
    if redis is not None:
        checks.append(Check("redis", redis.ping, is_needed=False))
    return checks
