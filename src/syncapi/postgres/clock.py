"""Opening a tenant's clock, from which on its feed counts."""

from sqlalchemy import text

from syncapi.postgres.databases import TenantConnection
from syncapi.postgres.unmigrated import unmigrated_as_unavailable


async def open_clock(connection: TenantConnection) -> None:
    """Make the tenant's clock row, if there is none yet.

    Raises:
        Unavailable: the tenant database is not migrated.
    """
    with unmigrated_as_unavailable(connection.scope.database):
        await connection.connection.execute(
            text("SELECT feed.tick(:tenant)"), {"tenant": connection.tenant_id}
        )
