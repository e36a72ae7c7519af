"""What must not reach a log."""

import pytest
from sqlalchemy import String, bindparam, text
from sqlalchemy.exc import DBAPIError

from fixtures.service import TestTenant
from syncapi.server.postgres.databases import Databases


async def test_a_failed_statement_does_not_tell_its_values(
    databases: Databases, tenant: TestTenant
) -> None:
    query = text("SELECT 1 / 0, :name").bindparams(bindparam("name", "dismissal.pdf", String))
    with pytest.raises(DBAPIError, match="division by zero") as failed:
        async with databases.reading(tenant.scope()) as connection:
            await connection.connection.execute(query)
    assert "dismissal" not in str(failed.value)
