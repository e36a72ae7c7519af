"""What routes ask for: the scope of a request, and the parts of the service.

A route names the permission it needs by the type of its parameter::

    async def rename(scope: WriteScope, …) -> Response:

All functions here are ``async``: FastAPI would run others in threads, at ten times the cost.
None has a ``yield``: what runs after it would run after the answer.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from syncapi.server.domain.access import Permission, TenantScope
from syncapi.server.domain.errors import Unauthenticated
from syncapi.server.redis.rate_limit import RateLimiter
from syncapi.server.web.context import RequestRecord, record_of
from syncapi.server.web.query import refuse_unknown_query
from syncapi.server.web.service import Service, service_of

_NO_TENANT = UUID(int=0)

_bearer = HTTPBearer(
    scheme_name="bearerToken",
    bearerFormat="JWT",
    description="A JSON Web Token (RFC 7519) of a member of the tenant.",
    auto_error=False,  # the error table answers
)

TenantId = Annotated[str, Path(description="The tenant.", json_schema_extra={"format": "uuid"})]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def _admission(permission: Permission) -> Callable[..., Awaitable[TenantScope]]:
    async def admit(
        request: Request, tenant_id: TenantId, credentials: Credentials
    ) -> TenantScope:
        return await _admit(request, tenant_id, credentials, permission)

    return admit


async def _admit(
    request: Request,
    tenant_id: str,
    credentials: HTTPAuthorizationCredentials | None,
    permission: Permission,
) -> TenantScope:
    """Prove the tenancy, count the request, and only then look at what it asks.

    Raises:
        Unauthenticated: no bearer token, or one that does not verify.
        NotFound: no such tenant, or not a member of it, or no tenant's id at all.
        Forbidden: the role lacks the permission.
        RateLimited: too many requests.
        InvalidInput: an unknown query parameter.
    """
    if credentials is None:
        raise Unauthenticated("Send the header 'Authorization: Bearer <token>'.")
    service = service_of(request)
    tenant = _tenant_id(tenant_id)
    scope = await service.gate.scope(credentials.credentials, tenant, permission)
    record = record_of(request.scope)
    record.tenant_id, record.user_id = scope.tenant_id, scope.user_id
    if service.limiter is not None:
        await _count(service.limiter, scope, record)
    await refuse_unknown_query(request)
    return scope


async def _count(limiter: RateLimiter, scope: TenantScope, record: RequestRecord) -> None:
    quota = await limiter.hit(scope.tenant_id, scope.user_id)
    record.headers += [
        (name.lower().encode(), value.encode()) for name, value in quota.headers.items()
    ]
    quota.enforce()


def _tenant_id(text: str) -> UUID:
    """The id in its canonical form; what is none becomes an id that no tenant has.

    So it is answered like any tenant that does not exist: 401 without a token, 404 with one.
    """
    try:
        tenant_id = UUID(text)
    except ValueError:
        return _NO_TENANT
    return tenant_id if str(tenant_id) == text.lower() else _NO_TENANT


async def _service(request: Request) -> Service:
    return service_of(request)


ReadScope = Annotated[TenantScope, Depends(_admission(Permission.READ))]
WriteScope = Annotated[TenantScope, Depends(_admission(Permission.WRITE))]
DeleteScope = Annotated[TenantScope, Depends(_admission(Permission.DELETE))]
AdminScope = Annotated[TenantScope, Depends(_admission(Permission.ADMIN))]

RunningService = Annotated[Service, Depends(_service)]
"""The parts of the service: a route takes the use case that it calls from here."""
