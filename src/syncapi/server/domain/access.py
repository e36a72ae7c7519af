"""Tenants, roles and permissions, and the scope that proves them."""

import enum
import time
from dataclasses import dataclass, field
from uuid import UUID

from syncapi.server.domain.errors import Forbidden, NotFound


class Permission(enum.StrEnum):
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ADMIN = "admin"


class Role(enum.StrEnum):
    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"

    @property
    def permissions(self) -> frozenset[Permission]:
        return _PERMISSIONS[self]


_PERMISSIONS = {
    Role.ADMIN: frozenset(Permission),
    Role.USER: frozenset({Permission.READ, Permission.WRITE}),
    Role.VIEWER: frozenset({Permission.READ}),
}


@dataclass(frozen=True, slots=True)
class Membership:
    """What the control database knows of one user in one tenant.

    Attributes:
        database: name of the tenant database that holds the tenant.
        feed_id: the feed there that is the tenant's; None where that is not known yet.
        is_active: False for a suspended tenant.
    """

    tenant_id: UUID
    user_id: UUID
    role: Role
    database: str
    feed_id: UUID | None
    is_active: bool


@dataclass(frozen=True, slots=True)
class TenantScope:
    """Proof that ``user_id`` may do ``permission`` in ``tenant_id``.

    The database layer takes nothing else as a key to a tenant's data, and `grant` is the one
    place that makes a scope for a request. The operator's verbs make theirs by `operator`.

    Attributes:
        granted_at: when this was so, by the monotonic clock.
    """

    tenant_id: UUID
    database: str
    feed_id: UUID | None
    user_id: UUID | None
    role: Role
    permission: Permission
    granted_at: float = field(default_factory=time.monotonic, compare=False)


def grant(membership: Membership | None, permission: Permission) -> TenantScope:
    """Turn a membership into a scope.

    Raises:
        NotFound: no membership, or a suspended tenant. A tenant that is not yours and one that
            does not exist are refused in the same words.
        Forbidden: the role lacks the permission.
    """
    if membership is None or not membership.is_active:
        raise NotFound("There is no such tenant, or you are not a member of it.")
    if permission not in membership.role.permissions:
        raise Forbidden(
            f"This needs the permission '{permission}', which the role '{membership.role}' "
            "does not have. Ask an admin of the tenant."
        )
    return TenantScope(
        tenant_id=membership.tenant_id,
        database=membership.database,
        feed_id=membership.feed_id,
        user_id=membership.user_id,
        role=membership.role,
        permission=permission,
    )


def operator(tenant_id: UUID, database: str, feed_id: UUID | None) -> TenantScope:
    """The scope of an operator's verb, which has no user."""
    return TenantScope(tenant_id, database, feed_id, None, Role.ADMIN, Permission.ADMIN)
